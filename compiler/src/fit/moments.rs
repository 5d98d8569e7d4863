//! Statistics of the input patches that a convolution sees.

use faer::Accum;
use rayon::prelude::*;

use super::linalg::{Matrix, dot, mul_into, symmetric_into};
use super::patches::{Grid, Window};
use super::{FitError, Kernel};

/// Elements of a block of patches that is gathered before it is multiplied.
const BLOCK: usize = 1 << 19;
/// Importance below which a patch is passed over.
const NEGLIGIBLE: f64 = 1e-3;

/// First and second moments of the zero-padded input patches of a convolution,
/// a group: an error `E` in the kernel is the error `E·(Σ + μμᵀ)·Eᵀ` in the
/// output, and `E·Σ·Eᵀ` once the bias is corrected by `E·μ`.
///
/// With outputs recorded beside the patches ([`Moments::paired`]) they also give
/// the kernel that best maps the patches to those outputs, which is the target
/// where the patches come from an already rewritten network. With an importance
/// of each output element ([`Moments::weighted`]) every output channel has
/// moments of its own, of the patches on which it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    inp: usize,
    spatial: Vec<usize>,
    count: f64,
    /// Patches to take of a sample, and how many have gone by.
    most: usize,
    passed: usize,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq)]
struct Group {
    /// Moments over all patches; of the outputs, all channels together.
    all: Sums,
    /// Moments weighted by each channel's importance, if there are such.
    each: Vec<Sums>,
}

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

impl Moments {
    /// Empty moments for patches of a kernel of this shape.
    #[must_use]
    pub fn new(kernel: &Kernel) -> Self {
        let group = Group {
            all: Sums::new(kernel.inp * kernel.taps(), 0),
            each: Vec::new(),
        };
        Self {
            inp: kernel.inp,
            spatial: kernel.spatial.clone(),
            count: 0.0,
            most: usize::MAX,
            passed: 0,
            groups: vec![group; kernel.groups],
        }
    }

    /// As [`Moments::new`], for patches that come with the outputs they ought to
    /// produce (without bias).
    #[must_use]
    pub fn paired(kernel: &Kernel) -> Self {
        let mut moments = Self::new(kernel);
        let (n, out) = (kernel.inp * kernel.taps(), kernel.out / kernel.groups);
        for group in &mut moments.groups {
            group.all = Sums::new(n, out);
        }
        moments
    }

    /// As [`Moments::paired`], for patches and outputs that come with the
    /// importance of each output element. Holds `out · (inp·taps)²` numbers
    /// instead of `(inp·taps)²`.
    #[must_use]
    pub fn weighted(kernel: &Kernel) -> Self {
        let mut moments = Self::paired(kernel);
        let (n, out) = (kernel.inp * kernel.taps(), kernel.out / kernel.groups);
        for group in &mut moments.groups {
            group.each = vec![Sums::new(n, 1); out];
        }
        moments
    }

    /// The moments of about `most` patches a sample, evenly spread: the work
    /// grows with their number, what they tell hardly does beyond some hundred
    /// a weight.
    #[must_use]
    pub fn thinned(self, most: usize) -> Self {
        Self {
            most: most.max(1),
            ..self
        }
    }

    /// Number of patches seen.
    #[must_use]
    pub fn samples(&self) -> f64 {
        self.count
    }

