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
//!
//! The infimum is often not attained: channels of `B` grow alike and those of `A`
//! cancel them, until rounding in the map between the factors drowns the result.
//! If that map carries a relative noise `ε`, the output carries the variance
//! `ρ·Σ_y tr(A_y·N·A_yᵀ)`, `ρ = ε²`, `N` the second moments of its channels. This is added to the error; like it, it does not depend on which
//! basis of the middle channels is chosen.

use std::sync::OnceLock;

use faer::Accum;

use super::FitError;
use super::curvature::Curvature;
use super::last::Solution;
use super::linalg::{Cholesky, Matrix, axpy, dot, mul, mul_into};
use super::tangent::{Chain, Link};
use super::weighing::Weighing;

/// Target, metric and shape of one group's fit.
pub(super) struct Problem {
    pub chain: Chain,
    pub last: Link,
    /// `out × n`, `n = inputs · window`.
    pub target: Matrix,
    pub weighing: Weighing,
    /// `target · M`.
    pub image: Matrix,
    /// `Σ target · M · targetᵀ`.
    pub energy: f64,
    /// `[y][i · taps + t]`: element of the window that tap `t` of `B` and tap
    /// `y` of `A` add up to.
    pub columns: Vec<Vec<usize>>,
    /// `V`: the metric under `B`'s window, averaged over the shifts; how much a
    /// change of `B` moves the output when nothing is known of `A`. `None` is
    /// the identity.
    pub weight: Option<Matrix>,
    /// As `V`, of the patches' second moments with their mean: how large a map
    /// `B` makes. `None` is the identity.
    load: Option<Matrix>,
    /// `L`, `L·Lᵀ = V`.
    root: OnceLock<Option<Cholesky>>,
}

impl Problem {
    pub fn new(
        window: usize,
        chain: Chain,
        last: Link,
        target: Matrix,
        weighing: Weighing,
        second: Option<&Matrix>,
    ) -> Self {
        let image = weighing.image(&target, 0);
        let energy = dot(&target.data, &image.data);
        let columns: Vec<Vec<usize>> = last
            .offsets
            .iter()
            .map(|y| {
                (0..chain.inputs())
                    .flat_map(|i| chain.offsets().iter().map(move |t| i * window + t + y))
                    .collect()
            })
            .collect();
        let average = |m: &Matrix| {
            let size = columns[0].len();
            let mut sum = Matrix::zeros(size, size);
            for columns in &columns {
                let part = m.gather(columns, columns);
                axpy(&mut sum.data, 1.0 / last.offsets.len() as f64, &part.data);
            }
            sum
        };
        let weight = weighing.mean().map(average);
        let load = second.map(average);
        Self {
            chain,
            last,
            target,
            weighing,
            image,
            energy,
            columns,
            weight,
            load,
            root: OnceLock::new(),
        }
    }

    /// `L`, `L·Lᵀ = V`; `None` where `V` is the identity.
    pub fn root(&self) -> Option<&Cholesky> {
        let root = || {
            let v = self.weight.as_ref()?;
            Cholesky::new(v, 1e-9 * v.trace() / v.rows as f64).ok()
        };
        self.root.get_or_init(root).as_ref()
    }

    pub fn n(&self) -> usize {
        self.target.cols
    }

    /// Output channels of one group of the last factor.
    pub fn outputs(&self) -> usize {
        self.last.width / self.last.groups
    }

    /// `Σ_y A_y · B`, shifted: `out × n`.
    pub fn expand(&self, a: &Matrix, b: &Matrix) -> Matrix {
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
    pub fn shifts(&self, z: &Matrix) -> Matrix {
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

    /// `b` times the second moments.
    pub fn loaded(&self, b: &Matrix) -> Matrix {
        match &self.load {
            Some(v) => mul(b.view(), v.view()),
            None => b.clone(),
        }
    }

    /// Gradient of half the objective by the parameters.
    pub fn gradient(&self, theta: &[f64], at: &Solution, rho: f64) -> Vec<f64> {
        let parts: Vec<Matrix> = at
            .blocks
            .iter()
            .map(|block| {
                let mut g = mul(block.a.t(), self.shifts(&block.residual).view());
                let own = mul(block.a.t(), block.a.view());
                mul_into(
                    &mut g,
                    Accum::Add,
                    own.view(),
                    self.loaded(&block.b).view(),
                    -rho,
                );
                g
            })
            .collect();
        let mut g = Matrix::stacked(parts);
        g.data.iter_mut().for_each(|v| *v *= -1.0 / self.energy);
        self.chain.pull(theta, &at.prefixes, g)
    }

    /// The Gauss-Newton matrix at `at`, ready to be applied.
    pub fn curvature<'a>(
        &'a self,
        theta: &'a [f64],
        at: &'a Solution,
        rho: f64,
    ) -> Result<Curvature<'a>, FitError> {
        Curvature::new(self, theta, at, rho)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::form::tap_table;
    use crate::fit::rng::Rng;

    fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut rng = Rng::seeded(seed, &[]);
        (0..len).map(|_| rng.normal()).collect()
    }

