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

/// The lossless chain of smallest width of the family `form`, searched between
/// 1 and `widest` (a width a group at which it is lossless by construction).
/// Kernels of low rank, with dead or repeated filters, or themselves composed,
/// come out narrower than the generic threshold.
///
/// Returns `None` if not even `widest` is lossless.
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
        Ok(fit.exact.then_some(fit))
    };
    let Some(mut best) = attempt(widest)? else {
        return Ok(None);
    };
    let (mut low, mut high) = (0, widest);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match attempt(middle)? {
            Some(fit) => {
                best = fit;
                high = middle;
            }
            None => low = middle,
        }
    }
    Ok(Some((high, best)))
}
