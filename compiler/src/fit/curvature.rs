//! The Gauss-Newton matrix of the projected problem.

use faer::Accum;
use rayon::prelude::*;

use super::FitError;
use super::last::{Block, Solution};
use super::linalg::{Matrix, axpy, dot, mul, mul_into, symmetric_into, transposed};
use super::problem::Problem;
use super::weighing::Weighing;

/// Taps of the last factor of which all pairs are looked at.
const FEW: usize = 9;
/// Most elements of `Π` that are kept sorted by taps.
const KEPT: usize = 1 << 22;

/// `H`, the Gauss-Newton matrix of half the relative squared error.
pub(super) struct Curvature<'a> {
    problem: &'a Problem,
    theta: &'a [f64],
    at: &'a Solution,
    views: Vec<View>,
    /// Pairs of taps of the last factor that are looked at.
    pairs: Vec<(usize, usize)>,
    rho: f64,
}

/// What `H` needs of one block.
struct View {
    /// `C = A_yᵀ·A_y'` of the pairs, one below the other.
    products: Matrix,
    /// `Σ_y A_yᵀ·A_y`.
    own: Matrix,
    /// `Π = M − M·B̃ᵀ·G⁻¹·B̃·M` in the mean metric; `None` in the identity.
    projected: Option<Matrix>,
    /// Its columns under each tap, where that makes products with `H` cheaper.
    columns: Vec<Matrix>,
}

impl View {
    fn new(
        p: &Problem,
        block: &Block,
        pairs: &[(usize, usize)],
        rho: f64,
    ) -> Result<Self, FitError> {
        let (n, taps, m) = (p.n(), p.columns.len(), block.b.rows);
        let (out, q) = (block.a.rows / taps, p.columns[0].len());
        let taps_of: Vec<Matrix> = (0..taps).map(|y| block.a.rows_of(y, out)).collect();
        let product = |&(y, y2): &(usize, usize)| mul(taps_of[y].t(), taps_of[y2].view());
        let projected = p.weighing.mean().map(|metric| left(p, block, metric, rho));
        let projected = projected.transpose()?;
        let mut columns = Vec::new();
        if let (Some(projected), Weighing::Shared(_)) = (&projected, &p.weighing) {
            let by_outputs = out * (n * n + 2 * taps * m * q);
            let by_pairs = taps * m * q * (taps * m + n);
            if pairs.len() == taps * taps && taps * q * n <= KEPT && by_pairs < by_outputs {
                let all: Vec<usize> = (0..n).collect();
                columns = p
                    .columns
                    .iter()
                    .map(|c| projected.gather(&all, c))
                    .collect();
            }
        }
        Ok(Self {
            products: Matrix::stacked(pairs.iter().map(product).collect()),
            own: mul(block.a.t(), block.a.view()),
            projected,
            columns,
        })
    }
}

/// `M − M·B̃ᵀ·G⁻¹·B̃·M`.
fn left(p: &Problem, block: &Block, metric: &Matrix, rho: f64) -> Result<Matrix, FitError> {
    let own;
    let normal = match &block.normals[..] {
        [one] => one,
        _ => {
            own = p.normal(&block.b, &block.moments, rho, Some(metric))?;
            &own
        }
    };
    let mut solved = transposed(&normal.images);
    normal.gram.solve_rows(&mut solved);
    let mut left = metric.clone();
    symmetric_into(&mut left, solved.view(), normal.images.view(), -1.0);
    left.mirror();
    Ok(left)
}

impl<'a> Curvature<'a> {
    pub fn new(
        problem: &'a Problem,
        theta: &'a [f64],
        at: &'a Solution,
        rho: f64,
    ) -> Result<Self, FitError> {
        let taps = problem.columns.len();
        let pairs: Vec<(usize, usize)> = (0..taps)
            .flat_map(|y| (0..taps).map(move |y2| (y, y2)))
            .filter(|(y, y2)| taps <= FEW || y == y2)
            .collect();
        let blocks = at.blocks.iter();
        let views = blocks.map(|block| View::new(problem, block, &pairs, rho));
        Ok(Self {
            problem,
            theta,
            at,
            views: views.collect::<Result<_, _>>()?,
            pairs,
            rho,
        })
    }

