//! CF030: a bias that stands apart from its convolution.

use compiler::ir::{Expr, NodeId};
use compiler::ops::Conv;

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF030",
    name: "unfolded-bias",
    severity: Severity::Warning,
    what: "An addition of one constant a channel right after a convolution whose output nothing \
           else reads.",
    why: "As the convolution's bias it costs nothing; apart it reads and writes the whole map once \
          more, and hides the layer from fusions that look for a convolution before a rectifier.",
    ignore: "Where the runtime is known to fold it itself.",
    example: "Plus30 after Convolution28 (CNTK export): `convfold lint --fix` makes it a bias.",
    discussion: "",
    fixes: &["fold-bias"],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    for &id in graph.order() {
        let node = graph.node(id);
        if node.op != "Add" || !node.domain.is_empty() || !per_channel(subject, id) {
            continue;
        }
        let Some(conv) = subject.sole_producer(id) else {
            continue;
        };
        if subject.operator::<Conv>(conv).is_none() {
            continue;
        }
        let why = format!(
            "adds one constant a channel to the convolution \"{}\" and could be its bias",
            graph.node_name(conv)
        );
        drafts.push(subject.foldable(id, conv, &why));
    }
}

/// Whether one input is a constant with one number a channel of the other.
fn per_channel(subject: &Subject, id: NodeId) -> bool {
    let facts = subject.facts();
    let Some(map) = subject.data(id) else {
        return false;
    };
    let inputs = subject.graph().node(id).inputs.iter().flatten();
    let mut constants = inputs.filter(|&&v| facts.value(v).is_constant());
    let (Some(&constant), None) = (constants.next(), constants.next()) else {
        return false;
    };
    let (Some(map), Some(added)) = (&facts.value(map).shape, &facts.value(constant).shape) else {
        return false;
    };
    let one = |e: &Expr| e.as_const() == Some(1);
    let channel = map.len().saturating_sub(2);
    let ends = added.iter().rev().enumerate();
    map.len() > 2
        && added.len() <= map.len()
        && ends
            .into_iter()
            .all(|(i, size)| one(size) || (i == channel && *size == map[1]))
}
