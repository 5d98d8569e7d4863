//! CF016: weights that are no numbers, infinite, or subnormal.

use super::subject::Subject;
use super::words::percent;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::information::WeightReport;

pub(super) const RULE: Rule = Rule {
    code: "CF016",
    name: "bad-weights",
    severity: Severity::Error,
    what: "Weights that are NaN or infinite; as a warning, weights of which more than a share is \
           subnormal.",
    why: "One NaN or infinity makes every output of its channel NaN. Subnormal numbers are slow \
          on many processors and flushed to zero on others, so that results differ.",
    ignore: "Never for NaN and infinity. Subnormal weights of a trained model are harmless where \
             the runtime flushes them to zero.",
    example: "conv2 holds 3 NaN: the training diverged or the export is damaged.",
    discussion: "",
    fixes: &[],
    weights: true,
    thresholds: &[
        Threshold {
            key: "subnormal",
            default: 0.01,
            what: "most share of a tensor that may be subnormal",
        },
        Threshold {
            key: "elements",
            default: 16.0,
            what: "least subnormal weights that are told: a few cost nothing",
        },
    ],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    // Also those of one value throughout: that value may be NaN.
    let all = subject.analysis.information.weights.iter().flatten();
    let mut broken: Vec<&WeightReport> = all
        .clone()
        .filter(|w| w.nan > 0 || w.infinite > 0)
        .collect();
    while let Some(first) = broken.first().copied() {
        let here = |w: &&&WeightReport| w.node == first.node;
        let (nan, infinite) = broken
            .iter()
            .filter(here)
            .fold((0, 0), |(n, i), w| (n + w.nan, i + w.infinite));
        let tensors: Vec<&str> = broken
            .iter()
            .filter(here)
            .map(|w| w.tensor.as_str())
            .collect();
        let parts = [(nan, "NaN"), (infinite, "infinite")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let message = format!(
            "{} weights in {}: every output that they reach is no number",
            parts.join(" and "),
            tensors.join(", "),
        );
        drafts.push(
            Draft::at(&first.node, message)
                .help("take a checkpoint from before the training diverged, and export it again")
                .with("tensors", tensors)
                .with("nan", nan)
                .with("infinite", infinite),
        );
        let node = &first.node;
        broken.retain(|w| w.node != *node);
    }
    for weights in all {
        let elements: usize = weights.shape.iter().product();
        #[allow(clippy::cast_precision_loss)]
        let share = weights.subnormal as f64 / elements.max(1) as f64;
        #[allow(clippy::cast_precision_loss)]
        let many = weights.subnormal as f64 >= subject.threshold("elements");
        if many && share > subject.threshold("subnormal") {
            let message = format!(
                "{} of {elements} weights of {} are subnormal ({}): slow on many processors, zero \
                 on others",
                weights.subnormal,
                weights.tensor,
                percent(share),
            );
            drafts.push(
                Draft::at(&weights.node, message)
                    .help("set them to zero before the export")
                    .severity(Severity::Warning)
                    .with("tensors", [&weights.tensor])
                    .with("subnormal", weights.subnormal),
            );
        }
    }
}