    /// `H·v`.
    pub fn apply(&self, v: &[f64]) -> Vec<f64> {
        let p = self.problem;
        let d = p.chain.push(self.theta, &self.at.prefixes, v);
        let mut parts = Vec::with_capacity(self.at.blocks.len());
        for (s, (block, view)) in self.at.blocks.iter().zip(&self.views).enumerate() {
            let d = d.rows_of(s, block.b.rows);
            let mut g = if view.columns.is_empty() {
                let seen = self.project(s, block, p.expand(&block.a, &d));
                mul(block.a.t(), p.shifts(&seen).view())
            } else {
                self.by_pairs(view, &d)
            };
            // The noise term, as if `A` did not answer to it.
            mul_into(
                &mut g,
                Accum::Add,
                view.own.view(),
                p.loaded(&d).view(),
                self.rho,
            );
            parts.push(g);
        }
        let mut g = Matrix::stacked(parts);
        g.data.iter_mut().for_each(|v| *v /= p.energy);
        p.chain.pull(self.theta, &self.at.prefixes, g)
    }

    /// `Σ_{y,y'} C_yy'·d·Π_y'y`.
    fn by_pairs(&self, view: &View, d: &Matrix) -> Matrix {
        let p = self.problem;
        let (n, taps, m) = (p.n(), p.columns.len(), d.rows);
        let mixed = mul(view.products.view(), d.view());
        let mut g = Matrix::zeros(m, d.cols);
        for (y, columns) in view.columns.iter().enumerate() {
            let mut moved = Matrix::zeros(m, n);
            for (y2, under) in p.columns.iter().enumerate() {
                for r in 0..m {
                    let from = mixed.row((y * taps + y2) * m + r);
                    let to = moved.row_mut(r);
                    for (v, c) in from.iter().zip(under) {
                        to[*c] += v;
                    }
                }
            }
            mul_into(&mut g, Accum::Add, moved.view(), columns.view(), 1.0);
        }
        g
    }

    /// `moved·Π`: what the last factor cannot follow, in the metric.
    fn project(&self, s: usize, block: &Block, moved: Matrix) -> Matrix {
        let p = self.problem;
        match &p.weighing {
            Weighing::Shared(m) => {
                let left = self.views[s].projected.as_ref().unwrap_or(m);
                mul(moved.view(), left.view())
            }
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

    /// `K` of `U ⊗ K`, nearly the Gauss-Newton matrix by `B`: one step of power
    /// iteration towards the nearest Kronecker product (Van Loan and Pitsianis
    /// 1993) of `H = Σ_{y,y'} C_yy' ⊗ Π_yy'`. Of many taps `y`, those pairs are taken
    /// in which a tap meets itself. It is the identity in the identity metric.
    pub fn inner(&self) -> Matrix {
        let q = self.problem.columns[0].len();
        let mut k = Matrix::zeros(q, q);
        for (view, block) in self.views.iter().zip(&self.at.blocks) {
            for (i, &pair) in self.pairs.iter().enumerate() {
                if let Some(seen) = self.seen(view, pair) {
                    let c = view.products.rows_of(i, block.b.rows);
                    axpy(&mut k.data, c.trace(), &seen.data);
                }
            }
        }
        let mean = (k.trace() / q as f64).max(f64::MIN_POSITIVE);
        k.data.iter_mut().for_each(|v| *v /= mean);
        k
    }

    /// `U` for this `K`, the identity if `None`.
    pub fn outer(&self, k: Option<&Matrix>) -> Matrix {
        let p = self.problem;
        let (width, q) = (p.chain.width(), p.columns[0].len());
        let norm = k.map_or(q as f64, |k| dot(&k.data, &k.data));
        let mut u = Matrix::zeros(width, width);
        let mut first = 0;
        for (view, block) in self.views.iter().zip(&self.at.blocks) {
            for (i, &pair) in self.pairs.iter().enumerate() {
                let weight = match (k, self.seen(view, pair)) {
                    (Some(k), Some(seen)) => dot(&k.data, &seen.data),
                    _ if pair.0 == pair.1 => q as f64,
                    _ => continue,
                };
                let c = view.products.rows_of(i, block.b.rows);
                for r in 0..c.rows {
                    let to = &mut u.data[(first + r) * width + first..][..c.cols];
                    axpy(to, weight / norm / p.energy, c.row(r));
                }
            }
            first += block.b.rows;
        }
        u
    }

    /// `Π_yy'`, gathered anew where it is needed: all of them at once may be
    /// gigabytes.
    fn seen(&self, view: &View, (y, y2): (usize, usize)) -> Option<Matrix> {
        let columns = &self.problem.columns;
        let projected = view.projected.as_ref()?;
        Some(projected.gather(&columns[y], &columns[y2]))
    }
}
