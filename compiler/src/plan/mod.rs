//! The e-graph side: passes rewrite the chains of a model, the best term is
//! extracted, its weights are computed, a patch puts it into the graph.
//!
//! Passes are added to a [`Compilation`] one by one. Each time all of them run
//! together, from the original model, in one e-graph a chain: their order and
//! combination come out of the e-graph, not of the order in which they were
//! named.

mod calibrate;
mod edit;
mod emit;
mod extract;
pub mod lang;
mod options;
mod passes;
mod saturate;
mod segment;
mod site;
mod weights;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use egg::{AstSize, Extractor, Id, RecExpr};

pub use options::{Calibration, Options, ParseOptionError, Shaping, Sink, StridePlace, Width};
pub use passes::{PASSES, Pass, Rule, find, split};
pub use site::{Candidate, ConvSite};

use crate::facts::{Facts, Scope};
use crate::fit::{self, Fit};
use crate::ir::{Graph, GraphError, NodeId, PatchError, ValueId};
use crate::model::Model;
use edit::Edit;
use lang::{Chain, Term};
use saturate::{Context, Saturated, saturate};
use segment::Segment;
use weights::{FitKey, Weights};

/// Rivals for kernels of at most this many weights are ranked by a fit, for
/// larger ones by a bound.
const FITTED_TO_RANK: usize = 4096;

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
    /// A factorization failed.
    #[error("{node}: {reason}")]
    Fit {
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
    /// The pass.
    pub pass: &'static str,
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
    cache: HashMap<String, Arc<Fit>>,
}

/// The chosen term of one chain.
struct Chosen {
    segment: Segment,
    saturated: Saturated,
    before: RecExpr<Term>,
    after: RecExpr<Term>,
    edits: Vec<Edit>,
    names: Vec<String>,
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
            cache: HashMap::new(),
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
        let mut report = PassReport {
            pass: pass.name,
            ..PassReport::default()
        };
        let facts = Facts::infer(&self.original.graph, &self.scope)?;
        let mut chosen = Vec::new();
        for segment in segment::segments(&self.original.graph, &facts) {
            self.stop_if_cancelled()?;
            chosen.push(self.choose(segment, &facts));
        }
        for chain in &chosen {
            self.collect_skipped(chain, pass, &mut report);
        }
        self.left_folds(&facts, &chosen, pass, &mut report);
        // Sites in execution order over the whole model: each is fitted on what
        // the rewritten layers before it give.
        let rank: HashMap<NodeId, usize> = facts
            .sorted
            .iter()
            .enumerate()
            .map(|(i, &n)| (n, i))
            .collect();
        let mut work: Vec<(usize, usize)> = Vec::new();
        for (c, chain) in chosen.iter().enumerate() {
            work.extend((0..chain.edits.len()).map(|e| (c, e)));
        }
        work.sort_by_key(|&(c, e)| {
            let chain: &Chosen = &chosen[c];
            rank.get(&chain.segment.nodes[chain.edits[e].removed.start])
                .copied()
        });
        let mut next = self.original.clone();
        let total = work.len();
        let mut fits: HashMap<usize, HashMap<FitKey, Arc<Fit>>> = HashMap::new();
        let mut history = String::new();
        for (done, (c, e)) in work.into_iter().enumerate() {
            self.stop_if_cancelled()?;
            let chain = &mut chosen[c];
            let edit = chain.edits[e].clone();
            (self.options.progress)(done, total, &chain.names[edit.removed.start]);
            let known = fits.entry(c).or_default();
            self.fit(chain, &edit, &facts, &next, known, &history)?;
            let weights = Weights {
                expr: &chain.after,
                facts: &facts,
                constants: &chain.segment.constants,
                fits: known,
            };
            let node = chain.names[edit.removed.start].clone();
            let patch = emit::patch(&self.original.graph, &chain.segment, &weights, &edit)
                .map_err(|reason| PlanError::Fit {
                    node: node.clone(),
                    reason,
                })?;
            patch
                .apply(&mut next.graph)
                .map_err(|source| PlanError::Patch { node, source })?;
            let mut site = describe(chain, &edit, &weights, pass);
            if self.options.explain {
                let Chosen {
                    saturated,
                    before,
                    after,
                    ..
                } = chain;
                site.explanation = Some(extract::derivation(saturated, before, after));
            }
            history.push_str(&format!("{}:{:?};", site.node, site.to));
            if self.seen.insert(format!(
                "{} {} {:?} {:?}",
                site.node, site.from, site.to, site.widths
            )) {
                report.sites.push(site);
            }
        }
        (self.options.progress)(total, total, "");
        if total > 0 {
            let names: Vec<&str> = self.passes.iter().map(|p| p.name).collect();
            next.set_metadata(METADATA_KEY, &names.join(","));
        }
        self.current = next;
        Ok(report)
    }

    fn stop_if_cancelled(&self) -> Result<(), PlanError> {
        if self.options.cancel.load(Ordering::Relaxed) {
            return Err(PlanError::Cancelled);
        }
        Ok(())
    }

    /// Saturates one chain and extracts its best term.
    fn choose(&self, segment: Segment, facts: &Facts) -> Chosen {
        let graph = &self.original.graph;
        let (mut egraph, root) = segment.egraph(graph, facts);
        let before = egraph.id_to_expr(root);
        egraph.rebuild();
        let names: Vec<String> = segment.nodes.iter().map(|&n| graph.node_name(n)).collect();
        let at_hand: Vec<bool> = segment
            .constants
            .iter()
            .map(|&v| {
                let tensor = facts.value(v).tensor();
                tensor.is_some_and(|t| !matches!(t.data, crate::ir::TensorData::Absent))
            })
            .collect();
        let context = Context {
            options: &self.options,
            names: &names,
            at_hand: &at_hand,
        };
        let saturated = saturate(egraph, root, &self.passes, &context);
        let errors = self.predict(&saturated, &segment, facts);
        let after = extract::best(&saturated, &errors);
        let edits = edit::edits(&before, &after);
        Chosen {
            segment,
            saturated,
            before,
            after,
            edits,
            names,
        }
    }

    /// Predicted errors of the chains on offer where several compete.
    fn predict(
        &self,
        saturated: &Saturated,
        segment: &Segment,
        facts: &Facts,
    ) -> HashMap<(Id, Chain), f64> {
        let mut errors = HashMap::new();
        let none = HashMap::new();
        for (w, chain, site) in &saturated.notes.offered {
            let w = saturated.egraph.find(*w);
            let rivals = saturated.notes.offered.iter();
            let rivals = rivals.filter(|(other, ..)| saturated.egraph.find(*other) == w);
            if rivals.count() < 2 {
                continue;
            }
            let (_, expr) = Extractor::new(&saturated.egraph, AstSize).find_best(w);
            let weights = Weights {
                expr: &expr,
                facts,
                constants: &segment.constants,
                fits: &none,
            };
            let kernel = weights.kernel(expr.root(), site.groups);
            let error = kernel.ok().and_then(|kernel| {
                let options = calibrate::fit_options(&self.options, None);
                // Small kernels are cheaper to fit than to estimate well.
                if kernel.data.len() <= FITTED_TO_RANK {
                    let fit = fit::factorize(&kernel, &chain.form, &options).ok()?;
                    Some(fit.weight_error)
                } else {
                    fit::predicted_error(&kernel, &chain.form, &options).ok()
                }
            });
            errors.insert((w, chain.clone()), error.unwrap_or(f64::MAX));
        }
        errors
    }

    fn collect_skipped(&self, chain: &Chosen, pass: &'static Pass, report: &mut PassReport) {
        let mut found: Vec<(u32, &String)> = chain
            .saturated
            .notes
            .skipped
            .iter()
            .filter(|((name, _), _)| *name == pass.name)
            .map(|((_, site), reason)| (*site, reason))
            .collect();
        found.sort_unstable();
        for (site, reason) in found {
            report.skipped.push(Skipped {
                node: chain.names[site as usize].clone(),
                reason: reason.clone(),
            });
        }
    }

    /// Why nodes that an exact pass takes away stay.
    fn left_folds(
        &self,
        facts: &Facts,
        chosen: &[Chosen],
        pass: &'static Pass,
        report: &mut PassReport,
    ) {
        let Rule::Fold { takes, .. } = pass.rule else {
            return;
        };
        let graph = &self.original.graph;
        let gone: HashSet<NodeId> = chosen
            .iter()
            .flat_map(|c| {
                let removed = c.edits.iter().flat_map(|e| e.removed.clone());
                removed.map(|i| c.segment.nodes[i])
            })
            .collect();
        for &id in graph.order() {
            if graph.node(id).op == takes
                && !gone.contains(&id)
                && let Some(reason) = left_reason(graph, facts, id, &self.options)
            {
                report.skipped.push(Skipped {
                    node: graph.node_name(id),
                    reason,
                });
            }
        }
    }
}

