//! CF015: layers whose filters span few directions.

use super::subject::Subject;
use super::words::percent;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF015",
    name: "low-effective-rank",
    severity: Severity::Information,
    what: "A layer whose matrix of filters has an effective rank (exp of the entropy of its \
           singular values, Roy and Vetterli 2007) far below the rank that it could have.",
    why: "Its outputs lie close to a space of that many dimensions: a narrower layer, or a \
          bottleneck before it, would do nearly the same.",
    ignore: "In first layers, where images are simple, and in last ones with few classes.",
    example: "conv4 has effective rank 41 of 256 (16 %): `--pass bottleneck` measures what a \
              narrower form loses.",
    discussion: "For: low rank is what compression lives on. Against: small singular values carry \
                 rare features, and weights alone do not say which directions the data use.",
    fixes: &[],
    weights: true,
    thresholds: &[
        Threshold {
            key: "share",
            default: 0.25,
            what: "least effective rank as a share of the full rank",
        },
        Threshold {
            key: "rank",
            default: 16.0,
            what: "least full rank that is looked at",
        },
    ],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for weights in subject.weights() {
        let Some(filters) = &weights.filters else {
            continue;
        };
        let full = filters.full_rank as f64;
        let Some(rank) = filters.effective_rank.filter(|r| r.0 > 0.0) else {
            continue;
        };
        if full < subject.threshold("rank") || rank.0 / full >= subject.threshold("share") {
            continue;
        }
        let message = format!(
            "effective rank {} of {} ({}): the {} filters of {} weights span few directions",
            units::small(rank.0),
            filters.full_rank,
            percent(rank.0 / full),
            filters.count,
            filters.length,
        );
        drafts.push(
            Draft::at(&weights.node, message)
                .help(
                    "train it narrower, or let `convfold factorize --pass bottleneck` measure what \
                     a narrower form loses",
                )
                .with("tensor", &weights.tensor)
                .with("effective_rank", rank)
                .with("full_rank", filters.full_rank),
        );
    }
}
