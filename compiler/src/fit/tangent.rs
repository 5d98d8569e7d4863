//! The part of a chain before its last factor, as a differentiable map from its
//! parameters to the one kernel that it equals.

use super::linalg::{Matrix, mul};

/// Shape of one factor within one group of the original.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub width: usize,
    pub groups: usize,
    /// Input channels of one of its groups.
    pub inp: usize,
    /// Offset of each tap in the original's window.
    pub offsets: Vec<usize>,
}

impl Link {
    pub fn len(&self) -> usize {
        self.width * self.inp * self.offsets.len()
    }

    /// First input channel that output channel `m` reads.
    pub fn first_input(&self, m: usize) -> usize {
        m / (self.width / self.groups) * self.inp
    }
}

/// All factors but the last. `B = P_F`, where `P_1` is the first factor and
/// `P_f[m,i,·] = Σ_l θ_f[m,l,·] ∗ P_{f−1}[l,i,·]`; each `P_f` is a dense matrix
/// `width × (inputs · taps)` over the distinct tap offsets that it can reach.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub links: Vec<Link>,
    inputs: usize,
    /// For each link after the first, `[u · taps_before + t]`: the tap that tap
    /// `t` of the prefix and tap `u` of the link add up to.
    joins: Vec<Vec<usize>>,
    /// Distinct tap offsets of each prefix.
    taps: Vec<Vec<usize>>,
}

impl Chain {
    pub fn new(inputs: usize, links: Vec<Link>) -> Self {
        let mut taps = vec![links[0].offsets.clone()];
        let mut joins = Vec::new();
        for (f, link) in links.iter().enumerate().skip(1) {
            let before = &taps[f - 1];
            let sums: Vec<usize> = link
                .offsets
                .iter()
                .flat_map(|u| before.iter().map(move |t| t + u))
                .collect();
            let mut distinct = sums.clone();
            distinct.sort_unstable();
            distinct.dedup();
            joins.push(
                sums.iter()
                    .map(|s| distinct.partition_point(|d| d < s))
                    .collect(),
            );
            taps.push(distinct);
        }
        Self {
            links,
            inputs,
            joins,
            taps,
        }
    }

