//! Chains: runs of nodes in which each value has one reader. One small e-graph
//! a chain keeps tree cost true and lets the work grow with the model's length.

use std::collections::HashMap;

use egg::Id;

use super::knowledge::{EGraph, Knowledge};
use super::lang::{OpKey, Term};
use super::search::Goal;
use crate::facts::{Constant, Fact, Facts};
use crate::ir::{Graph, NodeId, Tensor, ValueId};
use crate::ops;

/// Longer runs are cut: the work on a chain grows with its square.
const MAX_LENGTH: usize = 256;

/// A run of nodes, each the only reader of the one before.
#[derive(Debug)]
pub struct Segment {
    /// The nodes in execution order.
    pub nodes: Vec<NodeId>,
    /// The value that enters.
    pub source: ValueId,
    /// The constants that the nodes read, in order of first use.
    pub constants: Vec<ValueId>,
}

/// The one input that carries data, if the node may stand in a chain.
fn data_input(graph: &Graph, facts: &Facts, id: NodeId) -> Option<ValueId> {
    let node = graph.node(id);
    let known = facts.operator(id).is_some() && facts.gap(id).is_none();
    let plain = node.captures.is_empty() && facts.nested(id).is_empty();
    let extra = node.outputs.iter().skip(1).flatten();
    if !known || !plain || extra.into_iter().any(|&v| graph.is_used(v)) {
        return None;
    }
    node.outputs.first().copied().flatten()?;
    let mut data = node
        .inputs
        .iter()
        .flatten()
        .filter(|&&v| !facts.value(v).is_constant());
    let first = *data.next()?;
    data.next().is_none().then_some(first)
}

/// All chains of a graph, in its order. A node that is to stay stands alone, so
/// that nothing is folded into it or over it.
pub fn segments(graph: &Graph, facts: &Facts, stays: &dyn Fn(NodeId) -> bool) -> Vec<Segment> {
    let mut chain_of: HashMap<NodeId, usize> = HashMap::new();
    let mut found: Vec<Segment> = Vec::new();
    for &id in &facts.sorted {
        let Some(input) = data_input(graph, facts, id) else {
            continue;
        };
        let before = graph
            .producer(input)
            .filter(|_| graph.sole_consumer(input) == Some(id))
            .filter(|&p| !stays(p) && !stays(id))
            .and_then(|p| chain_of.get(&p).copied())
            .filter(|&at| found[at].nodes.len() < MAX_LENGTH);
        let at = before.unwrap_or_else(|| {
            found.push(Segment {
                nodes: Vec::new(),
                source: input,
                constants: Vec::new(),
            });
            found.len() - 1
        });
        chain_of.insert(id, at);
        let segment = &mut found[at];
        segment.nodes.push(id);
        for &value in graph.node(id).inputs.iter().flatten() {
            if facts.value(value).is_constant() && !segment.constants.contains(&value) {
                segment.constants.push(value);
            }
        }
    }
    found
}

impl Segment {
    /// The e-graph of the chain as it is, and its class. Proofs are kept: by
    /// them the original term can be had back.
    pub fn egraph(&self, graph: &Graph, facts: &Facts, goal: Option<Goal>) -> (EGraph, Id) {
        let knowledge = Knowledge {
            source: facts.value(self.source).clone(),
            constants: self
                .constants
                .iter()
                .map(|&v| outline(facts.value(v)))
                .collect(),
            goal,
        };
        let mut egraph = EGraph::new(knowledge).with_explanations_enabled();
        let mut flow = egraph.add(Term::Source);
        for (site, &id) in self.nodes.iter().enumerate() {
            let node = graph.node(id);
            let children: Vec<Id> = node
                .inputs
                .iter()
                .map(|input| match input {
                    None => egraph.add(Term::Missing),
                    Some(v) => match self.constants.iter().position(|c| c == v) {
                        Some(i) => egraph.add(Term::Constant(u32::try_from(i).unwrap_or(0))),
                        None => flow,
                    },
                })
                .collect();
            let Some(operator) = parse(graph, id) else {
                continue;
            };
            let site = u32::try_from(site).unwrap_or(u32::MAX);
            let key = OpKey::new(&node.op, site, operator);
            flow = egraph.add(Term::Op(key, children.into()));
        }
        (egraph, flow)
    }
}

fn parse(graph: &Graph, id: NodeId) -> Option<std::sync::Arc<dyn ops::Operator>> {
    let node = graph.node(id);
    let op = ops::find(&node.domain, &node.op)?;
    (op.parse)(node, node.opset).ok().map(Into::into)
}

/// A constant's fact without its data, but for integers (shapes, axes) and
/// single numbers (limits, the value of a border).
fn outline(fact: &Fact) -> Fact {
    let mut fact = fact.clone();
    if let Some(Constant::Tensor(tensor)) = &fact.constant
        && tensor.is_float()
        && tensor.len() != Some(1)
    {
        let bare = Tensor::without_data(tensor.dtype, tensor.shape.clone());
        fact.constant = Some(Constant::Tensor(bare.into()));
    }
    fact
}
