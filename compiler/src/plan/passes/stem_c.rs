//! `stem-c`: the 7x7 stem with stride 2 as three 3x3.

use super::{Pass, Rule};
use crate::plan::site::Candidate;

/// Zeros around the 7x7: three 3x3, the first with stride 2, see 11x11.
const BORDER: usize = 2;

/// The pass.
pub const PASS: Pass = Pass {
    name: "stem-c",
    exact: false,
    retrain: true,
    what: "Writes a 7x7 convolution with stride 2 as three 3x3, the first with the stride, at half \
           its width between: the stem of ResNet-C (He et al. 2019). The weights are fitted to the \
           7x7 in the middle of the 11x11 that they see.",
    why: "A stem of three 3x3 gained 0.2 points on ImageNet once trained; as fitted it is a place to \
          start training from.",
    when_not: "Without training afterwards, and where no rectifier can be put between: the three are \
               linear as written here, and cost more than the 7x7 on three channels.",
    example: "convfold factorize resnet.onnx -o stem.onnx --pass stem-c --calibrate calib.npz",
    rule: Rule::Factorize(|site, _| {
        let stem = site.kernel == [7, 7] && site.stride == [2, 2];
        (stem && site.groups == 1 && site.dilation == [1, 1]).then(|| {
            let wide = site.embedded(&[BORDER; 2]);
            let (kernels, half) = (vec![vec![3, 3]; 3], (site.out / 2).max(1));
            let widths = [half, half, site.out];
            Candidate::serial(&wide, &kernels, &widths, &[1; 3], true)
                .map(|candidate| vec![candidate.with_border(&[BORDER; 2])])
                .ok_or_else(|| "three 3x3 do not span it".into())
        })
    }),
};
