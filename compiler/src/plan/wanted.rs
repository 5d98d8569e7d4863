//! What the original's convolutions put out on the calibration data: what those of
//! a rewrite ought to put out.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::calibrate::{Values, in_bulk};
use super::options::{Calibration, Width};
use super::prepare::{Choice, Prepared};
use super::subject::{Subject, Wanted};
use super::weights::Weights;
use super::{Compilation, PlanError};
use crate::facts::Facts;
use crate::fit::FitError;
use crate::ir::Expr;

/// Outputs of the original are kept up to so many bytes, and computed anew
/// beyond.
const KEPT: usize = 1 << 28;

impl Compilation<'_> {
    /// What a convolution ought to put out, batch by batch.
    pub(super) fn wanted(
        &mut self,
        calibration: &dyn Calibration,
        subject: &Subject,
    ) -> Result<Arc<Vec<Wanted>>, PlanError> {
        if let Some(known) = self.wanted.get(&subject.node) {
            return Ok(known.clone());
        }
        let recorded = self.record(calibration, &[subject])?;
        let all = Arc::new(recorded.into_iter().next().unwrap_or_default());
        let size: usize = all.iter().map(Wanted::bytes).sum();
        if size <= self.room() {
            self.wanted.insert(subject.node, all.clone());
        }
        Ok(all)
    }

    /// Records what all convolutions to be fitted ought to put out in one run of the
    /// original, as far as it can be kept.
    pub(super) fn want_ahead(
        &mut self,
        prepared: &[Prepared],
        choices: &[Choice],
        facts: &Facts,
    ) -> Result<(), PlanError> {
        let Some(calibration) = self.options.calibration else {
            return Ok(());
        };
        if self.options.width == Width::Exact {
            return Ok(());
        }
        let mut room = self.room();
        let none = HashMap::new();
        let mut subjects = Vec::new();
        for (chain, choice) in prepared.iter().zip(choices) {
            let weights = Weights {
                expr: &choice.after,
                facts,
                constants: &chain.segment.constants,
                fits: &none,
            };
            for (op, form, w) in choice.edits.iter().flat_map(|e| choice.factorized(e)) {
                let node = chain.segment.nodes[op.site as usize];
                if self.wanted.contains_key(&node) {
                    continue;
                }
                let kernel = weights.kernel(w, form.groups).ok();
                let subject = kernel.and_then(|k| self.subject(chain, op.site, &k, facts));
                let size = subject.as_ref().and_then(|s| {
                    let output = self.original.graph.node(node).outputs.first()?.as_ref()?;
                    let shape = facts.value(*output).shape.as_ref()?;
                    let sizes = shape.iter().skip(1).map(Expr::as_usize);
                    let elements = sizes.product::<Option<usize>>()?;
                    Some(s.bytes(elements.saturating_mul(calibration.samples())))
                });
                if let (Some(subject), Some(size)) = (subject, size)
                    && size <= room
                {
                    room -= size;
                    subjects.push(subject);
                }
            }
        }
        let all: Vec<&Subject> = subjects.iter().collect();
        let recorded = self.record(calibration, &all)?;
        for (subject, wanted) in subjects.iter().zip(recorded) {
            self.wanted.insert(subject.node, Arc::new(wanted));
        }
        Ok(())
    }

    /// Bytes that may still be kept.
    fn room(&self) -> usize {
        let kept = self.wanted.values().flat_map(|all| all.iter());
        KEPT.saturating_sub(kept.map(Wanted::bytes).sum())
    }

    /// One run of the original: what each convolution ought to put out, batch by
    /// batch.
    fn record(
        &self,
        calibration: &dyn Calibration,
        subjects: &[&Subject],
    ) -> Result<Vec<Vec<Wanted>>, PlanError> {
        let mut names: Vec<String> = subjects.iter().flat_map(|s| s.values()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(vec![Vec::new(); subjects.len()]);
        }
        let place = |name: &String| names.binary_search(name).unwrap_or(0);
        let places: Vec<Vec<usize>> = subjects
            .iter()
            .map(|s| s.values().iter().map(place).collect())
            .collect();
        let mut recorded = vec![Vec::new(); subjects.len()];
        in_bulk(calibration, &self.original, &names, &mut |batches| {
            let wanted = |(subject, places): (&&Subject, &Vec<usize>), batch: &Vec<Values>| {
                let values: Vec<&[f32]> = places.iter().map(|&p| &batch[p].1[..]).collect();
                let shape = places.last().map_or(&[][..], |&p| &batch[p].0);
                subject.wanted(shape, &values)
            };
            for (own, all) in subjects.iter().zip(&places).zip(&mut recorded) {
                let found = batches.par_iter().map(|batch| wanted(own, batch));
                let found = found.collect::<Result<Vec<Wanted>, FitError>>();
                all.extend(found.map_err(|error| error.to_string())?);
            }
            Ok(())
        })?;
        Ok(recorded)
    }
}
