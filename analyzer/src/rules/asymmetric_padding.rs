//! CF018: odd kernels with more padding on one side.

use super::subject::Subject;
use super::words::{largest, list, pixels, sizes};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF018",
    name: "asymmetric-padding",
    severity: Severity::Information,
    what: "A window with an odd kernel that pads one side more than the other (TensorFlow's SAME \
           at stride 2). Even kernels are CF003's.",
    why: "Frameworks whose convolutions pad symmetrically give other numbers with the same \
          weights, a mirrored image gives other features than the mirrored features, and accuracy \
          drops by points when weights move from one to the other.",
    ignore: "In a model that stays in the framework that it was trained in.",
    example: "3x3 at stride 2 with pads 0,0 before and 1,1 after: PyTorch needs an explicit Pad \
              before the convolution to match it.",
    discussion: "At stride 2 over an even size neither way is centred: SAME is half a pixel off to \
                 one side, symmetric padding half a pixel to the other. What matters is that \
                 training, conversion and deployment agree.",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for window in &subject.analysis.information.one_sided {
        let Some(layer) = subject.layer(&window.node) else {
            continue;
        };
        let (begins, ends) = window.pads.split_at(window.kernel.len());
        let mut axes = window.kernel.iter().zip(begins.iter().zip(ends));
        let even = axes.any(|(kernel, (begin, end))| kernel % 2 == 0 && begin != end);
        if even || layer.overlap.is_empty() {
            continue;
        }
        let field = layer.receptive_field.as_ref();
        let shift = field.and_then(|f| largest(f.shift.as_ref()));
        let off = shift.filter(|s| *s > 0.0).map_or(String::new(), |s| {
            format!("; its grid is {} off the image's middle", pixels(s))
        });
        let message = format!(
            "{} at stride {} with pads {} before and {} after{off}",
            sizes(&window.kernel),
            sizes(&layer.stride),
            list(begins),
            list(ends),
        );
        drafts.push(
            Draft::at(&window.node, message)
                .help("pad symmetrically when training anew; keep the pads when converting weights")
                .with("pads", &window.pads)
                .with("shift", &window.shift),
        );
    }
}
