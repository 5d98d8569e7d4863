//! What a pass left alone, and why.

use std::collections::HashSet;

use super::passes::{Pass, Rule};
use super::prepare::Prepared;
use super::{Options, PassReport, Skipped};
use crate::facts::Facts;
use crate::ir::{Graph, NodeId, ValueId};

/// Convolutions that an approximate pass refused.
pub(super) fn candidates(prepared: &[Prepared], pass: &Pass, report: &mut PassReport) {
    for chain in prepared {
        let skipped = chain.saturated.notes.skipped.iter();
        let own = skipped.filter(|((name, _), _)| *name == pass.name);
        let mut found: Vec<(u32, &String)> = own.map(|((_, s), reason)| (*s, reason)).collect();
        found.sort_unstable();
        report
            .skipped
            .extend(found.into_iter().map(|(site, reason)| Skipped {
                node: chain.names[site as usize].clone(),
                reason: reason.clone(),
            }));
    }
}

/// Nodes that an exact pass takes away and that stay.
pub(super) fn folds(
    graph: &Graph,
    facts: &Facts,
    gone: &HashSet<NodeId>,
    pass: &Pass,
    options: &Options,
    report: &mut PassReport,
) {
    let Rule::Fold { takes, .. } = pass.rule else {
        return;
    };
    for &id in graph.order() {
        if graph.node(id).op == takes
            && !gone.contains(&id)
            && let Some(reason) = reason(graph, facts, id, options)
        {
            report.skipped.push(Skipped {
                node: graph.node_name(id),
                reason,
            });
        }
    }
}

/// Why a node is not folded into a convolution before it; `None` if it is no
/// candidate (an addition of two branches).
fn reason(graph: &Graph, facts: &Facts, id: NodeId, options: &Options) -> Option<String> {
    let node = graph.node(id);
    let data: Vec<ValueId> = node
        .inputs
        .iter()
        .flatten()
        .copied()
        .filter(|&v| !facts.value(v).is_constant())
        .collect();
    let [data] = data.as_slice() else { return None };
    if !options.allows(&graph.node_name(id)) {
        return Some("left out by --only or --skip".into());
    }
    let Some(before) = graph.producer(*data) else {
        return Some("nothing stands before it".into());
    };
    let op = &graph.node(before).op;
    let additive = node.op == "Add";
    if op != "Conv" {
        return (!additive).then(|| format!("it follows {op}, not a convolution"));
    }
    if graph.sole_consumer(*data) != Some(id) {
        return Some("the convolution's output is read elsewhere too".into());
    }
    Some("its constants do not fit the convolution's channels, or are not at hand".into())
}
