//! CF010: BatchNormalization that a convolution could take in.

use compiler::ops::{BatchNormalization, Conv};

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF010",
    name: "unfolded-batchnorm",
    severity: Severity::Warning,
    what: "A BatchNormalization right after a convolution whose output nothing else reads.",
    why: "At inference it is a multiplication and an addition a channel with constants: folded \
          into the convolution's weights it costs nothing, apart it reads and writes the whole \
          map once more on every runtime that does not fold by itself, and hides the layer's true \
          weights from quantization.",
    ignore: "In a model that is exported to be trained further.",
    example: "bn1 after conv1 reads and writes 6.42 MB a sample. `convfold lint --fix` folds it, \
              outputs stay the same to rounding.",
    discussion: "",
    fixes: &["fold-batchnorm"],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    for &id in graph.order() {
        if subject.operator::<BatchNormalization>(id).is_none() {
            continue;
        }
        let inputs = graph.node(id).inputs.iter().skip(1).flatten();
        let constant = inputs
            .into_iter()
            .all(|&v| subject.facts().value(v).is_constant());
        let Some(conv) = subject.sole_producer(id).filter(|_| constant) else {
            continue;
        };
        let fixed = graph.node(conv).inputs.get(1).copied().flatten();
        let fixed = fixed.is_some_and(|w| subject.facts().value(w).is_constant());
        if subject.operator::<Conv>(conv).is_none() || !fixed {
            continue;
        }
        let why = format!(
            "follows the convolution \"{}\" and could be part of its weights",
            graph.node_name(conv)
        );
        drafts.push(subject.foldable(id, conv, &why));
    }
}
