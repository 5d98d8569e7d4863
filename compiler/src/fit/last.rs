//! The last factor, solved for.

use faer::Accum;
use rayon::prelude::*;

use super::FitError;
use super::linalg::{Cholesky, Matrix, axpy, dot, mul, mul_into, swap_axes};
use super::problem::Problem;
use super::weighing::Weighing;

/// Relative squared error below which every digit counts.
const CLOSE: f64 = 1e-8;

/// The last factor at its best for some `B`, and what is left over.
pub(super) struct Solution {
    pub prefixes: Vec<Matrix>,
    pub blocks: Vec<Block>,
    /// Relative squared error.
    pub error: f64,
    /// The noise term, relative as the error.
    pub noise: f64,
}

impl Solution {
    /// What the descent lowers.
    pub fn objective(&self) -> f64 {
        self.error + self.noise
    }
}

/// One group of the last factor: it reads its own channels of `B`.
pub(super) struct Block {
    /// Its rows of `B`.
    pub b: Matrix,
    /// `(y · out) × channels`.
    pub a: Matrix,
    /// `N`: second moments of the map that these channels make.
    pub moments: Matrix,
    /// One for all output channels, or one for each.
    pub normals: Vec<Normal>,
    /// `(W − W')·M`.
    pub residual: Matrix,
}

/// The normal equations of the last factor in one metric.
pub(super) struct Normal {
    /// `B̃·M`, `(y · channels) × n`.
    pub images: Matrix,
    /// `G = B̃·M·B̃ᵀ + ρ·(1 ⊗ N)`.
    pub gram: Cholesky,
}

impl Problem {
    /// The best last factor for the parameters `theta`.
    pub fn solve(&self, theta: &[f64], rho: f64) -> Result<Solution, FitError> {
        let prefixes = self.chain.prefixes(theta);
        let b = &prefixes[prefixes.len() - 1];
        let mut blocks = Vec::with_capacity(self.last.groups);
        let (mut error, mut noise) = (0.0, 0.0);
        for s in 0..self.last.groups {
            let (block, left) = self.solve_block(s, b.rows_of(s, self.last.inp), rho)?;
            error += left;
            noise += rho
                * dot(
                    &mul(block.a.view(), block.moments.view()).data,
                    &block.a.data,
                );
            blocks.push(block);
        }
        let share = if self.energy > 0.0 {
            1.0 / self.energy
        } else {
            0.0
        };
        Ok(Solution {
            prefixes,
            blocks,
            error: error * share,
            noise: noise * share,
        })
    }

    fn solve_block(&self, s: usize, b: Matrix, rho: f64) -> Result<(Block, f64), FitError> {
        let (out, taps) = (self.outputs(), self.columns.len());
        let mut moments = mul(self.loaded(&b).view(), b.t());
        moments.symmetrize();
        let normals = match &self.weighing {
            Weighing::Each { rows, .. } => rows[s * out..(s + 1) * out]
                .par_iter()
                .map(|metric| self.normal(&b, &moments, rho, Some(metric)))
                .collect::<Result<_, _>>()?,
            other => vec![self.normal(&b, &moments, rho, other.mean())?],
        };
        let target = self.target.rows_of(s, out);
        let image = self.image.rows_of(s, out);
        // A from the normal equations, then one round of refinement, which
        // gives back the accuracy that squaring the condition number took: it
        // matters where next to nothing is left over.
        let mut a = Matrix::zeros(taps * out, b.rows);
        let mut left = (target.clone(), image.clone());
        for round in 0..2 {
            let mut pull = mul(self.shifts(&left.1).view(), b.t());
            mul_into(&mut pull, Accum::Add, a.view(), moments.view(), -rho);
            let step = self.best_last(&pull, &normals);
            a.data.iter_mut().zip(&step.data).for_each(|(a, s)| *a += s);
            let made = self.expand(&a, &b);
            let mut rest = target.clone();
            rest.data
                .iter_mut()
                .zip(&made.data)
                .for_each(|(r, w)| *r -= w);
            if let (0, Weighing::Shared(_), [one]) = (round, &self.weighing, &normals[..]) {
                // Without the whole metric: its products with B are known.
                let a = swap_axes(&a, taps, out, b.rows);
                let mut image = image.clone();
                mul_into(&mut image, Accum::Add, a.view(), one.images.view(), -1.0);
                if dot(&rest.data, &image.data) > CLOSE * self.energy {
                    left = (rest, image);
                    break;
                }
            }
            let image = self.weighing.image(&rest, s * out);
            left = (rest, image);
        }
        let error = dot(&left.0.data, &left.1.data).max(0.0);
        Ok((
            Block {
                b,
                a,
                moments,
                normals,
                residual: left.1,
            },
            error,
        ))
    }

