//! Dense row-major matrices over faer, with results that do not depend on the
//! number of threads: work is cut into panels of a fixed size, each computed by
//! one thread, and no sum is ever split over threads.

use std::ops::Range;

use faer::linalg::matmul::{matmul, triangular};
use faer::linalg::solvers::{Llt, Solve};
use faer::traits::RealField;
use faer::{Accum, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::FitError;

/// Rows that one task computes.
const PANEL: usize = 96;
/// Multiply-adds below which a product stays on the calling thread.
const SERIAL: usize = 1 << 21;

/// A row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<f64>,
}

impl Matrix {
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            cols,
            data: vec![0.0; rows * cols],
        }
    }

    pub fn from_vec(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        debug_assert_eq!(data.len(), rows * cols);
        Self { rows, cols, data }
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.data[row * self.cols..(row + 1) * self.cols]
    }

    pub fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.data, self.rows, self.cols)
    }

    pub fn t(&self) -> MatRef<'_, f64> {
        self.view().transpose()
    }

    /// The elements `(rows[i], cols[j])`.
    pub fn gather(&self, rows: &[usize], cols: &[usize]) -> Self {
        let mut data = Vec::with_capacity(rows.len() * cols.len());
        for &r in rows {
            let row = self.row(r);
            data.extend(cols.iter().map(|&c| row[c]));
        }
        Self {
            rows: rows.len(),
            cols: cols.len(),
            data,
        }
    }

    /// The `index`th block of `count` rows.
    pub fn rows_of(&self, index: usize, count: usize) -> Self {
        let span = index * count * self.cols..(index + 1) * count * self.cols;
        Self {
            rows: count,
            cols: self.cols,
            data: self.data[span].to_vec(),
        }
    }

    /// Matrices of equal width, one below the other.
    pub fn stacked(parts: Vec<Self>) -> Self {
        let cols = parts.first().map_or(0, |p| p.cols);
        let rows = parts.iter().map(|p| p.rows).sum();
        let data = parts.into_iter().flat_map(|p| p.data).collect();
        Self { rows, cols, data }
    }

    /// Copies the lower triangle onto the upper one.
    pub fn mirror(&mut self) {
        for (rows, cols) in tiles(self.rows, self.cols) {
            for r in rows {
                for c in cols.start..cols.end.min(r) {
                    self.data[c * self.cols + r] = self.data[r * self.cols + c];
                }
            }
        }
    }

    /// Replaces the matrix by its symmetric part.
    pub fn symmetrize(&mut self) {
        for r in 0..self.rows {
            for c in 0..r {
                let (low, high) = (r * self.cols + c, c * self.cols + r);
                let mean = 0.5 * (self.data[low] + self.data[high]);
                self.data[low] = mean;
                self.data[high] = mean;
            }
        }
    }

    pub fn trace(&self) -> f64 {
        self.data.iter().step_by(self.cols + 1).sum()
    }

    pub fn add_to_diagonal(&mut self, value: f64) {
        self.data
            .iter_mut()
            .step_by(self.cols + 1)
            .for_each(|d| *d += value);
    }
}

