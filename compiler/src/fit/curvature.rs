//! The Gauss-Newton matrix of the projected problem.

use faer::Accum;
use rayon::prelude::*;

use super::FitError;
use super::linalg::{Matrix, axpy, dot, mul, mul_into, symmetric_into, transposed};
use super::problem::{Block, Problem, Solution};
use super::weighing::Weighing;

/// Taps of the last factor of which all pairs are looked at.
const FEW: usize = 9;

/// `H`, the Gauss-Newton matrix of half the relative squared error.
pub(super) struct Curvature<'a> {
    problem: &'a Problem,
    theta: &'a [f64],
    at: &'a Solution,
    /// `Π = M − M·B̃ᵀ·G⁻¹·B̃·M` of each block in the mean metric; empty in the
    /// identity.
    projected: Vec<Matrix>,
    rho: f64,
}

impl<'a> Curvature<'a> {
    pub fn new(
        problem: &'a Problem,
        theta: &'a [f64],
        at: &'a Solution,
        rho: f64,
    ) -> Result<Self, FitError> {
        let mut projected = Vec::new();
        if let Some(metric) = problem.weighing.mean() {
            for block in &at.blocks {
                let own;
                let normal = match &block.normals[..] {
                    [one] => one,
                    _ => {
                        own = problem.normal(&block.b, &block.moments, rho, Some(metric))?;
                        &own
                    }
                };
                let mut solved = transposed(&normal.images);
                normal.gram.solve_rows(&mut solved);
                let mut left = metric.clone();
                symmetric_into(&mut left, solved.view(), normal.images.view(), -1.0);
                left.mirror();
                projected.push(left);
            }
        }
        Ok(Self {
            problem,
            theta,
            at,
            projected,
            rho,
        })
    }

    /// `H·v`.
    pub fn apply(&self, v: &[f64]) -> Vec<f64> {
        let p = self.problem;
        let d = p.chain.push(self.theta, &self.at.prefixes, v);
        let mut parts = Vec::with_capacity(self.at.blocks.len());
        for (s, block) in self.at.blocks.iter().enumerate() {
            let d = d.rows_of(s, block.b.rows);
            let seen = self.project(s, block, p.expand(&block.a, &d));
            let mut g = mul(block.a.t(), p.shifts(&seen).view());
            // The noise term, as if `A` did not answer to it.
            let own = mul(block.a.t(), block.a.view());
            mul_into(
                &mut g,
                Accum::Add,
                own.view(),
                p.loaded(&d).view(),
                self.rho,
            );
            parts.push(g);
        }
        let mut g = Matrix::stacked(parts);
        g.data.iter_mut().for_each(|v| *v /= p.energy);
        p.chain.pull(self.theta, &self.at.prefixes, g)
    }

    /// `moved·Π`: what the last factor cannot follow, in the metric.
    fn project(&self, s: usize, block: &Block, moved: Matrix) -> Matrix {
        let p = self.problem;
        match &p.weighing {
            Weighing::Shared(_) => mul(moved.view(), self.projected[s].view()),
            Weighing::Alike => {
                let pull = mul(p.shifts(&moved).view(), block.b.t());
                let follow = p.best_last(&pull, &block.normals);
                let followed = p.expand(&follow, &block.b);
                let mut rest = moved;
                rest.data
                    .iter_mut()
                    .zip(&followed.data)
                    .for_each(|(r, f)| *r -= f);
                rest
            }
            Weighing::Each { .. } => {
                let n = moved.cols;
                let mut seen = p.weighing.image(&moved, s * p.outputs());
                seen.data
                    .par_chunks_mut(n)
                    .zip(&block.normals)
                    .enumerate()
                    .for_each(|(o, (seen, normal))| {
                        let row = Matrix::from_vec(n, 1, moved.row(o).to_vec());
                        let mut follow = mul(normal.images.view(), row.view());
                        normal.gram.solve_slice(&mut follow.data);
                        let followed = mul(follow.t(), normal.images.view());
                        seen.iter_mut()
                            .zip(&followed.data)
                            .for_each(|(s, f)| *s -= f);
                    });
                seen
            }
        }
    }

    /// `U ⊗ K`, nearly the Gauss-Newton matrix by `B`: one step of power iteration
    /// towards the nearest Kronecker product (Van Loan and Pitsianis 1993) of
    /// `H = Σ_{y,y'} C_yy' ⊗ Π_yy'`, `C = AᵀA`. Of many taps `y`, those pairs are
    /// taken in which a tap meets itself. `K` is `None` in the identity metric.
    pub fn kronecker(&self) -> (Matrix, Option<Matrix>) {
        let p = self.problem;
        let (width, taps, q) = (p.chain.width(), p.columns.len(), p.columns[0].len());
        let pairs: Vec<(usize, usize)> = (0..taps)
            .flat_map(|y| (0..taps).map(move |y2| (y, y2)))
            .filter(|(y, y2)| taps <= FEW || y == y2)
            .collect();
        let products = |block: &Block| -> Vec<Matrix> {
            let out = block.a.rows / taps;
            let own: Vec<Matrix> = (0..taps).map(|y| block.a.rows_of(y, out)).collect();
            let products = pairs.iter();
            products
                .map(|&(y, y2)| mul(own[y].t(), own[y2].view()))
                .collect()
        };
        let products: Vec<Vec<Matrix>> = self.at.blocks.iter().map(products).collect();
        // Gathered anew where it is needed: all of them at once may be gigabytes.
        let seen =
            |left: &Matrix, (y, y2): (usize, usize)| left.gather(&p.columns[y], &p.columns[y2]);
        let mut k = (!self.projected.is_empty()).then(|| Matrix::zeros(q, q));
        if let Some(k) = &mut k {
            for (left, products) in self.projected.iter().zip(&products) {
                for (c, &pair) in products.iter().zip(&pairs) {
                    axpy(&mut k.data, c.trace(), &seen(left, pair).data);
                }
            }
            let mean = (k.trace() / q as f64).max(f64::MIN_POSITIVE);
            k.data.iter_mut().for_each(|v| *v /= mean);
        }
        let norm = k.as_ref().map_or(q as f64, |k| dot(&k.data, &k.data));
        let mut u = Matrix::zeros(width, width);
        let mut first = 0;
        for (s, block) in self.at.blocks.iter().enumerate() {
            for (c, &pair) in products[s].iter().zip(&pairs) {
                let weight = match &k {
                    Some(k) => dot(&k.data, &seen(&self.projected[s], pair).data),
                    None if pair.0 == pair.1 => q as f64,
                    None => continue,
                };
                for r in 0..c.rows {
                    let to = &mut u.data[(first + r) * width + first..][..c.cols];
                    axpy(to, weight / norm / p.energy, c.row(r));
                }
            }
            first += block.b.rows;
        }
        (u, k)
    }
}
