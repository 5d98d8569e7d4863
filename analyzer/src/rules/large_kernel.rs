//! CF001: a large kernel that a chain of 3x3 could stand for.

use compiler::fit::{FactorShape, Form};
use compiler::plan::split;

use super::subject::{Convolution, Subject};
use super::words::{percent, sizes};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF001",
    name: "large-kernel-could-be-factorized",
    severity: Severity::Information,
    what: "A convolution with an odd kernel above 3 that a chain of 3x3 (3x1, 1x3) could stand for \
           with clearly fewer weights and MACs, with as many channels between as the layer's \
           narrower side has.",
    why: "Two 3x3 see what a 5x5 sees with 18 weights a channel pair instead of 25 (-28 %), three \
          3x3 what a 7x7 sees with 27 instead of 49 (-45 %): Simonyan and Zisserman 2014, Szegedy \
          et al. 2015. Trained large kernels are smooth, so that little is lost.",
    ignore: "Where the layer is no hot spot, or where its latency is bound by memory: the chain \
             writes and reads one more map a factor.",
    example: "5x5 over 48 to 64 channels: two 3x3 with 48 between need 48.4 k weights, not 76.8 k. \
              `convfold factorize model.onnx -o small.onnx --pass large-to-3x3` fits and measures.",
    discussion: "For: fewer weights, and room for a rectifier between when trained anew. Against: \
                 the chain is an approximation (lossless and smaller is impossible for generic \
                 weights), its effective field is narrower (sigma 1.15 instead of 1.41 for 5x5), \
                 and large depthwise kernels (ConvNeXt, RepLKNet) are cheap as they are, which is \
                 why this rule leaves depthwise layers alone.",
    fixes: &[],
    weights: false,
    thresholds: &[
        Threshold {
            key: "saving",
            default: 0.2,
            what: "least share of weights and of MACs that the chain must save",
        },
        Threshold {
            key: "share",
            default: 0.01,
            what: "least share of the model's MACs that the layer must take",
        },
        Threshold {
            key: "channels",
            default: 8.0,
            what: "least channels on the layer's narrower side: a stem has too few for a chain",
        },
    ],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for layer in subject.convolutions() {
        let conv = subject
            .node(&layer.node)
            .and_then(|n| subject.convolution(n));
        let Some(conv) = conv else { continue };
        let share = subject.share(layer);
        if share.is_some_and(|s| s < subject.threshold("share")) {
            continue;
        }
        if let Some(chain) = Chain::of(&conv, subject) {
            drafts.push(chain.draft(&layer.node, &conv, share));
        }
    }
}

struct Chain {
    kernels: Vec<Vec<usize>>,
    width: usize,
    weights: usize,
    was: usize,
    /// MACs of the chain a MAC of the layer.
    macs: f64,
}

impl Chain {
    #[allow(clippy::cast_precision_loss)]
    fn of(conv: &Convolution, subject: &Subject) -> Option<Self> {
        let large = conv.kernel.iter().any(|&k| k > 3);
        let odd = conv.kernel.iter().all(|&k| k % 2 == 1);
        let width = conv.out.min(conv.channels());
        let fits = conv.groups > 0 && width.is_multiple_of(conv.groups);
        if !large || !odd || !fits || conv.depthwise() {
            return None;
        }
        if (width as f64) < subject.threshold("channels") {
            return None;
        }
        let kernels = split(&conv.kernel, 3);
        let last = kernels.len().checked_sub(1)?;
        let factors = kernels.iter().enumerate().map(|(i, kernel)| {
            let width = if i == last { conv.out } else { width };
            FactorShape::new(kernel.clone(), width, conv.groups)
        });
        let form = Form {
            factors: factors.collect(),
        };
        let weights = form.parameters(conv.channels());
        let was = conv.out * conv.inp * conv.kernel.iter().product::<usize>();
        // The stride stands on the last factor: the others run at full size.
        let own = form
            .factors
            .last()
            .map_or(0, |f| f.width * (width / f.groups) * f.taps());
        let macs = ((weights - own) as f64 * conv.stride() + own as f64) / was as f64;
        let saving = 1.0 - (weights as f64 / was as f64).max(macs);
        (saving >= subject.threshold("saving")).then_some(Self {
            kernels,
            width,
            weights,
            was,
            macs,
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn draft(&self, node: &str, conv: &Convolution, share: Option<f64>) -> Draft {
        let kernels: Vec<String> = self.kernels.iter().map(|k| sizes(k)).collect();
        let same = kernels.iter().all(|k| *k == kernels[0]);
        let chain = if same {
            let number = ["no", "one", "two", "three", "four", "five"].get(kernels.len());
            let number = number.map_or_else(|| kernels.len().to_string(), ToString::to_string);
            format!("{number} {} in series", kernels[0])
        } else {
            format!("{} in series", kernels.join(", "))
        };
        let (weights, was) = (self.weights as f64, self.was as f64);
        let of_model = share.map_or(String::new(), |s| {
            format!("; the layer takes {} of the model's MACs", percent(s))
        });
        let message = format!(
            "{} over {} to {} channels: {chain}, {} channels between, see the same with {} \
             weights instead of {} ({}){of_model}",
            sizes(&conv.kernel),
            conv.channels(),
            conv.out,
            self.width,
            units::si(weights),
            units::si(was),
            units::change(was, weights),
        );
        Draft::at(node, message)
            .help(
                "`convfold factorize MODEL -o OUT --pass large-to-3x3 --calibrate DATA` fits the \
                 chain and measures what it loses",
            )
            .with("kernel", &conv.kernel)
            .with("chain", &self.kernels)
            .with("width", self.width)
            .with("weights", self.was)
            .with("weights_of_chain", self.weights)
            .with("macs_ratio", crate::Real(self.macs))
            .with("share_of_macs", share.map(crate::Real))
    }
}
