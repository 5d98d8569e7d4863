//! What a comparison says, and whether that is within limits.

use serde::Serialize;

/// A figure of both models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// Of the original.
    pub original: f64,
    /// Of the rewritten model.
    pub rewritten: f64,
}

/// How a rewritten model compares with its original; serializes as
/// `convfold.comparison.v1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `convfold.comparison.v1`.
    pub schema: &'static str,
    /// Samples compared.
    pub samples: usize,
    /// Share of samples whose label has the highest score; `None` without labels.
    pub top1: Option<Pair>,
    /// Share of samples whose label is among the five highest scores; `None`
    /// without labels or where there are no more than five classes.
    pub top5: Option<Pair>,
    /// Share of samples that both models put in the same class; `None` where the
    /// model is no classifier.
    pub agreement: Option<f64>,
    /// max |rewritten − original| over all outputs.
    pub max_abs_error: f64,
    /// ‖rewritten − original‖ / ‖original − its mean‖ of the worst output.
    pub relative_error: f64,
    /// Peak signal-to-noise ratio in dB of the worst output that is an image;
    /// `None` where there is none, or where both are equal.
    pub psnr_db: Option<f64>,
    /// Output elements that are NaN or infinite in one model only; they are left
    /// out of the errors.
    pub non_finite: u64,
    /// Share of samples whose class stays when the input shifts by one pixel,
    /// where it was asked for.
    pub shift_consistency: Option<Pair>,
    /// Time in tract, summed over the threads.
    pub seconds: Pair,
    /// Each output by itself, in the original's order.
    pub outputs: Vec<OutputError>,
}

/// The error of one output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputError {
    /// Its name.
    pub name: String,
    /// Its shape for one sample.
    pub shape: Vec<usize>,
    /// max |rewritten − original|.
    pub max_abs_error: f64,
    /// ‖rewritten − original‖ / ‖original − its mean‖.
    pub relative_error: f64,
    /// Peak signal-to-noise ratio in dB, where the output is an image.
    pub psnr_db: Option<f64>,
    /// The peak that the ratio refers to: 255, 1, or 2 for −1 to 1.
    pub psnr_peak: Option<f64>,
}

/// What a comparison must not exceed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Largest drop of top-1 accuracy, in percentage points.
    pub max_drop: Option<f64>,
    /// Largest relative error.
    pub max_error: Option<f64>,
}

impl Comparison {
    /// Why the comparison fails `limits`; empty if it does not. Values that turned
    /// NaN or infinite always fail.
    pub fn violations(&self, limits: &Limits) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.non_finite > 0 {
            let count = self.non_finite;
            reasons.push(format!(
                "{count} output values are NaN or infinite in one model only"
            ));
        }
        if let Some(limit) = limits.max_drop {
            match self.top1 {
                Some(top1) => {
                    let drop = 100.0 * (top1.original - top1.rewritten);
                    if drop > limit + 1e-9 {
                        reasons.push(format!(
                            "top-1 drops by {drop:.2} points, more than the {limit} allowed"
                        ));
                    }
                }
                None => reasons.push(
                    "a limit on the drop of top-1 needs labelled data and a classifier".into(),
                ),
            }
        }
        if let Some(limit) = limits.max_error
            && self.relative_error > limit
        {
            let error = self.relative_error;
            reasons.push(format!(
                "the relative error is {error:.3e}, more than the {limit} allowed"
            ));
        }
        reasons
    }
}
