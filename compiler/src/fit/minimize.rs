//! Levenberg and Marquardt's method on the projected problem.

use std::sync::atomic::{AtomicBool, Ordering};

use super::FitError;
use super::curvature::Curvature;
use super::last::Solution;
use super::linalg::{Cholesky, Matrix, axpy, dot, eigen, mul, roughly_eigen, transposed};
use super::problem::Problem;

/// When to stop.
#[derive(Clone, Copy)]
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
    /// Weight of the noise term.
    rho: f64,
    damping: f64,
    idle: usize,
    pub steps: usize,
    converged: bool,
}

/// Relative squared error that counts as none.
const NOTHING: f64 = 1e-26;
/// Most conjugate gradient steps a step, and the reduction of the residual's
/// norm at which they stop.
const INNER: usize = 60;
const FORCING: f64 = 0.1;
/// Steps in a row that hardly help, after which a descent has converged.
const PATIENCE: usize = 3;

impl Descent {
    /// `noise` is the relative noise of the map between the factors.
    pub fn new(problem: &Problem, theta: Vec<f64>, noise: f64) -> Result<Self, FitError> {
        let theta = balanced(problem, theta);
        let rho = noise * noise;
        let solution = problem.solve(&theta, rho)?;
        Ok(Self {
            theta,
            solution,
            rho,
            damping: 1e-2,
            idle: 0,
            steps: 0,
            converged: false,
        })
    }

    pub fn objective(&self) -> f64 {
        self.solution.objective()
    }

    /// Takes up to `limits.iterations` further steps.
    pub fn run(&mut self, problem: &Problem, limits: &Limits<'_>) -> Result<(), FitError> {
        for _ in 0..limits.iterations {
            if self.solution.error <= NOTHING {
                break;
            }
            if limits.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Err(FitError::Cancelled);
            }
            // Where noise is all that is left, the kernel can be met exactly.
            if self.rho > 0.0 && self.solution.error < self.solution.noise {
                self.rho = if self.rho > 1e-15 {
                    self.rho * 1e-3
                } else {
                    0.0
                };
                self.solution = problem.solve(&self.theta, self.rho)?;
                self.converged = false;
                self.idle = 0;
            }
            if self.converged {
                break;
            }
            self.step(problem, limits.tolerance)?;
        }
        Ok(())
    }

    /// One accepted step, or none if no damping helps.
    fn step(&mut self, problem: &Problem, tolerance: f64) -> Result<(), FitError> {
        self.steps += 1;
        let gradient = problem.gradient(&self.theta, &self.solution, self.rho);
        let curvature = problem.curvature(&self.theta, &self.solution, self.rho)?;
        let scale = Scale::new(problem, &curvature, &gradient, self.rho)?;
        for _ in 0..6 {
            let path = conjugate(&curvature, &scale, &gradient, self.damping * scale.size);
            let mut take = path.len();
            // Too far for the model: go back along the path that led there.
            while take > 0 {
                let (change, promised) = &path[take - 1];
                let mut theta = self.theta.clone();
                axpy(&mut theta, 1.0, change);
                let theta = balanced(problem, theta);
                let solution = problem.solve(&theta, self.rho)?;
                let gain = self.objective() - solution.objective();
                if gain > 0.0 && gain.is_finite() {
                    let ratio = 0.5 * gain / promised.max(f64::MIN_POSITIVE);
                    self.damping *= match ratio {
                        _ if take < path.len() => 4.0,
                        r if r > 0.7 => 0.1,
                        r if r > 0.25 => 0.3,
                        _ => 4.0,
                    };
                    self.damping = self.damping.max(1e-12);
                    let small = gain <= tolerance * self.objective();
                    self.idle = if small { self.idle + 1 } else { 0 };
                    self.converged = self.idle >= PATIENCE;
                    self.theta = theta;
                    self.solution = solution;
                    return Ok(());
                }
                take /= 2;
            }
            self.damping *= 30.0;
        }
        self.converged = true;
        Ok(())
    }
}

/// Eigenvalues and eigenvectors (rows) of the `K` of a preconditioner `U ⊗ K` in
/// the metric `V`, `row·V·rowᵀ = 1`.
struct Inner {
    values: Vec<f64>,
    rows: Matrix,
}

impl Inner {
    /// `L⁻¹·K·L⁻ᵀ = Q·Λ·Qᵀ`, `V = L·Lᵀ`; rows are `Qᵀ·L⁻¹`.
    fn new(kernel: &Matrix, lower: &Cholesky) -> Result<Self, FitError> {
        let mut half = kernel.clone();
        lower.half_solve_rows(&mut half);
        let mut white = transposed(&half);
        lower.half_solve_rows(&mut white);
        let (values, vectors) = roughly_eigen(&white)?;
        let mut rows = transposed(&vectors);
        lower.half_solve_rows_transposed(&mut rows);
        Ok(Self { values, rows })
    }
}

/// What a change of the parameters weighs, for damping, and an inverse of the
/// damped curvature that is nearly right, for preconditioning.
struct Scale<'a> {
    /// `V`, the metric under the window of `B`, where the parameters are `B`.
    weight: Option<&'a Matrix>,
    /// `H ≈ U ⊗ K`: eigenvalues and eigenvectors (rows) of `U`.
    outer: Option<(Vec<f64>, Matrix)>,
    /// `None` where `K` is the identity.
    inner: Option<Inner>,
    size: f64,
    rho: f64,
}

