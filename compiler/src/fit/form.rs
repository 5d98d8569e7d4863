//! The shape of a chain of convolutions.

use super::compose::gcd;
use super::{FitError, Kernel};

/// One convolution of a chain, without its weights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FactorShape {
    /// Kernel extent along each spatial axis.
    pub spatial: Vec<usize>,
    /// Distance between two of its taps, counted in taps of the original
    /// kernel: the factor's own dilation times all earlier strides, divided by
    /// the original's dilation. See [`Form::step`].
    pub step: Vec<usize>,
    /// Output channels, over all groups.
    pub width: usize,
    /// Groups; divides the width and the channels that come in.
    pub groups: usize,
}

impl FactorShape {
    /// A factor with contiguous taps.
    #[must_use]
    pub fn new(spatial: Vec<usize>, width: usize, groups: usize) -> Self {
        let step = vec![1; spatial.len()];
        Self {
            spatial,
            step,
            width,
            groups,
        }
    }

    /// The same factor with its taps `step` apart.
    #[must_use]
    pub fn with_step(mut self, step: Vec<usize>) -> Self {
        self.step = step;
        self
    }

    /// Spatial positions, `∏ spatial`.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.spatial.iter().product()
    }
}

/// A chain of convolutions in execution order: the first factor sees the input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Form {
    /// The factors; the last one's width is the original's output channels.
    pub factors: Vec<FactorShape>,
}

impl Form {
    /// The distance between a factor's taps in taps of the original, where that
    /// is a whole number: `dilation · ∏ earlier strides / original dilation`.
    #[must_use]
    pub fn step(
        original_dilation: usize,
        dilation: usize,
        earlier_strides: usize,
    ) -> Option<usize> {
        let step = dilation.checked_mul(earlier_strides)?;
        (original_dilation > 0 && step.is_multiple_of(original_dilation))
            .then(|| step / original_dilation)
    }

    /// Extent of the single kernel that the chain equals: `1 + Σ (kᵢ − 1)·stepᵢ`
    /// an axis.
    #[must_use]
    pub fn extent(&self) -> Vec<usize> {
        let axes = self.factors.first().map_or(0, |f| f.spatial.len());
        (0..axes)
            .map(|a| {
                1 + self
                    .factors
                    .iter()
                    .map(|f| (f.spatial[a] - 1) * f.step[a])
                    .sum::<usize>()
            })
            .collect()
    }

    /// Weights of the chain for an input of `channels` channels, biases aside.
    #[must_use]
    pub fn parameters(&self, channels: usize) -> usize {
        self.sizes(channels).sum()
    }

    /// Weights of each factor for an input of `channels` channels.
    pub(super) fn sizes(&self, channels: usize) -> impl Iterator<Item = usize> {
        let factors = self.factors.iter().zip(self.inputs(channels));
        factors.map(|(f, inp)| f.width * (inp / f.groups) * f.taps())
    }

    /// Channels that each factor reads.
    fn inputs(&self, channels: usize) -> impl Iterator<Item = usize> {
        std::iter::once(channels).chain(self.factors.iter().map(|f| f.width))
    }

    /// Whether two neighbours, made one factor, have no more weights than the two.
    /// That chain then gives all that this one does at no more weights and MACs:
    /// whatever the weights, this one is not worth a fit.
    #[must_use]
    pub fn is_contained(&self, channels: usize) -> bool {
        let sizes: Vec<usize> = self.sizes(channels).collect();
        let pairs = self.factors.windows(2).zip(sizes.windows(2));
        pairs.zip(self.inputs(channels)).any(|((pair, size), inp)| {
            // The window over both, holes of dilated taps included.
            let both = Form {
                factors: pair.to_vec(),
            };
            let steps = pair[0].step.iter().zip(&pair[1].step);
            let taps = both.extent().into_iter().zip(steps);
            let taps = taps.map(|(extent, (&a, &b))| 1 + (extent - 1) / gcd(a, b));
            let groups = gcd(pair[0].groups, pair[1].groups);
            inp / groups * pair[1].width * taps.product::<usize>() <= size[0] + size[1]
        })
    }

