//! One group's fit as a nonlinear least-squares problem from which the last
//! factor is eliminated.
//!
//! With `B` the kernel that all factors but the last equal and `A` the last,
//! `W'[o,i,·] = Σₘ A[o,m,·] ∗ B[m,i,·]` is linear in `A`, with one Gram matrix
//! for all output channels. The error `f(B) = min_A ‖(W − W')·M^½‖²` is therefore
//! a function of `B` alone (variable projection, Golub and Pereyra 1973), its
//! gradient is that at the best `A` (envelope theorem), and its Gauss-Newton
//! matrix (Kaufman's form) is that of `A·dB` in the metric `M` less what `A`
//! can follow: `Π = M − M·B̃ᵀ(B̃MB̃ᵀ)⁻¹B̃·M`.

use super::FitError;
use super::linalg::{Cholesky, Matrix, dot, mul, symmetric_into};
use super::tangent::{Chain, Link};

/// Target, metric and shape of one group's fit.
pub(super) struct Problem {
    pub chain: Chain,
    pub last: Link,
    /// `out × n`, `n = inputs · window`.
    pub target: Matrix,
    /// `n × n`; `None` is the identity.
    pub metric: Option<Matrix>,
    /// `target · metric`.
    image: Matrix,
    /// `tr(target · metric · targetᵀ)`.
    pub energy: f64,
    /// `[y][i · taps + t]`: element of the window that tap `t` of `B` and tap
    /// `y` of `A` add up to.
    columns: Vec<Vec<usize>>,
}

/// The last factor at its best for some `B`, and what is left over.
pub(super) struct Solution {
    pub prefixes: Vec<Matrix>,
    pub blocks: Vec<Block>,
    /// Relative squared error.
    pub error: f64,
}

/// One group of the last factor: it reads its own channels of `B`.
pub(super) struct Block {
    /// Its rows of `B`.
    b: Matrix,
    /// `(y · out) × channels`.
    pub a: Matrix,
    /// `B̃·M`, `(y · channels) × n`; empty in the identity metric.
    bm: Matrix,
    gram: Cholesky,
    /// `(W − W')·M`.
    residual: Matrix,
}

impl Problem {
    pub fn new(
        window: usize,
        chain: Chain,
        last: Link,
        target: Matrix,
        metric: Option<Matrix>,
    ) -> Self {
        let image = match &metric {
            Some(m) => mul(target.view(), m.view()),
            None => target.clone(),
        };
        let energy = dot(&target.data, &image.data);
        let columns = last
            .offsets
            .iter()
            .map(|y| {
                (0..chain.inputs())
                    .flat_map(|i| chain.offsets().iter().map(move |t| i * window + t + y))
                    .collect()
            })
            .collect();
        Self {
            chain,
            last,
            target,
            metric,
            image,
            energy,
            columns,
        }
    }

    pub fn n(&self) -> usize {
        self.target.cols
    }

    /// Window elements under tap `y` of the last factor.
    pub fn columns(&self) -> &[Vec<usize>] {
        &self.columns
    }

    fn outputs(&self) -> usize {
        self.last.width / self.last.groups
    }

    /// `Σ_y A_y · B`, shifted: `out × n`.
    fn expand(&self, a: &Matrix, b: &Matrix) -> Matrix {
        let out = a.rows / self.columns.len();
        let products = mul(a.view(), b.view());
        let mut sum = Matrix::zeros(out, self.n());
        for (y, columns) in self.columns.iter().enumerate() {
            for o in 0..out {
                let to = sum.row_mut(o);
                for (v, c) in products.row(y * out + o).iter().zip(columns) {
                    to[*c] += v;
                }
            }
        }
        sum
    }

    /// The rows of `z` (`out × n`) as `B` meets them: `(y · out) × (i · t)`.
    fn shifts(&self, z: &Matrix) -> Matrix {
        let width = self.columns[0].len();
        let mut data = Vec::with_capacity(self.columns.len() * z.rows * width);
        for columns in &self.columns {
            for o in 0..z.rows {
                let row = z.row(o);
                data.extend(columns.iter().map(|c| row[*c]));
            }
        }
        Matrix::from_vec(self.columns.len() * z.rows, width, data)
    }

    /// The best last factor for the parameters `theta`.
    pub fn solve(&self, theta: &[f64], ridge: f64) -> Result<Solution, FitError> {
        let prefixes = self.chain.prefixes(theta);
        let b = &prefixes[prefixes.len() - 1];
        let mut blocks = Vec::with_capacity(self.last.groups);
        let mut error = 0.0;
        for s in 0..self.last.groups {
            let rows = s * self.last.inp..(s + 1) * self.last.inp;
            let b = Matrix::from_vec(
                self.last.inp,
                b.cols,
                b.data[rows.start * b.cols..rows.end * b.cols].to_vec(),
            );
            let (block, left) = self.solve_block(s, b, ridge)?;
            error += left;
            blocks.push(block);
        }
        let error = if self.energy > 0.0 {
            error / self.energy
        } else {
            0.0
        };
        Ok(Solution {
            prefixes,
            blocks,
            error,
        })
    }

