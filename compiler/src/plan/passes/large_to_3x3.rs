//! `large-to-3x3`: any odd kernel above 3 as 3x3 (3x1, 1x3) in series.

use super::serial::{candidates, split};
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "large-to-3x3",
    exact: false,
    retrain: false,
    what: "Writes every convolution with an odd kernel above 3 in some axis, non-square and 1-D \
           ones too, as kernels of at most 3 in series, and fits their weights.",
    why: "One rule for 5x5, 7x7, 9x9, 11x11, 1x7 and 7x1: the field stays, the weights shrink with \
          the kernel's size.",
    when_not: "The longer the chain, the more maps are written and read between: check `convfold \
               bench` on the machine that will run it.",
    example: "convfold factorize model.onnx -o small.onnx --pass large-to-3x3 --width x0.5",
    rule: Rule::Factorize(|site, shaping| {
        let large = site.kernel.iter().any(|&k| k > 3);
        let odd = site.kernel.iter().all(|&k| k % 2 == 1);
        (large && odd).then(|| {
            let mut splits = vec![split(&site.kernel, 3)];
            if site.kernel == [7, 7] && site.stride == [2, 2] {
                splits.push(vec![vec![3, 3], vec![3, 3]]);
            }
            candidates(site, &splits, shaping)
        })
    }),
};
