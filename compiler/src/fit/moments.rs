//! Statistics of the input patches that a convolution sees.

use faer::Accum;

use super::form::tap_table;
use super::linalg::{Cholesky, Matrix, mul, mul_into, symmetric_into};
use super::{FitError, Kernel};

/// Elements of a block of patches that is gathered before it is multiplied.
const BLOCK: usize = 1 << 19;

/// How a convolution slides over its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Zeros before the first element, an axis.
    pub pads_begin: Vec<usize>,
    /// Zeros after the last element, an axis.
    pub pads_end: Vec<usize>,
    /// Stride, an axis.
    pub stride: Vec<usize>,
    /// Dilation, an axis.
    pub dilation: Vec<usize>,
}

/// First and second moments of the zero-padded input patches of a convolution,
/// a group: an error `E` in the kernel is the error `E·(Σ + μμᵀ)·Eᵀ` in the
/// output, and `E·Σ·Eᵀ` once the bias is corrected by `E·μ`.
///
/// With outputs recorded beside the patches ([`Moments::paired`]) they also give
/// the kernel that best maps the patches to those outputs, which is the target
/// where the patches come from an already rewritten network.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    inp: usize,
    spatial: Vec<usize>,
    count: f64,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq)]
struct Group {
    sum: Vec<f64>,
    /// Σ x·xᵀ, lower triangle.
    outer: Matrix,
    pair: Option<Pair>,
}

#[derive(Debug, Clone, PartialEq)]
struct Pair {
    sum: Vec<f64>,
    /// Σ y·xᵀ.
    cross: Matrix,
    /// Σ y² a channel.
    square: Vec<f64>,
}

/// The regression of recorded outputs on patches, one group.
pub(super) struct Regression {
    /// The kernel, `out × n`.
    pub kernel: Matrix,
    /// Mean output a channel.
    pub mean: Vec<f64>,
    /// Variance of the outputs that no kernel explains, summed over channels.
    pub unexplained: f64,
}

impl Moments {
    /// Empty moments for patches of a kernel of this shape.
    #[must_use]
    pub fn new(kernel: &Kernel) -> Self {
        let n = kernel.inp * kernel.taps();
        let group = Group {
            sum: vec![0.0; n],
            outer: Matrix::zeros(n, n),
            pair: None,
        };
        Self {
            inp: kernel.inp,
            spatial: kernel.spatial.clone(),
            count: 0.0,
            groups: vec![group; kernel.groups],
        }
    }

    /// As [`Moments::new`], for patches that come with the outputs they ought to
    /// produce (without bias).
    #[must_use]
    pub fn paired(kernel: &Kernel) -> Self {
        let mut moments = Self::new(kernel);
        let out = kernel.out / kernel.groups;
        let n = kernel.inp * kernel.taps();
        for group in &mut moments.groups {
            group.pair = Some(Pair {
                sum: vec![0.0; out],
                cross: Matrix::zeros(out, n),
                square: vec![0.0; out],
            });
        }
        moments
    }

    /// Number of patches seen.
    #[must_use]
    pub fn samples(&self) -> f64 {
        self.count
    }

