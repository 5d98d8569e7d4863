//! `split`: any kernel as two smaller ones in series, every way that adds up.

use super::serial::candidates;
use super::{Pass, Rule};

/// The pass.
pub const PASS: Pass = Pass {
    name: "split",
    exact: false,
    retrain: false,
    what: "Writes every convolution with a kernel of 3 or more in some axis as two in series whose \
           kernels add up to it: 5 = 3 and 3, 2 and 4, 4 and 2, 1 and 5, 5 and 1. The best fit wins.",
    why: "The even split is not always the best: the larger kernel on the side with fewer channels \
          often wins, and 1 with k drops input or output channels that are hardly used.",
    when_not: "Where the chain must be made of one kernel size, as for an accelerator that is fast at \
               3x3 alone.",
    example: "convfold factorize model.onnx -o small.onnx --pass split --width x0.5",
    rule: Rule::Factorize(|site, shaping| {
        let largest = site.kernel.iter().copied().max().unwrap_or(0);
        (largest >= 3).then(|| {
            let splits: Vec<Vec<Vec<usize>>> = (1..=largest)
                .map(|first| parts(&site.kernel, first))
                .collect();
            candidates(site, &splits, shaping)
        })
    }),
};

/// Two kernels that span `kernel`, the first with `first` taps of the largest
/// axis, and the same share of the others.
fn parts(kernel: &[usize], first: usize) -> Vec<Vec<usize>> {
    let largest = kernel.iter().copied().max().unwrap_or(1);
    let head: Vec<usize> = kernel
        .iter()
        .map(|&k| 1 + ((first - 1) * (k - 1)).div_ceil((largest - 1).max(1)))
        .collect();
    let tail = kernel.iter().zip(&head).map(|(k, h)| k - h + 1).collect();
    vec![head, tail]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_span_the_kernel() {
        assert_eq!(parts(&[5, 5], 2), [[2, 2], [4, 4]]);
        assert_eq!(parts(&[3, 7], 4), [[2, 4], [2, 4]]);
        assert_eq!(parts(&[1, 7], 7), [[1, 7], [1, 1]]);
        assert_eq!(parts(&[3, 3], 1), [[1, 1], [3, 3]]);
    }
}