    /// Whether outputs are recorded beside the patches.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.groups.iter().any(|g| !g.all.y.is_empty())
    }

    /// Whether every output channel has moments of its own.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        self.groups.iter().any(|g| !g.each.is_empty())
    }

    /// Whether these are moments of patches of `kernel`.
    #[must_use]
    pub fn fits(&self, kernel: &Kernel) -> bool {
        let out = kernel.out / kernel.groups.max(1);
        self.inp == kernel.inp
            && self.spatial == kernel.spatial
            && self.groups.len() == kernel.groups
            && self
                .groups
                .iter()
                .all(|g| g.all.y.is_empty() || g.all.y.len() == out)
    }

    /// Mean patch of a group, `(inp · taps)`.
    #[must_use]
    pub fn mean(&self, group: usize) -> Vec<f64> {
        self.groups[group].all.mean_x()
    }

    /// Centred covariance of the patches of a group, row-major `(inp · taps)²`.
    #[must_use]
    pub fn covariance(&self, group: usize) -> Vec<f64> {
        self.all(group).covariance().data
    }

    pub(super) fn all(&self, group: usize) -> &Sums {
        &self.groups[group].all
    }

    pub(super) fn each(&self, group: usize) -> &[Sums] {
        &self.groups[group].each
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
        self.accumulate_weighted(input, shape, window, output, None)
    }

    /// As [`Moments::accumulate`], with the importance of each output element,
    /// in the shape of the outputs, if these moments are weighted.
    ///
    /// # Errors
    /// As [`Moments::accumulate`].
    pub fn accumulate_weighted(
        &mut self,
        input: &[f32],
        shape: &[usize],
        window: &Window,
        output: Option<&[f32]>,
        importance: Option<&[f32]>,
    ) -> Result<(), FitError> {
        let channels = self.inp * self.groups.len();
        let grid = Grid::new(&self.spatial, channels, shape, window)?;
        let (batch, positions) = (shape[0], grid.positions.len());
        if Some(input.len()) != shape.iter().try_fold(1, |a: usize, b| a.checked_mul(*b)) {
            return Err(FitError::Shape(format!(
                "{} activations for the shape {shape:?}",
                input.len()
            )));
        }
        let outputs = self.groups[0].all.y.len() * self.groups.len();
        let expect = |what: &str, given: Option<&[f32]>, wanted: bool| {
            let (given, wanted) = (
                given.map_or(0, <[f32]>::len),
                if wanted {
                    batch * outputs * positions
                } else {
                    0
                },
            );
            if given == wanted {
                return Ok(());
            }
            Err(FitError::Shape(format!(
                "{given} {what} where {wanted} are expected"
            )))
        };
        expect("outputs", output, true)?;
        expect("importances", importance, self.is_weighted())?;
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if !finite(input) || !output.is_none_or(finite) || !importance.is_none_or(finite) {
            return Err(FitError::NotFinite("activations"));
        }
        if input.is_empty() || positions == 0 {
            return Ok(());
        }
        let image = input.len() / batch;
        let plane = outputs * positions;
        let every = spacing(positions, self.most);
        for b in 0..batch {
            let first = (every - self.passed % every) % every;
            let taken: Vec<usize> = (first..positions).step_by(every).collect();
            self.passed += positions;
            self.count += taken.len() as f64;
            if taken.is_empty() {
                continue;
            }
            let padded = grid.pad(&input[b * image..(b + 1) * image]);
            let part = |values: Option<&'_ [f32]>| {
                values.map_or(Vec::new(), |v| v[b * plane..(b + 1) * plane].to_vec())
            };
            let (output, importance) = (part(output), part(importance));
            for (g, group) in self.groups.iter_mut().enumerate() {
                group.add(&grid, g, &padded, &taken, &output, &importance);
            }
        }
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
                .all(|(a, b)| a.all.y.len() == b.all.y.len() && a.each.len() == b.each.len());
        if !same {
            return Err(FitError::Shape(
                "moments of different kernels cannot be merged".into(),
            ));
        }
        for (a, b) in self.groups.iter_mut().zip(&other.groups) {
            a.all.merge(&b.all);
            a.each.iter_mut().zip(&b.each).for_each(|(a, b)| a.merge(b));
        }
        self.count += other.count;
        Ok(())
    }
}

/// Distance of the patches to take: none in common with the number of
/// positions, so that each sample is seen at other places than the one before.
fn spacing(positions: usize, most: usize) -> usize {
    let mut every = (positions / most).max(1);
    while every < positions && gcd(every, positions) > 1 {
        every += 1;
    }
    every
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Group {
    fn add(
        &mut self,
        grid: &Grid,
        group: usize,
        padded: &[f64],
        taken: &[usize],
        output: &[f32],
        importance: &[f32],
    ) {
        let (n, positions, out) = (self.all.x.len(), grid.positions.len(), self.all.y.len());
        let channels = &grid.patch[group * n..(group + 1) * n];
        let block = (BLOCK / n).max(1);
        for span in taken.chunks(block) {
            let mut patches = Matrix::zeros(span.len(), n);
            for (row, p) in patches.data.chunks_exact_mut(n).zip(span) {
                for (value, offset) in row.iter_mut().zip(channels) {
                    *value = padded[grid.positions[*p] + offset];
                }
            }
            let plane = |values: &[f32], o: usize| -> Vec<f64> {
                let plane = &values[(group * out + o) * positions..][..positions];
                span.iter().map(|&p| f64::from(plane[p])).collect()
            };
            let y: Vec<f64> = (0..out).flat_map(|o| plane(output, o)).collect();
            self.all
                .add(&patches, &Matrix::from_vec(out, span.len(), y));
            self.each.par_iter_mut().enumerate().for_each(|(o, sums)| {
                let weights = plane(importance, o);
                let kept: Vec<usize> = (0..span.len())
                    .filter(|&p| weights[p] > NEGLIGIBLE)
                    .collect();
                let weights: Vec<f64> = kept.iter().map(|&p| weights[p]).collect();
                let y = plane(output, o);
                let y = kept.iter().map(|&p| y[p]).collect();
                sums.add_weighted(&patches, &kept, &weights, y);
            });
        }
    }
}

impl Sums {
    fn new(n: usize, out: usize) -> Self {
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
    fn add(&mut self, patches: &Matrix, outputs: &Matrix) {
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
    fn add_weighted(&mut self, patches: &Matrix, kept: &[usize], weights: &[f64], y: Vec<f64>) {
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

    fn merge(&mut self, other: &Self) {
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
