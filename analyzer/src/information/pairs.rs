//! Convolutions in a row without a rectifier between: one linear map that may
//! be cheaper as one.

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId};
use compiler::ops::{BatchNormalization, Conv, Window};

use super::LinearPair;
use crate::number::Real;

/// All pairs whose value between has no other reader, in the model's order.
/// Between them there may be a BatchNormalization, which is linear too.
pub(crate) fn linear_pairs(graph: &Graph, facts: &Facts) -> Vec<LinearPair> {
    let convolutions = graph
        .order()
        .iter()
        .filter_map(|&id| Side::of(graph, facts, id));
    convolutions
        .filter_map(|first| {
            let (reader, normalized) = next(graph, facts, first.id)?;
            let second = Side::of(graph, facts, reader)?;
            first.with(&second, normalized, graph)
        })
        .collect()
}

/// The only reader of a node's output, and whether it comes after a
/// BatchNormalization.
fn next(graph: &Graph, facts: &Facts, id: NodeId) -> Option<(NodeId, bool)> {
    let output = graph.node(id).outputs.first().copied().flatten()?;
    let reader = graph.sole_consumer(output)?;
    let normalizes = facts
        .operator(reader)
        .is_some_and(|o| o.downcast::<BatchNormalization>().is_some());
    if normalizes {
        next(graph, facts, reader).map(|(reader, _)| (reader, true))
    } else {
        let data = graph.node(reader).inputs.first().copied().flatten();
        (data == Some(output)).then_some((reader, false))
    }
}

struct Side {
    id: NodeId,
    window: Window,
    groups: i64,
    /// Cout, Cin/groups.
    channels: (i64, i64),
    bias: bool,
}

impl Side {
    fn of(graph: &Graph, facts: &Facts, id: NodeId) -> Option<Self> {
        let name = graph.node_name(id);
        let operator = facts.operator(id)?;
        let conv = operator.downcast::<Conv>()?;
        let inputs = &graph.node(id).inputs;
        let weights = facts.value(inputs.get(1).copied().flatten()?);
        let shape = weights.shape.as_ref()?;
        Some(Self {
            id,
            window: operator.window(&facts.cx(graph, id, &name))?,
            groups: conv.groups,
            channels: (shape.first()?.as_i64()?, shape.get(1)?.as_i64()?),
            bias: inputs.get(2).copied().flatten().is_some(),
        })
    }

    fn taps(&self) -> f64 {
        self.window.axes.iter().map(|a| real(a.kernel)).product()
    }

    fn with(&self, second: &Self, normalized: bool, graph: &Graph) -> Option<LinearPair> {
        let axes = || self.window.axes.iter().zip(&second.window.axes);
        if self.window.axes.len() != second.window.axes.len() {
            return None;
        }
        // k₁ + s₁·(k₂ − 1), dilations taken as part of the extent.
        let kernel: Vec<i64> = axes()
            .map(|(a, b)| {
                let reach = (b.extent() - 1).checked_mul(a.stride)?;
                a.extent().checked_add(reach)
            })
            .collect::<Option<_>>()?;
        let outer: f64 = second.window.axes.iter().map(|a| real(a.stride)).product();
        let (middle, input) = (real(self.channels.0), real(self.channels.1));
        let output = real(second.channels.0);
        // An output position of the second takes ∏ stride positions of the first.
        let apart =
            outer * middle * input * self.taps() + output * real(second.channels.1) * second.taps();
        // The first's inputs that flow into one output of the second.
        let groups = self.groups.min(second.groups);
        let reached = input * real(self.groups) / real(groups.max(1));
        let together = output * reached * kernel.iter().map(|&k| real(k)).product::<f64>();
        let unpadded = second.window.axes.iter().all(|a| a.pads == Some((0, 0)));
        let constant = self.bias || normalized;
        let point = self.window.axes.iter().all(|a| a.kernel == 1) && !constant;
        Some(LinearPair {
            first: graph.node_name(self.id),
            second: graph.node_name(second.id),
            kernel,
            macs_apart: Real(apart),
            macs_together: Real(together),
            exact_at_borders: unpadded || point,
        })
    }
}

#[allow(clippy::cast_precision_loss)]
fn real(v: i64) -> f64 {
    v as f64
}
