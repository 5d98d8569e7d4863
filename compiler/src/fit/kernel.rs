//! The weights of one convolution.

use super::FitError;

/// The kernel of one convolution, in ONNX's layout: `(out, in / groups, spatial…)`,
/// row-major, with any number of spatial axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// Output channels, over all groups.
    pub out: usize,
    /// Input channels of one group.
    pub inp: usize,
    /// Extent along each spatial axis.
    pub spatial: Vec<usize>,
    /// Groups; divides `out`.
    pub groups: usize,
    /// `out · inp · ∏ spatial` weights.
    pub data: Vec<f64>,
}

impl Kernel {
    /// A kernel whose shape and weights have been checked.
    ///
    /// # Errors
    /// [`FitError::Empty`] if an extent is zero, [`FitError::Shape`] if the
    /// number of weights or groups does not fit, [`FitError::NotFinite`] for NaN
    /// and infinity.
    pub fn new(
        out: usize,
        inp: usize,
        spatial: Vec<usize>,
        groups: usize,
        data: Vec<f64>,
    ) -> Result<Self, FitError> {
        let kernel = Self {
            out,
            inp,
            spatial,
            groups,
            data,
        };
        kernel.check()?;
        Ok(kernel)
    }

    /// Verifies the invariants that [`Kernel::new`] establishes.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn check(&self) -> Result<(), FitError> {
        let extents = [self.out, self.inp, self.groups];
        if extents.iter().chain(&self.spatial).any(|&e| e == 0) {
            return Err(FitError::Empty);
        }
        let len = self
            .spatial
            .iter()
            .try_fold(self.out, |a, &b| a.checked_mul(b))
            .and_then(|n| n.checked_mul(self.inp));
        if len != Some(self.data.len()) {
            return Err(FitError::Shape(format!(
                "a kernel of {}x{}x{:?} cannot hold {} weights",
                self.out,
                self.inp,
                self.spatial,
                self.data.len()
            )));
        }
        if !self.out.is_multiple_of(self.groups) {
            return Err(FitError::Shape(format!(
                "{} output channels do not divide into {} groups",
                self.out, self.groups
            )));
        }
        if self.data.iter().any(|w| !w.is_finite()) {
            return Err(FitError::NotFinite("weights"));
        }
        Ok(())
    }

    /// Spatial positions of the kernel, `∏ spatial`.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.spatial.iter().product()
    }

    /// Input channels over all groups.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.inp * self.groups
    }

    /// The weights of one group: `(out / groups) × (inp · taps)`, row-major.
    #[must_use]
    pub fn group(&self, group: usize) -> &[f64] {
        let len = self.data.len() / self.groups;
        &self.data[group * len..(group + 1) * len]
    }

    /// The Frobenius norm.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.data.iter().map(|w| w * w).sum::<f64>().sqrt()
    }

    /// The kernel in a larger window: `before` and `after` zero taps are added
    /// along each axis.
    ///
    /// # Errors
    /// [`FitError::Shape`] if `before` and `after` do not have one number an axis.
    pub fn padded(&self, before: &[usize], after: &[usize]) -> Result<Self, FitError> {
        if before.len() != self.spatial.len() || after.len() != self.spatial.len() {
            return Err(FitError::Shape(
                "padding must name every spatial axis once".into(),
            ));
        }
        let spatial: Vec<usize> = self
            .spatial
            .iter()
            .zip(before)
            .zip(after)
            .map(|((k, b), a)| k + b + a)
            .collect();
        let (taps, wide) = (self.taps(), spatial.iter().product::<usize>());
        let target = super::form::tap_table(&spatial, &self.spatial, &vec![1; spatial.len()]);
        let offset = super::form::flat(&spatial, before);
        let mut data = vec![0.0; self.out * self.inp * wide];
        for (from, to) in self
            .data
            .chunks_exact(taps)
            .zip(data.chunks_exact_mut(wide))
        {
            for (w, t) in from.iter().zip(&target) {
                to[t + offset] = *w;
            }
        }
        Ok(Self {
            spatial,
            data,
            ..*self
        })
    }
}
