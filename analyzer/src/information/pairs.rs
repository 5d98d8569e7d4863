//! Convolutions in a row without a rectifier between: one linear map that may
//! be cheaper as one.

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId};
use compiler::ops::{BatchNormalization, Conv, Window, WindowAxis};
use compiler::plan::{Link, Together};

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

    /// What the fold decides on. Padding that is not known in numbers is taken for
    /// some.
    fn link(&self, normalized: bool) -> Option<Link> {
        let size = |v: i64| usize::try_from(v).ok();
        let axes = &self.window.axes;
        let sizes = |of: fn(&WindowAxis) -> i64| -> Option<Vec<usize>> {
            axes.iter().map(|a| size(of(a))).collect()
        };
        let pads = || axes.iter().map(|a| a.pads.unwrap_or((1, 1)));
        Some(Link {
            out: size(self.channels.0)?,
            inp: size(self.channels.1)?,
            groups: size(self.groups)?,
            kernel: sizes(|a| a.kernel)?,
            stride: sizes(|a| a.stride)?,
            dilation: sizes(|a| a.dilation)?,
            pads: pads().map(|p| p.0).chain(pads().map(|p| p.1)).collect(),
            bias: self.bias || normalized,
        })
    }

    fn with(&self, second: &Self, normalized: bool, graph: &Graph) -> Option<LinearPair> {
        let one = Together::of(&self.link(normalized)?, &second.link(false)?)?;
        let kernel = one.kernel.iter().map(|&k| i64::try_from(k).ok());
        Some(LinearPair {
            first: graph.node_name(self.id),
            second: graph.node_name(second.id),
            kernel: kernel.collect::<Option<_>>()?,
            macs_apart: Real(one.apart),
            macs_together: Real(one.together),
            exact_at_borders: one.exact_at_borders,
            obstacle: one.obstacle,
        })
    }
}
