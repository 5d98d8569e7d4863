//! What to expect of a candidate before it is fitted, by what its form lost at other
//! widths.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::weights::FitKey;
use super::compare::lost;
use super::offer::{Known, Layer, Offer};
use crate::fit::{Fit, Form};

/// Weights within this factor are near.
const CLOSE: f64 = 1.5;
/// Errors below are none.
const LOSSLESS: f64 = 1e-6;
/// Widths of a form that are fitted first.
const FIRST: usize = 2;

/// What fits to one layer lost, by what their chains have in common but the
/// widths: weights and logarithm of the error, narrow to wide.
struct Trends<'a> {
    /// Channels that the layer reads.
    channels: usize,
    runs: BTreeMap<Shape<'a>, Vec<(f64, f64)>>,
}

/// Kernels, steps and groups of a chain's factors.
type Shape<'a> = Vec<(&'a [usize], &'a [usize], usize)>;

/// What candidates that differ in width alone have in common.
fn shape(form: &Form) -> Shape<'_> {
    let factors = form.factors.iter();
    factors
        .map(|f| (&f.spatial[..], &f.step[..], f.groups))
        .collect()
}

impl<'a> Trends<'a> {
    fn new(fits: impl Iterator<Item = (&'a Form, f64)>, channels: usize) -> Self {
        let mut runs: BTreeMap<Shape, Vec<(f64, f64)>> = BTreeMap::new();
        for (form, error) in fits {
            let run = runs.entry(shape(form)).or_default();
            run.push((size(form, channels), error.max(LOSSLESS).ln()));
        }
        for run in runs.values_mut() {
            run.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        }
        Self { channels, runs }
    }

    /// The error to expect of a form, and by what. The logarithm of the error falls
    /// about evenly with the weights.
    fn at(&self, form: &Form) -> Option<(f64, Known)> {
        let run = self.runs.get(&shape(form))?;
        let x = size(form, self.channels);
        let wider = run.iter().position(|&(at, _)| at >= x);
        let inside = wider.filter(|&w| w > 0).map(|w| (run[w - 1], run[w]));
        let (low, high) = inside.or(Some((*run.first()?, *run.last()?)))?;
        let slope = if high.0 > low.0 {
            (high.1 - low.1) / (high.0 - low.0)
        } else {
            0.0
        };
        let known = match inside {
            Some(_) if high.0 <= CLOSE * low.0 => Known::Between,
            Some(_) => Known::Inside,
            None => Known::Outside,
        };
        Some(((low.1 + slope * (x - low.0)).exp(), known))
    }
}

#[allow(clippy::cast_precision_loss)]
fn size(form: &Form, channels: usize) -> f64 {
    form.parameters(channels) as f64
}

/// Offers of every form, spread over its widths, that are to be fitted first, by
/// their places.
pub(super) fn spread(offers: &[Offer]) -> Vec<(usize, &Form)> {
    let mut forms: BTreeMap<Shape, Vec<(usize, &Form)>> = BTreeMap::new();
    for (o, offer) in offers.iter().enumerate() {
        if let Some(chain) = &offer.chain {
            let own = forms.entry(shape(&chain.form)).or_default();
            own.push((o, &chain.form));
        }
    }
    let size = |o: usize| offers[o].spent.parameters;
    let mut first = Vec::new();
    for mut members in forms.into_values() {
        members.sort_by(|a, b| size(a.0).total_cmp(&size(b.0)));
        let n = members.len();
        if n <= FIRST {
            first.extend(members);
        } else {
            first.extend((0..FIRST).map(|i| members[(2 * i + 1) * n / (2 * FIRST)]));
        }
    }
    first
}

/// Expects of every offer that is not fitted what the fits tell.
pub(super) fn expect(layer: &mut Layer, fits: &HashMap<FitKey, Arc<Fit>>) {
    let own = fits.iter().filter(|((w, _), _)| *w == layer.weights);
    let own = own.map(|((_, chain), fit)| (&*chain.form, lost(fit)));
    let trends = Trends::new(own, layer.kernel.channels());
    let open = layer.offers.iter_mut().filter(|o| !o.known.by_a_fit());
    for offer in open {
        let chain = offer.chain.as_ref();
        if let Some((error, known)) = chain.and_then(|c| trends.at(&c.form)) {
            (offer.error, offer.known) = (error, known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::FactorShape;

    fn form(kernel: usize, width: usize) -> Form {
        let factor = |k: usize, m: usize| FactorShape::new(vec![k, k], m, 1);
        Form {
            factors: vec![factor(kernel, width), factor(6 - kernel, 8)],
        }
    }

    #[test]
    fn other_widths_tell_what_to_expect() {
        // Weights are 4·9·m + m·9·8 = 108·m.
        let fits = [(form(3, 10), 0.01), (form(3, 2), 0.16), (form(2, 9), 0.5)];
        let trends = Trends::new(fits.iter().map(|(f, e)| (f, *e)), 4);
        let at = |width: usize| {
            let (error, known) = trends.at(&form(3, width)).unwrap();
            ((error * 1e4).round() / 1e4, known)
        };
        assert_eq!(at(6), (0.04, Known::Inside));
        assert_eq!(at(10), (0.01, Known::Inside));
        assert_eq!(at(14), (0.0025, Known::Outside));
        assert_eq!(trends.at(&form(2, 4)), Some((0.5, Known::Outside)));
        assert_eq!(trends.at(&form(1, 4)), None);

        let more = (form(3, 8), 0.03);
        let fits = fits.iter().chain([&more]);
        let trends = Trends::new(fits.map(|(f, e)| (f, *e)), 4);
        let (error, known) = trends.at(&form(3, 9)).unwrap();
        assert_eq!(known, Known::Between);
        assert!((error - 0.0003f64.sqrt()).abs() < 1e-9);
    }
}
