//! `7x7-to-3x3`: a 7x7 kernel as three 3x3 in series.

use super::serial::{candidates, split};
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "7x7-to-3x3",
    exact: false,
    retrain: false,
    what: "Writes every 7x7 convolution as three 3x3 in series, linear between, and fits their \
           weights; with the stride on the first factor, a strided 7x7 as two 3x3.",
    why: "Three 3x3 see what one 7x7 sees with 27 weights a channel pair instead of 49: 45 % fewer \
          at equal channels.",
    when_not: "A 7x7 stem over three colour channels is a few per cent of a network's weights; \
               factorizing it saves little. Depthwise 7x7 kernels (ConvNeXt) are memory-bound: \
               three passes over the map can be slower than one.",
    example: "convfold factorize model.onnx -o small.onnx --pass 7x7-to-3x3 --stride auto",
    rule: Rule::Factorize(|site, shaping| {
        if site.kernel != [7, 7] {
            return None;
        }
        // 7 = 3 + (3 - 1)·2: with the stride first two kernels span the field.
        let mut splits = vec![split(&site.kernel, 3)];
        if site.stride == [2, 2] {
            splits.push(vec![vec![3, 3], vec![3, 3]]);
        }
        Some(candidates(site, &splits, shaping))
    }),
};
