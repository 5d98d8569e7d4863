//! A chain of convolutions back into the one it equals.

use super::form::tap_table;
use super::{FitError, Kernel};

/// The single kernel that a chain of linear convolutions equals.
///
/// `steps[f]` is how far apart the taps of factor `f` lie in the input of the
/// chain: its dilation times all earlier strides, an axis. The result has extent
/// `1 + Σ (k − 1)·step`, contiguous taps, and the most groups that keep its
/// structure (the greatest common divisor of the factors').
///
/// `W[o,i,·] = Σₘ A[o,m,·] ∗ B[m,i,·]`, as in THEORY: cross-correlations compose
/// to a cross-correlation by convolving their kernels.
///
/// # Errors
/// [`FitError::Shape`] if channels, groups or axes of neighbours do not match,
/// and whatever [`Kernel::check`] finds.
pub fn compose(factors: &[Kernel], steps: &[Vec<usize>]) -> Result<Kernel, FitError> {
    let (Some(first), true) = (factors.first(), factors.len() == steps.len()) else {
        return Err(FitError::Shape(
            "a chain needs factors, and one step for each".into(),
        ));
    };
    let axes = first.spatial.len();
    for (kernel, step) in factors.iter().zip(steps) {
        kernel.check()?;
        if kernel.spatial.len() != axes || step.len() != axes || step.contains(&0) {
            return Err(FitError::Shape(
                "factors of a chain differ in spatial axes".into(),
            ));
        }
    }
    let mut whole = spread(first, &steps[0]);
    for (next, step) in factors[1..].iter().zip(&steps[1..]) {
        if next.channels() != whole.out {
            return Err(FitError::Shape(format!(
                "a factor with {} input channels cannot follow one with {} outputs",
                next.channels(),
                whole.out
            )));
        }
        whole = pair(&whole, next, step);
    }
    Ok(whole)
}

/// The bias after `next` of a bias that stood before it: `Σₘ,ᵧ A[o,m,y]·b[m]`.
/// True at every position only if `next` pads nothing.
///
/// # Errors
/// [`FitError::Shape`] if there is not one bias a channel.
pub fn compose_bias(bias: &[f64], next: &Kernel) -> Result<Vec<f64>, FitError> {
    next.check()?;
    if bias.len() != next.channels() {
        return Err(FitError::Shape(format!(
            "{} biases for {} channels",
            bias.len(),
            next.channels()
        )));
    }
    let (taps, per_group) = (next.taps(), next.out / next.groups);
    let rows = next.data.chunks_exact(next.inp * taps);
    Ok(rows
        .enumerate()
        .map(|(o, row)| {
            let first = o / per_group * next.inp;
            let inputs = &bias[first..first + next.inp];
            row.chunks_exact(taps)
                .zip(inputs)
                .map(|(a, b)| a.iter().sum::<f64>() * b)
                .sum()
        })
        .collect())
}

/// A kernel with its taps `step` apart, the gaps filled with zeros.
fn spread(kernel: &Kernel, step: &[usize]) -> Kernel {
    let spatial: Vec<usize> = kernel
        .spatial
        .iter()
        .zip(step)
        .map(|(k, s)| 1 + (k - 1) * s)
        .collect();
    let table = tap_table(&spatial, &kernel.spatial, step);
    let whole: usize = spatial.iter().product();
    let mut data = vec![0.0; kernel.out * kernel.inp * whole];
    for (from, to) in kernel
        .data
        .chunks_exact(kernel.taps())
        .zip(data.chunks_exact_mut(whole))
    {
        for (w, t) in from.iter().zip(&table) {
            to[*t] = *w;
        }
    }
    Kernel {
        spatial,
        data,
        ..*kernel
    }
}

fn pair(first: &Kernel, next: &Kernel, step: &[usize]) -> Kernel {
    let groups = gcd(first.groups, next.groups);
    let inp = first.channels() / groups;
    let spatial: Vec<usize> = first
        .spatial
        .iter()
        .zip(&next.spatial)
        .zip(step)
        .map(|((a, b), s)| a + (b - 1) * s)
        .collect();
    let whole: usize = spatial.iter().product();
    let ones = vec![1; spatial.len()];
    let inner = tap_table(&spatial, &first.spatial, &ones);
    let outer = tap_table(&spatial, &next.spatial, step);
    let mut data = vec![0.0; next.out * inp * whole];
    let (mid_per_group, out_per_group) = (first.out / first.groups, next.out / next.groups);
    for o in 0..next.out {
        let result_group = o / (next.out / groups);
        for m_in in 0..next.inp {
            let m = o / out_per_group * next.inp + m_in;
            let a = &next.data[(o * next.inp + m_in) * outer.len()..][..outer.len()];
            for i_in in 0..first.inp {
                let i = m / mid_per_group * first.inp + i_in - result_group * inp;
                let b = &first.data[(m * first.inp + i_in) * inner.len()..][..inner.len()];
                let w = &mut data[(o * inp + i) * whole..][..whole];
                for (a, y) in a.iter().zip(&outer) {
                    for (b, x) in b.iter().zip(&inner) {
                        w[x + y] += a * b;
                    }
                }
            }
        }
    }
    Kernel {
        out: next.out,
        inp,
        spatial,
        groups,
        data,
    }
}

pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
