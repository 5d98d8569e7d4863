//! The candidates of every layer: two widths a form fitted, the others expected,
//! and reduced to those that no other one beats.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use egg::{Id, RecExpr};
use rayon::prelude::*;

use super::super::calibrate::in_bulk;
use super::super::lang::{Chain, Term};
use super::super::prepare::Prepared;
use super::super::saturate::Offered;
use super::super::subject::Subject;
use super::super::weights::{FitKey, Weights, key};
use super::compare::{Job, SHORT, lost, side_by_side};
use super::expect::{expect, spread};
use super::front::{merged, reduce};
use super::offer::{Known, Layer, Offer};
use super::{Fits, Goal, PlanError, Search, extracted, timing};
use crate::fit::{Fit, FitError, Moments, Seen};

/// Fits of offers of one layer, by place.
type Fitted = HashMap<usize, Arc<Fit>>;

impl Layer {
    /// Tells what the offers lose, as far as fits say, and drops those that another
    /// one beats.
    fn compared(&mut self, fitted: &Fitted, fits: &HashMap<FitKey, Arc<Fit>>, goal: Goal) {
        for (&o, fit) in fitted {
            let offer = &mut self.offers[o];
            (offer.error, offer.known) = (lost(fit), Known::Compared);
        }
        expect(self, fits);
        // What is good for any goal stays until times are known.
        match goal {
            Goal::Latency => {
                let mut macs = self.offers.clone();
                reduce(&mut self.offers, Goal::Parameters);
                reduce(&mut macs, Goal::Macs);
                self.offers = merged(std::mem::take(&mut self.offers), macs);
            }
            goal => reduce(&mut self.offers, goal),
        }
    }
}

impl Search<'_, '_> {
    /// Fits two widths of every form of all layers, in parallel, and finds out what
    /// may be worth a fit besides.
    pub(super) fn fit_candidates(&mut self) -> Result<(), PlanError> {
        let mut layers = self.offering();
        self.gather(&mut layers)?;
        let fitted = self.compare(&layers)?;
        let mut fits: Fits = vec![HashMap::new(); self.prepared.len()];
        for (layer, fitted) in layers.iter_mut().zip(&fitted) {
            let own = &mut fits[layer.chain];
            for (&o, fit) in fitted {
                if let Some(chain) = &layer.offers[o].chain {
                    own.insert((layer.weights.clone(), chain.clone()), fit.clone());
                }
            }
            layer.compared(fitted, own, self.goal);
        }
        self.layers = layers;
        self.fits = fits;
        Ok(())
    }

    /// The layers that could be rewritten, in execution order, each with all that
    /// no other way beats before anything is fitted.
    fn offering(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (c, chain) in self.prepared.iter().enumerate() {
            let mut sites: BTreeMap<u32, Vec<&Offered>> = BTreeMap::new();
            for offered in &chain.saturated.notes.offered {
                let own = sites.entry(offered.site.site).or_default();
                // The same chain is offered for the weights before and after a fold.
                if own.iter().all(|o| o.chain != offered.chain) {
                    own.push(offered);
                }
            }
            for (site, offered) in sites {
                layers.extend(self.layer((c, chain), site, &offered));
            }
        }
        layers
    }

    /// The layer at a site; `None` where its weights cannot be had.
    fn layer(
        &self,
        (c, chain): (usize, &Prepared),
        site: u32,
        offered: &[&Offered],
    ) -> Option<Layer> {
        let first = offered.first()?;
        let taken = HashMap::from([(site, &first.chain)]);
        let after = extracted(chain, &taken).after;
        let w = factored(&after, &first.chain)?;
        let none = HashMap::new();
        let weights = Weights {
            expr: &after,
            facts: &self.facts,
            constants: &chain.segment.constants,
            fits: &none,
        };
        let kernel = weights.kernel(w, first.site.groups).ok()?;
        let keep = Offer {
            chain: None,
            convs: timing::as_it_is(&first.site).into_iter().collect(),
            spent: chain.saturated.own(first)?,
            seconds: None,
            error: 0.0,
            known: Known::Fitted,
        };
        let others = offered.iter().filter_map(|offered| {
            Some(Offer {
                chain: Some(offered.chain.clone()),
                convs: offered.convs.clone(),
                spent: chain.saturated.spent(offered)?,
                seconds: None,
                // Of a form without any fit nothing is expected.
                error: f64::INFINITY,
                known: Known::Outside,
            })
        });
        Some(Layer {
            chain: c,
            site,
            node: chain.names[site as usize].clone(),
            kernel,
            weights: key(&after, w),
            moments: None,
            offers: std::iter::once(keep).chain(others).collect(),
            sensitivity: 1.0,
        })
    }

    /// Moments of what every layer reads, in one run of the original.
    fn gather(&self, layers: &mut [Layer]) -> Result<(), PlanError> {
        let Some(calibration) = self.compilation.options.calibration else {
            return Ok(());
        };
        let mut subjects: Vec<(usize, Subject, Moments)> = Vec::new();
        for (l, layer) in layers.iter().enumerate() {
            let chain = &self.prepared[layer.chain];
            let subject = self
                .compilation
                .subject(chain, layer.site, &layer.kernel, &self.facts);
            if let Some(subject) = subject {
                let most = subject.patches(calibration.samples());
                subjects.push((l, subject, Moments::new(&layer.kernel).thinned(most)));
            }
        }
        let mut names: Vec<String> = subjects.iter().map(|(_, s, _)| s.input.clone()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        in_bulk(
            calibration,
            &self.compilation.original,
            &names,
            &mut |batches| {
                let readers = subjects.par_iter_mut();
                let failed = readers.filter_map(|(_, subject, moments)| {
                    let place = names.binary_search(&subject.input).ok()?;
                    let read = batches.iter().map(|batch| &batch[place]);
                    let seen: Vec<Seen> =
                        read.map(|(shape, data)| Seen::new(shape, data)).collect();
                    moments.accumulate(&subject.window, &seen).err()
                });
                // The first one, whichever thread was sooner.
                let failed: Vec<FitError> = failed.collect();
                failed
                    .first()
                    .map_or(Ok(()), |error| Err(error.to_string()))
            },
        )?;
        for (l, _, moments) in subjects {
            layers[l].moments = Some(moments);
        }
        Ok(())
    }

    /// Short fits of some widths of every form, by layer.
    fn compare(&self, layers: &[Layer]) -> Result<Vec<Fitted>, PlanError> {
        let mut places = Vec::new();
        let mut jobs = Vec::new();
        for (l, layer) in layers.iter().enumerate() {
            for (o, form) in spread(&layer.offers) {
                places.push((l, o));
                jobs.push(Job {
                    layer,
                    form,
                    begin: None,
                });
            }
        }
        let made = side_by_side(&self.compilation.options, &jobs, SHORT)?;
        let mut fitted = vec![Fitted::new(); layers.len()];
        for ((l, o), fit) in places.into_iter().zip(made) {
            fitted[l].extend(fit.map(|fit| (o, fit)));
        }
        Ok(fitted)
    }
}

/// The class of weights that the chain factorizes in a term.
fn factored(expr: &RecExpr<Term>, chain: &Chain) -> Option<Id> {
    expr.as_ref().iter().find_map(|term| match term {
        Term::Factor(c, 0, [w]) if c == chain => Some(*w),
        _ => None,
    })
}
