//! The e-graph side: passes rewrite the chains of a model, the best term is
//! extracted, its weights are computed, a patch puts it into the graph.
//!
//! Passes are added to a [`Compilation`] one by one. Each time all of them run
//! together, from the original model, in one e-graph a chain: their order and
//! combination come out of the e-graph, not of the order in which they were
//! named.

mod between;
mod calibrate;
mod edit;
mod emit;
mod extract;
mod knowledge;
pub mod lang;
mod left;
mod lossless;
mod options;
mod passage;
mod passes;
mod prepare;
mod readout;
mod realize;
mod saturate;
pub mod search;
mod segment;
mod serial_pair;
mod site;
mod subject;
mod wanted;
mod ways;
mod weights;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use options::{
    Between, Calibration, Options, ParseOptionError, Shaping, Sink, StridePlace, Width,
};
pub use passes::{PASSES, Pass, Rule, find, split};
pub use serial_pair::{Link, Together};
pub use site::{Candidate, ConvSite};

use crate::facts::{Facts, Scope};
use crate::fit::Fit;
use crate::ir::{GraphError, NodeId, PatchError};
use crate::model::Model;
use realize::Source;
use subject::Wanted;

/// Key of `metadata_props` under which a rewritten model lists its passes.
pub const METADATA_KEY: &str = "convfold.passes";

/// Why a model could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The graph is not one.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An edit did not fit the graph.
    #[error("the rewrite of {node} does not fit the graph: {source}")]
    Patch {
        /// The node.
        node: String,
        /// Why.
        source: PatchError,
    },
    /// The calibration data could not be run through the model.
    #[error("calibration failed: {0}; leave --calibrate out to fit without data")]
    Calibration(String),
    /// Rectifiers between factors were asked for, and there are no samples.
    #[error(
        "rectifiers between the factors start open for what samples make of the maps there; give --calibrate FILE"
    )]
    Unopened,
    /// A factorization failed.
    #[error("{node}: {reason}")]
    Fit {
        /// The convolution.
        node: String,
        /// Why.
        reason: String,
    },
    /// A layer could not be timed.
    #[error("{node}: its time could not be measured: {reason}")]
    Timing {
        /// The convolution.
        node: String,
        /// Why.
        reason: String,
    },
    /// The cancel flag was raised.
    #[error("cancelled")]
    Cancelled,
}

/// What a pass did.
#[derive(Clone, Debug, Default)]
pub struct PassReport {
    /// The pass, or what a search was for.
    pub pass: String,
    /// Where it acted.
    pub sites: Vec<Site>,
    /// Candidates that it left alone.
    pub skipped: Vec<Skipped>,
}

/// One place where a pass acted.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The node, by the name that reports use.
    pub node: String,
    /// What stood there: `5x5`, or the operators folded into one.
    pub from: String,
    /// What stands there now, in execution order.
    pub to: Vec<String>,
    /// Channels between the factors.
    pub widths: Vec<usize>,
    /// Whether outputs stay the same to rounding.
    pub exact: bool,
    /// ‖W − W′‖ / ‖W‖.
    pub weight_error: Option<f64>,
    /// Root of the share of the layer's output variance that is lost on the
    /// calibration data.
    pub output_error: Option<f64>,
    /// Why this term was chosen.
    pub why: String,
    /// egg's derivation, where asked for.
    pub explanation: Option<String>,
    /// What else was considered, the nearest first.
    pub rivals: Vec<Rival>,
}

/// A rewrite of a site that was considered and not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// Its kernels, in execution order; one for the layer as it is.
    pub to: Vec<String>,
    /// Channels between.
    pub widths: Vec<usize>,
    /// Weights.
    pub parameters: usize,
    /// Multiply-accumulates, open sizes taken as 64.
    pub macs: f64,
    /// Seconds a sample, where they were measured.
    pub seconds: Option<f64>,
    /// Root of the share of the layer's output variance that it loses.
    pub output_error: f64,
}

/// A candidate that a pass left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The node, by the name that reports use.
    pub node: String,
    /// Why.
    pub reason: String,
}

/// The rewriting of one model.
pub struct Compilation<'a> {
    original: Model,
    current: Model,
    options: Options<'a>,
    scope: Scope,
    passes: Vec<&'static Pass>,
    seen: HashSet<String>,
    facts: Option<Arc<Facts>>,
    /// Fits by content.
    cache: HashMap<String, Arc<Fit>>,
    /// Outputs of the original's convolutions on the calibration data.
    wanted: HashMap<NodeId, Arc<Vec<Wanted>>>,
}

impl<'a> Compilation<'a> {
    /// A compilation of this model. `scope` gives the sizes of dynamic inputs.
    pub fn new(model: Model, options: Options<'a>, scope: Scope) -> Self {
        Self {
            current: model.clone(),
            original: model,
            options,
            scope,
            passes: Vec::new(),
            seen: HashSet::new(),
            facts: None,
            cache: HashMap::new(),
            wanted: HashMap::new(),
        }
    }

    /// The model as rewritten so far.
    pub fn model(&self) -> &Model {
        &self.current
    }

    /// The model as it was.
    pub fn original(&self) -> &Model {
        &self.original
    }

    /// Adds a pass and rewrites the model with all passes so far.
    ///
    /// # Errors
    /// [`PlanError`]; the model is then as it was before the call.
    pub fn run(&mut self, pass: &'static Pass) -> Result<PassReport, PlanError> {
        self.passes.push(pass);
        let done = self.run_all(pass);
        if done.is_err() {
            self.passes.pop();
        }
        done
    }

    fn run_all(&mut self, pass: &'static Pass) -> Result<PassReport, PlanError> {
        let facts = self.facts()?;
        let passes = self.passes.clone();
        let mut prepared = self.prepare(&passes, self.options.shaping(), None, &facts)?;
        let mut choices = Vec::with_capacity(prepared.len());
        for chain in &prepared {
            self.stop_if_cancelled()?;
            choices.push(self.choose(chain, &facts));
        }
        let mut report = PassReport {
            pass: pass.name.into(),
            ..PassReport::default()
        };
        left::candidates(&prepared, pass, &mut report);
        let gone = prepare::removed(&prepared, &choices);
        left::folds(
            &self.original.graph,
            &facts,
            &prepared,
            &gone,
            pass,
            &self.options,
            &mut report,
        );
        let names: Vec<&str> = passes.iter().map(|p| p.name).collect();
        let (model, sites) = self.realize(
            &mut prepared,
            &choices,
            &facts,
            &Source::Data(None),
            &names.join(","),
        )?;
        for (label, mut site) in sites {
            if self.seen.insert(label) {
                site.exact &= !pass.retrain;
                if let Rule::Replace { why, .. } = pass.rule {
                    site.why = why.into();
                }
                if pass.retrain {
                    site.why.push_str("; train the network again before use");
                }
                report.sites.push(site);
            }
        }
        self.current = model;
        Ok(report)
    }

    /// What is known of the original's values.
    fn facts(&mut self) -> Result<Arc<Facts>, PlanError> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        let facts = Arc::new(Facts::infer(&self.original.graph, &self.scope)?);
        self.facts = Some(facts.clone());
        Ok(facts)
    }

    fn stop_if_cancelled(&self) -> Result<(), PlanError> {
        if self.options.cancel.load(Ordering::Relaxed) {
            return Err(PlanError::Cancelled);
        }
        Ok(())
    }
}
