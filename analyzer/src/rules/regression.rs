//! CF020: models that have grown since the baseline.

use super::over_budget::shown;
use super::subject::Subject;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::figures::Figures;
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF020",
    name: "regression-against-baseline",
    severity: Severity::Error,
    what: "A model whose parameters, MACs, bytes of weights or peak activation memory have grown \
           by more than some percent since the baseline was written: a ratchet.",
    why: "Models grow by a little with every change; the ratchet makes each step a decision.",
    ignore: "Write the baseline anew (`--write-baseline`) in the pull request that is meant to \
             make the model larger.",
    example: "MACs 2.10 G, 5 % more than the 2.00 G of the baseline.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "percent",
        default: 1.0,
        what: "most growth of a figure, in percent",
    }],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let Some(before) = subject.before else { return };
    let now = Figures::of(subject.analysis);
    let allowed = subject.threshold("percent");
    let mut parts = Vec::new();
    let mut evidence = serde_json::Map::new();
    for ((key, words, now), (_, _, was)) in now.entries().into_iter().zip(before.entries()) {
        let (Some(now), Some(was)) = (now, was) else {
            continue;
        };
        let growth = 100.0 * (now as f64 / was as f64 - 1.0);
        if now <= was || growth <= allowed {
            continue;
        }
        let more = if was == 0 {
            String::new()
        } else {
            format!("{} % ", units::small(growth))
        };
        parts.push(format!(
            "{} {words}, {more}more than the {} of the baseline",
            shown(key, now),
            shown(key, was),
        ));
        evidence.insert(key.into(), serde_json::json!({"is": now, "was": was}));
    }
    if !parts.is_empty() {
        drafts.push(Draft {
            evidence,
            ..Draft::model(parts.join("; ")).help(
                "make the model smaller, or write the baseline anew where the growth is meant",
            )
        });
    }
}
