//! What a convolution reads, and what is wanted of it there.

use super::FitError;
use super::patches::Grid;

/// A batch of activations, and what a convolution ought to put out for them.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Shape of the activations, `(N, C, spatial…)`.
    pub shape: &'a [usize],
    /// The activations.
    pub input: &'a [f32],
    /// The outputs (without bias), `(N, O, spatial…)`; for paired moments.
    pub output: Option<&'a [f32]>,
    /// How much each of the outputs matters; for weighted moments.
    pub importance: Option<&'a [f32]>,
}

impl<'a> Seen<'a> {
    /// Activations alone.
    #[must_use]
    pub fn new(shape: &'a [usize], input: &'a [f32]) -> Self {
        Self {
            shape,
            input,
            output: None,
            importance: None,
        }
    }

    /// With the outputs that belong to them.
    #[must_use]
    pub fn paired(self, output: &'a [f32]) -> Self {
        Self {
            output: Some(output),
            ..self
        }
    }

    /// With the importance of each output element.
    #[must_use]
    pub fn weighted(self, importance: &'a [f32]) -> Self {
        Self {
            importance: Some(importance),
            ..self
        }
    }

    pub(super) fn samples(&self) -> usize {
        if self.input.is_empty() {
            return 0;
        }
        self.shape[0]
    }

    /// Whether there are as many elements as the shape, `positions` a sample and
    /// output channels want, all of them finite.
    pub(super) fn check(
        &self,
        positions: usize,
        outputs: Option<usize>,
        weighted: bool,
    ) -> Result<(), FitError> {
        let elements = self
            .shape
            .iter()
            .try_fold(1, |a: usize, b| a.checked_mul(*b));
        if Some(self.input.len()) != elements {
            return Err(FitError::Shape(format!(
                "{} activations for the shape {:?}",
                self.input.len(),
                self.shape
            )));
        }
        let whole = self.shape[0] * outputs.unwrap_or_default() * positions;
        for (what, given, wanted) in [
            ("outputs", self.output, outputs.is_some()),
            ("importances", self.importance, weighted),
        ] {
            let given = given.map_or(0, <[f32]>::len);
            let wanted = if wanted { whole } else { 0 };
            if given != wanted {
                return Err(FitError::Shape(format!(
                    "{given} {what} where {wanted} are expected"
                )));
            }
        }
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        let all = [Some(self.input), self.output, self.importance];
        if !all.into_iter().flatten().all(finite) {
            return Err(FitError::NotFinite("activations"));
        }
        Ok(())
    }
}

/// One sample of a batch, and the places where its patches are taken.
pub(super) struct Sample<'a> {
    pub grid: &'a Grid,
    pub padded: Vec<f64>,
    pub taken: Vec<usize>,
    /// All output channels at all positions, if there are any.
    pub output: &'a [f32],
    pub importance: &'a [f32],
}

impl<'a> Sample<'a> {
    pub fn new(grid: &'a Grid, seen: &Seen<'a>, index: usize, taken: Vec<usize>) -> Self {
        let part = |values: &'a [f32]| {
            let size = values.len() / seen.shape[0];
            &values[index * size..(index + 1) * size]
        };
        Self {
            grid,
            padded: grid.pad(part(seen.input)),
            taken,
            output: part(seen.output.unwrap_or_default()),
            importance: part(seen.importance.unwrap_or_default()),
        }
    }
}
