//! Lossless chains.

use super::factorize::{Fit, Options, factorize};
use super::{FitError, Form, Kernel};

/// The width at which a chain of two factors is lossless by construction, and
/// the smallest at which a generic kernel can be: `(threshold, construction)`.
///
/// By construction, `m = q·min(in, out)` a group, `q` the shifts of the first
/// (or last) window that cover the whole. The true threshold is the least `m`
/// whose free parameters reach the kernel's: `m·(k₁²·in + k₂²·out) − m² ≥
/// k²·in·out` (a mixture of the middle channels is no freedom, hence `m²`).
/// `form(width)` gives the chain a group-wise width makes of the kernel.
#[must_use]
pub fn exact_width(kernel: &Kernel, first: &[usize], last: &[usize]) -> (usize, usize) {
    let (inp, out) = (kernel.inp, kernel.out / kernel.groups);
    let (k1, k2): (usize, usize) = (first.iter().product(), last.iter().product());
    let shifts = |part: &[usize]| -> usize {
        kernel
            .spatial
            .iter()
            .zip(part)
            .map(|(k, p)| k.div_ceil(*p))
            .product()
    };
    // Every output keeps its own windows of B, or every input its own of A; or
    // the middle holds the whole patch of the smaller factor.
    let construction = [shifts(first) * out, shifts(last) * inp, k1 * inp, k2 * out];
    let construction = construction.into_iter().min().unwrap_or(1);
    let free = |m: usize| (m * (k1 * inp + k2 * out)).saturating_sub(m * m);
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
