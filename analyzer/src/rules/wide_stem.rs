//! CF002: a first convolution that makes more numbers of a patch than are in it.

use super::subject::Subject;
use super::words::sizes;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF002",
    name: "wide-stem-dilutes-patch",
    severity: Severity::Information,
    what: "A first convolution with more output channels than its patch of the image has numbers.",
    why: "A 3x3 patch of an RGB image holds 27 numbers: 64 channels made of them linearly are \
          redundant by construction, and every layer after pays for them at full resolution.",
    ignore: "Where the width is needed for the layers behind it and the stem is no hot spot.",
    example: "3x3 over 3 channels gives 64 channels from 27 numbers (2.37 to one): 5x5 with 32, or \
              three 3x3 of 32, 32 and 64 (ResNet-C) look further for the same maps.",
    discussion: "Two schools. Expanding early wastes computation, the layer only reshuffles its \
                 patch (fast.ai, part 2, lesson 10). A wide stem pays: rectified copies at several \
                 offsets are no longer redundant, and the best tricks for ResNets use 32-32-64 (He \
                 et al. 2018; Szegedy et al. 2015). So this is information.",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "ratio",
        default: 1.0,
        what: "most output channels a number of the patch",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for layer in subject.convolutions() {
        let conv = subject
            .node(&layer.node)
            .and_then(|n| subject.convolution(n));
        let (Some(conv), Some(ratio)) = (conv, layer.patch_ratio) else {
            continue;
        };
        let first = subject
            .data(conv.id)
            .is_some_and(|v| subject.sees_pixels(v));
        let spatial = conv.kernel.iter().any(|&k| k > 1);
        if !first || !spatial || conv.groups > 1 || ratio.0 <= subject.threshold("ratio") {
            continue;
        }
        let patch = conv.inp * conv.kernel.iter().product::<usize>();
        let message = format!(
            "{} over {} channel{} makes {} channels of {patch} numbers ({} to one)",
            sizes(&conv.kernel),
            conv.inp,
            if conv.inp == 1 { "" } else { "s" },
            conv.out,
            units::plain(ratio.0),
        );
        drafts.push(
            Draft::at(&layer.node, message)
                .help(
                    "look further with the first layer, start narrower, or leave it where the \
                     width pays in accuracy",
                )
                .with("channels", conv.out)
                .with("patch", patch)
                .with("ratio", ratio),
        );
    }
}
