//! What a form can reach at best, without fitting it.

use super::factorize::{Metric, Options};
use super::form::tap_table;
use super::linalg::{Matrix, eigen, mul};
use super::{FactorShape, FitError, Form, Kernel};

/// A lower bound of the relative error of `form` in the metric of `options`.
///
/// What a chain composes to has low rank in several ways: as the matrix
/// `out × (in · taps)` at most `m·taps` of the last factor; in the weight metric
/// also as `in × (out · taps)`, at most `m·taps` of the first; and, where no two
/// pairs of taps fall on the same place (as in `k×1` and `1×k`), as `(out · taps
/// of the last) × (in · taps of the others)`, at most `m`. The singular values
/// beyond the rank are lost (Eckart and Young). For an upper bound, fit with few
/// `iterations` and one of `starts`.
///
/// # Errors
/// As [`super::factorize`].
pub fn predicted_error(
    kernel: &Kernel,
    form: &Form,
    options: &Options<'_>,
) -> Result<f64, FitError> {
    kernel.check()?;
    form.check(kernel)?;
    let [first, .., before, last] = &form.factors[..] else {
        return match &form.factors[..] {
            [first, last] => bound(kernel, first, first, last, options),
            _ => Ok(0.0),
        };
    };
    bound(kernel, first, before, last, options)
}

fn bound(
    kernel: &Kernel,
    first: &FactorShape,
    before: &FactorShape,
    last: &FactorShape,
    options: &Options<'_>,
) -> Result<f64, FitError> {
    let width = before.width / kernel.groups;
    let rank_inputs = first.width / kernel.groups * first.taps();
    let (out, n) = (kernel.out / kernel.groups, kernel.inp * kernel.taps());
    let (mut lost, mut all) = (0.0, 0.0);
    for g in 0..kernel.groups {
        let weights = Matrix::from_vec(out, n, kernel.group(g).to_vec());
        let (seen, by_others) = match options.metric {
            Metric::Data(moments) => (mul(weights.view(), moments.all(g).covariance().view()), 0.0),
            Metric::Weight => {
                let inputs = tail(&gram(&by_inputs(&weights, kernel)), rank_inputs)?.0;
                let pairs = match by_pairs(&weights, kernel, last) {
                    Some(pairs) => tail(&gram(&pairs), width)?.0,
                    None => 0.0,
                };
                (weights.clone(), inputs.max(pairs))
            }
        };
        let (by_output, total) = tail(&mul(seen.view(), weights.t()), width * last.taps())?;
        lost += by_output.max(by_others);
        all += total;
    }
    Ok(if all > 0.0 { (lost / all).sqrt() } else { 0.0 })
}

/// Sum of the eigenvalues beyond the `rank` largest, and of all.
fn tail(gram: &Matrix, rank: usize) -> Result<(f64, f64), FitError> {
    let (values, _) = eigen(gram)?;
    let keep = values.len().saturating_sub(rank);
    let sum = |v: &[f64]| v.iter().map(|x| x.max(0.0)).sum::<f64>();
    Ok((sum(&values[..keep]), sum(&values)))
}

/// The smaller of the two Gram matrices.
fn gram(a: &Matrix) -> Matrix {
    if a.rows <= a.cols {
        mul(a.view(), a.t())
    } else {
        mul(a.t(), a.view())
    }
}

/// `in × (out · taps)`.
fn by_inputs(weights: &Matrix, kernel: &Kernel) -> Matrix {
    let taps = kernel.taps();
    let mut flat = Matrix::zeros(kernel.inp, weights.rows * taps);
    for o in 0..weights.rows {
        for (i, part) in weights.row(o).chunks_exact(taps).enumerate() {
            flat.row_mut(i)[o * taps..(o + 1) * taps].copy_from_slice(part);
        }
    }
    flat
}

/// `(out · taps of the last) × (in · remaining taps)`, if every place of the
/// window belongs to exactly one tap of the last factor: along each axis the last
/// factor either has one tap or reaches over all that the others leave.
fn by_pairs(weights: &Matrix, kernel: &Kernel, last: &FactorShape) -> Option<Matrix> {
    let mut others = Vec::new();
    for ((k, l), s) in kernel.spatial.iter().zip(&last.spatial).zip(&last.step) {
        let rest = k - (l - 1) * s;
        if *l > 1 && rest > *s {
            return None;
        }
        others.push(rest);
    }
    let ones = vec![1; others.len()];
    let places = tap_table(&kernel.spatial, &others, &ones);
    let shifts = tap_table(&kernel.spatial, &last.spatial, &last.step);
    let taps = kernel.taps();
    let mut data = Vec::new();
    for o in 0..weights.rows {
        for y in &shifts {
            for part in weights.row(o).chunks_exact(taps) {
                data.extend(places.iter().map(|x| part[x + y]));
            }
        }
    }
    Some(Matrix::from_vec(
        weights.rows * shifts.len(),
        kernel.inp * places.len(),
        data,
    ))
}
