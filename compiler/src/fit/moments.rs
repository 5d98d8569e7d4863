//! Statistics of the input patches that a convolution sees.

use rayon::prelude::*;

use super::compose::gcd;
use super::linalg::Matrix;
use super::patches::{Grid, Window};
use super::sums::Sums;
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
