//! CF017: branches that meet with their centres apart.

use super::subject::Subject;
use super::words::{largest, pixels};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::number::Real;
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF017",
    name: "misaligned-branches",
    severity: Severity::Warning,
    what: "An addition or concatenation of branches whose units look at places that are at least \
           half a step apart.",
    why: "What is added describes different places: edges double or blur, and a residual is no \
          longer one. It comes from even kernels, one-sided padding and resizing in one branch \
          only.",
    ignore: "Where a layer before or after the join has learnt to make up for it, and position \
             matters little.",
    example: "a 3x3 at stride 2 with SAME padding and a 1x1 at stride 2 meet 1 px apart (1 step of \
              a half): pad the 3x3 with 1 on both sides.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "steps",
        default: 0.5,
        what: "least distance of the centres, in steps of the joined map",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for layer in &subject.analysis.layers {
        let Some(seen) = &layer.receptive_field else {
            continue;
        };
        let (Some(apart), Some(step)) = (
            largest(seen.misalignment.as_ref()),
            largest(seen.jump.as_ref()),
        ) else {
            continue;
        };
        let steps = apart / step;
        if step <= 0.0 || apart <= 0.0 || steps < subject.threshold("steps") {
            continue;
        }
        let message = format!(
            "the branches that meet here look at places {} of the input apart, {} of a step of {}",
            pixels(apart),
            units::plain(steps),
            pixels(step),
        );
        drafts.push(
            Draft::at(&layer.node, message)
                .help("pad and resize the branches alike, so that their centres agree")
                .with("apart", Real(apart))
                .with("steps", Real(steps)),
        );
    }
}
