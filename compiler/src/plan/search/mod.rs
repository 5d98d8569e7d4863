//! The search for the best rewrite under a bound.
//!
//! All exact folds and all factorizations that need no retraining are offered to
//! the e-graphs at once, each at a ladder of widths. Of every layer's forms two
//! widths are fitted on the calibration data; they tell what to expect of the
//! others, and the candidates are reduced to a Pareto front (weights, MACs, time,
//! lost output); what a layer's loss does to the network's outputs is measured;
//! an integer program picks one candidate a layer ([`select`]), and picks again
//! when its picks were fitted with care ([`refine`]).
//! The pick is extracted from the e-graphs and fitted again, layer after layer, on
//! the rewritten network. Whether that holds what was asked is for the caller
//! to measure: it tightens or relaxes the bound.

mod candidates;
mod compare;
mod expect;
mod front;
mod offer;
mod reasons;
mod refine;
mod select;
mod sensitivity;
mod timing;

use std::collections::HashMap;
use std::sync::Arc;

use super::extract;
use super::lang::Chain;
use super::options::{Shaping, StridePlace, Width};
use super::passes::{PASSES, Pass, Rule};
use super::prepare::{Choice, Prepared};
use super::realize::Source;
use super::weights::FitKey;
use super::{Compilation, PassReport, PlanError, Skipped};
use crate::facts::Facts;
use crate::fit::Fit;
use crate::model::Model;
use offer::Layer;

/// What is to become less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Weights.
    Parameters,
    /// Multiply-accumulates.
    Macs,
    /// Time, as a [`Clock`] measures it.
    Latency,
}

/// What must not be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The cost of all layers that could be rewritten, as a share of what they
    /// cost now; the loss is then as small as can be.
    Cost(f64),
    /// The predicted loss, a share of the outputs' variance; the cost is then
    /// as small as can be.
    Loss(f64),
}

/// Measures models; the compiler itself runs nothing.
pub trait Clock: Sync {
    /// Seconds of one run of each of these models (encoded files), measured in
    /// turns.
    ///
    /// `sample` is the shape of their input without the batch axis.
    ///
    /// # Errors
    /// Why a model cannot be run, in words for a report.
    fn seconds(&self, models: &[Vec<u8>], sample: &[usize]) -> Result<Vec<f64>, String>;
}

/// One candidate a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    picks: Vec<usize>,
    /// Predicted share of the outputs' variance that is lost.
    pub loss: f64,
    /// Cost, as a share of what the layers cost as they are.
    pub cost: f64,
}

impl Selection {
    /// Whether every layer stays as it is.
    pub fn keeps_all(&self) -> bool {
        self.picks.iter().all(|&p| p == 0)
    }
}

/// A search that is ready to select.
pub struct Search<'c, 'a> {
    compilation: &'c mut Compilation<'a>,
    facts: Arc<Facts>,
    prepared: Vec<Prepared>,
    layers: Vec<Layer>,
    /// Fits of the candidates.
    fits: Fits,
    left: Vec<Skipped>,
    goal: Goal,
}

/// Passes that take part: exact ones, and those that need no retraining.
fn passes() -> Vec<&'static Pass> {
    let part = |p: &&Pass| matches!(p.rule, Rule::Fold { .. }) || !p.retrain;
    PASSES.iter().filter(part).collect()
}

impl<'a> Compilation<'a> {
    /// Fits the candidates of all layers and measures what their losses do.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn search(
        &mut self,
        goal: Goal,
        clock: Option<&dyn Clock>,
    ) -> Result<Search<'_, 'a>, PlanError> {
        let facts = self.facts()?;
        let shaping = Shaping {
            width: Width::Ladder,
            stride: StridePlace::Auto,
        };
        let prepared = self.prepare(&passes(), shaping, Some(goal), &facts)?;
        let mut search = Search {
            left: reasons::left(&prepared),
            compilation: self,
            facts,
            prepared,
            layers: Vec::new(),
            fits: Vec::new(),
            goal,
        };
        search.fit_candidates()?;
        search.measure_sensitivity()?;
        if goal == Goal::Latency {
            search.measure_time(clock)?;
            for layer in &mut search.layers {
                front::reduce(&mut layer.offers, goal);
            }
        }
        Ok(search)
    }
}