/// `a · b`.
pub(super) fn mul(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Matrix {
    let mut c = Matrix::zeros(a.nrows(), b.ncols());
    mul_into(&mut c, Accum::Replace, a, b, 1.0);
    c
}

/// `c (+)= alpha · a · b`.
pub(super) fn mul_into(
    c: &mut Matrix,
    accum: Accum,
    a: MatRef<'_, f64>,
    b: MatRef<'_, f64>,
    alpha: f64,
) {
    let cols = c.cols;
    let panel = |index: usize, rows: &mut [f64]| {
        let count = rows.len() / cols;
        let dst = MatMut::from_row_major_slice_mut(rows, count, cols);
        matmul(
            dst,
            accum,
            a.subrows(index * PANEL, count),
            b,
            alpha,
            Par::Seq,
        );
    };
    by_panels(c, a.nrows() * a.ncols() * b.ncols(), panel);
}

/// Runs `panel` on every [`PANEL`] rows of `c`, each with its number; in
/// parallel where there is work enough. The panels are the same either way.
fn by_panels(c: &mut Matrix, work: usize, panel: impl Fn(usize, &mut [f64]) + Sync) {
    if c.data.is_empty() {
        return;
    }
    let rows = PANEL * c.cols;
    if work < SERIAL {
        c.data
            .chunks_mut(rows)
            .enumerate()
            .for_each(|(i, rows)| panel(i, rows));
    } else {
        c.data
            .par_chunks_mut(rows)
            .enumerate()
            .for_each(|(i, rows)| panel(i, rows));
    }
}

/// The lower triangle of the symmetric `c += alpha · a · b`.
pub(super) fn symmetric_into(c: &mut Matrix, a: MatRef<'_, f64>, b: MatRef<'_, f64>, alpha: f64) {
    use triangular::BlockStructure::{Rectangular, TriangularLower};
    let cols = c.cols;
    let panel = |index: usize, rows: &mut [f64]| {
        let (first, count) = (index * PANEL, rows.len() / cols);
        let dst = MatMut::from_row_major_slice_mut(rows, count, cols);
        let (left, right) = dst.split_at_col_mut(first);
        let a = a.subrows(first, count);
        matmul(left, Accum::Add, a, b.subcols(0, first), alpha, Par::Seq);
        triangular::matmul(
            right.subcols_mut(0, count),
            TriangularLower,
            Accum::Add,
            a,
            Rectangular,
            b.subcols(first, count),
            Rectangular,
            alpha,
            Par::Seq,
        );
    };
    by_panels(c, a.nrows() * a.ncols() * b.ncols(), panel);
}

/// `⟨a, b⟩`, summed in an order fixed by the length.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = left
        .remainder()
        .iter()
        .zip(right.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in left.zip(right) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// `y += alpha · x`.
pub(super) fn axpy(y: &mut [f64], alpha: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * x);
}

/// A Cholesky factor of a symmetric positive definite matrix.
pub(super) struct Cholesky(Llt<f64>);

impl Cholesky {
    /// Factorizes `a + ridge·I` (lower triangle read), raising the ridge tenfold
    /// from `eps · trace` until it succeeds.
    pub fn new(a: &Matrix, ridge: f64) -> Result<Self, FitError> {
        let scale = a.trace() / a.rows.max(1) as f64;
        if !scale.is_finite() {
            return Err(FitError::Numerical("a normal matrix holds infinite values"));
        }
        let mut damped = a.clone();
        damped.add_to_diagonal(ridge);
        let mut extra = scale.abs().max(f64::MIN_POSITIVE) * 1e-15;
        for _ in 0..16 {
            if let Ok(factor) = damped.view().llt(Side::Lower) {
                return Ok(Self(factor));
            }
            damped.add_to_diagonal(extra);
            extra *= 10.0;
        }
        Err(FitError::Numerical(
            "a normal matrix is not positive definite",
        ))
    }

    /// The factor of `a`, lower triangle read, if it is positive definite by far.
    pub fn of_definite(a: &Matrix) -> Option<Self> {
        let factor = a.view().llt(Side::Lower).ok()?;
        let least = 1e-6 * a.trace() / a.rows.max(1) as f64;
        let far = factor
            .L()
            .diagonal()
            .column_vector()
            .iter()
            .all(|d| d * d > least * 1e-6);
        far.then_some(Self(factor))
    }

    /// Replaces `columns` by `L⁻¹·columns`.
    pub fn half_solve_columns(&self, columns: &mut Matrix) {
        let (rows, count) = (columns.rows, columns.cols);
        let view = MatMut::from_row_major_slice_mut(&mut columns.data, rows, count);
        self.0.L().solve_lower_triangular_in_place(view);
    }

    /// `rows·L`.
    pub fn times_lower(&self, rows: &Matrix) -> Matrix {
        mul(rows.view(), self.0.L())
    }

    /// Replaces each row `b` of `rows` by the solution `x` of `a·x = b`.
    pub fn solve_rows(&self, rows: &mut Matrix) {
        let cols = rows.cols;
        let solve = |panel: &mut [f64]| {
            let count = panel.len() / cols;
            self.0
                .solve_in_place(MatMut::from_column_major_slice_mut(panel, cols, count));
        };
        if rows.data.is_empty() {
            return;
        }
        if rows.rows * cols * cols < SERIAL {
            rows.data.chunks_mut(PANEL * cols).for_each(solve);
        } else {
            rows.data.par_chunks_mut(PANEL * cols).for_each(solve);
        }
    }

    /// Replaces `b` by the solution `x` of `a·x = b`.
    pub fn solve_slice(&self, b: &mut [f64]) {
        let rows = b.len();
        self.0
            .solve_in_place(MatMut::from_column_major_slice_mut(b, rows, 1));
    }

    /// Replaces each row `b` of `rows` by `L⁻¹·b`.
    pub fn half_solve_rows(&self, rows: &mut Matrix) {
        let (count, cols) = (rows.rows, rows.cols);
        let columns = MatMut::from_column_major_slice_mut(&mut rows.data, cols, count);
        self.0.L().solve_lower_triangular_in_place(columns);
    }

    /// Replaces each row `b` of `rows` by `L⁻ᵀ·b`.
    pub fn half_solve_rows_transposed(&self, rows: &mut Matrix) {
        let (count, cols) = (rows.rows, rows.cols);
        let columns = MatMut::from_column_major_slice_mut(&mut rows.data, cols, count);
        self.0
            .L()
            .transpose()
            .solve_upper_triangular_in_place(columns);
    }
}

/// The transpose, copied.
pub(super) fn transposed(a: &Matrix) -> Matrix {
    let mut t = Matrix::zeros(a.cols, a.rows);
    for (rows, cols) in tiles(a.rows, a.cols) {
        for r in rows {
            for c in cols.clone() {
                t.data[c * a.rows + r] = a.data[r * a.cols + c];
            }
        }
    }
    t
}

/// Rows and columns of squares that cover a matrix: rows of one and columns of
/// another stay in the cache together.
fn tiles(rows: usize, cols: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    const SIDE: usize = 32;
    let span = |from: usize, whole: usize| from..whole.min(from + SIDE);
    (0..rows).step_by(SIDE).flat_map(move |r| {
        (0..cols)
            .step_by(SIDE)
            .map(move |c| (span(r, rows), span(c, cols)))
    })
}

/// `(y · out) × m` as `out × (y · m)`.
pub(super) fn swap_axes(stacked: &Matrix, taps: usize, out: usize, m: usize) -> Matrix {
    let mut rows = Matrix::zeros(out, taps * m);
    for o in 0..out {
        for y in 0..taps {
            rows.row_mut(o)[y * m..(y + 1) * m].copy_from_slice(stacked.row(y * out + o));
        }
    }
    rows
}

/// Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix.
pub(super) fn eigen(a: &Matrix) -> Result<(Vec<f64>, Matrix), FitError> {
    decomposed(a.view())
}

/// The same to single precision, in about half the time: for preconditioners.
pub(super) fn roughly_eigen(a: &Matrix) -> Result<(Vec<f64>, Matrix), FitError> {
    // In the range of single precision, whatever the units.
    let scale = (a.trace() / a.rows.max(1) as f64)
        .abs()
        .max(f64::MIN_POSITIVE);
    let single: Vec<f32> = a.data.iter().map(|v| (v / scale) as f32).collect();
    let (mut values, vectors) = decomposed(MatRef::from_row_major_slice(&single, a.rows, a.cols))?;
    values.iter_mut().for_each(|v| *v *= scale);
    Ok((values, vectors))
}

fn decomposed<T: RealField + Copy + Into<f64>>(
    a: MatRef<'_, T>,
) -> Result<(Vec<f64>, Matrix), FitError> {
    let e = a
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| FitError::Numerical("an eigenvalue iteration did not converge"))?;
    let values = e.S().column_vector().iter().map(|v| (*v).into()).collect();
    let u = e.U();
    let mut vectors = Matrix::zeros(u.nrows(), u.ncols());
    for r in 0..u.nrows() {
        for c in 0..u.ncols() {
            vectors.data[r * u.ncols() + c] = u[(r, c)].into();
        }
    }
    Ok((values, vectors))
}
