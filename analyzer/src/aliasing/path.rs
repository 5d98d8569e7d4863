//! Downsampling layers in a row: what they let through together.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use serde::Serialize;

use super::layer::Filter;
use crate::number::Real;
use crate::report::AliasingKind;

/// Two downsampling layers with nothing but pointwise layers between, seen as
/// one: the first's filter and then the second's, at the product of the
/// strides. Rectifiers between are taken as linear, channels as incoherent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compound {
    /// The layer that samples first.
    pub first: String,
    /// The layer that samples its result.
    pub second: String,
    /// Input positions of the first an output step of the second.
    pub stride: Vec<Real>,
    /// Share of white energy beyond the Nyquist limit of both together.
    pub white: Real,
    /// The same for natural images.
    pub natural: Real,
    /// A bound if either is.
    pub kind: AliasingKind,
}

/// The downsampling layers of one graph, by node.
pub(crate) type Filters = HashMap<NodeId, Filter>;

/// All pairs, in the model's order of the second.
pub(crate) fn compounds(graph: &Graph, facts: &Facts, filters: &Filters) -> Vec<Compound> {
    let mut found = Vec::new();
    for &id in graph.order() {
        let Some(second) = filters.get(&id) else {
            continue;
        };
        let input = graph.node(id).inputs.first().copied().flatten();
        let Some((before, first)) = input.and_then(|v| pointwise_source(graph, facts, v, filters))
        else {
            continue;
        };
        if let Some(compound) = compose(first, second) {
            found.push(Compound {
                first: graph.node_name(before),
                second: graph.node_name(id),
                ..compound
            });
        }
    }
    found
}

/// Share of white energy that the downsampling layers on the worst path down
/// to each of them fold back one after the other: 1 − ∏(1 − white).
pub(crate) fn accumulated(
    graph: &Graph,
    facts: &Facts,
    white: &HashMap<NodeId, f64>,
) -> HashMap<NodeId, f64> {
    let mut kept: HashMap<ValueId, f64> = HashMap::new();
    let mut found = HashMap::new();
    for &id in &facts.sorted {
        let node = graph.node(id);
        let inputs = node.inputs.iter().flatten();
        let mut least = inputs
            .filter_map(|v| kept.get(v).copied())
            .fold(1.0, f64::min);
        if let Some(share) = white.get(&id) {
            least *= 1.0 - share;
            found.insert(id, 1.0 - least);
        }
        for &output in node.outputs.iter().flatten() {
            kept.insert(output, least);
        }
    }
    found
}

/// The downsampling layer that gives a value, with only pointwise layers
/// between (those whose output keeps the shape of its first input, moves no
/// position and slides no window).
fn pointwise_source<'a>(
    graph: &Graph,
    facts: &Facts,
    mut value: ValueId,
    filters: &'a Filters,
) -> Option<(NodeId, &'a Filter)> {
    loop {
        let id = graph.producer(value)?;
        if let Some(filter) = filters.get(&id) {
            return Some((id, filter));
        }
        if !pointwise(graph, facts, id) {
            return None;
        }
        value = graph
            .node(id)
            .inputs
            .iter()
            .flatten()
            .copied()
            .find(|&v| !facts.value(v).is_constant())?;
    }
}

fn pointwise(graph: &Graph, facts: &Facts, id: NodeId) -> bool {
    let node = graph.node(id);
    let name = graph.node_name(id);
    let Some(operator) = facts.operator(id) else {
        return false;
    };
    let cx = facts.cx(graph, id, &name);
    let data = node
        .inputs
        .iter()
        .flatten()
        .filter(|&&v| !facts.value(v).is_constant());
    if operator.window(&cx).is_some() || data.count() != 1 {
        return false;
    }
    let Ok(reach) = operator.reach(&cx, &facts.outputs_of(graph, id), 0) else {
        return false;
    };
    let moves = |a: &compiler::ops::AxisReach| !matches!(a, compiler::ops::AxisReach::Follow { map, .. } if *map == compiler::ops::Map::IDENTITY);
    // A mix of the channels (normalization) moves no position.
    let spatial = |path: &compiler::ops::Path| {
        let axes = path.axes.iter().enumerate();
        axes.filter(|(i, _)| *i != 1).all(|(_, a)| !moves(a))
    };
    reach.0.iter().flatten().all(spatial)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn compose(first: &Filter, second: &Filter) -> Option<Compound> {
    let rank = first.strides.len();
    if second.strides.len() != rank || first.strides.iter().any(|s| s.fract() != 0.0) {
        return None;
    }
    let whole: Vec<usize> = first.strides.iter().map(|&s| s as usize).collect();
    let rho = first
        .rho
        .then(&first.dilations, &second.rho, &whole, &second.dilations)?;
    let strides: Vec<f64> = first
        .strides
        .iter()
        .zip(&second.strides)
        .map(|(a, b)| a * b)
        .collect();
    let shares = rho.shares(&strides, &vec![1; rank])?;
    let bound = [first, second]
        .iter()
        .any(|f| f.kind == AliasingKind::Bound);
    Some(Compound {
        first: String::new(),
        second: String::new(),
        stride: strides.into_iter().map(Real).collect(),
        white: Real(shares.white),
        natural: Real(shares.natural),
        kind: if bound {
            AliasingKind::Bound
        } else {
            AliasingKind::Measure
        },
    })
}
