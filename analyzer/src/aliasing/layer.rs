//! Which layers sample their input more coarsely, and the filter before.

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use compiler::ops::window::Direction;
use compiler::ops::{AxisReach, Operator, Path, Pool, PoolKind, Role, Window};

use super::autocorrelation::Autocorrelation;
use super::spectrum::Shares;
use crate::report::AliasingKind;
use crate::weights;

/// A filter and the stride at which its output is kept.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub rho: Autocorrelation,
    /// Input positions an output step, an axis; fractional where resized.
    pub strides: Vec<f64>,
    pub dilations: Vec<usize>,
    pub kind: AliasingKind,
}

impl Filter {
    /// Shares of the energy beyond the Nyquist limit.
    pub fn shares(&self) -> Option<Shares> {
        self.rho.shares(&self.strides, &self.dilations)
    }
}

/// What a layer does to the sampling of its input.
#[derive(Debug)]
pub(crate) enum Sampling {
    /// It keeps every position.
    Kept,
    /// It keeps fewer, after this filter.
    Coarser(Filter),
    /// It keeps fewer, after a filter that is not known, with the reason.
    Unknown(String),
}

/// How a node samples its input.
pub(crate) fn sampling(graph: &Graph, facts: &Facts, id: NodeId) -> Sampling {
    let name = graph.node_name(id);
    let Some(operator) = facts.operator(id) else {
        return Sampling::Kept;
    };
    if weights::is_constant(graph, facts, id) {
        return Sampling::Kept;
    }
    let cx = facts.cx(graph, id, &name);
    match operator.window(&cx) {
        Some(window) => of_window(graph, facts, id, operator, &window),
        None => {
            let outputs = facts.outputs_of(graph, id);
            let reach = operator.reach(&cx, &outputs, 0);
            let paths = reach.map(|r| r.0).unwrap_or_default();
            of_path(graph, facts, id, &paths)
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn of_window(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    operator: &dyn Operator,
    window: &Window,
) -> Sampling {
    let gathers = window.axes.iter().all(|a| a.direction == Direction::Gather);
    if !gathers || window.axes.iter().all(|a| a.stride == 1) {
        return Sampling::Kept;
    }
    let sizes = |of: &dyn Fn(&compiler::ops::WindowAxis) -> i64| -> Vec<usize> {
        let sizes = window.axes.iter().map(of);
        sizes.map(|v| usize::try_from(v).unwrap_or(1)).collect()
    };
    let (kernel, dilations) = (sizes(&|a| a.kernel), sizes(&|a| a.dilation));
    let strides: Vec<f64> = window.axes.iter().map(|a| a.stride as f64).collect();
    let filter = |rho, kind| {
        Sampling::Coarser(Filter {
            rho,
            strides: strides.clone(),
            dilations: dilations.clone(),
            kind,
        })
    };
    let rank = kernel.len();
    if weight_slot(graph, facts, id, operator).is_some() {
        if kernel.iter().all(|&k| k == 1) {
            return filter(Autocorrelation::delta(rank), AliasingKind::Measure);
        }
        let rho = weights::values(graph, facts, id).and_then(|bank| {
            Autocorrelation::of(&bank, &kernel)
                .ok_or_else(|| "the weights do not fit the kernel".into())
        });
        return match rho {
            Ok(rho) => filter(rho, AliasingKind::Measure),
            Err(reason) => Sampling::Unknown(reason),
        };
    }
    let average = operator
        .downcast::<Pool>()
        .is_some_and(|p| matches!(p.kind, PoolKind::Average { .. }));
    if average {
        return match Autocorrelation::uniform(&kernel) {
            Some(rho) => filter(rho, AliasingKind::Measure),
            None => Sampling::Unknown("the window is too large".into()),
        };
    }
    // The largest of a window is no linear filter: what is kept of it is
    // scored, after a blur that may come before.
    let data = graph.node(id).inputs.first().copied().flatten();
    let blur = data.and_then(|value| blur_before(graph, facts, value));
    match blur {
        Some((rho, dilations)) if dilations.len() == rank => Sampling::Coarser(Filter {
            rho,
            strides: strides.clone(),
            dilations,
            kind: AliasingKind::Bound,
        }),
        _ => filter(Autocorrelation::delta(rank), AliasingKind::Bound),
    }
}

fn weight_slot(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    operator: &dyn Operator,
) -> Option<ValueId> {
    let inputs = graph.node(id).inputs.iter().enumerate();
    let mut weights = inputs.filter(|&(slot, _)| operator.role(slot) == Role::Weight);
    weights.find_map(|(_, value)| value.filter(|&v| facts.value(v).shape.is_some()))
}

/// The filter of the layer that gives `value`, if it is a blur: one that keeps
/// every position, mixes no channels and has no negative weight.
fn blur_before(
    graph: &Graph,
    facts: &Facts,
    value: ValueId,
) -> Option<(Autocorrelation, Vec<usize>)> {
    let id = graph.producer(value)?;
    let name = graph.node_name(id);
    let operator = facts.operator(id)?;
    let window = operator.window(&facts.cx(graph, id, &name))?;
    let dense = |a: &compiler::ops::WindowAxis| a.stride == 1 && a.direction == Direction::Gather;
    if !window.axes.iter().all(dense) {
        return None;
    }
    let kernel: Option<Vec<usize>> = window
        .axes
        .iter()
        .map(|a| usize::try_from(a.kernel).ok())
        .collect();
    let kernel = kernel?;
    let dilations: Option<Vec<usize>> = window
        .axes
        .iter()
        .map(|a| usize::try_from(a.dilation).ok())
        .collect();
    if let Some(pool) = operator.downcast::<Pool>() {
        let average = matches!(pool.kind, PoolKind::Average { .. });
        return average
            .then(|| Some((Autocorrelation::uniform(&kernel)?, dilations?)))
            .flatten();
    }
    let shape = &facts.value(weight_slot(graph, facts, id, operator)?).shape;
    let depthwise = shape.as_ref()?.get(1)?.as_const() == Some(1);
    let bank = weights::values(graph, facts, id).ok()?;
    let blurs = depthwise && bank.iter().all(|&w| w >= 0.0);
    blurs
        .then(|| Some((Autocorrelation::of(&bank, &kernel)?, dilations?)))
        .flatten()
}

/// A node without a window that keeps fewer positions: a slice with steps, a
/// resize to a smaller size.
#[allow(clippy::cast_precision_loss)]
fn of_path(graph: &Graph, facts: &Facts, id: NodeId, paths: &[Option<Path>]) -> Sampling {
    let node = graph.node(id);
    let (Some(&Some(input)), Some(Some(path)), Some(&Some(output))) =
        (node.inputs.first(), paths.first(), node.outputs.first())
    else {
        return Sampling::Kept;
    };
    let coarser: Vec<(usize, compiler::ops::Map)> = path
        .axes
        .iter()
        .filter_map(|a| match *a {
            AxisReach::Follow { axis, map }
                if map.stride.unsigned_abs() > map.upsample.unsigned_abs() =>
            {
                Some((axis, map))
            }
            _ => None,
        })
        .filter(|(axis, _)| *axis >= 1)
        .collect();
    if coarser.is_empty() {
        return Sampling::Kept;
    }
    // What only rearranges (space to depth) loses nothing.
    let elements = |v: ValueId| {
        let shape = facts.value(v).shape.as_ref()?;
        Some(shape.iter().product::<compiler::ir::Expr>())
    };
    let (before, after) = (elements(input), elements(output));
    if before.is_none() || before == after || polyphase(graph, facts, input) {
        return Sampling::Kept;
    }
    let strides: Vec<f64> = coarser
        .iter()
        .map(|(_, m)| (m.stride as f64 / m.upsample as f64).abs())
        .collect();
    let taps: Vec<i64> = coarser.iter().map(|(_, m)| m.hi - m.lo + 1).collect();
    let whole = coarser.iter().all(|(_, m)| m.upsample == 1);
    let rank = coarser.len();
    let (rho, kind) = if node.attrs.int("antialias").unwrap_or(0) != 0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let radius: Vec<usize> = strides.iter().map(|s| s.round() as usize).collect();
        (Autocorrelation::triangle(&radius), AliasingKind::Measure)
    } else if whole && taps.iter().all(|&t| t == 1) {
        (Some(Autocorrelation::delta(rank)), AliasingKind::Measure)
    } else if whole && taps.iter().all(|&t| t <= 2) {
        // Half-way between two elements.
        let taps: Vec<usize> = taps.iter().map(|&t| if t == 2 { 2 } else { 1 }).collect();
        (Autocorrelation::uniform(&taps), AliasingKind::Measure)
    } else {
        (Some(Autocorrelation::delta(rank)), AliasingKind::Bound)
    };
    match rho {
        Some(rho) => Sampling::Coarser(Filter {
            rho,
            strides,
            dilations: vec![1; rank],
            kind,
        }),
        None => Sampling::Unknown("the scale is too large".into()),
    }
}

/// Whether slices of one value together keep every position (the first layer
/// of YOLOv5: four slices with step 2, put side by side).
fn polyphase(graph: &Graph, facts: &Facts, value: ValueId) -> bool {
    let mut phases: Vec<(usize, i64, i64)> = Vec::new();
    for id in graph.consumers(value) {
        let name = graph.node_name(id);
        let Some(operator) = facts.operator(id) else {
            continue;
        };
        let cx = facts.cx(graph, id, &name);
        let Ok(reach) = operator.reach(&cx, &facts.outputs_of(graph, id), 0) else {
            continue;
        };
        let Some(Some(path)) = reach.0.first() else {
            continue;
        };
        for reach in &path.axes {
            if let AxisReach::Follow { axis, map } = *reach
                && map.stride > 1
                && map.upsample == 1
                && map.lo == map.hi
            {
                phases.push((axis, map.stride, map.lo.rem_euclid(map.stride)));
            }
        }
    }
    phases.sort_unstable();
    phases.dedup();
    let mut axes: Vec<(usize, i64)> = phases.iter().map(|p| (p.0, p.1)).collect();
    axes.dedup();
    !axes.is_empty()
        && axes.iter().all(|&(axis, stride)| {
            let found = phases.iter().filter(|p| (p.0, p.1) == (axis, stride));
            i64::try_from(found.count()) == Ok(stride)
        })
}
