//! Passes as egg rewrites, and the run of the e-graph of one chain.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use egg::{Applier, Id, PatternAst, Rewrite, Runner, SearchMatches, Searcher, Subst, Symbol, Var};

use super::knowledge::{EGraph, Knowledge};
use super::lang::{Chain, OpKey, Term};
use super::lossless::Lossless;
use super::options::{LEFT_OUT, Options, Shaping};
use super::passes::{Pass, Rule};
use super::site::{Candidate, ConvSite};
use super::ways::{Spent, unembedded};
use crate::fit::Kernel;
use crate::ops::Conv;

/// Bounds of a run: by size and iterations, never by the clock, so that a run
/// is the same on every machine.
const MAX_NODES: usize = 40_000;
const MAX_ITERATIONS: usize = 12;

/// What the passes left alone, and what they would like to see gone.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Why a site is not factorized, by pass and site.
    pub skipped: HashMap<(&'static str, u32), String>,
    /// Why a node does not fold, by pass and site.
    pub unfolded: HashMap<(&'static str, u32), String>,
    /// Convolutions that an active pass can replace: the originals are then
    /// not to be chosen again.
    pub replaceable: HashSet<OpKey>,
    /// Chains that were offered.
    pub offered: Vec<Offered>,
    /// The same by what tells them apart.
    known: HashSet<(Id, Chain)>,
}

/// A chain of convolutions that a pass offers for one.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Class of what it puts out.
    pub output: Id,
    /// Class of the weights that it stands for.
    pub weights: Id,
    /// The chain.
    pub chain: Chain,
    /// The convolution.
    pub site: ConvSite,
    /// Its convolutions.
    pub convs: Vec<Conv>,
}

/// Everything that rewriting a chain depends on.
pub struct Context<'a> {
    /// Options of the run.
    pub options: &'a Options<'a>,
    /// What shapes the candidates.
    pub shaping: Shaping,
    /// Names of the chain's nodes, by site.
    pub names: &'a [String],
    /// Which of the chain's constants have their data at hand.
    pub at_hand: &'a [bool],
    /// The convolutions' own weights by site, where lossless widths are wanted.
    pub kernels: HashMap<u32, Arc<Kernel>>,
}

/// Every class with an operator in it: the rules look at the terms themselves.
struct AnyOperator;

impl Searcher<Term, Knowledge> for AnyOperator {
    fn search_eclass_with_limit(
        &self,
        egraph: &EGraph,
        eclass: Id,
        _limit: usize,
    ) -> Option<SearchMatches<'_, Term>> {
        let found = egraph[eclass]
            .nodes
            .iter()
            .any(|t| matches!(t, Term::Op(..)));
        found.then(|| SearchMatches {
            eclass,
            substs: vec![Subst::default()],
            ast: None,
        })
    }

    fn vars(&self) -> Vec<Var> {
        Vec::new()
    }
}

/// A match found: the matched term's class, a term that equals it.
type Found = (Id, Id);

/// Terms that equal an operator term.
type Find = Box<dyn Fn(&mut EGraph, &OpKey, &[Id]) -> Vec<Id> + Send + Sync>;

/// The right side of a rule, with what it needs of the run; egg wants it
/// `'static`, so that the context's parts are owned.
struct Apply {
    find: Find,
}

impl Applier<Term, Knowledge> for Apply {
    fn apply_one(
        &self,
        egraph: &mut EGraph,
        eclass: Id,
        _subst: &Subst,
        _ast: Option<&PatternAst<Term>>,
        rule: Symbol,
    ) -> Vec<Id> {
        let mut found: Vec<Found> = Vec::new();
        for term in egraph[eclass].nodes.clone() {
            let Term::Op(key, children) = &term else {
                continue;
            };
            let Some(from) = egraph.lookup(term.clone()) else {
                continue;
            };
            for to in (self.find)(egraph, key, children) {
                found.push((from, to));
            }
        }
        let mut changed = Vec::new();
        for (from, to) in found {
            // A term of another shape is a defect of the rule; it must not win.
            let same = egraph[from].data.fact.shape == egraph[to].data.fact.shape;
            debug_assert!(same, "{rule} changes the shape");
            if same && egraph.union_trusted(from, to, rule) {
                changed.push(to);
            }
        }
        changed
    }
}

