//! The candidates of a selection, fitted with care.
//!
//! The fits that rank the forms are short, and of most widths it is only known what
//! to expect. They flatter forms that converge soon (`k x 1` with `1 x k`) over
//! those that converge late, so that what is selected by them is only a first
//! guess. What is not fitted to the end is therefore taken for as good as it may
//! turn out to be; what is selected so gets fitted, tells what to expect of its
//! form's other widths, and the selection is made again, until it stands among
//! fitted candidates alone.

use super::super::weights::FitKey;
use super::compare::{Effort, Job, lost, side_by_side};
use super::expect::expect;
use super::offer::Known;
use super::{Bound, PlanError, Search, Selection, select};

/// Selections after which the last one is taken.
const ROUNDS: usize = 60;
/// Of a fit that counts.
const CAREFUL: Effort = Effort {
    steps: 40,
    settled: 0.01,
};

/// A candidate: its layer's place, its own. The layer as it is is none.
pub(super) type Place = (usize, usize);

impl Search<'_, '_> {
    /// The best selection under a bound; `None` if none meets it.
    ///
    /// # Errors
    /// [`PlanError`], where a candidate cannot be fitted.
    pub fn select(&mut self, bound: Bound) -> Result<Option<Selection>, PlanError> {
        let mut selection = select::select(&self.layers, self.goal, bound);
        for _ in 0..ROUNDS {
            let Some(picked) = &selection else { break };
            let open = self.open(picked);
            if open.is_empty() {
                break;
            }
            self.refine(&open)?;
            selection = select::select(&self.layers, self.goal, bound);
        }
        Ok(selection)
    }

    /// The picks that are not fitted to the end.
    fn open(&self, selection: &Selection) -> Vec<Place> {
        let picks = selection.picks.iter().copied().enumerate();
        let open = |&(l, o): &Place| self.layers[l].offers[o].known != Known::Fitted;
        picks.filter(open).collect()
    }

    /// Fits those of which only expectations are known.
    pub(super) fn refine_unknown(&mut self, all: &[Place]) -> Result<(), PlanError> {
        let expected = |&(l, o): &Place| !self.layers[l].offers[o].known.by_a_fit();
        let open: Vec<Place> = all.iter().copied().filter(expected).collect();
        self.refine(&open)
    }

    fn refine(&mut self, open: &[Place]) -> Result<(), PlanError> {
        let jobs: Vec<Job> = open
            .iter()
            .filter_map(|&(l, o)| {
                let layer = &self.layers[l];
                let chain = layer.offers[o].chain.as_ref()?;
                let begin = self.fits[layer.chain].get(&(layer.weights.clone(), chain.clone()));
                Some(Job {
                    layer,
                    form: &chain.form,
                    begin: begin.cloned(),
                })
            })
            .collect();
        let fits = side_by_side(&self.compilation.options, &jobs, CAREFUL)?;
        for (&(l, o), fit) in open.iter().zip(fits) {
            let layer = &mut self.layers[l];
            let offer = &mut layer.offers[o];
            offer.known = Known::Fitted;
            // A form that cannot be fitted does not compete.
            offer.error = fit.as_ref().map_or(f64::INFINITY, |fit| lost(fit));
            if let (Some(fit), Some(chain)) = (fit, &offer.chain) {
                let key: FitKey = (layer.weights.clone(), chain.clone());
                self.fits[layer.chain].insert(key, fit);
            }
        }
        for &(l, _) in open {
            let layer = &mut self.layers[l];
            expect(layer, &self.fits[layer.chain]);
        }
        Ok(())
    }
}
