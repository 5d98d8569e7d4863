//! What a fit aims at: a kernel for each output channel, and the metric of its
//! error.

use rayon::prelude::*;

use super::FitError;
use super::linalg::{Cholesky, Matrix, axpy, dot, mul, mul_into};
use super::moments::Moments;
use super::sums::Sums;
use super::weighing::Weighing;

/// Share of the covariance over all patches in the metric of one channel, so
/// that a channel that hardly ever matters stays sane.
const BLEND: f64 = 1e-2;

/// Target and metric of one group.
pub(super) struct Aim {
    /// The kernel that gives the wanted outputs best, `out × n`.
    pub kernel: Matrix,
    /// The metric to fit in first.
    pub coarse: Weighing,
    /// The finer one to finish in, if the moments are weighted.
    pub fine: Option<Weighing>,
    /// Second moments of the patches, mean included; `None` without data.
    pub second: Option<Matrix>,
}

impl Aim {
    /// `weights` is the original kernel, `ridge` relative to the covariance's
    /// mean eigenvalue.
    pub fn new(
        moments: &Moments,
        group: usize,
        weights: &Matrix,
        ridge: f64,
    ) -> Result<Self, FitError> {
        let all = moments.all(group);
        let covariance = all.covariance();
        let mut damped = covariance.clone();
        damped.add_to_diagonal(ridge * covariance.trace() / covariance.rows as f64);
        if damped.trace() <= 0.0 {
            // Patches that never vary say nothing: weigh all weights alike.
            let kernel = weights.clone();
            return Ok(Self {
                kernel,
                coarse: Weighing::Alike,
                fine: None,
                second: None,
            });
        }
        let mean = all.mean_x();
        let mut second = damped.clone();
        for (r, m) in mean.iter().enumerate() {
            axpy(second.row_mut(r), *m, &mean);
        }
        let second = Some(second);
        let kernel = regress(&all.cross(), weights, &covariance, &damped)?;
        if moments.each(group).is_empty() {
            return Ok(Self {
                kernel,
                coarse: Weighing::Shared(damped),
                fine: None,
                second,
            });
        }
        let own: Vec<(Matrix, Matrix)> = moments
            .each(group)
            .par_iter()
            .enumerate()
            .map(|(o, sums)| own_metric(sums, moments.samples(), &kernel.rows_of(o, 1), &damped))
            .collect::<Result<_, _>>()?;
        let (kernels, rows): (Vec<Matrix>, Vec<Matrix>) = own.into_iter().unzip();
        let mut mean = Matrix::zeros(damped.rows, damped.cols);
        for row in &rows {
            let share = 1.0 / rows.len() as f64;
            mean.data
                .iter_mut()
                .zip(&row.data)
                .for_each(|(m, r)| *m += share * r);
        }
        Ok(Self {
            kernel: Matrix::stacked(kernels),
            coarse: Weighing::Shared(mean.clone()),
            fine: Some(Weighing::Each { mean, rows }),
            second,
        })
    }
}

/// Kernel and metric of one channel over the patches on which it matters, drawn
/// a little towards those over all patches.
fn own_metric(
    sums: &Sums,
    samples: f64,
    prior: &Matrix,
    damped: &Matrix,
) -> Result<(Matrix, Matrix), FitError> {
    let covariance = sums.covariance();
    let mut metric = covariance.clone();
    metric
        .data
        .iter_mut()
        .zip(&damped.data)
        .for_each(|(m, d)| *m += BLEND * d);
    let kernel = regress(&sums.cross(), prior, &covariance, &metric)?;
    let share = (sums.weight / samples.max(1.0)).max(BLEND);
    metric.data.iter_mut().for_each(|m| *m *= share);
    Ok((kernel, metric))
}

/// `W + (C_yx − W·Σ)·(Σ + damping)⁻¹`: the best kernel, drawn towards `prior`.
pub(super) fn regress(
    cross: &Matrix,
    prior: &Matrix,
    covariance: &Matrix,
    damped: &Matrix,
) -> Result<Matrix, FitError> {
    if cross.rows == 0 {
        return Ok(prior.clone());
    }
    let mut step = cross.clone();
    mul_into(
        &mut step,
        faer::Accum::Add,
        prior.view(),
        covariance.view(),
        -1.0,
    );
    Cholesky::new(damped, 0.0)?.solve_rows(&mut step);
    step.data
        .iter_mut()
        .zip(&prior.data)
        .for_each(|(s, w)| *s += w);
    Ok(step)
}

/// How a kernel does against what was wanted.
#[derive(Default)]
pub(super) struct Judgement {
    /// Variance of the wanted outputs that it loses.
    pub lost: f64,
    /// Their variance.
    pub all: f64,
    /// What to add to the bias, a channel.
    pub bias: Vec<f64>,
}

/// Judges the kernel `made` of one group against the recorded outputs, or, where
/// there are none, against those of `weights`.
pub(super) fn judge(moments: &Moments, group: usize, weights: &Matrix, made: &Matrix) -> Judgement {
    let mut judged = Judgement::default();
    let each = moments.each(group);
    if each.is_empty() {
        let all = moments.all(group);
        judged.add(all, &all.covariance(), 1.0, weights, made);
    }
    for (o, sums) in each.iter().enumerate() {
        let share = sums.weight / moments.samples().max(1.0);
        // A channel that never matters still wants its mean.
        let sums = if sums.weight > 0.0 {
            sums
        } else {
            &moments.all(group).channel(o)
        };
        let (weights, made) = (weights.rows_of(o, 1), made.rows_of(o, 1));
        judged.add(sums, &sums.covariance(), share, &weights, &made);
    }
    judged
}

impl Judgement {
    /// Adds the channels of these sums, whose patches have this covariance.
    pub fn add(
        &mut self,
        sums: &Sums,
        covariance: &Matrix,
        share: f64,
        weights: &Matrix,
        made: &Matrix,
    ) {
        let spread = |m: &Matrix| dot(&m.data, &mul(m.view(), covariance.view()).data);
        let mean = sums.mean_x();
        if sums.y.is_empty() {
            let mut rest = weights.clone();
            rest.data
                .iter_mut()
                .zip(&made.data)
                .for_each(|(r, m)| *r -= m);
            self.lost += share * spread(&rest);
            self.all += share * spread(weights);
            self.bias
                .extend(rest.data.chunks_exact(rest.cols).map(|row| dot(row, &mean)));
            return;
        }
        // var (y − W'x) = var y − 2⟨W', C_yx⟩ + ⟨W', W'Σ⟩
        let variance: f64 = sums.variance().iter().sum();
        let met = 2.0 * dot(&made.data, &sums.cross().data) - spread(made);
        self.lost += share * (variance - met).max(0.0);
        self.all += share * variance;
        let have = made.data.chunks_exact(made.cols).map(|row| dot(row, &mean));
        self.bias
            .extend(sums.mean_y().iter().zip(have).map(|(y, have)| y - have));
    }
}