/// A saturated chain.
pub struct Saturated {
    /// The e-graph.
    pub egraph: EGraph,
    /// The class of the chain's output.
    pub root: Id,
    /// What the passes had to say.
    pub notes: Notes,
}

impl Saturated {
    /// What an offer takes; `None` if another way to compute the same beats it.
    pub fn spent(&self, offered: &Offered) -> Option<Spent> {
        self.way(offered, Some(&offered.chain))
    }

    /// What the convolution as it is takes.
    pub fn own(&self, offered: &Offered) -> Option<Spent> {
        self.way(offered, None)
    }

    fn way(&self, offered: &Offered, chain: Option<&Chain>) -> Option<Spent> {
        let weights = unembedded(&self.egraph, offered.weights);
        self.egraph[offered.output].data.ways.spent(weights, chain)
    }
}

/// Runs the passes on the e-graph of a chain.
pub fn saturate(
    egraph: EGraph,
    root: Id,
    passes: &[&'static Pass],
    context: &Context,
) -> Saturated {
    let notes = Arc::new(Mutex::new(Notes::default()));
    let allowed: Arc<Vec<bool>> = Arc::new(
        context
            .names
            .iter()
            .map(|n| context.options.allows(n))
            .collect(),
    );
    let rules: Vec<Rewrite<Term, Knowledge>> = passes
        .iter()
        .copied()
        .filter_map(|pass| {
            let find: Find = match pass.rule {
                Rule::Fold { apply, .. } => {
                    let (allowed, notes) = (allowed.clone(), notes.clone());
                    Box::new(move |egraph, key, children| {
                        if allowed.get(key.site as usize) != Some(&true) {
                            return Vec::new();
                        }
                        apply(egraph, key, children, &mut |reason| {
                            if let Ok(mut notes) = notes.lock() {
                                let site = (pass.name, key.site);
                                notes.unfolded.entry(site).or_insert(reason);
                            }
                        })
                    })
                }
                Rule::Replace { apply, .. } => replacer(apply, &notes, &allowed),
                Rule::Factorize(_) => factorizer(pass, context, &notes, &allowed),
            };
            Rewrite::new(pass.name, AnyOperator, Apply { find }).ok()
        })
        .collect();
    let runner = Runner::<Term, Knowledge>::default()
        .with_egraph(egraph)
        .with_node_limit(MAX_NODES)
        .with_iter_limit(MAX_ITERATIONS)
        .with_time_limit(std::time::Duration::MAX)
        .run(&rules);
    let notes = notes.lock().map(|n| n.clone()).unwrap_or_default();
    Saturated {
        root: runner.egraph.find(root),
        egraph: runner.egraph,
        notes,
    }
}

/// Terms in whose favour the original goes.
fn replacer(
    apply: fn(&mut EGraph, &OpKey, &[Id]) -> Vec<Id>,
    notes: &Arc<Mutex<Notes>>,
    allowed: &Arc<Vec<bool>>,
) -> Find {
    let (notes, allowed) = (notes.clone(), allowed.clone());
    Box::new(move |egraph, key, children| {
        if allowed.get(key.site as usize) != Some(&true) {
            return Vec::new();
        }
        let found = apply(egraph, key, children);
        if !found.is_empty()
            && let Ok(mut notes) = notes.lock()
        {
            notes.replaceable.insert(key.clone());
        }
        found
    })
}

fn factorizer(
    pass: &'static Pass,
    context: &Context,
    notes: &Arc<Mutex<Notes>>,
    allowed: &Arc<Vec<bool>>,
) -> Find {
    let shaping = context.shaping;
    let calibrated = context.options.calibration.is_some();
    let at_hand: Vec<bool> = context.at_hand.to_vec();
    let (notes, allowed) = (notes.clone(), allowed.clone());
    let lossless = Lossless::new(context.kernels.clone());
    Box::new(move |egraph, key, children| {
        let Rule::Factorize(offer) = pass.rule else {
            return Vec::new();
        };
        let skip = |reason: String| {
            if let Ok(mut notes) = notes.lock() {
                notes.skipped.entry((pass.name, key.site)).or_insert(reason);
            }
            Vec::new()
        };
        let site = match ConvSite::read(egraph, key, children) {
            None => return Vec::new(),
            Some(Err(reason)) => return skip(reason),
            Some(Ok(site)) => site,
        };
        // A factor is not factorized again: errors would add up unmeasured.
        if egraph[site.inputs[1]].data.factored {
            return Vec::new();
        }
        let Some(offered) = offer(&site, shaping) else {
            return Vec::new();
        };
        if allowed.get(key.site as usize) != Some(&true) {
            return skip(LEFT_OUT.into());
        }
        if !data_at_hand(egraph, site.inputs[1], &at_hand) {
            return skip(
                "its weights are not at hand: the file with the external data is missing".into(),
            );
        }
        match offered {
            Err(reason) => skip(reason),
            Ok(candidates) => {
                let mut ids = Vec::new();
                for mut candidate in candidates {
                    lossless.narrow(key.site, &mut candidate);
                    let chain = Chain::new(candidate.form.clone(), site.groups);
                    let weights = match candidate.border.as_slice() {
                        [] => site.inputs[1],
                        border => {
                            let zeros = |&b: &usize| u32::try_from(b).unwrap_or(0);
                            let border = border.iter().map(zeros).collect();
                            egraph.add(Term::Embedded(border, [site.inputs[1]]))
                        }
                    };
                    let id = build(
                        egraph,
                        key,
                        &site,
                        &candidate,
                        (&chain, weights),
                        calibrated,
                    );
                    ids.push(id);
                    if let Ok(mut notes) = notes.lock() {
                        let weights = egraph.find(weights);
                        if notes.known.insert((weights, chain.clone())) {
                            notes.offered.push(Offered {
                                output: id,
                                weights,
                                chain,
                                site: site.clone(),
                                convs: candidate.convs.clone(),
                            });
                        }
                    }
                }
                if let Ok(mut notes) = notes.lock() {
                    notes.replaceable.insert(key.clone());
                }
                ids
            }
        }
    })
}

/// Whether all constants that a weight term is made of have their data.
fn data_at_hand(egraph: &EGraph, id: Id, at_hand: &[bool]) -> bool {
    egraph[id].nodes.iter().all(|term| match term {
        Term::Constant(i) => at_hand.get(*i as usize) == Some(&true),
        Term::Scaled(_, ids) => ids.iter().all(|&i| data_at_hand(egraph, i, at_hand)),
        Term::Composed(_, ids) => ids.iter().all(|&i| data_at_hand(egraph, i, at_hand)),
        _ => true,
    })
}

/// The chain of convolutions as terms; the bias stands on the last.
fn build(
    egraph: &mut EGraph,
    key: &OpKey,
    site: &ConvSite,
    candidate: &Candidate,
    (chain, weights): (&Chain, Id),
    calibrated: bool,
) -> Id {
    let [mut flow, own, bias] = site.inputs;
    let has_bias = bias != own && site.has_bias(egraph);
    let last = candidate.convs.len() - 1;
    for (i, conv) in candidate.convs.iter().enumerate() {
        let part = u32::try_from(i).unwrap_or(u32::MAX);
        let factor = egraph.add(Term::Factor(chain.clone(), part, [weights]));
        let mut inputs = vec![flow, factor];
        if i == last && (has_bias || calibrated) {
            let before = if has_bias {
                bias
            } else {
                egraph.add(Term::Missing)
            };
            inputs.push(if calibrated {
                egraph.add(Term::Corrected(chain.clone(), [before, weights]))
            } else {
                before
            });
        }
        let key = OpKey::new("Conv", key.site, Arc::new(conv.clone()));
        flow = egraph.add(Term::Op(key, inputs.into()));
    }
    flow
}
