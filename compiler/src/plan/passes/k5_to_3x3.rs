//! `5x5-to-3x3`: a 5x5 kernel as two 3x3 in series.

use super::serial::{candidates, split};
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "5x5-to-3x3",
    exact: false,
    retrain: false,
    what: "Writes every 5x5 convolution as two 3x3 in series, linear between, and fits their weights.",
    why: "Two 3x3 see what one 5x5 sees with 18 weights a channel pair instead of 25 (Simonyan and \
          Zisserman 2014; Szegedy et al. 2015): 28 % fewer at equal channels. The field stays, its \
          effective size shrinks from sigma 1.41 to 1.15.",
    when_not: "Where the first layer has one or three input channels the middle can be only a few \
               channels wide; and a kernel with a flat spectrum (upsampling networks) loses much. \
               The report shows the error of each layer.",
    example: "convfold factorize model.onnx -o small.onnx --pass 5x5-to-3x3 --calibrate images.npz",
    rule: Rule::Factorize(|site, shaping| {
        (site.kernel == [5, 5]).then(|| candidates(site, &[split(&site.kernel, 3)], shaping))
    }),
};