/// Why a node is not folded into a convolution before it; `None` if it is no
/// candidate (an addition of two branches).
fn left_reason(graph: &Graph, facts: &Facts, id: NodeId, options: &Options) -> Option<String> {
    let node = graph.node(id);
    let data: Vec<ValueId> = node
        .inputs
        .iter()
        .flatten()
        .copied()
        .filter(|&v| !facts.value(v).is_constant())
        .collect();
    let [data] = data.as_slice() else { return None };
    if !options.allows(&graph.node_name(id)) {
        return Some("left out by --only or --skip".into());
    }
    let Some(before) = graph.producer(*data) else {
        return Some("nothing stands before it".into());
    };
    let op = &graph.node(before).op;
    let additive = node.op == "Add";
    if op != "Conv" {
        return (!additive).then(|| format!("it follows {op}, not a convolution"));
    }
    if graph.sole_consumer(*data) != Some(id) {
        return Some("the convolution's output is read elsewhere too".into());
    }
    Some("its constants do not fit the convolution's channels, or are not at hand".into())
}

/// A report of one edit.
fn describe(chain: &Chosen, edit: &Edit, weights: &Weights, pass: &'static Pass) -> Site {
    let ops = emit::Summary::of(weights, &chain.before, edit);
    let node = ops
        .site
        .and_then(|s| chain.names.get(s as usize))
        .unwrap_or(&chain.names[edit.removed.start])
        .clone();
    let offered = chain.saturated.notes.offered.len();
    Site {
        node,
        from: ops.from,
        to: ops.to,
        widths: ops.widths,
        exact: pass.exact || ops.exact,
        weight_error: ops.weight_error,
        output_error: ops.output_error,
        why: ops.why.unwrap_or_else(|| {
            if offered > 1 {
                format!("the least predicted error of {offered} candidates")
            } else {
                "the same outputs with fewer constants and operators".into()
            }
        }),
        explanation: None,
    }
}
