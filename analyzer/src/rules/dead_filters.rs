//! CF014: filters that give nothing.

use super::subject::Subject;
use super::words::{counted, percent};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF014",
    name: "dead-filters",
    severity: Severity::Warning,
    what: "Filters whose norm is below a millionth of the layer's largest. Last layers are left \
           alone: their channels are what the model is asked for.",
    why: "Their channels are constant, and are computed, stored and read by the next layer all \
          the same. They come from weight decay on channels that a normalization had switched \
          off, and from magnitude pruning that was not followed by taking the channels out.",
    ignore: "Where channels are zeroed to keep a shape that hardware wants.",
    example: "12 of 64 filters of conv3 are zero (19 %): take the channels out, and the same \
              inputs of the next layer with them.",
    discussion: "",
    fixes: &[],
    weights: true,
    thresholds: &[],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for weights in subject.weights() {
        let Some(filters) = &weights.filters else {
            continue;
        };
        if filters.dead.is_empty() || subject.is_last(&weights.node) {
            continue;
        }
        let shown: Vec<String> = filters.dead.iter().take(8).map(usize::to_string).collect();
        let more = if filters.dead.len() > shown.len() {
            ", ..."
        } else {
            ""
        };
        let message = format!(
            "{} of {} ({}) below a millionth of the largest: {}{more}",
            counted(filters.dead.len(), "filter"),
            filters.count,
            percent(filters.dead.len() as f64 / filters.count as f64),
            shown.join(", "),
        );
        drafts.push(
            Draft::at(&weights.node, message)
                .help("take these channels out here and in the layers that read them")
                .with("tensor", &weights.tensor)
                .with("dead", &filters.dead)
                .with("filters", filters.count),
        );
    }
}
