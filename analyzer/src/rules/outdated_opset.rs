//! CF023: operator sets of long ago.

use super::subject::Subject;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF023",
    name: "outdated-opset",
    severity: Severity::Information,
    what: "A model of an operator set before 13 (November 2020).",
    why: "Per-channel quantization needs 13, tools stop testing what is older, and the official \
          converter has no way up for several operators (Conv from 7 to 12 among them): the longer \
          one waits, the less can be converted.",
    ignore: "Where the deployed runtime is as old as the model.",
    example: "opset 7: export again with opset 17 or later.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "minimum",
        default: 13.0,
        what: "least version of the standard's operator set",
    }],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let minimum = subject.threshold("minimum");
    let Some(&opset) = subject.analysis.model.opset.get("") else {
        return;
    };
    if (opset as f64) < minimum {
        let message = format!(
            "operator set {opset}, where {minimum} is asked for: quantization by channel needs 13"
        );
        drafts.push(
            Draft::model(message)
                .help("export it again from its source with a newer operator set")
                .with("opset", opset)
                .with("minimum", minimum),
        );
    }
}
