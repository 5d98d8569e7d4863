//! The candidates of every layer: two widths a form fitted, the others expected,
//! and reduced to those that no other one beats.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use egg::{Id, RecExpr};
use rayon::prelude::*;

use super::super::calibrate::encode;
use super::super::lang::{Chain, Term};
use super::super::saturate::Offered;
use super::super::subject::Subject;
use super::super::weights::{FitKey, Weights, key};
use super::compare::{Job, SHORT, lost, side_by_side};
use super::expect::{expect, spread};
use super::front::{merged, reduce};
use super::offer::{Known, Layer, Offer};
use super::{Fits, Goal, PlanError, Search, extracted, timing};
use crate::fit::{Fit, FitError, Moments};

/// A layer before its candidates are fitted.
pub(super) struct Entry {
    pub layer: Layer,
    pub offered: Vec<Offered>,
}

/// Fits of candidates of one layer, by place.
pub(super) type Fitted = HashMap<usize, Arc<Fit>>;

impl Entry {
    /// The layer with its offers: those fitted, and those of which the fits tell what
    /// to expect.
    fn with_offers(self, fitted: &Fitted, fits: &HashMap<FitKey, Arc<Fit>>, goal: Goal) -> Layer {
        let mut layer = self.layer;
        let offers = self.offered.iter().enumerate().map(|(c, offered)| {
            // Of a form without any fit nothing is expected.
            let (error, known) = match fitted.get(&c) {
                Some(fit) => (lost(fit), Known::Compared),
                None => (f64::INFINITY, Known::Outside),
            };
            Offer {
                chain: Some(offered.chain.clone()),
                convs: offered.convs.clone(),
                parameters: parameters(offered),
                macs: offered.macs[1],
                seconds: None,
                error,
                known,
            }
        });
        layer.offers.extend(offers);
        expect(&mut layer, fits);
        // What is good for any goal stays until times are known.
        match goal {
            Goal::Latency => {
                let mut macs = layer.offers.clone();
                reduce(&mut layer.offers, Goal::Parameters);
                reduce(&mut macs, Goal::Macs);
                layer.offers = merged(layer.offers, macs);
            }
            goal => reduce(&mut layer.offers, goal),
        }
        layer
    }
}

impl Search<'_, '_> {
    /// Fits two widths of every form of all layers, in parallel, and finds out what
    /// may be worth a fit besides.
    pub(super) fn fit_candidates(&mut self) -> Result<(), PlanError> {
        let mut entries = self.entries();
        self.gather(&mut entries)?;
        let fitted = self.compare(&entries)?;
        let mut fits: Fits = vec![HashMap::new(); self.prepared.len()];
        for (entry, fitted) in entries.into_iter().zip(&fitted) {
            for (&c, fit) in fitted {
                let chain = entry.offered[c].chain.clone();
                let key: FitKey = (entry.layer.weights.clone(), chain);
                fits[entry.layer.chain].insert(key, fit.clone());
            }
            let own = &fits[entry.layer.chain];
            self.layers.push(entry.with_offers(fitted, own, self.goal));
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

    /// Short fits of some widths of every form, an entry each.
    fn compare(&self, entries: &[Entry]) -> Result<Vec<Fitted>, PlanError> {
        let places: Vec<(usize, usize)> = entries
            .iter()
            .enumerate()
            .flat_map(|(e, entry)| spread(&entry.offered).into_iter().map(move |c| (e, c)))
            .collect();
        let jobs: Vec<Job> = places
            .iter()
            .map(|&(e, c)| Job {
                layer: &entries[e].layer,
                form: &entries[e].offered[c].chain.form,
                begin: None,
            })
            .collect();
        let made = side_by_side(&self.compilation.options, &jobs, SHORT)?;
        let mut fitted = vec![Fitted::new(); entries.len()];
        for ((e, c), fit) in places.into_iter().zip(made) {
            fitted[e].extend(fit.map(|fit| (c, fit)));
        }
        Ok(fitted)
    }
}

/// What a candidate costs before anything is timed.
pub(super) fn cost(offered: &Offered, goal: Goal) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    match goal {
        Goal::Parameters => parameters(offered) as f64,
        Goal::Macs | Goal::Latency => offered.macs[1],
    }
}

pub(super) fn parameters(offered: &Offered) -> usize {
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
