//! `separate`: a k x k kernel as k x 1 and 1 x k in series.

use super::serial::candidates;
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "separate",
    exact: false,
    retrain: false,
    what: "Writes every convolution with a kernel of 3 or more in both axes as k x 1 and 1 x k in \
           series (or the other order), linear between, and fits their weights.",
    why: "2k weights a channel pair instead of k² (Szegedy et al. 2016): at narrow widths it is the \
          best form for many trained layers.",
    when_not: "Wide middles: above about half of the layer's parameters two square kernels in series \
               usually fit better. Let the report decide.",
    example: "convfold factorize model.onnx -o small.onnx --pass separate --width x0.4",
    rule: Rule::Factorize(|site, shaping| {
        let [h, w] = *site.kernel.as_slice() else {
            return None;
        };
        (h >= 3 && w >= 3).then(|| {
            let tall = vec![vec![h, 1], vec![1, w]];
            let flat = vec![vec![1, w], vec![h, 1]];
            candidates(site, &[tall, flat], shaping)
        })
    }),
};
