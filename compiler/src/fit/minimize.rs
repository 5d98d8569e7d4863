//! Levenberg and Marquardt's method on the projected problem.

use std::sync::atomic::{AtomicBool, Ordering};

use super::FitError;
use super::linalg::{Cholesky, Matrix, axpy, dot, mul};
use super::problem::{Curvature, Problem, Solution};

/// Parameters up to which the Gauss-Newton matrix is formed and factorized;
/// above, conjugate gradients apply it.
const DENSE: usize = 1000;

/// When to stop.
pub(super) struct Limits<'a> {
    pub iterations: usize,
    /// Relative decrease of the squared error below which a step counts as none.
    pub tolerance: f64,
    pub cancel: Option<&'a AtomicBool>,
}

/// A descent that can be interrupted and continued.
pub(super) struct Descent {
    pub theta: Vec<f64>,
    pub solution: Solution,
    damping: f64,
    growth: f64,
    idle: usize,
    pub steps: usize,
    pub converged: bool,
}

/// Relative squared error that counts as none.
const NOTHING: f64 = 1e-26;

impl Descent {
    pub fn new(problem: &Problem, theta: Vec<f64>) -> Result<Self, FitError> {
        let theta = balanced(problem, theta);
        let solution = problem.solve(&theta, 0.0)?;
        let converged = solution.error <= NOTHING;
        Ok(Self {
            theta,
            solution,
            damping: 1e-2,
            growth: 2.0,
            idle: 0,
            steps: 0,
            converged,
        })
    }

    pub fn error(&self) -> f64 {
        self.solution.error
    }

    /// Takes up to `limits.iterations` further steps.
    pub fn run(&mut self, problem: &Problem, limits: &Limits<'_>) -> Result<(), FitError> {
        for _ in 0..limits.iterations {
            if self.converged {
                break;
            }
            if limits.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Err(FitError::Cancelled);
            }
            self.step(problem, limits.tolerance)?;
        }
        Ok(())
    }

    /// One accepted step, or none if no damping helps.
    fn step(&mut self, problem: &Problem, tolerance: f64) -> Result<(), FitError> {
        self.steps += 1;
        let gradient = problem.gradient(&self.theta, &self.solution);
        let curvature = problem.curvature(&self.theta, &self.solution);
        let dense = (gradient.len() <= DENSE)
            .then(|| curvature.dense())
            .flatten();
        let size = gradient.len() as f64;
        let scale = match &dense {
            Some(h) => h.trace() / size,
            None => {
                let probe = curvature.apply(&gradient);
                dot(&probe, &gradient) / dot(&gradient, &gradient).max(f64::MIN_POSITIVE)
            }
        };
        for _ in 0..12 {
            let mu = self.damping * scale;
            let change = match &dense {
                Some(h) => direct(h, &gradient, mu)?,
                None => conjugate(&curvature, &gradient, mu, 60),
            };
            // Decrease that the quadratic model promises, of half the error.
            let bent = match &dense {
                Some(h) => {
                    mul(
                        h.view(),
                        Matrix::from_vec(change.len(), 1, change.clone()).view(),
                    )
                    .data
                }
                None => curvature.apply(&change),
            };
            let promised = -dot(&gradient, &change) - 0.5 * dot(&change, &bent);
            let mut theta = self.theta.clone();
            axpy(&mut theta, 1.0, &change);
            let theta = balanced(problem, theta);
            let solution = problem.solve(&theta, 0.0)?;
            let gain = 0.5 * (self.solution.error - solution.error);
            if gain > 0.0 && gain.is_finite() {
                let ratio = gain / promised.max(f64::MIN_POSITIVE);
                self.damping *= (1.0 - (2.0 * ratio - 1.0).powi(3)).clamp(0.1, 2.0);
                self.damping = self.damping.max(1e-12);
                self.growth = 2.0;
                let small = 2.0 * gain <= tolerance * self.solution.error;
                self.idle = if small { self.idle + 1 } else { 0 };
                self.theta = theta;
                self.solution = solution;
                self.converged = self.idle >= 3 || self.solution.error <= NOTHING;
                return Ok(());
            }
            self.damping *= self.growth;
            self.growth *= 2.0;
            if promised <= 1e-14 * self.solution.error {
                break;
            }
        }
        self.converged = true;
        Ok(())
    }
}

/// `−(H + μI)⁻¹ g`.
fn direct(h: &Matrix, gradient: &[f64], mu: f64) -> Result<Vec<f64>, FitError> {
    let mut step = Matrix::from_vec(1, gradient.len(), gradient.iter().map(|g| -g).collect());
    Cholesky::new(h, mu)?.solve_rows(&mut step);
    Ok(step.data)
}

/// `−(H + μI)⁻¹ g`, nearly, by conjugate gradients.
fn conjugate(curvature: &Curvature<'_>, gradient: &[f64], mu: f64, steps: usize) -> Vec<f64> {
    let mut x = vec![0.0; gradient.len()];
    let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut direction = rest.clone();
    let start = dot(&rest, &rest);
    let mut norm = start;
    for _ in 0..steps {
        if norm <= 1e-6 * start {
            break;
        }
        let mut applied = curvature.apply(&direction);
        axpy(&mut applied, mu, &direction);
        let bend = dot(&direction, &applied);
        if bend <= 0.0 {
            break;
        }
        let alpha = norm / bend;
        axpy(&mut x, alpha, &direction);
        axpy(&mut rest, -alpha, &applied);
        let next = dot(&rest, &rest);
        let beta = next / norm;
        norm = next;
        direction
            .iter_mut()
            .zip(&rest)
            .for_each(|(d, r)| *d = r + beta * *d);
    }
    x
}

/// The same chain in a gauge where the numbers are tame. `A` is solved anew for
/// every `B`, so any invertible mixture of the rows of `B` that the last factor
/// can undo is free: orthonormal rows where it sees them all, unit rows else.
fn balanced(problem: &Problem, mut theta: Vec<f64>) -> Vec<f64> {
    let chain = &problem.chain;
    let width = chain.width();
    if chain.is_identity() && problem.last.groups == 1 && width * width <= theta.len() {
        let b = Matrix::from_vec(width, theta.len() / width, theta);
        return orthonormal(b).data;
    }
    // Rows of the link next to the last are free to scale.
    let parts = chain.links.len();
    let end = theta.len();
    let start = end - chain.links[parts - 1].len();
    for row in theta[start..end].chunks_exact_mut((end - start) / width) {
        let norm = dot(row, row).sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|v| *v /= norm);
        }
    }
    theta
}

/// Gram-Schmidt, twice; rows that depend on earlier ones are left as they are.
fn orthonormal(mut b: Matrix) -> Matrix {
    for r in 0..b.rows {
        let before = b.row(r).to_vec();
        let full = dot(&before, &before).sqrt();
        for _ in 0..2 {
            for q in 0..r {
                let (head, tail) = b.data.split_at_mut(r * b.cols);
                let basis = &head[q * b.cols..(q + 1) * b.cols];
                let row = &mut tail[..b.cols];
                let along = dot(basis, row);
                axpy(row, -along, basis);
            }
        }
        let norm = dot(b.row(r), b.row(r)).sqrt();
        if norm > 1e-12 * full && norm > 0.0 {
            b.row_mut(r).iter_mut().for_each(|v| *v /= norm);
        } else if full > 0.0 {
            b.row_mut(r).copy_from_slice(&before);
            b.row_mut(r).iter_mut().for_each(|v| *v /= full);
        }
    }
    b
}
