//! `3x3-to-2x2`: a 3x3 kernel as two 2x2 in series.

use super::serial::{candidates, split};
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "3x3-to-2x2",
    exact: false,
    retrain: false,
    what: "Writes every 3x3 convolution as two 2x2 in series, linear between, and fits their weights.",
    why: "Two 2x2 see what one 3x3 sees with 8 weights a channel pair instead of 9: 11 % fewer at \
          equal channels, more where the middle is narrower. All padding stands on the first \
          factor, so that nothing shifts and the border stays exact.",
    when_not: "Trained 3x3 layers lose 11 to 30 % of their weights' norm at equal channels, and two \
               calls are slower than one on small maps: measure with `convfold bench`.",
    example: "convfold factorize model.onnx -o small.onnx --pass 3x3-to-2x2 --width same",
    rule: Rule::Factorize(|site, shaping| {
        (site.kernel == [3, 3]).then(|| candidates(site, &[split(&site.kernel, 2)], shaping))
    }),
};
