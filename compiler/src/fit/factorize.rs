//! The fit of a whole kernel.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use super::form::tap_table;
use super::group::{fit_group, weights};
use super::linalg::Matrix;
use super::minimize::{Descent, Limits};
use super::problem::Problem;
use super::regression::Aim;
use super::report::{even_out, report};
use super::tangent::{Chain, Link};
use super::weighing::Weighing;
use super::{FitError, Form, Kernel, Moments};

/// Relative weight error below which a chain counts as lossless.
pub(super) const EXACT: f64 = 1e-9;

/// In what an error in the weights is measured.
#[derive(Debug, Clone, Copy, Default)]
pub enum Metric<'a> {
    /// All weights alike: the Frobenius norm.
    #[default]
    Weight,
    /// The layer's output over the patches these moments describe. If the
    /// moments are paired, the recorded outputs are the target, not the kernel.
    Data(&'a Moments),
}

/// How to fit.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// In what the error is measured.
    pub metric: Metric<'a>,
    /// Starting points; the first is deterministic, the others random.
    pub starts: usize,
    /// Factors to begin from instead of the first starting point; the last one is
    /// solved for anew.
    pub from: Option<&'a [Kernel]>,
    /// Most steps for the start that wins.
    pub iterations: usize,
    /// Relative decrease of the squared error a step below which a descent has
    /// converged.
    pub tolerance: f64,
    /// Added to the patches' covariance, relative to its mean eigenvalue.
    pub ridge: f64,
    /// Relative rounding noise of the map between the factors that the fit
    /// guards against: it keeps the factors from growing large and cancelling
    /// each other. Dropped where the kernel can be met exactly.
    pub noise: f64,
    /// Steps in the finer metric of weighted moments.
    pub polish: usize,
    /// Seed of the random starts.
    pub seed: u64,
    /// Raise it to stop early with [`FitError::Cancelled`].
    pub cancel: Option<&'a AtomicBool>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            metric: Metric::Weight,
            starts: 4,
            from: None,
            iterations: 60,
            tolerance: 1e-3,
            ridge: 1e-6,
            noise: 1e-2,
            polish: 10,
            seed: 0,
            cancel: None,
        }
    }
}

/// A fitted chain.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The factors' kernels in execution order.
    pub factors: Vec<Kernel>,
    /// What to add to the bias, a channel, so that the mean output is right:
    /// `(W − W')·mean patch`. Only in the data metric.
    pub bias_correction: Option<Vec<f64>>,
    /// `‖W − W'‖ / ‖W‖`.
    pub weight_error: f64,
    /// Root of the share of the output's variance over the calibration patches
    /// that is lost. Only in the data metric.
    pub output_error: Option<f64>,
    /// `‖|A| ∗ |B| ∗ …‖ / ‖A ∗ B ∗ …‖`: how much the factors cancel, and so by how
    /// much rounding in the maps between them can grow.
    pub amplification: f64,
    /// Whether the chain reproduces the kernel to rounding.
    pub exact: bool,
    /// Steps that the winning descents took, the most over the groups.
    pub iterations: usize,
}

/// Fits a chain of convolutions of the shape `form` to `kernel`.
///
/// # Errors
/// [`FitError`] for kernels that are empty or not finite, forms that cannot
/// stand for the kernel, moments of another kernel, and cancellation.
pub fn factorize(kernel: &Kernel, form: &Form, options: &Options<'_>) -> Result<Fit, FitError> {
    kernel.check()?;
    form.check(kernel)?;
    if let Metric::Data(moments) = options.metric
        && !moments.fits(kernel)
    {
        return Err(FitError::Shape(
            "the moments belong to a kernel of another shape".into(),
        ));
    }
    if let Some(factors) = options.from {
        let sizes = factors.iter().map(|f| f.data.len());
        if !sizes.eq(form.sizes(kernel.channels())) {
            return Err(FitError::Shape(
                "the factors to begin from have another form".into(),
            ));
        }
    }
    let groups = (0..kernel.groups)
        .into_par_iter()
        .map(|g| fit(kernel, form, g, options))
        .collect::<Result<Vec<_>, _>>()?;
    let mut factors = Vec::with_capacity(form.factors.len());
    let mut channels = kernel.channels();
    for (f, shape) in form.factors.iter().enumerate() {
        factors.push(Kernel {
            out: shape.width,
            inp: channels / shape.groups,
            spatial: shape.spatial.clone(),
            groups: shape.groups,
            data: groups
                .iter()
                .flat_map(|g| g.parts[f].iter().copied())
                .collect(),
        });
        channels = shape.width;
    }
    even_out(&mut factors);
    let steps: Vec<_> = form.factors.iter().map(|f| f.step.clone()).collect();
    let most = groups.iter().map(|g| g.steps).max().unwrap_or(0);
    report(kernel, factors, &steps, most, options.metric)
}

/// The weights of one group's factors, and the steps that they took.
struct Fitted {
    parts: Vec<Vec<f64>>,
    steps: usize,
}