impl<'a> Scale<'a> {
    fn new(
        problem: &'a Problem,
        curvature: &Curvature<'_>,
        g: &[f64],
        rho: f64,
    ) -> Result<Self, FitError> {
        if !problem.chain.is_identity() {
            let probe = curvature.apply(g);
            let size = dot(&probe, g) / dot(g, g).max(f64::MIN_POSITIVE);
            return Ok(Self {
                weight: None,
                outer: None,
                inner: None,
                size,
                rho,
            });
        }
        let kernel = problem.root().map(|_| curvature.inner());
        let u = curvature.outer(kernel.as_ref());
        let inner = match (&kernel, problem.root()) {
            (Some(kernel), Some(lower)) => Some(Inner::new(kernel, lower)?),
            _ => None,
        };
        let mut size = u.trace() / u.rows as f64;
        if let Some(inner) = &inner {
            size *= inner.values.iter().sum::<f64>() / inner.values.len() as f64;
        }
        let (values, vectors) = eigen(&u)?;
        Ok(Self {
            weight: problem.weight.as_ref(),
            outer: Some((values, transposed(&vectors))),
            inner,
            size,
            rho,
        })
    }

    /// `(I ⊗ V)·x`.
    fn weigh(&self, x: &[f64]) -> Vec<f64> {
        match self.weight {
            Some(v) => {
                let x = Matrix::from_vec(x.len() / v.rows, v.rows, x.to_vec());
                mul(x.view(), v.view()).data
            }
            None => x.to_vec(),
        }
    }

    /// `(U ⊗ K + μ·I ⊗ V)⁻¹·r`.
    fn inverse(&self, r: &[f64], mu: f64) -> Vec<f64> {
        let Some((u, left)) = &self.outer else {
            return r.to_vec();
        };
        let q = r.len() / left.rows;
        let rows = Matrix::from_vec(left.rows, q, r.to_vec());
        let mut turned = mul(left.view(), rows.view());
        if let Some(inner) = &self.inner {
            turned = mul(turned.view(), inner.rows.t());
        }
        let one = [1.0];
        let k = self.inner.as_ref().map_or(&one[..], |inner| &inner.values);
        for (row, u) in turned.data.chunks_exact_mut(q).zip(u) {
            for (value, k) in row.iter_mut().zip(k.iter().cycle()) {
                *value /= u.max(0.0) * (k.max(0.0) + self.rho) + mu;
            }
        }
        let mut back = mul(left.t(), turned.view());
        if let Some(inner) = &self.inner {
            back = mul(back.view(), inner.rows.view());
        }
        back.data
    }
}

/// The way towards `−(H + μ·I⊗V)⁻¹ g` that preconditioned conjugate gradients
/// take: each iterate, and by how much the model says it lowers half the error.
fn conjugate(
    curvature: &Curvature<'_>,
    scale: &Scale<'_>,
    gradient: &[f64],
    mu: f64,
) -> Vec<(Vec<f64>, f64)> {
    let mut x = vec![0.0; gradient.len()];
    let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut eased = scale.inverse(&rest, mu);
    let mut direction = eased.clone();
    let start = dot(&rest, &eased);
    let mut norm = start;
    let mut path = Vec::new();
    let mut promised = 0.0;
    for _ in 0..INNER {
        if norm <= FORCING * FORCING * start {
            break;
        }
        let mut applied = curvature.apply(&direction);
        axpy(&mut applied, mu, &scale.weigh(&direction));
        let bend = dot(&direction, &applied);
        if bend <= 0.0 {
            break;
        }
        let alpha = norm / bend;
        axpy(&mut x, alpha, &direction);
        promised += 0.5 * alpha * norm;
        path.push((x.clone(), promised));
        axpy(&mut rest, -alpha, &applied);
        eased = scale.inverse(&rest, mu);
        let next = dot(&rest, &eased);
        let beta = next / norm;
        norm = next;
        direction
            .iter_mut()
            .zip(&eased)
            .for_each(|(d, r)| *d = r + beta * *d);
    }
    path
}

/// The same chain in a gauge where the numbers are tame. `A` is solved anew for
/// every `B`, so any invertible mixture of the rows of `B` that the last factor
/// can undo is free: orthonormal rows where it sees them all, unit rows else.
fn balanced(problem: &Problem, mut theta: Vec<f64>) -> Vec<f64> {
    let chain = &problem.chain;
    let width = chain.width();
    if chain.is_identity() && problem.last.groups == 1 && width * width <= theta.len() {
        let b = Matrix::from_vec(width, theta.len() / width, theta);
        return orthonormal(b, problem.weight.as_ref()).data;
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

/// Rows that span the same and are orthonormal in the metric `weight`: twice by
/// the Cholesky factor of their Gram matrix. Rows that depend on others are
/// scaled alone.
fn orthonormal(mut b: Matrix, weight: Option<&Matrix>) -> Matrix {
    let gram = |b: &Matrix| {
        let weighed = weight.map(|v| mul(b.view(), v.view()));
        mul(weighed.as_ref().unwrap_or(b).view(), b.t())
    };
    let squares = gram(&b);
    let width = b.cols;
    let rows = b.data.chunks_exact_mut(width);
    for (row, square) in rows.zip(squares.data.iter().step_by(squares.cols + 1)) {
        if *square > 0.0 {
            row.iter_mut().for_each(|v| *v /= square.sqrt());
        }
    }
    for _ in 0..2 {
        let Some(lower) = Cholesky::of_definite(&gram(&b)) else {
            break;
        };
        lower.half_solve_columns(&mut b);
    }
    b
}
