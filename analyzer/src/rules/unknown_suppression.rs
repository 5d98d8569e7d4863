//! CF029: suppressions that name no rule.

use super::subject::Subject;
use super::suppression::{IGNORE_KEY, entries};
use super::{Check, Rule};
use crate::config::Selector;
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF029",
    name: "unknown-suppression",
    severity: Severity::Warning,
    what: "An entry `convfold.ignore` in the metadata of the model or of a node that names no rule.",
    why: "A misspelt suppression suppresses nothing, and nobody notices until the finding that it \
          was meant for comes back.",
    ignore: "Where the model must also pass a newer version of convfold, which has the rule.",
    example: "convfold.ignore = \"CF0O1\": did you mean \"CF001\"?",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for (node, words) in entries(subject.study) {
        let unknown: Vec<String> = words
            .iter()
            .filter_map(|w| Selector::parse(w).err())
            .map(|e| e.to_string())
            .collect();
        if unknown.is_empty() {
            continue;
        }
        let message = format!("{IGNORE_KEY} in the metadata: {}", unknown.join("; "));
        drafts.push(Draft {
            node,
            ..Draft::model(message)
                .help("`convfold rules` lists the codes")
                .with("entries", words)
        });
    }
}