impl Search<'_, '_> {
    /// How many layers could be rewritten.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The loss of the boldest selection: no bound above it says anything.
    pub fn greatest_loss(&self) -> f64 {
        let worst = |l: &Layer| {
            let losses = l.offers.iter().map(|o| l.loss(o));
            losses.filter(|l| l.is_finite()).fold(0.0, f64::max)
        };
        self.layers.iter().map(worst).sum()
    }

    /// The cost of the boldest selection, as a share of what the layers cost.
    pub fn least_cost(&self) -> f64 {
        let bold = select::select(&self.layers, self.goal, Bound::Loss(f64::INFINITY));
        bold.map_or(1.0, |s| s.cost)
    }

    /// The model as rewritten last.
    pub fn model(&self) -> &Model {
        &self.compilation.current
    }

    /// The selection that keeps every layer; exact folds alone are made.
    pub fn nothing(&self) -> Selection {
        Selection {
            picks: vec![0; self.layers.len()],
            loss: 0.0,
            cost: 1.0,
        }
    }

    /// Rewrites the model as selected: [`Compilation::model`] then gives it.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn apply(&mut self, selection: &Selection) -> Result<PassReport, PlanError> {
        let picks: Vec<Option<usize>> = selection
            .picks
            .iter()
            .map(|&p| (p > 0).then_some(p))
            .collect();
        let fits = std::mem::take(&mut self.fits);
        let realized = self.realize(&picks, &Source::Data(Some(&fits)));
        self.fits = fits;
        let (model, sites) = realized?;

        self.compilation.current = model;
        let mut report = PassReport {
            pass: self.goal.name().into(),
            sites: sites.into_iter().map(|(_, site)| site).collect(),
            skipped: Vec::new(),
        };
        for (layer, &pick) in self.layers.iter().zip(&selection.picks) {
            if pick == 0 {
                report.skipped.push(self.kept(layer, selection));
                continue;
            }
            let own = report.sites.iter_mut().find(|s| s.node == layer.node);
            if let Some(site) = own {
                site.why = self.why(layer, pick);
                site.rivals = self.rivals(layer, pick);
            }
        }
        report.skipped.extend(self.left.iter().cloned());
        Ok(report)
    }

    /// The model with these offers taken.
    fn realize(
        &mut self,
        picks: &[Option<usize>],
        source: &Source,
    ) -> Result<(Model, Vec<(String, super::Site)>), PlanError> {
        let mut taken: Vec<HashMap<u32, &Chain>> = vec![HashMap::new(); self.prepared.len()];
        for (layer, pick) in self.layers.iter().zip(picks) {
            let chain = pick.and_then(|p| layer.offers[p].chain.as_ref());
            if let Some(chain) = chain {
                taken[layer.chain].insert(layer.site, chain);
            }
        }
        let choices: Vec<Choice> = self
            .prepared
            .iter()
            .zip(&taken)
            .map(|(chain, taken)| extracted(chain, taken))
            .collect();
        let facts = self.facts.clone();
        let name = self.goal.name();
        self.compilation
            .realize(&mut self.prepared, &choices, &facts, source, name)
    }
}

/// The best term of a chain in which these sites are written as these chains,
/// and no other site as any.
fn extracted(chain: &Prepared, taken: &HashMap<u32, &Chain>) -> Choice {
    let saturated = &chain.saturated;
    let mut errors = HashMap::new();
    for offer in &saturated.notes.offered {
        let w = saturated.egraph.find(offer.weights);
        let own = taken.get(&offer.site.site);
        let error = if own.is_some_and(|c| **c == offer.chain) {
            0.0
        } else {
            f64::MAX
        };
        errors.insert((w, offer.chain.clone()), error);
    }
    let unmet = |key: &super::lang::OpKey| taken.contains_key(&key.site) && key.conv().is_some();
    Choice::new(chain, extract::best(saturated, &errors, &unmet))
}

/// Fits of each chain of nodes.
type Fits = Vec<HashMap<FitKey, Arc<Fit>>>;

impl Goal {
    /// What a report calls the search.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameters => "goal params",
            Self::Macs => "goal macs",
            Self::Latency => "goal latency",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Parameters => "weights",
            Self::Macs => "MACs",
            Self::Latency => "time",
        }
    }
}
