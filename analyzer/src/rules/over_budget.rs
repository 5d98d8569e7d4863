//! CF019: models above what the project allows.

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::figures::Figures;
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF019",
    name: "over-budget",
    severity: Severity::Error,
    what: "A model whose parameters, MACs, bytes of weights or peak activation memory are above \
           the [budget] of the configuration, for all models or for those of a glob.",
    why: "What does not fit the device is noticed when the pull request is made, not when it is \
          deployed.",
    ignore: "Raise the budget in the pull request that needs it, so that the decision is seen.",
    example: "MACs 2.10 G, 5 % above the budget of 2.00 G ([budget] macs = \"2G\").",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let figures = Figures::of(subject.analysis);
    let mut parts = Vec::new();
    let mut open = false;
    let mut evidence = serde_json::Map::new();
    let limits = subject.settings.budget.entries();
    for ((key, words, value), (_, _, limit)) in figures.entries().into_iter().zip(limits) {
        let Some(limit) = limit else { continue };
        match value {
            None => {
                open = true;
                parts.push(format!(
                    "{words} depend on sizes that the model leaves open"
                ));
            }
            Some(value) if value > limit => {
                let over = 100.0 * (value as f64 / limit as f64 - 1.0);
                let (value_, limit_) = (shown(key, value), shown(key, limit));
                parts.push(format!(
                    "{value_} {words}, {} % above the budget of {limit_}",
                    units::small(over)
                ));
            }
            Some(_) => continue,
        }
        evidence.insert(
            key.into(),
            serde_json::json!({"is": value, "budget": limit}),
        );
    }
    if parts.is_empty() {
        return;
    }
    let help = if open {
        "give the sizes under [input-shapes] in the configuration, so that the budget can be held"
    } else {
        "make the model smaller (`convfold factorize`), or raise the budget where that is meant"
    };
    drafts.push(Draft {
        evidence,
        ..Draft::model(parts.join("; ")).help(help)
    });
}

/// A figure with its unit.
#[allow(clippy::cast_precision_loss)]
pub(super) fn shown(key: &str, value: u64) -> String {
    if key.ends_with("bytes") {
        units::bytes(value as f64)
            .trim_end_matches('B')
            .trim_end()
            .to_owned()
    } else {
        units::si(value as f64)
    }
}
