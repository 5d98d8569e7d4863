//! `split-separate`: a large kernel as two in series, the axes of one apart.

use super::serial::candidates;
use super::{Pass, Rule};

/// Smaller kernels have too few taps to be cut so often.
const LARGE: usize = 5;
/// How far along each axis the kernels reach whose axes are apart, in quarters of
/// the way: what stood on the front of trained layers.
const SHARES: [[usize; 2]; 6] = [[1, 2], [2, 1], [2, 2], [2, 3], [3, 2], [3, 3]];

/// The pass.
pub const PASS: Pass = Pass {
    name: "split-separate",
    exact: false,
    retrain: false,
    what: "Writes every convolution with a kernel of 5 or more in both axes as three in series: k x 1 \
           and 1 x k that reach part of the way, and a square one for the rest: 5x5 = 3x1, 1x3 and 3x3.",
    why: "At a third of a layer's weights and below such a chain loses a fifth to a third less than \
          the best two kernels in series.",
    when_not: "Wide middles, above about half of the layer's parameters, and where each further \
               layer costs time: more launches, more maps.",
    example: "convfold factorize model.onnx -o small.onnx --pass split-separate --width x0.3",
    rule: Rule::Factorize(|site, shaping| {
        let [h, w] = *site.kernel.as_slice() else {
            return None;
        };
        (h.min(w) >= LARGE).then(|| candidates(site, &chains([h, w], site.inp > site.out), shaping))
    }),
};

/// The chains, as the extents of their kernels: the kernels whose axes are apart
/// stand on the side with fewer channels, last if `narrowing`.
fn chains(kernel: [usize; 2], narrowing: bool) -> Vec<Vec<Vec<usize>>> {
    let mut all: Vec<Vec<Vec<usize>>> = Vec::new();
    for [h, w] in SHARES {
        let [a, b] = [(kernel[0], h), (kernel[1], w)].map(|(k, q)| 1 + ((k - 1) * q + 2) / 4);
        let (tall, flat) = (vec![a, 1], vec![1, b]);
        let rest = vec![kernel[0] - a + 1, kernel[1] - b + 1];
        // The smaller first: it reads the layer's input.
        let mut chain = if a <= b {
            vec![tall, flat, rest]
        } else {
            vec![flat, tall, rest]
        };
        if narrowing {
            chain.reverse();
        }
        if !all.contains(&chain) {
            all.push(chain);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_span_the_kernel() {
        let found = chains([5, 5], false);
        assert_eq!(found.len(), 6);
        assert!(found.contains(&vec![vec![3, 1], vec![1, 4], vec![3, 2]]));
        assert!(chains([5, 5], true).contains(&vec![vec![3, 2], vec![1, 4], vec![3, 1]]));
        for kernel in [[5, 7], [9, 9], [6, 5]] {
            for chain in chains(kernel, false) {
                for (axis, k) in kernel.into_iter().enumerate() {
                    let reach: usize = chain.iter().map(|part| part[axis] - 1).sum();
                    assert_eq!(1 + reach, k, "{chain:?}");
                }
            }
        }
    }
}
