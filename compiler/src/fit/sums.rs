//! Weighted sums of patches and what a convolution puts out for them.

use faer::Accum;

use super::linalg::{Matrix, dot, mul_into, symmetric_into};

/// Weighted sums over patches `x` and the outputs `y` of one or more channels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    pub weight: f64,
    /// Σ x.
    pub x: Vec<f64>,
    /// Σ x·xᵀ, lower triangle.
    pub xx: Matrix,
    /// Σ y; empty without outputs.
    pub y: Vec<f64>,
    /// Σ y·xᵀ.
    pub yx: Matrix,
    /// Σ y².
    pub yy: Vec<f64>,
}

impl Sums {
    pub fn new(n: usize, out: usize) -> Self {
        Self {
            weight: 0.0,
            x: vec![0.0; n],
            xx: Matrix::zeros(n, n),
            y: vec![0.0; out],
            yx: Matrix::zeros(out, n),
            yy: vec![0.0; out],
        }
    }

    /// Adds patches (rows) and outputs (columns).
    pub fn add(&mut self, patches: &Matrix, outputs: &Matrix) {
        self.weight += patches.rows as f64;
        for row in patches.data.chunks_exact(patches.cols) {
            self.x.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        symmetric_into(&mut self.xx, patches.t(), patches.view(), 1.0);
        mul_into(
            &mut self.yx,
            Accum::Add,
            outputs.view(),
            patches.view(),
            1.0,
        );
        for o in 0..outputs.rows {
            self.y[o] += outputs.row(o).iter().sum::<f64>();
            self.yy[o] += dot(outputs.row(o), outputs.row(o));
        }
    }

    /// Adds the patches `kept` with their weights and outputs of one channel.
    pub fn add_weighted(&mut self, patches: &Matrix, kept: &[usize], weights: &[f64], y: Vec<f64>) {
        let mut rows = Matrix::zeros(kept.len(), patches.cols);
        let mut scaled = Matrix::from_vec(1, kept.len(), y);
        for (r, (&p, w)) in kept.iter().zip(weights).enumerate() {
            let root = w.sqrt();
            for ((to, from), sum) in rows
                .row_mut(r)
                .iter_mut()
                .zip(patches.row(p))
                .zip(&mut self.x)
            {
                *to = root * from;
                *sum += w * from;
            }
            let y = &mut scaled.data[r];
            self.y[0] += w * *y;
            *y *= root;
        }
        self.weight += weights.iter().sum::<f64>();
        symmetric_into(&mut self.xx, rows.t(), rows.view(), 1.0);
        mul_into(&mut self.yx, Accum::Add, scaled.view(), rows.view(), 1.0);
        self.yy[0] += dot(&scaled.data, &scaled.data);
    }

    pub fn merge(&mut self, other: &Self) {
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.weight += other.weight;
        add(&mut self.x, &other.x);
        add(&mut self.xx.data, &other.xx.data);
        add(&mut self.y, &other.y);
        add(&mut self.yx.data, &other.yx.data);
        add(&mut self.yy, &other.yy);
    }

    /// The sums with the outputs of channel `o` alone.
    pub fn channel(&self, o: usize) -> Self {
        let yx = self.yx.rows_of(o, 1);
        Self {
            y: vec![self.y[o]],
            yy: vec![self.yy[o]],
            yx,
            ..self.clone()
        }
    }

    fn scale(&self) -> f64 {
        if self.weight > 0.0 {
            1.0 / self.weight
        } else {
            0.0
        }
    }

    /// Mean patch.
    pub fn mean_x(&self) -> Vec<f64> {
        self.x.iter().map(|s| s * self.scale()).collect()
    }

    /// Mean output, a channel.
    pub fn mean_y(&self) -> Vec<f64> {
        self.y.iter().map(|s| s * self.scale()).collect()
    }

    /// Centred covariance of the patches.
    pub fn covariance(&self) -> Matrix {
        let (mean, scale) = (self.mean_x(), self.scale());
        let mut covariance = self.xx.clone();
        for r in 0..covariance.rows {
            let row = &mut covariance.row_mut(r)[..=r];
            for (value, m) in row.iter_mut().zip(&mean) {
                *value = *value * scale - mean[r] * m;
            }
        }
        covariance.mirror();
        covariance
    }

    /// Centred covariance of outputs and patches, `out × n`.
    pub fn cross(&self) -> Matrix {
        let (mean, scale) = (self.mean_x(), self.scale());
        let mut cross = self.yx.clone();
        for (o, y) in self.mean_y().iter().enumerate() {
            for (value, x) in cross.row_mut(o).iter_mut().zip(&mean) {
                *value = *value * scale - y * x;
            }
        }
        cross
    }

    /// Variance of the outputs, a channel.
    pub fn variance(&self) -> Vec<f64> {
        let scale = self.scale();
        self.yy
            .iter()
            .zip(self.mean_y())
            .map(|(s, m)| (s * scale - m * m).max(0.0))
            .collect()
    }
}
