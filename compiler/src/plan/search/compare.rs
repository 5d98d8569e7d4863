//! Fits for comparison, from one start each, side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::super::calibrate::fit_options;
use super::super::options::Options;
use super::PlanError;
use super::offer::Layer;
use crate::fit::{self, Fit, FitError, Form};

/// How long a fit goes on.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Most steps.
    pub steps: usize,
    /// Relative decrease of the squared error below which it has converged.
    pub settled: f64,
}

/// Most forms have converged soon; those of close fits to large kernels would look
/// much worse than they are if all were cut alike.
pub(super) const SHORT: Effort = Effort {
    steps: 25,
    settled: 0.12,
};

/// A fit to be made.
pub(super) struct Job<'a> {
    pub layer: &'a Layer,
    pub form: &'a Form,
    /// An earlier one to go on from.
    pub begin: Option<Arc<Fit>>,
}

/// Makes fits in parallel. `None` for a form that cannot be fitted: it does not
/// compete.
pub(super) fn side_by_side(
    plan: &Options,
    jobs: &[Job],
    effort: Effort,
) -> Result<Vec<Option<Arc<Fit>>>, PlanError> {
    let done = AtomicUsize::new(0);
    jobs.par_iter()
        .map(|job| {
            let options = fit::Options {
                starts: 1,
                from: job.begin.as_ref().map(|fit| &fit.factors[..]),
                iterations: effort.steps,
                tolerance: effort.settled,
                polish: 0,
                ..fit_options(plan, job.layer.moments.as_ref())
            };
            let fit = fit::factorize(&job.layer.kernel, job.form, &options);
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            (plan.progress)(count, jobs.len(), &job.layer.node);
            match fit {
                Ok(fit) => Ok(Some(Arc::new(fit))),
                Err(FitError::Cancelled) => Err(PlanError::Cancelled),
                Err(_) => Ok(None),
            }
        })
        .collect()
}

/// Root of the share that a fit loses: of the output's variance where there are
/// data, else of the weights.
pub(super) fn lost(fit: &Fit) -> f64 {
    fit.output_error.unwrap_or(fit.weight_error)
}