    /// `G` and `B̃·M` in the metric `metric`, by taps `y`.
    pub fn normal(
        &self,
        b: &Matrix,
        moments: &Matrix,
        rho: f64,
        metric: Option<&Matrix>,
    ) -> Result<Normal, FitError> {
        let (n, taps, m) = (self.n(), self.columns.len(), b.rows);
        let images = match metric {
            Some(metric) => {
                let mut images = Matrix::zeros(taps * m, n);
                for (y, columns) in self.columns.iter().enumerate() {
                    let mut rows = Vec::with_capacity(columns.len() * n);
                    columns
                        .iter()
                        .for_each(|c| rows.extend_from_slice(metric.row(*c)));
                    let rows = Matrix::from_vec(columns.len(), n, rows);
                    let part = mul(b.view(), rows.view());
                    images.data[y * m * n..(y + 1) * m * n].copy_from_slice(&part.data);
                }
                images
            }
            None => self.spread(b),
        };
        let mut gram = Matrix::zeros(taps * m, taps * m);
        for (y, columns) in self.columns.iter().enumerate() {
            let mut met = Vec::with_capacity((taps - y) * m * columns.len());
            for r in y * m..taps * m {
                let row = images.row(r);
                met.extend(columns.iter().map(|c| row[*c]));
            }
            let met = Matrix::from_vec((taps - y) * m, columns.len(), met);
            let part = mul(met.view(), b.t());
            for (r, row) in part.data.chunks_exact(m).enumerate() {
                let to = &mut gram.data[(y * m + r) * taps * m + y * m..][..m];
                to.copy_from_slice(row);
                if r < m {
                    axpy(to, rho, moments.row(r));
                }
            }
        }
        Ok(Normal {
            images,
            gram: Cholesky::new(&gram, 0.0)?,
        })
    }

    /// `pull·G⁻¹`, for `pull` and result `(y · out) × channels`.
    pub fn best_last(&self, pull: &Matrix, normals: &[Normal]) -> Matrix {
        let (taps, m) = (self.columns.len(), pull.cols);
        let out = pull.rows / taps;
        let mut rows = swap_axes(pull, taps, out, m);
        match normals {
            [one] => one.gram.solve_rows(&mut rows),
            each => rows
                .data
                .chunks_exact_mut(taps * m)
                .zip(each)
                .for_each(|(row, normal)| normal.gram.solve_slice(row)),
        }
        let mut a = Matrix::zeros(taps * out, m);
        for o in 0..out {
            for y in 0..taps {
                a.row_mut(y * out + o)
                    .copy_from_slice(&rows.row(o)[y * m..(y + 1) * m]);
            }
        }
        a
    }

    /// `B̃`: each row of `b` at each shift, `(y · rows) × n`.
    fn spread(&self, b: &Matrix) -> Matrix {
        let mut spread = Matrix::zeros(self.columns.len() * b.rows, self.n());
        for (y, columns) in self.columns.iter().enumerate() {
            for m in 0..b.rows {
                let to = spread.row_mut(y * b.rows + m);
                for (v, c) in b.row(m).iter().zip(columns) {
                    to[*c] = *v;
                }
            }
        }
        spread
    }
}
