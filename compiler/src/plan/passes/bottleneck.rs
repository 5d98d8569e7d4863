//! `bottleneck`: a k x k kernel as 1x1, k x k, 1x1 in series.

use super::serial::candidates;
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "bottleneck",
    exact: false,
    retrain: false,
    what: "Writes every convolution with a kernel of 3 or more as 1x1, k x k over fewer channels, \
           1x1 (the Tucker-2 form), and fits their weights.",
    why: "Where input and output channels are redundant it saves more than smaller kernels do.",
    when_not: "Layers whose channels are all in use: on trained networks serial and separable forms \
               were ahead at equal parameters in the data metric.",
    example: "convfold factorize model.onnx -o small.onnx --pass bottleneck --width x0.5",
    rule: Rule::Factorize(|site, shaping| {
        site.kernel.iter().any(|&k| k >= 3).then(|| {
            let point = vec![1; site.kernel.len()];
            let chain = vec![point.clone(), site.kernel.clone(), point];
            candidates(site, &[chain], shaping)
        })
    }),
};
