//! Choices become a model: the weights of each edit are computed, and a patch
//! puts it into the graph.

use std::collections::HashMap;
use std::sync::Arc;

use super::between;
use super::emit;
use super::extract;
use super::options::Between;
use super::prepare::{Choice, Prepared, removed};
use super::weights::{FitKey, Weights};
use super::{Compilation, METADATA_KEY, PlanError, Site};
use crate::facts::Facts;
use crate::fit::Fit;
use crate::ir::NodeId;
use crate::model::Model;

/// Where the fits of the edits come from.
pub(super) enum Source<'a> {
    /// From the weights, and the calibration data where there are any: each
    /// site in execution order, on what the rewritten layers before it give;
    /// from these fits to the original's activations on, where there are some.
    Data(Option<&'a [HashMap<FitKey, Arc<Fit>>]>),
    /// From an earlier stage, by chain.
    Known(&'a [HashMap<FitKey, Arc<Fit>>]),
}

impl Compilation<'_> {
    /// The original with the choices made, and what was done at each site, with
    /// a label that is equal for equal rewrites.
    pub(super) fn realize(
        &mut self,
        prepared: &mut [Prepared],
        choices: &[Choice],
        facts: &Facts,
        source: &Source,
        passes: &str,
    ) -> Result<(Model, Vec<(String, Site)>), PlanError> {
        let rank: HashMap<NodeId, usize> = facts
            .sorted
            .iter()
            .enumerate()
            .map(|(i, &n)| (n, i))
            .collect();
        let mut work: Vec<(usize, usize)> = Vec::new();
        for (c, choice) in choices.iter().enumerate() {
            work.extend((0..choice.edits.len()).map(|e| (c, e)));
        }
        work.sort_by_key(|&(c, e)| {
            let start = choices[c].edits[e].removed.start;
            rank.get(&prepared[c].segment.nodes[start]).copied()
        });
        let mut next = self.original.clone();
        let total = work.len();
        if let Source::Data(_) = source {
            (self.options.progress)(0, total, "what the original puts out");
            self.want_ahead(prepared, choices, facts)?;
        }
        let mut fits: HashMap<usize, HashMap<FitKey, Arc<Fit>>> = HashMap::new();
        let mut history = String::new();
        let mut sites = Vec::with_capacity(total);
        let mut rectified = Vec::new();
        for (done, (c, e)) in work.into_iter().enumerate() {
            self.stop_if_cancelled()?;
            let (chain, choice) = (&prepared[c], &choices[c]);
            let edit = &choice.edits[e];
            let node = chain.names[edit.removed.start].clone();
            (self.options.progress)(done, total, &node);
            let known = fits.entry(c).or_default();
            match source {
                Source::Data(begin) => {
                    let begin = begin.map(|all| &all[c]);
                    let label =
                        self.fit(chain, choice, edit, facts, &next, known, begin, &history)?;
                    history.push_str(&label);
                }
                Source::Known(all) => known.extend(all[c].clone()),
            }
            let weights = Weights {
                expr: &choice.after,
                facts,
                constants: &chain.segment.constants,
                fits: known,
            };
            let patch = emit::patch(&self.original.graph, &chain.segment, &weights, edit).map_err(
                |reason| PlanError::Fit {
                    node: node.clone(),
                    reason,
                },
            )?;
            let new = patch
                .apply(&mut next.graph)
                .map_err(|source| PlanError::Patch { node, source })?;
            let factors = between::factors(&choice.after, edit, &new);
            let mut site = emit::Summary::of(&weights, &chain.before, edit).site(chain, edit);
            let label = format!(
                "{} {} {:?} {:?}",
                site.node, site.from, site.to, site.widths
            );
            if self.options.explain {
                let Prepared {
                    saturated, before, ..
                } = &mut prepared[c];
                let derivation = extract::derivation(saturated, before, &choice.after);
                site.explanation = Some(derivation);
            }
            if self.options.between == Between::Relu && factors.len() > 1 {
                between::tell(&mut site);
                rectified.push(factors);
            }
            sites.push((label, site));
        }
        if let Source::Data(_) = source {
            if sites.iter().any(|(_, site)| !site.exact) {
                let gone = removed(prepared, choices);
                let readouts = self.refit_readouts(&mut next, facts, &gone)?;
                sites.extend(readouts.into_iter().map(|site| (site.node.clone(), site)));
            }
            self.rectify(&mut next, &rectified)?;
        }
        (self.options.progress)(total, total, "");
        if total > 0 {
            next.set_metadata(METADATA_KEY, passes);
        }
        Ok((next, sites))
    }
}
