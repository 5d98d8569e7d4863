//! The fit of a whole kernel.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use super::compose::compose;
use super::form::tap_table;
use super::group::fit_group;
use super::linalg::{Matrix, dot, mul};
use super::minimize::Limits;
use super::problem::Problem;
use super::tangent::{Chain, Link};
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
    /// Most steps for the start that wins.
    pub iterations: usize,
    /// Relative decrease of the squared error a step below which a descent has
    /// converged.
    pub tolerance: f64,
    /// Added to the patches' covariance, relative to its mean eigenvalue.
    pub ridge: f64,
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
            iterations: 60,
            tolerance: 1e-4,
            ridge: 1e-6,
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
    let limits = Limits {
        iterations: options.iterations,
        tolerance: options.tolerance,
        cancel: options.cancel,
    };
    let groups = (0..kernel.groups)
        .into_par_iter()
        .map(|g| group(kernel, form, g, options, &limits))
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
    report(
        kernel,
        factors,
        &steps,
        groups.iter().map(|g| g.steps).max().unwrap_or(0),
        options,
    )
}

struct Fitted {
    parts: Vec<Vec<f64>>,
    steps: usize,
}

fn group(
    kernel: &Kernel,
    form: &Form,
    g: usize,
    options: &Options<'_>,
    limits: &Limits<'_>,
) -> Result<Fitted, FitError> {
    let links = links(kernel, form);
    let (out, n) = (kernel.out / kernel.groups, kernel.inp * kernel.taps());
    let weights = Matrix::from_vec(out, n, kernel.group(g).to_vec());
    let (target, metric) = match options.metric {
        Metric::Weight => (weights, None),
        Metric::Data(moments) => {
            let mut metric = moments.centred(g);
            let floor = options.ridge * metric.trace() / n as f64;
            let target = match moments.regression(g, &weights, floor)? {
                Some(regression) => regression.kernel,
                None => weights,
            };
            metric.add_to_diagonal(floor);
            // A window that never varies says nothing: weigh all weights alike.
            let metric = (metric.trace() > 0.0).then_some(metric);
            (target, metric)
        }
    };
    if links.len() == 1 {
        return Ok(Fitted {
            parts: vec![target.data],
            steps: 0,
        });
    }
    let (chain, last) = links.split_at(links.len() - 1);
    let chain = Chain::new(kernel.inp, chain.to_vec());
    let problem = Problem::new(kernel.taps(), chain, last[0].clone(), target, metric);
    if problem.energy <= 0.0 {
        return Ok(Fitted {
            parts: links.iter().map(|l| vec![0.0; l.len()]).collect(),
            steps: 0,
        });
    }
    let (parts, steps) = fit_group(&problem, options.starts, options.seed, limits)?;
    Ok(Fitted { parts, steps })
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

/// Gives neighbouring factors the same root mean square a middle channel, so
/// that neither leaves the range of a half-precision float.
fn even_out(factors: &mut [Kernel]) {
    for f in 1..factors.len() {
        let (head, tail) = factors.split_at_mut(f);
        let (first, next) = (&mut head[f - 1], &mut tail[0]);
        let row = first.data.len() / first.out;
        let taps = next.taps();
        let per_group = next.out / next.groups;
        for m in 0..first.out {
            let b = &mut first.data[m * row..(m + 1) * row];
            let outputs = m / next.inp * per_group..(m / next.inp + 1) * per_group;
            let at = |o: usize| (o * next.inp + m % next.inp) * taps;
            let mean = |square: f64, count: usize| (square / count as f64).sqrt();
            let b_size = mean(dot(b, b), row);
            let a_square: f64 = outputs
                .clone()
                .map(|o| {
                    let a = &next.data[at(o)..at(o) + taps];
                    dot(a, a)
                })
                .sum();
            let a_size = mean(a_square, outputs.len() * taps);
            if b_size > 0.0 && a_size > 0.0 {
                let scale = (a_size / b_size).sqrt();
                b.iter_mut().for_each(|v| *v *= scale);
                for o in outputs {
                    next.data[at(o)..at(o) + taps]
                        .iter_mut()
                        .for_each(|v| *v /= scale);
                }
            }
        }
    }
}

/// What the chain loses, measured on the kernel that it really composes to.
fn report(
    kernel: &Kernel,
    factors: Vec<Kernel>,
    steps: &[Vec<usize>],
    iterations: usize,
    options: &Options<'_>,
) -> Result<Fit, FitError> {
    let whole = compose(&factors, steps)?;
    let (out, n) = (kernel.out / kernel.groups, kernel.inp * kernel.taps());
    let (mut lost, mut bias) = (0.0, Vec::new());
    let (mut data_lost, mut data_all) = (0.0, 0.0);
    for g in 0..kernel.groups {
        let weights = Matrix::from_vec(out, n, kernel.group(g).to_vec());
        let made = Matrix::from_vec(out, n, group_of(&whole, kernel, g));
        let rest = difference(&weights, &made);
        lost += dot(&rest.data, &rest.data);
        let Metric::Data(moments) = options.metric else {
            continue;
        };
        let covariance = moments.centred(g);
        let floor = options.ridge * covariance.trace() / n as f64;
        let mean = moments.mean(g);
        let spread = |m: &Matrix| dot(&m.data, &mul(m.view(), covariance.view()).data);
        match moments.regression(g, &weights, floor)? {
            Some(regression) => {
                bias.extend(
                    made.data
                        .chunks_exact(n)
                        .zip(&regression.mean)
                        .map(|(w, y)| y - dot(w, &mean)),
                );
                data_lost +=
                    regression.unexplained + spread(&difference(&regression.kernel, &made));
                data_all += regression.unexplained + spread(&regression.kernel);
            }
            None => {
                bias.extend(rest.data.chunks_exact(n).map(|row| dot(row, &mean)));
                data_lost += spread(&rest);
                data_all += spread(&weights);
            }
        }
    }
    let norm = kernel.norm();
    let relative = |lost: f64, all: f64| {
        if all > 0.0 {
            (lost.max(0.0) / all).sqrt()
        } else {
            0.0
        }
    };
    let weight_error = relative(lost, norm * norm);
    let data = matches!(options.metric, Metric::Data(_));
    Ok(Fit {
        factors,
        bias_correction: data.then_some(bias),
        weight_error,
        output_error: data.then(|| relative(data_lost, data_all)),
        exact: weight_error <= EXACT,
        iterations,
    })
}

fn difference(a: &Matrix, b: &Matrix) -> Matrix {
    let data = a.data.iter().zip(&b.data).map(|(a, b)| a - b).collect();
    Matrix::from_vec(a.rows, a.cols, data)
}

/// The weights of one group of `kernel`'s grouping in a chain that composed to
/// `whole`, which may have more groups.
fn group_of(whole: &Kernel, kernel: &Kernel, g: usize) -> Vec<f64> {
    if whole.groups == kernel.groups {
        return whole.group(g).to_vec();
    }
    let (out, taps) = (kernel.out / kernel.groups, kernel.taps());
    let mut dense = vec![0.0; out * kernel.inp * taps];
    let row = whole.inp * taps;
    for o in 0..out {
        let from = g * out + o;
        let first = from / (whole.out / whole.groups) * whole.inp - g * kernel.inp;
        dense[(o * kernel.inp + first) * taps..][..row]
            .copy_from_slice(&whole.data[from * row..(from + 1) * row]);
    }
    dense
}
