//! The candidates of every layer: fitted, and reduced to those that no other
//! one beats.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use egg::{Id, RecExpr};
use rayon::prelude::*;

use super::super::calibrate::{encode, fit_options};
use super::super::lang::{Chain, Term};
use super::super::options::Options;
use super::super::saturate::Offered;
use super::super::subject::Subject;
use super::super::weights::{FitKey, Weights, key};
use super::refine::NEAR;
use super::{Fits, Goal, Known, Layer, Offer, PlanError, Search, extracted, timing};
use crate::fit::{self, Fit, FitError, Form, Moments};

/// A candidate is fitted if its expected error is within this factor of the best
/// expected at no more cost.
const WORTH: f64 = 1.05;
/// What a candidate is expected to lose, as a share of what its form loses at other
/// widths: one that looks better than it is gets fitted, one that looks worse
/// would never be.
const HOPE: f64 = 0.95;
/// Errors below are none.
const LOSSLESS: f64 = 1e-6;
/// Widths of a form that run in the first heat.
const HEAT: usize = 2;

/// Most steps of a fit for comparison, and the relative decrease of the squared
/// error below which it has converged: most have soon, and those of close fits
/// to large kernels would look much worse than they are if all were cut alike.
const STEPS: usize = 25;
const SETTLED: f64 = 0.06;

/// A layer before its candidates are fitted.
struct Entry {
    layer: Layer,
    offered: Vec<Offered>,
}

/// A candidate: its entry's place, its own.
type Place = (usize, usize);

impl Search<'_, '_> {
    /// Fits the candidates of all layers in parallel.
    pub(super) fn fit_candidates(&mut self) -> Result<(), PlanError> {
        let mut entries = self.entries();
        self.gather(&mut entries)?;
        let mut fitted: HashMap<Place, Arc<Fit>> = HashMap::new();
        let forms: Vec<Vec<Vec<usize>>> = entries.iter().map(|e| by_form(&e.offered)).collect();
        let first: Vec<Place> = (0..entries.len())
            .flat_map(|e| {
                let heat = forms[e].iter().flat_map(|members| heat(members));
                heat.map(move |c| (e, c))
            })
            .collect();
        self.fit_all(&entries, &first, &mut fitted)?;
        let (plan, goal) = (&self.compilation.options, self.goal);
        let expected: Vec<Vec<(usize, f64)>> = (0..entries.len())
            .into_par_iter()
            .map(|e| {
                let options = fit_options(plan, entries[e].layer.moments.as_ref());
                rest(&entries[e], e, &forms[e], &fitted, goal, &options)
            })
            .collect();
        let mut fits: Fits = vec![HashMap::new(); self.prepared.len()];
        for (e, mut entry) in entries.into_iter().enumerate() {
            let offer = |c: usize, error: f64, known: Known| {
                let offered: &Offered = &entry.offered[c];
                Offer {
                    chain: Some(offered.chain.clone()),
                    convs: offered.convs.clone(),
                    parameters: parameters(offered),
                    macs: offered.macs[1],
                    seconds: None,
                    error,
                    known,
                }
            };
            let mut offers = Vec::new();
            for (c, offered) in entry.offered.iter().enumerate() {
                if let Some(fit) = fitted.get(&(e, c)) {
                    offers.push(offer(c, lost(fit), Known::Compared));
                    let key: FitKey = (entry.layer.weights.clone(), offered.chain.clone());
                    fits[entry.layer.chain].insert(key, fit.clone());
                }
            }
            let others = expected[e].iter();
            offers.extend(others.map(|&(c, error)| offer(c, error, Known::Expected)));
            entry.layer.offers.extend(offers);
            let reduced = |goal| {
                let mut offers = entry.layer.offers.clone();
                reduce(&mut offers, goal);
                offers
            };
            // What is good for any goal stays until times are known.
            entry.layer.offers = if self.goal == Goal::Latency {
                merged(reduced(Goal::Parameters), reduced(Goal::Macs))
            } else {
                reduced(self.goal)
            };
            self.layers.push(entry.layer);
        }
        self.fits = fits;
        Ok(())
    }

