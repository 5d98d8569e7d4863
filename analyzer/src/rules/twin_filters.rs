//! CF013: filters of a layer that are multiples of each other.

use std::collections::BTreeSet;

use super::subject::Subject;
use super::words::{counted, percent};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF013",
    name: "twin-filters",
    severity: Severity::Warning,
    what: "Filters of one layer that are multiples of each other to one part in a hundred. Last \
           layers are left alone: their channels are what the model is asked for.",
    why: "A multiple makes a channel that is known already: one of the two can go, its readers \
          scaled instead. Many twins say that the layer is wider than what it has learnt.",
    ignore: "A pair f and -f before a rectifier is no waste: the two keep both signs.",
    example: "filters 3 and 17 of conv2 are the same up to a factor: prune one, or train with \
              fewer.",
    discussion: "Early layers of rectified networks do learn pairs of opposite phase on purpose \
                 (Shang et al. 2016, CReLU makes that a layer).",
    fixes: &[],
    weights: true,
    thresholds: &[Threshold {
        key: "pairs",
        default: 1.0,
        what: "least pairs of twins that are told",
    }],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for weights in subject.weights() {
        let Some(filters) = &weights.filters else {
            continue;
        };
        let twins = &filters.twins;
        let few = twins.is_empty() || (twins.len() as f64) < subject.threshold("pairs");
        if few || subject.is_last(&weights.node) {
            continue;
        }
        let involved: BTreeSet<usize> = twins.iter().flatten().copied().collect();
        let shown: Vec<String> = twins
            .iter()
            .take(3)
            .map(|[a, b]| format!("{a} and {b}"))
            .collect();
        let message = format!(
            "{} of filters that are multiples of each other among {}: {} ({} of the layer{})",
            counted(twins.len(), "pair"),
            filters.count,
            shown.join(", "),
            percent(involved.len() as f64 / filters.count as f64),
            if twins.len() > shown.len() {
                ", and more"
            } else {
                ""
            },
        );
        drafts.push(
            Draft::at(&weights.node, message)
                .help("prune one of each pair and scale its readers, or train with fewer filters")
                .with("tensor", &weights.tensor)
                .with("twins", twins),
        );
    }
}