/// The weights of one group of the original in all factors but the last.
fn before_last(factors: &[Kernel], kernel: &Kernel, g: usize) -> Vec<f64> {
    let before = factors.iter().take(factors.len().saturating_sub(1));
    let own = |f: &Kernel| {
        let size = f.data.len() / kernel.groups;
        f.data[g * size..(g + 1) * size].to_vec()
    };
    before.flat_map(own).collect()
}

fn fit(kernel: &Kernel, form: &Form, g: usize, options: &Options<'_>) -> Result<Fitted, FitError> {
    let mut chain = links(kernel, form);
    let (out, n) = (kernel.out / kernel.groups, kernel.inp * kernel.taps());
    let original = Matrix::from_vec(out, n, kernel.group(g).to_vec());
    let aim = match options.metric {
        Metric::Weight => Aim {
            kernel: original,
            coarse: Weighing::Alike,
            fine: None,
            second: None,
        },
        Metric::Data(moments) => Aim::new(moments, g, &original, options.ridge)?,
    };
    let Some(last) = chain.pop() else {
        return Err(FitError::Empty);
    };
    if chain.is_empty() {
        return Ok(Fitted {
            parts: vec![aim.kernel.data],
            steps: 0,
        });
    }
    let zeros = chain
        .iter()
        .chain([&last])
        .map(|l| vec![0.0; l.len()])
        .collect();
    let chain = Chain::new(kernel.inp, chain);
    let (target, second) = (aim.kernel, aim.second);
    let problem = |weighing| {
        let (chain, last, target) = (chain.clone(), last.clone(), target.clone());
        Problem::new(
            kernel.taps(),
            chain,
            last,
            target,
            weighing,
            second.as_ref(),
        )
    };
    let coarse = problem(aim.coarse);
    if coarse.energy <= 0.0 {
        return Ok(Fitted {
            parts: zeros,
            steps: 0,
        });
    }
    let limits = Limits {
        iterations: options.iterations,
        tolerance: options.tolerance,
        cancel: options.cancel,
    };
    // Rounding enters at every map between.
    let noise = options.noise * coarse.chain.links.len() as f64;
    let known = options.from.map(|factors| before_last(factors, kernel, g));
    let best = fit_group(&coarse, known, options.starts, options.seed, noise, &limits)?;
    let Some(fine) = aim.fine else {
        return Ok(Fitted {
            parts: weights(&coarse, &best),
            steps: best.steps,
        });
    };
    let fine = problem(fine);
    let mut finer = Descent::new(&fine, best.theta, noise)?;
    finer.run(
        &fine,
        &Limits {
            iterations: options.polish,
            ..limits
        },
    )?;
    Ok(Fitted {
        parts: weights(&fine, &finer),
        steps: best.steps + finer.steps,
    })
}

/// The form within one group of the kernel.
fn links(kernel: &Kernel, form: &Form) -> Vec<Link> {
    let mut channels = kernel.channels();
    let mut links = Vec::with_capacity(form.factors.len());
    for f in &form.factors {
        links.push(Link {
            width: f.width / kernel.groups,
            groups: f.groups / kernel.groups,
            inp: channels / f.groups,
            offsets: tap_table(&kernel.spatial, &f.spatial, &f.step),
        });
        channels = f.width;
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::FactorShape;
    use crate::fit::rng::Rng;

    fn kernel(groups: usize) -> Kernel {
        let mut rng = Rng::seeded(3, &[]);
        let (out, inp, spatial) = (8, 4, vec![5, 5]);
        Kernel {
            data: (0..out * inp * 25).map(|_| rng.normal()).collect(),
            out,
            inp,
            spatial,
            groups,
        }
    }

    fn form(kernel: &Kernel, width: usize) -> Form {
        let factor = |width| FactorShape::new(vec![3, 3], width, kernel.groups);
        Form {
            factors: vec![factor(width), factor(kernel.out)],
        }
    }

    #[test]
    fn a_fit_goes_on_from_factors() {
        for groups in [1, 2] {
            let kernel = kernel(groups);
            let form = form(&kernel, 6);
            let short = Options {
                starts: 1,
                iterations: 4,
                tolerance: 0.0,
                ..Options::default()
            };
            let begun = factorize(&kernel, &form, &short).unwrap();
            let options = Options {
                from: Some(&begun.factors),
                ..short
            };
            let on = factorize(&kernel, &form, &options).unwrap();
            let through = Options {
                iterations: 8,
                ..short
            };
            let through = factorize(&kernel, &form, &through).unwrap();
            assert!(on.weight_error < 0.999 * begun.weight_error, "{groups}");
            let gap = on.weight_error / through.weight_error - 1.0;
            assert!(gap.abs() < 0.02, "{groups}: {gap}");
        }
    }

    #[test]
    fn factors_of_another_form_are_refused() {
        let kernel = kernel(1);
        let narrow = factorize(&kernel, &form(&kernel, 2), &Options::default()).unwrap();
        let options = Options {
            from: Some(&narrow.factors),
            ..Options::default()
        };
        let found = factorize(&kernel, &form(&kernel, 3), &options);
        assert!(matches!(found, Err(FitError::Shape(_))));
    }
}