    /// The layers that have candidates, in execution order.
    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (c, chain) in self.prepared.iter().enumerate() {
            let mut sites: BTreeMap<u32, Vec<Offered>> = BTreeMap::new();
            for offered in &chain.saturated.notes.offered {
                let own = sites.entry(offered.site.site).or_default();
                // The same chain is offered for the weights before and after a fold.
                if own.iter().all(|o| o.chain != offered.chain) {
                    own.push(offered.clone());
                }
            }
            for (site, mut offered) in sites {
                let taken = HashMap::from([(site, &offered[0].chain)]);
                let after = extracted(chain, &taken).after;
                let Some(w) = factored(&after, &offered[0].chain) else {
                    continue;
                };
                let none = HashMap::new();
                let weights = Weights {
                    expr: &after,
                    facts: &self.facts,
                    constants: &chain.segment.constants,
                    fits: &none,
                };
                let Ok(kernel) = weights.kernel(w, offered[0].site.groups) else {
                    continue;
                };
                let keep = Offer {
                    chain: None,
                    convs: timing::as_it_is(&offered[0].site).into_iter().collect(),
                    parameters: offered[0].site.parameters(),
                    macs: offered[0].macs[0],
                    seconds: None,
                    error: 0.0,
                    known: Known::Fitted,
                };
                // What saves nothing is not worth a fit; times are not known yet.
                if self.goal != Goal::Latency {
                    offered.retain(|o| cost(o, self.goal) < keep.cost(self.goal));
                }
                entries.push(Entry {
                    layer: Layer {
                        chain: c,
                        site,
                        node: chain.names[site as usize].clone(),
                        kernel,
                        weights: key(&after, w),
                        moments: None,
                        offers: vec![keep],
                        sensitivity: 1.0,
                    },
                    offered,
                });
            }
        }
        entries
    }

    /// Moments of what every layer reads, in one run of the original.
    fn gather(&self, entries: &mut [Entry]) -> Result<(), PlanError> {
        let Some(calibration) = self.compilation.options.calibration else {
            return Ok(());
        };
        let mut subjects: Vec<(usize, Subject, Moments)> = Vec::new();
        for (e, entry) in entries.iter().enumerate() {
            let (layer, chain) = (&entry.layer, &self.prepared[entry.layer.chain]);
            let subject = self
                .compilation
                .subject(chain, layer.site, &layer.kernel, &self.facts);
            if let Some(subject) = subject {
                let most = subject.patches(calibration.samples());
                subjects.push((e, subject, Moments::new(&layer.kernel).thinned(most)));
            }
        }
        let mut names: Vec<String> = subjects.iter().map(|(_, s, _)| s.input.clone()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        let mut trouble = None;
        calibration
            .activations(
                &encode(&self.compilation.original),
                &names,
                &mut |place, shape, data| {
                    let readers = subjects.par_iter_mut();
                    let readers = readers.filter(|(_, s, _)| s.input == names[place]);
                    let failed: Vec<FitError> = readers
                        .filter_map(|(_, subject, moments)| {
                            let window = &subject.window;
                            moments.accumulate(data, shape, window, None).err()
                        })
                        .collect();
                    if let Some(error) = failed.into_iter().next() {
                        trouble.get_or_insert(error.to_string());
                    }
                },
            )
            .map_err(PlanError::Calibration)?;
        if let Some(reason) = trouble {
            return Err(PlanError::Calibration(reason));
        }
        for (e, _, moments) in subjects {
            entries[e].layer.moments = Some(moments);
        }
        Ok(())
    }

    /// Makes these fits, quickly: they are for comparison, and what is chosen is
    /// fitted again.
    fn fit_all(
        &self,
        entries: &[Entry],
        places: &[Place],
        fitted: &mut HashMap<Place, Arc<Fit>>,
    ) -> Result<(), PlanError> {
        let jobs: Vec<Job> = places
            .iter()
            .map(|&(e, c)| (&entries[e].layer, &*entries[e].offered[c].chain.form, None))
            .collect();
        let made = side_by_side(&self.compilation.options, &jobs, STEPS, SETTLED)?;
        let made = places.iter().zip(made);
        fitted.extend(made.filter_map(|(&place, fit)| Some((place, fit?))));
        Ok(())
    }
}

/// A fit to be made.
pub(super) type Job<'a> = (&'a Layer, &'a Form, Option<Arc<Fit>>);

/// Makes fits for comparison, from one start each, in parallel. `None` for a form
/// that cannot be fitted: it does not compete.
pub(super) fn side_by_side(
    plan: &Options,
    jobs: &[Job],
    steps: usize,
    settled: f64,
) -> Result<Vec<Option<Arc<Fit>>>, PlanError> {
    let done = AtomicUsize::new(0);
    jobs.par_iter()
        .map(|(layer, form, begin)| {
            let options = fit::Options {
                starts: 1,
                from: begin.as_ref().map(|fit| &fit.factors[..]),
                iterations: steps,
                tolerance: settled,
                polish: 0,
                ..fit_options(plan, layer.moments.as_ref())
            };
            let fit = fit::factorize(&layer.kernel, form, &options);
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            (plan.progress)(count, jobs.len(), &layer.node);
            match fit {
                Ok(fit) => Ok(Some(Arc::new(fit))),
                Err(FitError::Cancelled) => Err(PlanError::Cancelled),
                Err(_) => Ok(None),
            }
        })
        .collect()
}

/// Root of the share that a fit loses: of the output's variance where there are
/// data, else of the weights.
pub(super) fn lost(fit: &Fit) -> f64 {
    fit.output_error.unwrap_or(fit.weight_error)
}