    fn solve_block(&self, s: usize, b: Matrix, ridge: f64) -> Result<(Block, f64), FitError> {
        let (n, out, taps, m) = (self.n(), self.outputs(), self.columns.len(), b.rows);
        let mut bm = Matrix::zeros(0, n);
        let mut gram = Matrix::zeros(taps * m, taps * m);
        let images;
        let source = match &self.metric {
            Some(metric) => {
                bm = Matrix::zeros(taps * m, n);
                for (y, columns) in self.columns.iter().enumerate() {
                    let mut rows = Vec::with_capacity(columns.len() * n);
                    columns
                        .iter()
                        .for_each(|c| rows.extend_from_slice(metric.row(*c)));
                    let rows = Matrix::from_vec(columns.len(), n, rows);
                    let part = mul(b.view(), rows.view());
                    bm.data[y * m * n..(y + 1) * m * n].copy_from_slice(&part.data);
                }
                &bm
            }
            None => {
                images = self.spread(&b);
                &images
            }
        };
        for (y, columns) in self.columns.iter().enumerate() {
            let mut met = Vec::with_capacity((taps - y) * m * columns.len());
            for r in y * m..taps * m {
                let row = source.row(r);
                met.extend(columns.iter().map(|c| row[*c]));
            }
            let met = Matrix::from_vec((taps - y) * m, columns.len(), met);
            let part = mul(met.view(), b.t());
            for (r, row) in part.data.chunks_exact(m).enumerate() {
                gram.data[(y * m + r) * taps * m + y * m..][..m].copy_from_slice(row);
            }
        }
        let gram = Cholesky::new(&gram, ridge)?;
        let start = s * out * n..(s + 1) * out * n;
        let target = Matrix::from_vec(out, n, self.target.data[start.clone()].to_vec());
        let image = Matrix::from_vec(out, n, self.image.data[start].to_vec());
        // A from the normal equations, then one round of refinement, which
        // gives back the accuracy that squaring the condition number took.
        let mut a = Matrix::zeros(taps * out, m);
        let mut left = (target.clone(), image);
        for _ in 0..2 {
            let step = self.best_last(&left.1, &b, &gram);
            a.data.iter_mut().zip(&step.data).for_each(|(a, s)| *a += s);
            let made = self.expand(&a, &b);
            let mut rest = target.clone();
            rest.data
                .iter_mut()
                .zip(&made.data)
                .for_each(|(r, w)| *r -= w);
            let image = match &self.metric {
                Some(metric) => mul(rest.view(), metric.view()),
                None => rest.clone(),
            };
            left = (rest, image);
        }
        let error = dot(&left.0.data, &left.1.data).max(0.0);
        Ok((
            Block {
                b,
                a,
                bm,
                gram,
                residual: left.1,
            },
            error,
        ))
    }

    /// `z·B̃ᵀ·G⁻¹`, as `(y · out) × channels`.
    fn best_last(&self, z: &Matrix, b: &Matrix, gram: &Cholesky) -> Matrix {
        let (taps, out, m) = (self.columns.len(), z.rows, b.rows);
        let against = mul(self.shifts(z).view(), b.t());
        let mut rows = swap_axes(&against, taps, out, m);
        gram.solve_rows(&mut rows);
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

    /// Gradient of the relative squared error by the parameters, halved.
    pub fn gradient(&self, theta: &[f64], at: &Solution) -> Vec<f64> {
        let parts: Vec<Matrix> = at
            .blocks
            .iter()
            .map(|block| mul(block.a.t(), self.shifts(&block.residual).view()))
            .collect();
        let mut g = stack(parts);
        g.data.iter_mut().for_each(|v| *v *= -1.0 / self.energy);
        self.chain.pull(theta, &at.prefixes, g)
    }

    /// The Gauss-Newton matrix at `at`, ready to be applied.
    pub fn curvature<'a>(&'a self, theta: &'a [f64], at: &'a Solution) -> Curvature<'a> {
        let projected = match &self.metric {
            None => Vec::new(),
            Some(metric) => at
                .blocks
                .iter()
                .map(|block| {
                    let mut solved = transposed(&block.bm);
                    block.gram.solve_rows(&mut solved);
                    let mut projected = metric.clone();
                    symmetric_into(&mut projected, solved.view(), block.bm.view(), -1.0);
                    projected.mirror();
                    projected
                })
                .collect(),
        };
        Curvature {
            problem: self,
            theta,
            at,
            projected,
        }
    }
}