    fn link(width: usize, groups: usize, inp: usize) -> Link {
        Link {
            width,
            groups,
            inp,
            offsets: Vec::new(),
        }
    }

    impl Link {
        fn within(&self, window: usize) -> Self {
            let offsets = tap_table(&[window; 2], &[2, 2], &[1, 1]);
            Self {
                offsets,
                ..self.clone()
            }
        }
    }

    fn problem(metric: usize, links: Vec<Link>, last: Link, window: usize, seed: u64) -> Problem {
        let n = 2 * window * window;
        let out = last.width;
        let square = |seed| {
            let root = Matrix::from_vec(n, n, noise(n * n, seed));
            mul(root.view(), root.t())
        };
        let weighing = match metric {
            0 => Weighing::Alike,
            1 => Weighing::Shared(square(seed)),
            _ => {
                let rows: Vec<Matrix> = (0..out).map(|o| square(seed + o as u64)).collect();
                let mut mean = Matrix::zeros(n, n);
                for row in &rows {
                    mean.data
                        .iter_mut()
                        .zip(&row.data)
                        .for_each(|(a, b)| *a += b / out as f64);
                }
                Weighing::Each { mean, rows }
            }
        };
        let target = Matrix::from_vec(out, n, noise(out * n, seed + 1));
        Problem::new(
            window * window,
            Chain::new(2, links),
            last,
            target,
            weighing,
            None,
        )
    }

    /// The derivatives against finite differences of the error; the Gauss-Newton
    /// matrix is exact where nothing is left over.
    #[test]
    fn derivatives_match_differences() {
        let chains = [
            (vec![link(3, 1, 2)], link(4, 1, 3), 3),
            (vec![link(4, 2, 1)], link(4, 1, 4), 3),
            (vec![link(4, 1, 2)], link(4, 2, 2), 3),
            // So many outputs that products go by pairs of taps.
            (vec![link(3, 1, 2)], link(30, 1, 3), 3),
            (vec![link(4, 1, 2)], link(30, 2, 2), 3),
            (vec![link(3, 1, 2), link(4, 2, 1)], link(4, 1, 4), 4),
        ];
        for (metric, (links, last, window)) in
            (0..3).flat_map(|metric| chains.clone().map(|chain| (metric, chain)))
        {
            let (links, last): (Vec<Link>, Link) = (
                links.iter().map(|l| l.within(window)).collect(),
                last.within(window),
            );
            let mut p = problem(metric, links, last, window, 5);
            let theta = noise(p.chain.links.iter().map(Link::len).sum(), 9);
            let differences = |p: &Problem, k: usize, rho: f64| {
                let shifted = |by: f64| {
                    let mut moved = theta.clone();
                    moved[k] += by;
                    let at = p.solve(&moved, rho).unwrap();
                    (at.objective(), p.gradient(&moved, &at, rho))
                };
                let ((high, g_high), (low, g_low)) = (shifted(1e-5), shifted(-1e-5));
                let bend: Vec<f64> = g_high
                    .iter()
                    .zip(&g_low)
                    .map(|(a, b)| (a - b) / 2e-5)
                    .collect();
                ((high - low) / 4e-5, bend)
            };
            let at = p.solve(&theta, 0.1).unwrap();
            let gradient = p.gradient(&theta, &at, 0.1);
            for (k, g) in gradient.iter().enumerate() {
                let slope = differences(&p, k, 0.1).0;
                assert!((slope - g).abs() < 1e-8, "{metric} {slope} {g}");
            }
            // The same with a target that is reached.
            let mut target = Vec::new();
            for block in &at.blocks {
                target.extend(p.expand(&block.a, &block.b).data);
            }
            let target = Matrix::from_vec(p.target.rows, p.n(), target);
            p = Problem::new(window * window, p.chain, p.last, target, p.weighing, None);
            let at = p.solve(&theta, 0.0).unwrap();
            assert!(at.error < 1e-20);
            let curvature = p.curvature(&theta, &at, 0.0).unwrap();
            for k in 0..theta.len() {
                let mut unit = vec![0.0; theta.len()];
                unit[k] = 1.0;
                let applied = curvature.apply(&unit);
                for (a, b) in applied.iter().zip(differences(&p, k, 0.0).1) {
                    assert!((a - b).abs() < 1e-5, "{metric} {k}: {a} {b}");
                }
            }
        }
    }
}