/// What a candidate costs before anything is timed.
fn cost(offered: &Offered, goal: Goal) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    match goal {
        Goal::Parameters => parameters(offered) as f64,
        Goal::Macs | Goal::Latency => offered.macs[1],
    }
}

fn parameters(offered: &Offered) -> usize {
    let site = &offered.site;
    offered.chain.form.parameters(site.inp * site.groups)
}

/// The class of weights that the chain factorizes in a term.
fn factored(expr: &RecExpr<Term>, chain: &Chain) -> Option<Id> {
    expr.as_ref().iter().find_map(|term| match term {
        Term::Factor(c, 0, [w]) if c == chain => Some(*w),
        _ => None,
    })
}

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

/// Members spread over the widths.
fn heat(members: &[usize]) -> Vec<usize> {
    let n = members.len();
    if n <= HEAT {
        return members.to_vec();
    }
    (0..HEAT)
        .map(|i| members[(2 * i + 1) * n / (2 * HEAT)])
        .collect()
}

/// Candidates that may be worth a fit, and the errors that they are expected to
/// have: those that, by what their form lost at other widths, come near the best
/// at no more cost, and that are not certain to be beaten.
fn rest(
    entry: &Entry,
    e: usize,
    forms: &[Vec<usize>],
    fitted: &HashMap<Place, Arc<Fit>>,
    goal: Goal,
    options: &fit::Options,
) -> Vec<(usize, f64)> {
    let cost = |c: usize| cost(&entry.offered[c], goal);
    let known = |c: usize| {
        let fit = fitted.get(&(e, c))?;
        Some((cost(c), lost(fit)))
    };
    let mut expected: Vec<(usize, f64)> = Vec::new();
    for members in forms {
        let heat: Vec<(f64, f64)> = members.iter().filter_map(|&c| known(c)).collect();
        let open = members.iter().filter(|&&c| known(c).is_none());
        expected.extend(open.filter_map(|&c| Some((c, HOPE * between(&heat, cost(c))?))));
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
    let worth: Vec<usize> = (0..expected.len())
        .filter(|&i| near(&expected[i]))
        .collect();
    worth.into_iter().map(|i| expected[i]).collect()
}

/// The error at some cost, on the line through the first and the last of these
/// (cost, error) of one form: its logarithm falls about evenly with the cost.
fn between(heat: &[(f64, f64)], cost: f64) -> Option<f64> {
    let (&(c0, e0), &(c1, e1)) = (heat.first()?, heat.last()?);
    let (l0, l1) = (e0.max(LOSSLESS).ln(), e1.max(LOSSLESS).ln());
    let slope = if c1 > c0 { (l1 - l0) / (c1 - c0) } else { 0.0 };
    Some((l0 + slope * (cost - c0)).exp())
}

/// Keeps the first offer (the layer as it is) and those of the others that cost
/// less than it and that no other one beats in cost and, by far, in loss.
pub(super) fn reduce(offers: &mut Vec<Offer>, goal: Goal) {
    let keep = offers[0].cost(goal);
    let near = near(offers, goal).into_iter();
    let rest: Vec<Offer> = near
        .filter(|&o| o > 0 && offers[o].cost(goal) < keep)
        .map(|o| offers[o].clone())
        .collect();
    offers.truncate(1);
    offers.extend(rest);
}

/// The offers that no other one beats in cost and, by far, in loss, by their
/// places, cheapest first.
pub(super) fn near(offers: &[Offer], goal: Goal) -> Vec<usize> {
    falling(offers, goal, |error, least| error <= NEAR * least)
}

/// The offers that no other one beats in cost and loss, by their places.
pub(super) fn unbeaten(offers: &[Offer], goal: Goal) -> Vec<usize> {
    let mut places = falling(offers, goal, |error, least| error < least);
    places.sort_unstable();
    places
}

/// The offers, cheapest first, whose error may stand beside the least of those
/// before them.
fn falling(offers: &[Offer], goal: Goal, may: impl Fn(f64, f64) -> bool) -> Vec<usize> {
    let mut places: Vec<usize> = (0..offers.len()).collect();
    let (cost, error) = (|o: usize| offers[o].cost(goal), |o: usize| offers[o].error);
    places.sort_by(|&a, &b| {
        cost(a)
            .total_cmp(&cost(b))
            .then(error(a).total_cmp(&error(b)))
    });
    let mut least = f64::INFINITY;
    places.retain(|&o| {
        let stays = may(error(o), least);
        least = least.min(error(o));
        stays
    });
    places
}

/// Both fronts, each offer once.
fn merged(mut a: Vec<Offer>, b: Vec<Offer>) -> Vec<Offer> {
    for offer in b {
        if a.iter().all(|o| o.chain != offer.chain) {
            a.push(offer);
        }
    }
    a
}
