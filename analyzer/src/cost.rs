//! What a node costs: arithmetic and traffic, and its window in numbers.

use compiler::facts::Facts;
use compiler::ir::{Expr, Graph, NodeId};
use compiler::ops::{Gap, Operator, Role, Window, window::Direction};

use crate::number::{Count, Real};
use crate::report::Layer;

/// Work of one execution of a node.
#[derive(Default)]
pub(crate) struct Work {
    pub macs: Expr,
    pub flops: Expr,
}

impl Work {
    pub fn of(
        graph: &Graph,
        facts: &Facts,
        id: NodeId,
        operator: &dyn Operator,
    ) -> Result<Self, Gap> {
        let name = graph.node_name(id);
        let cost = operator.cost(&facts.cx(graph, id, &name), &facts.outputs_of(graph, id))?;
        Ok(Self {
            macs: cost.macs,
            flops: cost.flops,
        })
    }
}

/// The shape of the weights that a window slides over the data, if any.
pub(crate) fn kernel_shape(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    operator: &dyn Operator,
) -> Option<Vec<Expr>> {
    let inputs = graph.node(id).inputs.iter().enumerate();
    let mut weights = inputs.filter(|&(slot, _)| operator.role(slot) == Role::Weight);
    weights.find_map(|(_, value)| facts.value((*value)?).shape.clone())
}

/// Bytes that a node reads and writes; `None` where a shape or type is not known.
pub(crate) fn traffic(graph: &Graph, facts: &Facts, id: NodeId) -> Option<Expr> {
    let node = graph.node(id);
    let name = graph.node_name(id);
    let operator = facts.operator(id)?;
    let cx = facts.cx(graph, id, &name);
    let outputs = facts.outputs_of(graph, id);
    // An input whose elements no output uses (that of `Shape`) is not read.
    let used: Option<Vec<bool>> = (0..outputs.len())
        .map(|output| {
            let reach = operator.reach(&cx, &outputs, output).ok()?;
            Some(
                (0..node.inputs.len())
                    .map(|i| reach.0.get(i).is_some_and(Option::is_some))
                    .collect::<Vec<_>>(),
            )
        })
        .reduce(|a, b| Some(a?.into_iter().zip(b?).map(|(a, b)| a || b).collect()))
        .flatten();
    let mut total = Expr::default();
    for (slot, value) in node.inputs.iter().enumerate() {
        let Some(value) = *value else { continue };
        let fact = facts.value(value);
        let read = fact.is_constant() || used.as_ref().is_none_or(|u| u[slot]);
        if read {
            total += fact.bytes()?;
        }
    }
    for fact in node.outputs.iter().flatten().map(|&v| facts.value(v)) {
        total += fact.bytes()?;
    }
    Some(total)
}

pub(crate) fn describe_window(layer: &mut Layer, window: &Window) {
    layer.kernel = window.axes.iter().map(|a| a.kernel).collect();
    layer.stride = window.axes.iter().map(|a| a.stride).collect();
    layer.dilation = window.axes.iter().map(|a| a.dilation).collect();
    #[allow(clippy::cast_precision_loss)]
    let overlap = |k: i64, s: i64| Real((1.0 - s as f64 / k as f64).max(0.0));
    if window.axes.iter().all(|a| a.direction == Direction::Gather) {
        let axes = window.axes.iter();
        layer.overlap = axes.map(|a| overlap(a.kernel, a.stride)).collect();
    }
    let pads: Option<Vec<(i64, i64)>> = window.axes.iter().map(|a| a.pads).collect();
    if let Some(pads) = pads {
        layer.pads = pads.iter().map(|p| p.0).collect();
        layer.pads.extend(pads.iter().map(|p| p.1));
    }
}

/// Cout / (∏k · Cin/groups) for weights (Cout, Cin/groups, *kernel*).
pub(crate) fn patch_ratio(window: &Window, weights: &[Expr]) -> Option<Real> {
    if window.axes.iter().any(|a| a.direction != Direction::Gather) {
        return None;
    }
    let size = |e: &Expr| Count(e.clone()).approximate();
    let patch: Expr = weights.get(1..)?.iter().product();
    let ratio = size(weights.first()?)? / size(&patch)?;
    ratio.is_finite().then_some(Real(ratio))
}

/// FLOPs a byte, where both are numbers or multiples of one polynomial.
pub(crate) fn intensity(flops: Option<&Count>, bytes: Option<&Count>) -> Option<Real> {
    let (flops, bytes) = (flops?.approximate()?, bytes?.approximate()?);
    (bytes > 0.0).then(|| Real(flops / bytes))
}
