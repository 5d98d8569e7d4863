//! Candidates near a selection, fitted again with care.
//!
//! The fits that rank the forms are short, and of most widths it is only known what
//! to expect. They flatter forms that converge soon (`k x 1` with `1 x k`) over
//! those that converge late, so that what is selected by them is only a first
//! guess: the candidates around it are fitted to the end, and the selection is
//! made again, until it stands among such alone.

use super::super::weights::FitKey;
use super::compare::{Effort, Job, lost, side_by_side};
use super::front::near;
use super::{Bound, Known, PlanError, Search, Selection, select};

/// Costs within this factor of a pick's are near it.
const SPAN: f64 = 1.2;
/// Candidates that lost, or are expected to lose, up to this factor of the least at no more
/// cost may turn out better.
pub(super) const NEAR: f64 = 1.1;
/// Selections after which the last one is taken.
const ROUNDS: usize = 12;
/// Of a fit that counts.
const CAREFUL: Effort = Effort {
    steps: 40,
    settled: 0.01,
};

/// A candidate: its layer's place, its own. The layer as it is is none.
type Place = (usize, usize);

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

    /// The candidates near a selection that are not fitted to the end.
    fn open(&self, selection: &Selection) -> Vec<Place> {
        let mut open = Vec::new();
        for (l, (layer, &pick)) in self.layers.iter().zip(&selection.picks).enumerate() {
            let cost = |o: usize| layer.offers[o].cost(self.goal);
            let at = cost(pick);
            let near = near(&layer.offers, self.goal).into_iter();
            open.extend(
                near.filter(|&o| layer.offers[o].known != Known::Fitted)
                    .filter(|&o| cost(o) <= at * SPAN && cost(o) >= at / SPAN)
                    .map(|o| (l, o)),
            );
        }
        open
    }

    pub(super) fn refine(&mut self, open: &[Place]) -> Result<(), PlanError> {
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
            if let (Some(fit), Some(chain)) = (fit, &offer.chain) {
                offer.error = lost(&fit);
                let key: FitKey = (layer.weights.clone(), chain.clone());
                self.fits[layer.chain].insert(key, fit);
            }
        }
        Ok(())
    }
}