    /// Whether outputs are recorded beside the patches.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.groups.iter().any(|g| g.pair.is_some())
    }

    /// Whether these are moments of patches of `kernel`.
    #[must_use]
    pub fn fits(&self, kernel: &Kernel) -> bool {
        self.inp == kernel.inp
            && self.spatial == kernel.spatial
            && self.groups.len() == kernel.groups
            && self
                .groups
                .iter()
                .filter_map(|g| g.pair.as_ref())
                .all(|p| p.sum.len() * kernel.groups == kernel.out)
    }

    /// Mean patch of a group, `(inp · taps)`.
    #[must_use]
    pub fn mean(&self, group: usize) -> Vec<f64> {
        let scale = 1.0 / self.count.max(1.0);
        self.groups[group].sum.iter().map(|s| s * scale).collect()
    }

    /// Centred covariance of the patches of a group, row-major `(inp · taps)²`.
    #[must_use]
    pub fn covariance(&self, group: usize) -> Vec<f64> {
        self.centred(group).data
    }

    /// Adds all patches of a batch of activations `(N, C, spatial…)`, and, if
    /// these moments are paired, the convolution outputs (without bias) `(N, O,
    /// spatial…)` that belong to them.
    ///
    /// # Errors
    /// [`FitError::Shape`] where shapes do not match, [`FitError::NotFinite`]
    /// for NaN or infinite activations.
    pub fn accumulate(
        &mut self,
        input: &[f32],
        shape: &[usize],
        window: &Window,
        output: Option<&[f32]>,
    ) -> Result<(), FitError> {
        let grid = Grid::new(self, shape, window)?;
        let batch = shape[0];
        if input.len() != shape.iter().product::<usize>() {
            return Err(FitError::Shape(format!(
                "{} activations for the shape {shape:?}",
                input.len()
            )));
        }
        let outputs = self.groups[0].pair.as_ref().map_or(0, |p| p.sum.len()) * self.groups.len();
        if output.map_or(0, <[f32]>::len) != batch * outputs * grid.positions.len() {
            return Err(FitError::Shape(format!(
                "{} outputs where {} x {} x {} are expected",
                output.map_or(0, <[f32]>::len),
                batch,
                outputs,
                grid.positions.len()
            )));
        }
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if !finite(input) || !output.is_none_or(finite) {
            return Err(FitError::NotFinite("activations"));
        }
        if input.is_empty() || grid.positions.is_empty() {
            return Ok(());
        }
        let image = input.len() / batch;
        for b in 0..batch {
            let padded = grid.pad(&input[b * image..(b + 1) * image]);
            let plane = outputs * grid.positions.len();
            let output = output.map(|y| &y[b * plane..(b + 1) * plane]);
            for (g, group) in self.groups.iter_mut().enumerate() {
                group.add(&grid, g, &padded, output);
            }
        }
        self.count += (batch * grid.positions.len()) as f64;
        Ok(())
    }

    /// Adds the patches that `other` has seen.
    ///
    /// # Errors
    /// [`FitError::Shape`] if the two are not of the same kernel shape.
    pub fn merge(&mut self, other: &Self) -> Result<(), FitError> {
        let same = self.inp == other.inp
            && self.spatial == other.spatial
            && self.groups.len() == other.groups.len()
            && self
                .groups
                .iter()
                .zip(&other.groups)
                .all(|(a, b)| match (&a.pair, &b.pair) {
                    (Some(a), Some(b)) => a.sum.len() == b.sum.len(),
                    (None, None) => true,
                    _ => false,
                });
        if !same {
            return Err(FitError::Shape(
                "moments of different kernels cannot be merged".into(),
            ));
        }
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        for (a, b) in self.groups.iter_mut().zip(&other.groups) {
            add(&mut a.sum, &b.sum);
            add(&mut a.outer.data, &b.outer.data);
            if let (Some(a), Some(b)) = (&mut a.pair, &b.pair) {
                add(&mut a.sum, &b.sum);
                add(&mut a.cross.data, &b.cross.data);
                add(&mut a.square, &b.square);
            }
        }
        self.count += other.count;
        Ok(())
    }

    pub(super) fn centred(&self, group: usize) -> Matrix {
        let mean = self.mean(group);
        let mut cov = self.groups[group].outer.clone();
        let scale = 1.0 / self.count.max(1.0);
        for r in 0..cov.rows {
            for c in 0..=r {
                let value = cov.data[r * cov.cols + c] * scale - mean[r] * mean[c];
                cov.data[r * cov.cols + c] = value;
            }
        }
        cov.mirror();
        cov
    }

    /// The kernel that best maps patches to recorded outputs, drawn towards
    /// `prior` by `ridge` (absolute, in units of the covariance).
    pub(super) fn regression(
        &self,
        group: usize,
        prior: &Matrix,
        ridge: f64,
    ) -> Result<Option<Regression>, FitError> {
        let Some(pair) = &self.groups[group].pair else {
            return Ok(None);
        };
        let (cov, mean_x) = (self.centred(group), self.mean(group));
        let scale = 1.0 / self.count.max(1.0);
        let mean: Vec<f64> = pair.sum.iter().map(|s| s * scale).collect();
        let mut cross = pair.cross.clone();
        for (o, mean_y) in mean.iter().enumerate() {
            for (value, mean_x) in cross.row_mut(o).iter_mut().zip(&mean_x) {
                *value = *value * scale - mean_y * mean_x;
            }
        }
        // W* = W + (C_yx − W·Σ)·(Σ + ridge·I)⁻¹
        let mut step = cross.clone();
        mul_into(&mut step, Accum::Add, prior.view(), cov.view(), -1.0);
        Cholesky::new(&cov, ridge)?.solve_rows(&mut step);
        let mut kernel = prior.clone();
        kernel
            .data
            .iter_mut()
            .zip(&step.data)
            .for_each(|(w, s)| *w += s);
        // var y − 2⟨W*, C_yx⟩ + ⟨W*, W*Σ⟩
        let variance: f64 = pair
            .square
            .iter()
            .zip(&mean)
            .map(|(s, m)| s * scale - m * m)
            .sum();
        let through = mul(kernel.view(), cov.view());
        let explained: f64 = kernel
            .data
            .iter()
            .zip(cross.data.iter().zip(&through.data))
            .map(|(w, (c, s))| w * (2.0 * c - s))
            .sum();
        Ok(Some(Regression {
            kernel,
            mean,
            unexplained: (variance - explained).max(0.0),
        }))
    }
}

