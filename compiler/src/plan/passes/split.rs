//! `split`: any kernel as two smaller ones in series, every way that adds up.

use super::serial::candidates;
use super::{Pass, Rule};

/// Steps along an axis at which large kernels are split.
const QUARTERS: usize = 4;

/// The pass.
pub const PASS: Pass = Pass {
    name: "split",
    exact: false,
    retrain: false,
    what: "Writes every convolution with a kernel of 3 or more in some axis as two in series whose \
           kernels add up to it, each axis on its own: 5x5 = 3x3 and 3x3, 1x5 and 5x1, 1x4 and 5x2. \
          The best fit wins.",
    why: "The even split is not always the best: at equal weights 1x4 and 5x2 often loses less than \
          3x3 and 3x3, or than 1x5 and 5x1.",
    when_not: "Where the chain must be made of one kernel size, as for an accelerator that is fast at \
               3x3 alone.",
    example: "convfold factorize model.onnx -o small.onnx --pass split --width x0.5",
    rule: Rule::Factorize(|site, shaping| {
        let largest = site.kernel.iter().copied().max().unwrap_or(0);
        (largest >= 3).then(|| candidates(site, &splits(&site.kernel), shaping))
    }),
};

/// Extents of the first of two kernels that span `extent` along one axis: all of
/// them for small ones, else about each quarter of the way.
fn heads(extent: usize) -> Vec<usize> {
    let reach = extent - 1;
    let mut heads: Vec<usize> = (0..=QUARTERS)
        .map(|q| 1 + (reach * q + QUARTERS / 2) / QUARTERS)
        .collect();
    heads.dedup();
    heads
}

/// Pairs of kernels that span `kernel`: each axis split on its own, and all axes
/// in the same proportion at every extent.
fn splits(kernel: &[usize]) -> Vec<Vec<Vec<usize>>> {
    let mut all = vec![vec![Vec::new(), Vec::new()]];
    for &extent in kernel {
        let with = |pair: &Vec<Vec<usize>>, head: usize| {
            let mut pair = pair.clone();
            pair[0].push(head);
            pair[1].push(extent - head + 1);
            pair
        };
        all = all
            .iter()
            .flat_map(|pair| heads(extent).into_iter().map(move |h| with(pair, h)))
            .collect();
    }
    let largest = kernel.iter().copied().max().unwrap_or(1);
    for first in 1..=largest {
        let head = |&k: &usize| 1 + ((first - 1) * (k - 1)).div_ceil((largest - 1).max(1));
        let heads: Vec<usize> = kernel.iter().map(head).collect();
        let tails = kernel.iter().zip(&heads).map(|(k, h)| k - h + 1).collect();
        let pair = vec![heads, tails];
        if !all.contains(&pair) {
            all.push(pair);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_spread_over_the_extent() {
        assert_eq!(heads(1), [1]);
        assert_eq!(heads(3), [1, 2, 3]);
        assert_eq!(heads(5), [1, 2, 3, 4, 5]);
        assert_eq!(heads(9), [1, 3, 5, 7, 9]);
        assert_eq!(heads(6), [1, 2, 4, 5, 6]);
    }

    #[test]
    fn splits_span_the_kernel_an_axis_each() {
        let found = splits(&[3, 5]);
        assert_eq!(found.len(), 15);
        for pair in &found {
            for (axis, k) in [3, 5].into_iter().enumerate() {
                assert_eq!(pair[0][axis] + pair[1][axis] - 1, k, "{pair:?}");
            }
        }
        assert!(found.contains(&vec![vec![1, 4], vec![3, 2]]));
        let large = splits(&[9, 9]);
        assert_eq!(large.len(), 5 * 5 + 4);
        assert!(large.contains(&vec![vec![4, 4], vec![6, 6]]));
    }
}
