//! CF028: weights that were never trained.

use super::subject::{Subject, is_placeholder};
use super::words::{counted, some};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF028",
    name: "placeholder-weights",
    severity: Severity::Information,
    what: "Weight tensors in which every element has the same value; told once a model.",
    why: "Nothing trains to that: the model is a skeleton for tests, or a layer was left as it was \
          made. What the weights say (twins, rank, aliasing) says nothing then.",
    ignore: "In skeletons that are meant to be such.",
    example: "every element is the same in 54 tensors of weights.",
    discussion: "",
    fixes: &[],
    weights: true,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let all = subject.analysis.information.weights.iter().flatten();
    let names: Vec<String> = all
        .filter(|w| is_placeholder(w))
        .map(|w| w.node.clone())
        .collect();
    if names.is_empty() {
        return;
    }
    let message = format!(
        "every element is the same in {}: {}",
        counted(names.len(), "weight tensor"),
        some(&names),
    );
    drafts.push(
        Draft::model(message)
            .help("put the trained weights in, if these should be")
            .with("nodes", names),
    );
}