impl Group {
    fn add(&mut self, grid: &Grid, group: usize, padded: &[f64], output: Option<&[f32]>) {
        let n = self.sum.len();
        let positions = grid.positions.len();
        let channels = &grid.patch[group * n..(group + 1) * n];
        for start in (0..positions).step_by((BLOCK / n).max(1)) {
            let end = (start + (BLOCK / n).max(1)).min(positions);
            let mut patches = Matrix::zeros(end - start, n);
            for (row, base) in patches
                .data
                .chunks_exact_mut(n)
                .zip(&grid.positions[start..end])
            {
                for (value, offset) in row.iter_mut().zip(channels) {
                    *value = padded[base + offset];
                }
                self.sum.iter_mut().zip(row).for_each(|(s, v)| *s += *v);
            }
            symmetric_into(&mut self.outer, patches.t(), patches.view(), 1.0);
            if let (Some(pair), Some(output)) = (&mut self.pair, output) {
                let out = pair.sum.len();
                let mut y = Matrix::zeros(out, end - start);
                for o in 0..out {
                    let plane = &output[(group * out + o) * positions..][start..end];
                    for (value, y) in y.row_mut(o).iter_mut().zip(plane) {
                        *value = f64::from(*y);
                        pair.sum[o] += *value;
                        pair.square[o] += *value * *value;
                    }
                }
                mul_into(&mut pair.cross, Accum::Add, y.view(), patches.view(), 1.0);
            }
        }
    }
}

/// Offsets of all patches in one zero-padded image.
struct Grid {
    /// Padded image shape `(C, spatial…)`.
    padded: Vec<usize>,
    /// Offset of each input element row.
    rows: Vec<usize>,
    /// Length of an input row.
    row: usize,
    /// Offset of a patch's first tap, a position.
    positions: Vec<usize>,
    /// Offset of each element of a patch, channels of all groups.
    patch: Vec<usize>,
}

impl Grid {
    fn new(moments: &Moments, shape: &[usize], window: &Window) -> Result<Self, FitError> {
        let axes = moments.spatial.len();
        let channels = moments.inp * moments.groups.len();
        let named = [
            &window.pads_begin,
            &window.pads_end,
            &window.stride,
            &window.dilation,
        ];
        if shape.len() != axes + 2
            || shape[1] != channels
            || named.iter().any(|v| v.len() != axes)
            || window.stride.contains(&0)
            || window.dilation.contains(&0)
        {
            return Err(FitError::Shape(format!(
                "activations of shape {shape:?} do not suit {channels} channels and a window of {axes} axes"
            )));
        }
        let mut padded = vec![channels];
        let mut steps = Vec::new();
        for a in 0..axes {
            let size = shape[a + 2] + window.pads_begin[a] + window.pads_end[a];
            let span = 1 + (moments.spatial[a] - 1) * window.dilation[a];
            steps.push(if size < span {
                0
            } else {
                1 + (size - span) / window.stride[a]
            });
            padded.push(size);
        }
        let taps = tap_table(&padded[1..], &moments.spatial, &window.dilation);
        let positions = tap_table(&padded[1..], &steps, &window.stride);
        let plane: usize = padded[1..].iter().product();
        let patch = (0..channels)
            .flat_map(|c| taps.iter().map(move |t| c * plane + t))
            .collect();
        let (row, mut start) = (
            shape.last().copied().unwrap_or(1),
            window.pads_begin.clone(),
        );
        start.insert(0, 0);
        let mut counts = shape[1..].to_vec();
        if axes > 0 {
            counts[axes] = 1;
        }
        let first = super::form::flat(&padded, &start);
        let rows = tap_table(&padded, &counts, &vec![1; axes + 1])
            .into_iter()
            .map(|offset| offset + first)
            .collect();
        Ok(Self {
            padded,
            rows,
            row,
            positions,
            patch,
        })
    }

    fn pad(&self, image: &[f32]) -> Vec<f64> {
        let mut padded = vec![0.0; self.padded.iter().product()];
        for (from, start) in image.chunks_exact(self.row).zip(&self.rows) {
            for (to, v) in padded[*start..start + self.row].iter_mut().zip(from) {
                *to = f64::from(*v);
            }
        }
        padded
    }
}
