//! CF006: a strided first convolution and a strided pool right after it.

use super::subject::Subject;
use super::words::{share, sizes};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF006",
    name: "stem-aliases-twice",
    severity: Severity::Information,
    what: "A strided first convolution and another downsampling layer with nothing but pointwise \
           layers between.",
    why: "The image is sampled four times more coarsely before the network has seen more than its \
          first filter: what both let through together is far beyond either, in the place where \
          fine texture is richest.",
    ignore: "In networks that are trained already, unless shifts hurt; where the input is large \
             for what is to be found in it.",
    example: "conv1 7x7 at stride 2, then a max-pool 3x3 at stride 2 (AlexNet, ResNet): a blur in \
              the pool (Zhang 2019), or three 3x3 and one stride (ResNet-C, -D).",
    discussion: "For: it is the cheapest way to quarter the cost of all that follows, and ResNets \
                 do well with it. Against: consistency under shifts gains most right here, and \
                 detection of small objects loses what was dropped.",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "white",
        default: 0.5,
        what: "most share of white energy that both together may fold back",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for pair in &subject.analysis.information.compound_aliasing {
        let Some(first) = subject.node(&pair.first) else {
            continue;
        };
        let stem = subject.convolution(first).is_some()
            && subject.data(first).is_some_and(|v| subject.sees_pixels(v));
        if !stem || pair.white.0 <= subject.threshold("white") {
            continue;
        }
        let message = format!(
            "the stem samples by {} in two steps, \"{}\" and then this layer, with no blur \
             between: together up to {} of white energy folds back, {} of a natural image's",
            sizes(&pair.stride),
            pair.first,
            share(pair.white),
            share(pair.natural),
        );
        drafts.push(
            Draft::at(&pair.second, message)
                .help("let the second step blur (BlurPool), or take one of the two strides out")
                .with("first", &pair.first)
                .with("stride", &pair.stride)
                .with("white", pair.white)
                .with("natural", pair.natural)
                .with("kind", pair.kind),
        );
    }
}