    /// Checks that the chain can stand for `kernel`.
    ///
    /// # Errors
    /// [`FitError::Shape`], and says what does not match.
    pub fn check(&self, kernel: &Kernel) -> Result<(), FitError> {
        let shape = |m: String| Err(FitError::Shape(m));
        let axes = kernel.spatial.len();
        let Some(last) = self.factors.last() else {
            return shape("a chain needs at least one factor".into());
        };
        let mut inputs = kernel.channels();
        for (i, f) in self.factors.iter().enumerate() {
            if f.spatial.len() != axes || f.step.len() != axes {
                return shape(format!("factor {i} does not have {axes} spatial axes"));
            }
            if f.width == 0 || f.groups == 0 || f.spatial.contains(&0) || f.step.contains(&0) {
                return Err(FitError::Empty);
            }
            if !inputs.is_multiple_of(f.groups) || !f.width.is_multiple_of(f.groups) {
                return shape(format!(
                    "factor {i}: {} groups do not divide {inputs} input and {} output channels",
                    f.groups, f.width
                ));
            }
            if !f.groups.is_multiple_of(kernel.groups) {
                return shape(format!(
                    "factor {i}: its {} groups would mix the original's {}",
                    f.groups, kernel.groups
                ));
            }
            inputs = f.width;
        }
        if last.width != kernel.out {
            return shape(format!(
                "the last factor has {} output channels, the original {}",
                last.width, kernel.out
            ));
        }
        if self.extent() != kernel.spatial {
            return shape(format!(
                "the chain spans {:?} taps, the original {:?}",
                self.extent(),
                kernel.spatial
            ));
        }
        Ok(())
    }
}

/// The widest middle at which `form(width)` has at most `ratio` times the
/// kernel's parameters, or `None` if not even the narrowest one has. `form` must
/// not shrink as the width grows; it returns `None` for widths it cannot take
/// (such as one that its groups do not divide).
pub fn max_width_within(
    kernel: &Kernel,
    ratio: f64,
    form: impl Fn(usize) -> Option<Form>,
) -> Option<usize> {
    let budget = ratio * kernel.data.len() as f64;
    let widest = kernel.data.len();
    let mut best = None;
    for width in 1..=widest {
        if let Some(form) = form(width) {
            if form.parameters(kernel.channels()) as f64 > budget {
                break;
            }
            best = Some(width);
        }
    }
    best
}

/// Row-major index of `position` in a window of `spatial` taps.
pub(super) fn flat(spatial: &[usize], position: &[usize]) -> usize {
    spatial
        .iter()
        .zip(position)
        .fold(0, |acc, (k, p)| acc * k + p)
}

/// Where each tap of a factor (`spatial`, its taps `step` apart) falls in a
/// window of `whole` taps, its corner at the window's origin. Offsets of
/// factors in a row add up.
pub(super) fn tap_table(whole: &[usize], spatial: &[usize], step: &[usize]) -> Vec<usize> {
    let mut table = vec![0];
    for ((w, k), s) in whole.iter().zip(spatial).zip(step) {
        table = table
            .iter()
            .flat_map(|base| (0..*k).map(move |p| base * w + p * s))
            .collect();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_chain() {
        let chain = |widths: [usize; 3]| Form {
            factors: [[3, 1], [1, 4], [3, 2]]
                .into_iter()
                .zip(widths)
                .map(|(k, m)| FactorShape::new(k.to_vec(), m, 1))
                .collect(),
        };
        // 3x1 and 1x4 of 20 channels: 3·3·20 + 20·4·20 weights; as one 3x4 of 3
        // channels 3·12·20.
        assert!(chain([20, 20, 24]).is_contained(3));
        assert!(!chain([4, 4, 24]).is_contained(3));
        assert!(!chain([20, 20, 24]).is_contained(24));
        // Few channels out: 1x4 with 3x2 is one 3x5.
        assert!(chain([8, 60, 2]).is_contained(24));

        // Taps 3 apart, then taps 2 apart, lie on every place of the 9 that they span.
        let dilated = |width: usize| Form {
            factors: vec![
                FactorShape::new(vec![3], 4, 1).with_step(vec![3]),
                FactorShape::new(vec![2], width, 1).with_step(vec![2]),
            ],
        };
        // 3·4 + 4·2·13 weights; as one 9·13.
        assert!(!dilated(13).is_contained(1));
        assert!(dilated(12).is_contained(1));
    }
}
