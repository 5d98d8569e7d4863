//! What a pass left alone, and why.

use std::collections::{HashMap, HashSet};

use super::options::LEFT_OUT;
use super::passes::{Pass, Rule};
use super::prepare::Prepared;
use super::{Options, PassReport, Skipped};
use crate::facts::Facts;
use crate::ir::{Graph, NodeId, ValueId};
use crate::ops::Map;

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
    prepared: &[Prepared],
    gone: &HashSet<NodeId>,
    pass: &Pass,
    options: &Options,
    report: &mut PassReport,
) {
    let Rule::Fold { takes, .. } = pass.rule else {
        return;
    };
    // What the pass itself had to say.
    let told: HashMap<NodeId, &String> = prepared
        .iter()
        .flat_map(|chain| {
            let own = chain.saturated.notes.unfolded.iter();
            let own = own.filter(|((name, _), _)| *name == pass.name);
            own.map(|((_, site), reason)| (chain.segment.nodes[*site as usize], reason))
        })
        .collect();
    for &id in graph.order() {
        if graph.node(id).op == takes
            && !gone.contains(&id)
            && let Some(reason) = told
                .get(&id)
                .map(|&reason| reason.clone())
                .or_else(|| reason(graph, facts, id, options))
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
    if node.op == "Conv" {
        return serial(graph, facts, id, *data, options);
    }
    if !options.allows(&graph.node_name(id)) {
        return Some(LEFT_OUT.into());
    }
    let Some(before) = graph.producer(*data) else {
        return Some("nothing stands before it".into());
    };
    let name = graph.node_name(before);
    if options.skips(&name) {
        return Some(format!("{name} before it is left out by --skip"));
    }
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

/// Why a convolution is not one with the one before it; `None` if there is none
/// before it, or more than element by element stands between.
fn serial(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    data: ValueId,
    options: &Options,
) -> Option<String> {
    let mut value = data;
    let mut reader = id;
    let mut between = Vec::new();
    let mut shared = false;
    let first = loop {
        let producer = graph.producer(value)?;
        shared |= graph.sole_consumer(value) != Some(reader);
        let node = graph.node(producer);
        if node.op == "Conv" {
            break producer;
        }
        value = elementwise(graph, facts, producer)?;
        reader = producer;
        between.push(node.op.as_str());
    };
    let name = graph.node_name(first);
    between.reverse();
    Some(if !options.allows(&graph.node_name(id)) {
        LEFT_OUT.into()
    } else if options.skips(&name) {
        format!("{name} before it is left out by --skip")
    } else if !between.is_empty() {
        format!(
            "{} between it and the convolution before it",
            between.join(", ")
        )
    } else if shared {
        format!("what {name} puts out is read elsewhere too")
    } else {
        format!("{name} and it stand too far down a long chain: run the pass on the result again")
    })
}

/// The one value that a node reads and passes on element by element.
fn elementwise(graph: &Graph, facts: &Facts, id: NodeId) -> Option<ValueId> {
    let (operator, name) = (facts.operator(id)?, graph.node_name(id));
    let cx = facts.cx(graph, id, &name);
    let outputs = operator.infer(&cx).ok()?;
    let reach = operator.reach(&cx, &outputs, 0).ok()?;
    let inputs = graph.node(id).inputs.iter().zip(&reach.0);
    let mut data = inputs.filter_map(|(value, path)| Some(((*value)?, path.as_ref()?)));
    let mut data = data
        .by_ref()
        .filter(|(v, _)| !facts.value(*v).is_constant());
    let (value, path) = data.next()?;
    let rank = facts.value(value).shape.as_ref()?.len();
    let same = |a: usize| path.follower(a) == Some((a, Map::IDENTITY));
    (data.next().is_none() && (2..rank).all(same)).then_some(value)
}