/// `H`, the Gauss-Newton matrix of half the relative squared error.
pub(super) struct Curvature<'a> {
    problem: &'a Problem,
    theta: &'a [f64],
    at: &'a Solution,
    /// `Π` of each block; empty in the identity metric.
    projected: Vec<Matrix>,
}

impl Curvature<'_> {
    /// `H·v`.
    pub fn apply(&self, v: &[f64]) -> Vec<f64> {
        let p = self.problem;
        let d = p.chain.push(self.theta, &self.at.prefixes, v);
        let mut parts = Vec::with_capacity(self.at.blocks.len());
        let mut first = 0;
        for (s, block) in self.at.blocks.iter().enumerate() {
            let m = block.b.rows;
            let d = Matrix::from_vec(
                m,
                d.cols,
                d.data[first * d.cols..(first + m) * d.cols].to_vec(),
            );
            first += m;
            let moved = p.expand(&block.a, &d);
            let seen = match self.projected.get(s) {
                Some(projected) => mul(moved.view(), projected.view()),
                None => {
                    let follow = p.best_last(&moved, &block.b, &block.gram);
                    let followed = p.expand(&follow, &block.b);
                    let mut rest = moved;
                    rest.data
                        .iter_mut()
                        .zip(&followed.data)
                        .for_each(|(r, f)| *r -= f);
                    rest
                }
            };
            parts.push(mul(block.a.t(), p.shifts(&seen).view()));
        }
        let mut g = stack(parts);
        g.data.iter_mut().for_each(|v| *v /= p.energy);
        p.chain.pull(self.theta, &self.at.prefixes, g)
    }

    /// The whole of `H`, where the parameters are `B` itself and the last factor
    /// has one group: `H[(j,p),(j',p')] = Σ_{y,y'} (AᵀA)[(y,j),(y',j')]·Π[(y,p),(y',p')]`.
    pub fn dense(&self) -> Option<Matrix> {
        let p = self.problem;
        let ([block], true) = (&self.at.blocks[..], p.chain.is_identity()) else {
            return None;
        };
        let identity;
        let projected = match self.projected.first() {
            Some(projected) => projected,
            None => {
                let spread = p.spread(&block.b);
                let mut solved = transposed(&spread);
                block.gram.solve_rows(&mut solved);
                let mut projected = Matrix::zeros(p.n(), p.n());
                projected.add_to_diagonal(1.0);
                symmetric_into(&mut projected, solved.view(), spread.view(), -1.0);
                projected.mirror();
                identity = projected;
                &identity
            }
        };
        let (taps, m, q) = (p.columns.len(), block.b.rows, block.b.cols);
        let out = block.a.rows / taps;
        // rows of A by output channel: out × (y·j)
        let rows = swap_axes(&block.a, taps, out, m);
        let products = mul(rows.t(), rows.view());
        let mut left = Matrix::zeros(m * m, taps * taps);
        let mut right = Matrix::zeros(taps * taps, q * q);
        for y in 0..taps {
            for y2 in 0..taps {
                for j in 0..m {
                    for j2 in 0..m {
                        left.data[(j * m + j2) * taps * taps + y * taps + y2] =
                            products.data[(y * m + j) * taps * m + y2 * m + j2];
                    }
                }
                let part = projected.gather(&p.columns[y], &p.columns[y2]);
                right.row_mut(y * taps + y2).copy_from_slice(&part.data);
            }
        }
        let blocks = mul(left.view(), right.view());
        let size = m * q;
        let mut h = Matrix::zeros(size, size);
        for j in 0..m {
            for j2 in 0..m {
                let part = blocks.row(j * m + j2);
                for r in 0..q {
                    let to = &mut h.data[(j * q + r) * size + j2 * q..][..q];
                    for (to, v) in to.iter_mut().zip(&part[r * q..(r + 1) * q]) {
                        *to = v / p.energy;
                    }
                }
            }
        }
        Some(h)
    }
}

/// `(y · out) × m` as `out × (y · m)`.
fn swap_axes(stacked: &Matrix, taps: usize, out: usize, m: usize) -> Matrix {
    let mut rows = Matrix::zeros(out, taps * m);
    for o in 0..out {
        for y in 0..taps {
            rows.row_mut(o)[y * m..(y + 1) * m].copy_from_slice(stacked.row(y * out + o));
        }
    }
    rows
}

fn transposed(a: &Matrix) -> Matrix {
    let mut t = Matrix::zeros(a.cols, a.rows);
    for r in 0..a.rows {
        for (c, v) in a.row(r).iter().enumerate() {
            t.data[c * a.rows + r] = *v;
        }
    }
    t
}

/// Matrices of equal width, one below the other.
fn stack(parts: Vec<Matrix>) -> Matrix {
    let cols = parts[0].cols;
    let rows = parts.iter().map(|p| p.rows).sum();
    Matrix::from_vec(rows, cols, parts.into_iter().flat_map(|p| p.data).collect())
}
