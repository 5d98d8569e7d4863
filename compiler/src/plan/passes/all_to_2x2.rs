//! `all-to-2x2`: every kernel of 3 and more as 2x2 in series.

use super::serial::{candidates, split};
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "all-to-2x2",
    exact: false,
    retrain: true,
    what: "Writes every convolution with a kernel of 3 or more as kernels of at most 2 in series: \
           3x3 as two 2x2, 5x5 as four, 1x7 as six 1x2.",
    why: "The question of the thread that this tool answers: why is not everything 2x2? Run it on \
          your model and read the error, the accuracy and the time.",
    when_not: "As a way to a good network: long chains of 2x2 lose accuracy without retraining, and \
               each step reads and writes a map.",
    example: "convfold factorize model.onnx -o tiny.onnx --pass all-to-2x2 --width same",
    rule: Rule::Factorize(|site, shaping| {
        let large = site.kernel.iter().any(|&k| k >= 3);
        large.then(|| candidates(site, &[split(&site.kernel, 2)], shaping))
    }),
};