    /// Tap offsets of `B`.
    pub fn offsets(&self) -> &[usize] {
        &self.taps[self.taps.len() - 1]
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Channels of `B`.
    pub fn width(&self) -> usize {
        self.links[self.links.len() - 1].width
    }

    /// Whether the parameters are `B` itself.
    pub fn is_identity(&self) -> bool {
        self.links.len() == 1 && self.links[0].groups == 1
    }

    /// Parameters of each link.
    pub fn split<'a>(&self, theta: &'a [f64]) -> Vec<&'a [f64]> {
        let mut rest = theta;
        let mut parts = Vec::new();
        for link in &self.links {
            let (part, tail) = rest.split_at(link.len());
            parts.push(part);
            rest = tail;
        }
        parts
    }

    /// All prefixes `P_1 … P_F`.
    pub fn prefixes(&self, theta: &[f64]) -> Vec<Matrix> {
        let parts = self.split(theta);
        let mut prefixes = vec![self.first(parts[0])];
        for f in 1..self.links.len() {
            let next = self.join(f, &self.stacked(f, parts[f]), &prefixes[f - 1]);
            prefixes.push(next);
        }
        prefixes
    }

    /// The change of `B` for a change of the parameters.
    pub fn push(&self, theta: &[f64], prefixes: &[Matrix], change: &[f64]) -> Matrix {
        let (parts, changes) = (self.split(theta), self.split(change));
        let mut d = self.first(changes[0]);
        for f in 1..self.links.len() {
            let mut next = self.join(f, &self.stacked(f, parts[f]), &d);
            let own = self.join(f, &self.stacked(f, changes[f]), &prefixes[f - 1]);
            next.data
                .iter_mut()
                .zip(&own.data)
                .for_each(|(a, b)| *a += b);
            d = next;
        }
        d
    }

    /// The gradient by the parameters for a gradient by `B`.
    pub fn pull(&self, theta: &[f64], prefixes: &[Matrix], gradient: Matrix) -> Vec<f64> {
        let parts = self.split(theta);
        let mut g = gradient;
        let mut pulled = vec![Vec::new(); self.links.len()];
        for f in (1..self.links.len()).rev() {
            let spread = self.unjoin(f, &g);
            // (u·width) × l, then by tap back into the grouped layout
            let own = mul(spread.view(), prefixes[f - 1].t());
            pulled[f] = self.unstack(f, &own);
            g = mul(self.stacked(f, parts[f]).t(), spread.view());
        }
        pulled[0] = self.unfirst(&g);
        pulled.concat()
    }

    /// A link's parameters that give the prefix `P_1`, the masked part dropped.
    fn unfirst(&self, dense: &Matrix) -> Vec<f64> {
        let link = &self.links[0];
        let taps = link.offsets.len();
        let mut theta = Vec::with_capacity(link.len());
        for m in 0..link.width {
            let start = link.first_input(m) * taps;
            theta.extend_from_slice(&dense.row(m)[start..start + link.inp * taps]);
        }
        theta
    }

    fn first(&self, theta: &[f64]) -> Matrix {
        let link = &self.links[0];
        let taps = link.offsets.len();
        if link.groups == 1 {
            return Matrix::from_vec(link.width, self.inputs * taps, theta.to_vec());
        }
        let mut dense = Matrix::zeros(link.width, self.inputs * taps);
        for (m, part) in theta.chunks_exact(link.inp * taps).enumerate() {
            let start = link.first_input(m) * taps;
            dense.row_mut(m)[start..start + part.len()].copy_from_slice(part);
        }
        dense
    }

    /// A link as the dense matrix `(u · width) × channels`.
    fn stacked(&self, f: usize, theta: &[f64]) -> Matrix {
        let (link, channels) = (&self.links[f], self.links[f - 1].width);
        let taps = link.offsets.len();
        let mut dense = Matrix::zeros(taps * link.width, channels);
        for m in 0..link.width {
            let first = link.first_input(m);
            for l in 0..link.inp {
                for u in 0..taps {
                    dense.data[(u * link.width + m) * channels + first + l] =
                        theta[(m * link.inp + l) * taps + u];
                }
            }
        }
        dense
    }

    fn unstack(&self, f: usize, dense: &Matrix) -> Vec<f64> {
        let link = &self.links[f];
        let taps = link.offsets.len();
        let mut theta = vec![0.0; link.len()];
        for m in 0..link.width {
            let first = link.first_input(m);
            for l in 0..link.inp {
                for u in 0..taps {
                    theta[(m * link.inp + l) * taps + u] =
                        dense.data[(u * link.width + m) * dense.cols + first + l];
                }
            }
        }
        theta
    }

    fn join(&self, f: usize, stacked: &Matrix, prefix: &Matrix) -> Matrix {
        let products = mul(stacked.view(), prefix.view());
        let (before, after) = (self.taps[f - 1].len(), self.taps[f].len());
        let width = self.links[f].width;
        let mut joined = Matrix::zeros(width, self.inputs * after);
        for (u, map) in self.joins[f - 1].chunks_exact(before).enumerate() {
            for m in 0..width {
                let from = products.row(u * width + m);
                let to = joined.row_mut(m);
                for i in 0..self.inputs {
                    for (v, t) in from[i * before..(i + 1) * before].iter().zip(map) {
                        to[i * after + t] += v;
                    }
                }
            }
        }
        joined
    }

    fn unjoin(&self, f: usize, gradient: &Matrix) -> Matrix {
        let (before, after) = (self.taps[f - 1].len(), self.taps[f].len());
        let (width, uses) = (self.links[f].width, self.links[f].offsets.len());
        let mut spread = Matrix::zeros(uses * width, self.inputs * before);
        for (u, map) in self.joins[f - 1].chunks_exact(before).enumerate() {
            for m in 0..width {
                let from = gradient.row(m);
                let to = spread.row_mut(u * width + m);
                for i in 0..self.inputs {
                    for (v, t) in to[i * before..(i + 1) * before].iter_mut().zip(map) {
                        *v = from[i * after + t];
                    }
                }
            }
        }
        spread
    }
}
