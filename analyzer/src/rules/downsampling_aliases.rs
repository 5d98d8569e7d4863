//! CF005: layers that sample more coarsely than their filter allows.

use super::subject::Subject;
use super::words::{share, sizes, some};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::report::{Aliasing, AliasingKind, Layer};

pub(super) const RULE: Rule = Rule {
    code: "CF005",
    name: "downsampling-aliases",
    severity: Severity::Information,
    what: "A strided layer whose actual weights let more than a share of white input energy beyond \
           the Nyquist limit of its stride through. Max-pools and other layers that are scored by \
           their subsampling alone are told once a model.",
    why: "What is beyond the limit folds back as patterns that were not there, and changes with \
          every pixel of shift: accuracy under translation drops (Zhang 2019; Azulay and Weiss \
          2019).",
    ignore: "Where inputs are smooth (the share for natural images is in the evidence) or \
             positions are fixed. It is a risk by the weights, not an outcome: `convfold verify \
             --shift` measures the outcome.",
    example: "1x1 at stride 2 folds back 75 % of white energy; an average 2x2 33 %, a binomial \
              blur of 3 14 %.",
    discussion: "For blurring: better consistency, often better accuracy (Zhang 2019). Against: \
                 trained strided convolutions learn their own low-pass where it helps, a blur \
                 costs memory traffic, and max-pool's sharpness can be wanted.",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "white",
        default: 0.6,
        what: "most share of white energy that may fold back",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let limit = subject.threshold("white");
    let over = |layer: &Layer| layer.aliasing.as_ref().is_some_and(|a| a.white.0 > limit);
    let all: Vec<(&Layer, &Aliasing)> = subject
        .analysis
        .layers
        .iter()
        .filter(|l| over(l))
        .filter_map(|l| Some((l, l.aliasing.as_ref()?)))
        .collect();
    let of_kind = |kind| all.iter().filter(move |(_, a)| a.kind == kind);
    for (layer, aliasing) in of_kind(AliasingKind::Measure) {
        let message = format!(
            "{}{} at stride {} folds back {} of white energy by its weights, {} of a natural \
             image's",
            layer.op,
            if layer.kernel.is_empty() {
                String::new()
            } else {
                format!(" {}", sizes(&layer.kernel))
            },
            sizes(&layer.stride),
            share(aliasing.white),
            share(aliasing.natural),
        );
        drafts.push(draft(layer, aliasing, message));
    }
    let bounds: Vec<_> = of_kind(AliasingKind::Bound).collect();
    if let Some((layer, aliasing)) = bounds.first() {
        let names: Vec<String> = bounds.iter().map(|(l, _)| l.node.clone()).collect();
        let worst = bounds
            .iter()
            .map(|(_, a)| a.accumulated)
            .fold(aliasing.accumulated, |a, b| if b > a { b } else { a });
        let message = match names.as_slice() {
            [_] => format!(
                "{} at stride {} without a blur folds back up to {} of white energy (a bound)",
                layer.op,
                sizes(&layer.stride),
                share(aliasing.white),
            ),
            many => format!(
                "{} strided pools without a blur ({}) fold back up to {} of white energy each (a \
                 bound), {} in a row along the worst path",
                many.len(),
                some(many),
                share(aliasing.white),
                share(worst),
            ),
        };
        drafts.push(draft(layer, aliasing, message).with("nodes", names));
    }
}

fn draft(layer: &Layer, aliasing: &Aliasing, message: String) -> Draft {
    Draft::at(&layer.node, message)
        .help(
            "blur before sampling (BlurPool: a binomial 3x3 brings 75 % down to 14 %), or average",
        )
        .with("white", aliasing.white)
        .with("natural", aliasing.natural)
        .with("accumulated", aliasing.accumulated)
        .with("kind", aliasing.kind)
}
