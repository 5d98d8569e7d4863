//! Peak activation memory from the lifetimes of values.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Expr, Graph, NodeId, ValueId};

/// Symbols count as this size where two polynomials are compared: large, so
/// that the terms of highest degree decide.
const LARGE: i64 = 1 << 10;

/// The most that is alive at one time, and the node that runs then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peak {
    /// Bytes.
    pub bytes: Expr,
    /// The node and, if it is inside a subgraph, the names around it.
    pub node: Option<String>,
}

/// Peak activation memory of a graph, run in the model's order: a value takes
/// its bytes from the node that writes it (or the start, for inputs) to the
/// last that reads it (or the end, for outputs), nothing is done in place, and
/// constants are no activations. A value of unknown shape counts nothing; its
/// producer is a gap.
pub(crate) fn peak(graph: &Graph, facts: &Facts) -> Peak {
    let last = last_uses(graph, &facts.sorted);
    let size = |v: ValueId| -> Expr {
        let fact = facts.value(v);
        if fact.is_constant() {
            return Expr::default();
        }
        fact.bytes().unwrap_or_default()
    };
    let mut live: Expr = graph.inputs.iter().map(|&v| size(v)).sum();
    let mut peak = Peak {
        bytes: live.clone(),
        node: None,
    };
    for (step, &id) in facts.sorted.iter().enumerate() {
        let node = graph.node(id);
        for &output in node.outputs.iter().flatten() {
            live += size(output);
        }
        let nested = facts
            .nested(id)
            .iter()
            .map(|n| self::peak(&n.graph, &n.facts))
            .max_by_key(|p| rank(&p.bytes));
        let inner = nested.as_ref().map(|n| n.bytes.clone()).unwrap_or_default();
        let here = live.clone() + inner;
        if peak.node.is_none() || rank(&here) > rank(&peak.bytes) {
            let mut name = graph.node_name(id);
            if let Some(inside) = nested.and_then(|n| n.node) {
                name = format!("{name}/{inside}");
            }
            peak = Peak {
                bytes: here,
                node: Some(name),
            };
        }
        let mut ended: Vec<ValueId> = node
            .inputs
            .iter()
            .chain(&node.outputs)
            .flatten()
            .chain(&node.captures)
            .copied()
            .filter(|v| last.get(v).is_none_or(|&l| l == step))
            .collect();
        ended.sort_unstable();
        ended.dedup();
        for value in ended {
            live = live - size(value);
        }
    }
    peak
}

/// The step after which each value is no longer needed; outputs of the graph
/// are needed to the end, and what nothing reads is not in the map.
fn last_uses(graph: &Graph, sorted: &[NodeId]) -> HashMap<ValueId, usize> {
    let mut last = HashMap::new();
    for (step, &id) in sorted.iter().enumerate() {
        let node = graph.node(id);
        for &value in node.inputs.iter().flatten().chain(&node.captures) {
            last.insert(value, step);
        }
    }
    for &output in &graph.outputs {
        last.insert(output, usize::MAX);
    }
    last
}

/// A number by which sizes compare, the polynomial's value for large symbols.
fn rank(bytes: &Expr) -> i128 {
    bytes
        .as_const()
        .or_else(|| bytes.substitute(&|_| Some(LARGE)).as_const())
        .unwrap_or(i128::MAX)
}
