//! What to expect of a candidate before it is fitted, by what its form lost at other
//! widths.

use std::collections::BTreeMap;

use super::super::saturate::Offered;
use super::Goal;
use super::candidates::{Entry, Fitted, cost, parameters};
use super::compare::lost;
use crate::fit;

/// A candidate is fitted if its expected error is within this factor of the best
/// expected at no more cost.
const WORTH: f64 = 1.05;
/// What a candidate is expected to lose, as a share of what its form loses at other
/// widths: one that looks better than it is gets fitted, one that looks worse
/// would never be.
const HOPE: f64 = 0.95;
/// Errors below are none.
const LOSSLESS: f64 = 1e-6;
/// Widths of a form that are fitted first.
const FIRST: usize = 2;

/// Candidates that differ in width alone, narrow to wide.
fn by_form(offered: &[Offered]) -> Vec<Vec<usize>> {
    let mut forms: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (c, offer) in offered.iter().enumerate() {
        let factors = offer.chain.form.factors.iter();
        let shape: Vec<_> = factors.map(|f| (&f.spatial, &f.step, f.groups)).collect();
        forms.entry(format!("{shape:?}")).or_default().push(c);
    }
    let mut forms: Vec<Vec<usize>> = forms.into_values().collect();
    for members in &mut forms {
        members.sort_by_key(|&c| parameters(&offered[c]));
    }
    forms
}

/// Candidates of every form, spread over its widths, that are to be fitted first.
pub(super) fn spread(offered: &[Offered]) -> Vec<usize> {
    let over = |members: Vec<usize>| {
        let n = members.len();
        let at = |i: usize| members[(2 * i + 1) * n / (2 * FIRST)];
        if n <= FIRST {
            members
        } else {
            (0..FIRST).map(at).collect()
        }
    };
    by_form(offered).into_iter().flat_map(over).collect()
}

/// Candidates that may be worth a fit, and the errors that they are expected to
/// have: those that, by what their form lost at other widths, come near the best
/// at no more cost, and that are not certain to be beaten.
pub(super) fn expected(
    entry: &Entry,
    fitted: &Fitted,
    goal: Goal,
    options: &fit::Options,
) -> Vec<(usize, f64)> {
    let cost = |c: usize| cost(&entry.offered[c], goal);
    let known = |c: usize| Some((cost(c), lost(fitted.get(&c)?)));
    let mut expected: Vec<(usize, f64)> = Vec::new();
    for members in by_form(&entry.offered) {
        let run: Vec<(f64, f64)> = members.iter().filter_map(|&c| known(c)).collect();
        let open = members.iter().filter(|c| !fitted.contains_key(c));
        expected.extend(open.filter_map(|&c| Some((c, HOPE * between(&run, cost(c))?))));
    }
    let run: Vec<(usize, f64)> = (0..entry.offered.len())
        .filter_map(|c| Some((c, known(c)?.1)))
        .collect();
    let best = |most: f64| {
        let within = run
            .iter()
            .chain(&expected)
            .filter(|(c, _)| cost(*c) <= most);
        within.map(|(_, e)| *e).fold(f64::INFINITY, f64::min)
    };
    // What the form cannot get below, another one already reaches at no more.
    let beaten = |c: usize| {
        let offer = &entry.offered[c];
        let form = &offer.chain.form;
        let bound = fit::predicted_error(&entry.layer.kernel, form, options).unwrap_or(0.0);
        let within = |o: usize| {
            let other = &entry.offered[o];
            parameters(other) <= parameters(offer) && other.macs[1] <= offer.macs[1]
        };
        run.iter().any(|&(o, error)| error <= bound && within(o))
    };
    let near = |&(c, error): &(usize, f64)| error <= WORTH * best(cost(c)) && !beaten(c);
    expected.iter().copied().filter(near).collect()
}

/// The error at some cost, on the line through the first and the last of these
/// (cost, error) of one form: its logarithm falls about evenly with the cost.
fn between(run: &[(f64, f64)], cost: f64) -> Option<f64> {
    let (&(c0, e0), &(c1, e1)) = (run.first()?, run.last()?);
    let (l0, l1) = (e0.max(LOSSLESS).ln(), e1.max(LOSSLESS).ln());
    let slope = if c1 > c0 { (l1 - l0) / (c1 - c0) } else { 0.0 };
    Some((l0 + slope * (cost - c0)).exp())
}
