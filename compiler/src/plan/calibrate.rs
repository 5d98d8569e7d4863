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
use crate::fit::{self, Fit, FitError, Kernel, Metric, Moments};
use crate::ir::NodeId;
use crate::model::Model;

/// Relative rounding noise of the map between factors that a fit on data guards
/// against.
const NOISE_ON_DATA: f64 = 1e-3;
/// Relative decrease of the squared error a step below which a fit that goes on
/// from an earlier one has converged: large layers creep for long.
const SETTLED: f64 = 2e-3;

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
        let mut batch = 0;
        let mut trouble = None;
        let mut take = |_: usize, shape: &[usize], data: &[f32]| {
            let Some(wanted) = wanted.get(batch) else {
                trouble = Some("the two models gave different numbers of samples".to_owned());
                return;
            };
            let part = batch % moments.len();
            batch += 1;
            if let Err(error) = subject.add(&mut moments[part], data, shape, wanted) {
                trouble.get_or_insert_with(|| error.to_string());
            }
        };
        let names = std::slice::from_ref(&subject.input);
        calibration
            .activations(&encode(rewritten), names, &mut take)
            .map_err(PlanError::Calibration)?;
        match trouble {
            Some(reason) => Err(PlanError::Calibration(reason)),
            None => Ok(moments),
        }
    }
}

/// The model as a file.
pub(super) fn encode(model: &Model) -> Vec<u8> {
    model.to_proto().encode_to_vec()
}
