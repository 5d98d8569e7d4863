//! Statistics of the input patches that a convolution sees.

use rayon::prelude::*;

use super::compose::gcd;
use super::linalg::Matrix;
use super::patches::{Grid, Window};
use super::seen::{Sample, Seen};
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

    /// Adds all patches of batches of activations, as one: few large products take
    /// less time than many small ones.
    ///
    /// # Errors
    /// [`FitError::Shape`] where shapes do not match or outputs and importances
    /// are not those that these moments are made for, [`FitError::NotFinite`] for
    /// NaN or infinite activations.
    pub fn accumulate(&mut self, window: &Window, batches: &[Seen<'_>]) -> Result<(), FitError> {
        let channels = self.inp * self.groups.len();
        let grid = |seen: &Seen<'_>| Grid::new(&self.spatial, channels, seen.shape, window);
        let grids: Vec<Grid> = batches.iter().map(grid).collect::<Result<_, _>>()?;
        let outputs = self.is_paired().then_some(self.outputs());
        for (seen, grid) in batches.iter().zip(&grids) {
            seen.check(grid.positions.len(), outputs, self.is_weighted())?;
        }
        let (mut samples, mut held) = (Vec::new(), 0);
        for (seen, grid) in batches.iter().zip(&grids) {
            for s in 0..seen.samples() {
                let taken = self.take(grid.positions.len());
                held += taken.len() * self.groups[0].all.x.len();
                if !taken.is_empty() {
                    samples.push(Sample::new(grid, seen, s, taken));
                }
                if held >= BLOCK {
                    self.add(&samples);
                    (samples, held) = (Vec::new(), 0);
                }
            }
        }
        self.add(&samples);
        Ok(())
    }

    /// Output channels of all groups.
    fn outputs(&self) -> usize {
        self.groups.iter().map(|g| g.all.y.len()).sum()
    }

    /// The places to take of the next sample, which has so many.
    fn take(&mut self, positions: usize) -> Vec<usize> {
        let every = spacing(positions, self.most);
        let first = (every - self.passed % every) % every;
        self.passed += positions;
        (first..positions).step_by(every).collect()
    }

    fn add(&mut self, samples: &[Sample<'_>]) {
        let taken = samples.iter().map(|s| s.taken.len());
        self.count += taken.sum::<usize>() as f64;
        for (g, group) in self.groups.iter_mut().enumerate() {
            group.add(g, samples);
        }
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
    fn add(&mut self, group: usize, samples: &[Sample<'_>]) {
        let (n, out) = (self.all.x.len(), self.all.y.len());
        let block = (BLOCK / n).max(1);
        let places: Vec<(&Sample<'_>, usize)> = samples
            .iter()
            .flat_map(|sample| sample.taken.iter().map(move |&place| (sample, place)))
            .collect();
        for span in places.chunks(block) {
            let mut patches = Matrix::zeros(span.len(), n);
            for (row, (sample, place)) in patches.data.chunks_exact_mut(n).zip(span) {
                let channels = &sample.grid.patch[group * n..(group + 1) * n];
                let patch = &sample.padded[sample.grid.positions[*place]..];
                for (value, offset) in row.iter_mut().zip(channels) {
                    *value = patch[*offset];
                }
            }
            let of_channel = |part: for<'s> fn(&Sample<'s>) -> &'s [f32], o: usize| -> Vec<f64> {
                let value = |(sample, place): &(&Sample<'_>, usize)| {
                    let at = (group * out + o) * sample.grid.positions.len() + place;
                    f64::from(part(sample)[at])
                };
                span.iter().map(value).collect()
            };
            let outputs = |o: usize| of_channel(|sample| sample.output, o);
            let y: Vec<f64> = (0..out).flat_map(outputs).collect();
            self.all
                .add(&patches, &Matrix::from_vec(out, span.len(), y));
            self.each.par_iter_mut().enumerate().for_each(|(o, sums)| {
                let weights = of_channel(|sample| sample.importance, o);
                let kept: Vec<usize> = (0..span.len())
                    .filter(|&p| weights[p] > NEGLIGIBLE)
                    .collect();
                let weights: Vec<f64> = kept.iter().map(|&p| weights[p]).collect();
                let y = outputs(o);
                let y = kept.iter().map(|&p| y[p]).collect();
                sums.add_weighted(&patches, &kept, &weights, y);
            });
        }
    }
}
