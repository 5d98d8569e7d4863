//! The chains of a model, saturated, and the term that is chosen for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use egg::{AstSize, Extractor, Id, RecExpr};

use super::calibrate;
use super::edit::{self, Edit};
use super::extract;
use super::lang::{Chain, OpKey, Term};
use super::options::{Shaping, Width};
use super::passes::Pass;
use super::saturate::{Context, Offered, Saturated, saturate};
use super::search::Goal;
use super::segment::{self, Segment};
use super::weights::{Weights, key};
use super::{Compilation, PlanError};
use crate::facts::Facts;
use crate::fit::{self, Kernel};
use crate::ir::{NodeId, TensorData};
use crate::ops::Conv;

/// Rivals for kernels of at most this many weights are ranked by a fit, for
/// larger ones by a bound.
const FITTED_TO_RANK: usize = 4096;
/// Kernels of at most this many weights have their lossless width searched; for
/// larger ones it is the one that is lossless by construction.
const SEARCHED: usize = 1 << 15;

/// A chain with everything that the passes make of it.
pub(super) struct Prepared {
    pub segment: Segment,
    pub saturated: Saturated,
    pub before: RecExpr<Term>,
    /// Names of its nodes.
    pub names: Vec<String>,
}

/// The term that stands for a chain.
pub(super) struct Choice {
    pub after: RecExpr<Term>,
    pub edits: Vec<Edit>,
}

impl Choice {
    pub fn new(chain: &Prepared, after: RecExpr<Term>) -> Self {
        Self {
            edits: edit::edits(&chain.before, &after),
            after,
        }
    }

    /// What an edit writes as chains: the convolution, the chain, and the weights
    /// that it stands for.
    pub fn factorized<'c>(
        &'c self,
        edit: &'c Edit,
    ) -> impl Iterator<Item = (&'c OpKey, &'c Chain, Id)> {
        edit.inserted.iter().filter_map(|&id| {
            let Term::Op(op, children) = &self.after[id] else {
                return None;
            };
            match &self.after[*children.get(1)?] {
                Term::Factor(chain, 0, [w]) => Some((op, chain, *w)),
                _ => None,
            }
        })
    }
}

/// The nodes that the choices take away.
pub(super) fn removed(prepared: &[Prepared], choices: &[Choice]) -> HashSet<NodeId> {
    let pairs = prepared.iter().zip(choices);
    pairs
        .flat_map(|(chain, choice)| {
            let places = choice.edits.iter().flat_map(|e| e.removed.clone());
            places.map(|i| chain.segment.nodes[i])
        })
        .collect()
}

impl Compilation<'_> {
    /// The chains of the original, each saturated with these passes; in a search,
    /// for a goal.
    pub(super) fn prepare(
        &self,
        passes: &[&'static Pass],
        shaping: Shaping,
        goal: Option<Goal>,
        facts: &Facts,
    ) -> Result<Vec<Prepared>, PlanError> {
        let graph = &self.original.graph;
        let mut prepared = Vec::new();
        let stays = |node| self.options.skips(&graph.node_name(node));
        for segment in segment::segments(graph, facts, &stays) {
            self.stop_if_cancelled()?;
            let (mut egraph, root) = segment.egraph(graph, facts, goal);
            let before = egraph.id_to_expr(root);
            egraph.rebuild();
            let names: Vec<String> = segment.nodes.iter().map(|&n| graph.node_name(n)).collect();
            let at_hand: Vec<bool> = segment
                .constants
                .iter()
                .map(|&v| {
                    let tensor = facts.value(v).tensor();
                    tensor.is_some_and(|t| !matches!(t.data, TensorData::Absent))
                })
                .collect();
            let context = Context {
                options: &self.options,
                shaping,
                names: &names,
                at_hand: &at_hand,
                kernels: self.kernels(&segment, shaping, facts),
            };
            let saturated = saturate(egraph, root, passes, &context);
            prepared.push(Prepared {
                segment,
                saturated,
                before,
                names,
            });
        }
        Ok(prepared)
    }

    /// The weights of a chain's convolutions, where lossless widths are wanted and
    /// can be searched in reasonable time.
    fn kernels(
        &self,
        segment: &Segment,
        shaping: Shaping,
        facts: &Facts,
    ) -> HashMap<u32, Arc<Kernel>> {
        if shaping.width != Width::Exact {
            return HashMap::new();
        }
        let kernel = |&id: &NodeId| {
            let conv = facts.operator(id)?.downcast::<Conv>()?;
            let value = self
                .original
                .graph
                .node(id)
                .inputs
                .get(1)
                .copied()
                .flatten()?;
            let tensor = facts.value(value).tensor()?;
            let [out, inp, spatial @ ..] = tensor.shape.as_slice() else {
                return None;
            };
            let groups = usize::try_from(conv.groups).ok()?;
            let data = tensor.to_f64().filter(|d| d.len() <= SEARCHED)?;
            Kernel::new(*out, *inp, spatial.to_vec(), groups, data).ok()
        };
        let nodes = segment.nodes.iter().enumerate();
        nodes
            .filter_map(|(i, id)| Some((u32::try_from(i).ok()?, Arc::new(kernel(id)?))))
            .collect()
    }

    /// The best term of a chain by predicted error, then size.
    pub(super) fn choose(&mut self, chain: &Prepared, facts: &Facts) -> Choice {
        let errors = self.predict(chain, facts);
        let replaceable = &chain.saturated.notes.replaceable;
        let after = extract::best(&chain.saturated, &errors, &|key| replaceable.contains(key));
        Choice::new(chain, after)
    }

    /// Predicted errors of the chains on offer where several compete.
    fn predict(&mut self, chain: &Prepared, facts: &Facts) -> HashMap<(Id, Chain), f64> {
        let saturated = &chain.saturated;
        let mut errors = HashMap::new();
        let none = HashMap::new();
        let class = |offer: &Offered| saturated.egraph.find(offer.weights);
        let mut rivals: HashMap<Id, usize> = HashMap::new();
        for offer in &saturated.notes.offered {
            *rivals.entry(class(offer)).or_default() += 1;
        }
        let smallest = Extractor::new(&saturated.egraph, AstSize);
        for offer in &saturated.notes.offered {
            let w = class(offer);
            if rivals[&w] < 2 {
                continue;
            }
            let (_, expr) = smallest.find_best(w);
            let weights = Weights {
                expr: &expr,
                facts,
                constants: &chain.segment.constants,
                fits: &none,
            };
            let kernel = weights.kernel(expr.root(), offer.site.groups);
            let error = kernel.ok().and_then(|kernel| {
                // Small kernels are cheaper to fit than to estimate well.
                if kernel.data.len() <= FITTED_TO_RANK {
                    let node = chain.segment.nodes[offer.site.site as usize];
                    let name = (key(&expr, expr.root()), offer.chain.clone());
                    let fit = self.fit_weights(node, &name, &kernel).ok()?;
                    Some(fit.weight_error)
                } else {
                    let options = calibrate::fit_options(&self.options, None);
                    fit::predicted_error(&kernel, &offer.chain.form, &options).ok()
                }
            });
            errors.insert((w, offer.chain.clone()), error.unwrap_or(f64::MAX));
        }
        errors
    }
}
