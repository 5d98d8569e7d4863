//! How an error in the kernel counts.

use rayon::prelude::*;

use super::linalg::{Matrix, mul};

/// The metric of the error `E`, `out × n`: `Σₒ Eₒ·Mₒ·Eₒᵀ`.
#[derive(Debug, Clone)]
pub(super) enum Weighing {
    /// All weights alike, `M = 1`.
    Alike,
    /// One `M`, `n × n`, for all output channels.
    Shared(Matrix),
    /// An `M` for each output channel, and their mean.
    Each {
        /// `Σ Mₒ / out`.
        mean: Matrix,
        /// `Mₒ`.
        rows: Vec<Matrix>,
    },
}

impl Weighing {
    /// The metric that stands for all output channels; `None` is the identity.
    pub fn mean(&self) -> Option<&Matrix> {
        match self {
            Self::Alike => None,
            Self::Shared(m) | Self::Each { mean: m, .. } => Some(m),
        }
    }

    /// Each row `o` of `z` times `M` of output channel `first + o`.
    pub fn image(&self, z: &Matrix, first: usize) -> Matrix {
        match self {
            Self::Alike => z.clone(),
            Self::Shared(m) => mul(z.view(), m.view()),
            Self::Each { rows, .. } => {
                let mut image = Matrix::zeros(z.rows, z.cols);
                image
                    .data
                    .par_chunks_mut(z.cols)
                    .enumerate()
                    .for_each(|(o, to)| {
                        let row = Matrix::from_vec(1, z.cols, z.row(o).to_vec());
                        to.copy_from_slice(&mul(row.view(), rows[first + o].view()).data);
                    });
                image
            }
        }
    }
}
