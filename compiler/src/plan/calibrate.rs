//! The fit of one edit, in the metric of what the rewritten layers before it
//! really put out.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use super::edit::Edit;
use super::options::{Calibration, Options, Width};
use super::prepare::{Choice, Prepared};
use super::subject::Subject;
use super::weights::{FitKey, Weights, key};
use super::{Compilation, PlanError};
use crate::facts::Facts;
use crate::fit::{self, Fit, FitError, Kernel, Metric, Moments, Seen};
use crate::ir::NodeId;
use crate::model::Model;

/// Relative rounding noise of the map between factors that a fit on data guards
/// against.
const NOISE_ON_DATA: f64 = 1e-3;
/// Relative decrease of the squared error a step below which a fit that goes on
/// from an earlier one has converged: large layers creep for long.
const SETTLED: f64 = 2e-3;
/// Bytes of activations that are looked at at once.
const AT_ONCE: usize = 1 << 24;

/// Options of a fit, in the metric of the data where there are moments.
pub(super) fn fit_options<'a>(
    options: &Options<'a>,
    moments: Option<&'a Moments>,
) -> fit::Options<'a> {
    let default = fit::Options::default();
    fit::Options {
        metric: moments.map_or(Metric::Weight, Metric::Data),
        // The data tell how large the map between the factors is: less has to be
        // guarded against than without.
        noise: moments.map_or(default.noise, |_| NOISE_ON_DATA),
        cancel: Some(options.cancel),
        ..default
    }
}

impl Compilation<'_> {
    /// The fit to the weights alone, which no other layer has a part in: made
    /// once, to rank a candidate and to write it.
    pub(super) fn fit_weights(
        &mut self,
        node: NodeId,
        name: &FitKey,
        kernel: &Kernel,
    ) -> Result<Arc<Fit>, FitError> {
        let content = format!("{node:?} {name:?}");
        if let Some(fit) = self.cache.get(&content) {
            return Ok(fit.clone());
        }
        let options = fit_options(&self.options, None);
        let fit = Arc::new(fit::factorize(kernel, &name.1.form, &options)?);
        self.cache.insert(content, fit.clone());
        Ok(fit)
    }

    /// Computes the fits that an edit needs and that are not known yet; returns
    /// a label of what they are.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn fit(
        &mut self,
        chain: &Prepared,
        choice: &Choice,
        edit: &Edit,
        facts: &Facts,
        rewritten: &Model,
        known: &mut HashMap<FitKey, Arc<Fit>>,
        begin: Option<&HashMap<FitKey, Arc<Fit>>>,
        history: &str,
    ) -> Result<String, PlanError> {
        let mut labels = String::new();
        for (op, form, w) in choice.factorized(edit) {
            let node = chain.names[op.site as usize].clone();
            let fail = |reason: String| PlanError::Fit {
                node: node.clone(),
                reason,
            };
            let weights = Weights {
                expr: &choice.after,
                facts,
                constants: &chain.segment.constants,
                fits: known,
            };
            let kernel = weights.kernel(w, form.groups).map_err(fail)?;
            let name = (key(&choice.after, w), form.clone());
            let label = format!("{node} {name:?};");
            let content = format!("{label} after {history}");
            let failed = |e: FitError| match e {
                FitError::Cancelled => PlanError::Cancelled,
                other => fail(other.to_string()),
            };
            // A lossless chain has the weights for its target.
            let lossless = self.options.width == Width::Exact;
            let fitted = match self.cache.get(&content) {
                Some(fit) => fit.clone(),
                None if lossless || self.options.calibration.is_none() => {
                    let node = chain.segment.nodes[op.site as usize];
                    self.fit_weights(node, &name, &kernel).map_err(failed)?
                }
                None => {
                    let moments = match self.options.calibration {
                        Some(calibration) if !lossless => self
                            .subject(chain, op.site, &kernel, facts)
                            .map(|subject| self.moments(calibration, &subject, rewritten, 1))
                            .transpose()?
                            .and_then(|mut moments| moments.pop()),
                        _ => None,
                    };
                    let mut options = fit_options(&self.options, moments.as_ref());
                    if let Some(fit) = begin.and_then(|b| b.get(&name)) {
                        options.from = Some(&fit.factors);
                        options.starts = 1;
                        options.tolerance = SETTLED;
                    }
                    let fit = fit::factorize(&kernel, &form.form, &options).map_err(failed)?;
                    let fit = Arc::new(fit);
                    self.cache.insert(content, fit.clone());
                    fit
                }
            };
            labels.push_str(&label);
            known.insert(name, fitted);
        }
        Ok(labels)
    }

    /// Moments of the patches that the convolution sees in the rewritten
    /// model, paired with what it puts out in the original; the batches dealt
    /// out to so many `parts`.
    pub(super) fn moments(
        &mut self,
        calibration: &dyn Calibration,
        subject: &Subject,
        rewritten: &Model,
        parts: usize,
    ) -> Result<Vec<Moments>, PlanError> {
        let wanted = self.wanted(calibration, subject)?;
        let mut moments = vec![subject.moments(calibration.samples()); parts.max(1)];
        let parts = moments.len();
        let mut before = 0;
        let names = std::slice::from_ref(&subject.input);
        in_bulk(calibration, rewritten, names, &mut |batches| {
            let own = wanted.get(before..before + batches.len());
            let own = own.ok_or("the two models gave different numbers of samples")?;
            for (part, moments) in moments.iter_mut().enumerate() {
                let batches = batches.iter().zip(own).enumerate();
                let batches = batches.filter(|(b, _)| (before + b) % parts == part);
                let seen: Vec<Seen> = batches
                    .map(|(_, (values, wanted))| subject.seen(&values[0], wanted))
                    .collect();
                let added = moments.accumulate(&subject.window, &seen);
                added.map_err(|error| error.to_string())?;
            }
            before += batches.len();
            Ok(())
        })?;
        Ok(moments)
    }
}

/// Shape and data of one value in one batch.
pub(super) type Values = (Vec<usize>, Vec<f32>);

/// What is done with the values of some batches, in words what fails.
type Digest<'a> = dyn FnMut(&[Vec<Values>]) -> Result<(), String> + 'a;

/// Runs a model on the calibration data and hands out the values of these names,
/// in this order, many batches at once.
pub(super) fn in_bulk(
    calibration: &dyn Calibration,
    model: &Model,
    names: &[String],
    digest: &mut Digest,
) -> Result<(), PlanError> {
    let mut batches: Vec<Vec<Values>> = Vec::new();
    let (mut held, mut outcome) = (0, Ok(()));
    let mut take = |at: usize, shape: &[usize], data: &[f32]| {
        if at == 0 {
            if held >= AT_ONCE {
                if outcome.is_ok() {
                    outcome = digest(&batches);
                }
                batches.clear();
                held = 0;
            }
            batches.push(Vec::with_capacity(names.len()));
        }
        held += size_of_val(data);
        if let Some(batch) = batches.last_mut() {
            batch.push((shape.to_vec(), data.to_vec()));
        }
    };
    calibration
        .activations(&encode(model), names, &mut take)
        .map_err(PlanError::Calibration)?;
    outcome
        .and_then(|()| digest(&batches))
        .map_err(PlanError::Calibration)
}

/// The model as a file.
pub(super) fn encode(model: &Model) -> Vec<u8> {
    model.to_proto().encode_to_vec()
}
