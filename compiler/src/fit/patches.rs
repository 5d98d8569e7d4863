//! The patches of an activation that a convolution sees.

use super::FitError;
use super::form::{flat, tap_table};

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

/// Offsets of all patches in one zero-padded image.
pub(super) struct Grid {
    /// Padded image shape `(C, spatial…)`.
    padded: Vec<usize>,
    /// Offset of each input element row.
    rows: Vec<usize>,
    /// Length of an input row.
    row: usize,
    /// Offset of a patch's first tap, a position.
    pub positions: Vec<usize>,
    /// Offset of each element of a patch, channels of all groups.
    pub patch: Vec<usize>,
}

impl Grid {
    pub fn new(
        kernel: &[usize],
        channels: usize,
        shape: &[usize],
        window: &Window,
    ) -> Result<Self, FitError> {
        let axes = kernel.len();
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
            let span = 1 + (kernel[a] - 1) * window.dilation[a];
            steps.push(if size < span {
                0
            } else {
                1 + (size - span) / window.stride[a]
            });
            padded.push(size);
        }
        let taps = tap_table(&padded[1..], kernel, &window.dilation);
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
        let first = flat(&padded, &start);
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

    pub fn pad(&self, image: &[f32]) -> Vec<f64> {
        let mut padded = vec![0.0; self.padded.iter().product()];
        for (from, start) in image.chunks_exact(self.row).zip(&self.rows) {
            for (to, v) in padded[*start..start + self.row].iter_mut().zip(from) {
                *to = f64::from(*v);
            }
        }
        padded
    }
}
