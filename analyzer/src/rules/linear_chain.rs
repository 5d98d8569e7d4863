//! CF009: convolutions in a row with nothing between that bends.

use super::subject::Subject;
use super::words::{percent, sizes};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::information::LinearPair;

pub(super) const RULE: Rule = Rule {
    code: "CF009",
    name: "linear-convolution-chain",
    severity: Severity::Information,
    what: "Two convolutions in a row without a rectifier between: one linear map. A warning where \
           one convolution in their place is exact and takes fewer MACs. Bottlenecks and \
           depthwise-separable pairs, which are cheap because they are pairs, are left alone.",
    why: "The pair can do no more than one convolution of k1 + s1(k2 - 1); where that one is \
          cheaper, the pair pays for nothing at inference (ExpandNets, RepVGG fold it). Where it \
          is not, an activation may have been forgotten.",
    ignore: "While the model is still trained: over-parameterized pairs can train better.",
    example: "3x3 to 128 channels, then 1x1 to 32 of 32: one 3x3 takes 9.2 k MACs a position, \
              not 41 k. `convfold fold model.onnx -o folded.onnx` folds it exactly.",
    discussion: "",
    fixes: &["fold-linear"],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for pair in &subject.analysis.information.linear_pairs {
        let pays = pair.macs_together < pair.macs_apart;
        if !pays && deliberate(subject, pair) {
            continue;
        }
        let ratio = pair.macs_together.0 / pair.macs_apart.0;
        let one = sizes(&pair.kernel);
        let folds = pays && pair.obstacle.is_none();
        let verdict = match (pays, pair.obstacle) {
            (true, None) => format!(
                "one {one} in their place is exact and takes {} fewer MACs",
                percent(1.0 - ratio)
            ),
            (true, Some(why)) => format!(
                "one {one} would take {} fewer MACs, but {why}",
                percent(1.0 - ratio)
            ),
            (false, _) => format!(
                "one {one} in their place would take {} more MACs, so that folding does not pay; \
                 was an activation meant to stand between?",
                percent(ratio - 1.0)
            ),
        };
        let message = format!(
            "this convolution and \"{}\" after it are one linear map: {verdict}",
            pair.second
        );
        let help = if folds {
            "`convfold lint --fix` or `convfold fold` folds them"
        } else {
            "put an activation between, or leave the pair where it is meant to be linear"
        };
        let draft = Draft::at(&pair.first, message)
            .help(help)
            .with("second", &pair.second)
            .with("kernel", &pair.kernel)
            .with("macs_apart", pair.macs_apart)
            .with("macs_together", pair.macs_together)
            .with("exact_at_borders", pair.exact_at_borders);
        drafts.push(if folds {
            draft.fix(&pair.second).severity(Severity::Warning)
        } else {
            draft
        });
    }
}

/// A pair that is cheap because it is one: in groups, through a bottleneck,
/// separated by axes, or large kernels as a chain.
fn deliberate(subject: &Subject, pair: &LinearPair) -> bool {
    let side = |name: &str| subject.node(name).and_then(|n| subject.convolution(n));
    let (Some(first), Some(second)) = (side(&pair.first), side(&pair.second)) else {
        return false;
    };
    let narrow = first.out < first.channels().min(second.out);
    let axes = first.kernel.iter().zip(&second.kernel);
    let apart = axes.clone().any(|(&a, &b)| (a == 1) != (b == 1));
    let chain = first.kernel.iter().chain(&second.kernel).all(|&k| k > 1);
    first.groups > 1 || second.groups > 1 || narrow || (apart && !chain)
}
