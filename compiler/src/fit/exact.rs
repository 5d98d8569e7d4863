//! Lossless chains.

use super::factorize::{Fit, Options, factorize};
use super::{FactorShape, FitError, Form, Kernel};

/// The smallest width at which a generic kernel can be a chain of this form
/// (whose own widths do not matter) without loss, and one at which every kernel
/// is: `(threshold, construction)`.
///
/// By construction, every input channel is carried in as many copies as shifts of
/// the last factor cover the whole, each delayed by its shift on the way; or every
/// output in as many as shifts of the first. Between two factors there may also
/// be the whole patch of the smaller one.
///
/// The true threshold is the least `m` whose free parameters reach the kernel's:
/// for two factors `m·(k₁²·in + k₂²·out) − m² ≥ k²·in·out` (a mixture of middle
/// channels is no freedom, hence `m²`).
#[must_use]
pub fn exact_width(kernel: &Kernel, form: &Form) -> (usize, usize) {
    let [first, middle @ .., last] = form.factors.as_slice() else {
        return (kernel.groups, kernel.groups);
    };
    let (inp, out) = (kernel.inp, kernel.out / kernel.groups);
    let (k1, k2) = (first.taps(), last.taps());
    let shifts = |factor: &FactorShape| -> usize {
        let axes = kernel.spatial.iter().zip(&factor.spatial).zip(&factor.step);
        axes.map(|((&k, &taps), &step)| {
            // Taps that are apart leave the places between to shifts of their own.
            let places = |first: usize| (k.saturating_sub(first)).div_ceil(step);
            (0..step)
                .map(|first| places(first).div_ceil(taps))
                .sum::<usize>()
        })
        .product()
    };
    let mut construction = (shifts(first) * out).min(shifts(last) * inp);
    if middle.is_empty() {
        construction = construction.min(k1 * inp).min(k2 * out);
    }
    let between: usize = middle.iter().map(FactorShape::taps).sum();
    let free = |m: usize| {
        let weights = m * (k1 * inp + k2 * out) + m * m * between;
        weights.saturating_sub(m * m * (middle.len() + 1))
    };
    let needed = kernel.taps() * inp * out;
    let threshold = (1..construction)
        .find(|&m| free(m) >= needed)
        .unwrap_or(construction);
    (threshold * kernel.groups, construction * kernel.groups)
}

/// Most that the factors of a lossless chain may cancel each other: beyond,
/// rounding in single precision shows.
const CANCELLATION: f64 = 1e3;

/// The lossless chain of smallest width of the family `form`, searched below
/// `widest`, a width at which it is lossless by construction (see
/// [`exact_width`]). Kernels of low rank, with dead or repeated filters, or
/// themselves composed, come out narrower than the generic threshold. A width
/// whose lossless chains all cancel too much to be computed in single precision
/// does not count.
///
/// Returns `None` if not even `widest` is lossless. `form` may return `None` for
/// widths that it cannot take; they are passed over.
///
/// # Errors
/// As [`factorize`].
pub fn factorize_exact(
    kernel: &Kernel,
    widest: usize,
    form: impl Fn(usize) -> Option<Form>,
    options: &Options<'_>,
) -> Result<Option<(usize, Fit)>, FitError> {
    let attempt = |width: usize| -> Result<Option<Fit>, FitError> {
        let Some(form) = form(width) else {
            return Ok(None);
        };
        let fit = factorize(kernel, &form, options)?;
        Ok((fit.exact && fit.amplification <= CANCELLATION).then_some(fit))
    };
    let Some(mut best) = attempt(widest)? else {
        return Ok(None);
    };
    // Widths that the form cannot take count as the next wider one it can.
    let widths: Vec<usize> = (1..=widest).filter(|&w| form(w).is_some()).collect();
    let (mut low, mut high) = (0, widths.len() - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match attempt(widths[middle])? {
            Some(fit) => {
                best = fit;
                high = middle;
            }
            None => low = middle + 1,
        }
    }
    Ok(Some((widths[high], best)))
}
