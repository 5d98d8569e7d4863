//! Windows of an image as the columns of a matrix ("im2col"), with its gradient.
//!
//! candle's own convolution has no matrix form of its gradient on the CPU; with
//! this one operator a convolution is a single matrix product both ways, and a
//! max-pool is a maximum over rows.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Square windows, zero padding on all sides.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width.
    pub size: usize,
    /// Step, both axes.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

impl Window {
    /// Number of places along an axis of `length`.
    pub fn places(&self, length: usize) -> usize {
        (length + 2 * self.padding - self.size) / self.stride + 1
    }

    /// Lays out the windows of `images`, shape (C, N, H, W), as the matrix of shape
    /// (C·size², N·H'·W').
    pub fn patches(self, images: &Tensor) -> Result<Tensor> {
        images.contiguous()?.apply_op1(Patches(self))
    }

    /// The run of places whose cell in column `across` of the window lies inside the
    /// image: the first place, the pixel that it sees, and the number of places.
    fn run(&self, across: usize, width: usize) -> (usize, usize, usize) {
        let places = self.places(width);
        let first = self.padding.saturating_sub(across).div_ceil(self.stride);
        let end = (width + self.padding)
            .saturating_sub(across)
            .div_ceil(self.stride)
            .min(places);
        let start = first * self.stride + across - self.padding;
        (first, start, end.saturating_sub(first))
    }
}

struct Patches(Window);

/// The transpose of [`Patches`]: adds each patch back where it came from.
struct Scatter {
    window: Window,
    images: (usize, usize, usize, usize),
}

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let window = self.0;
        let (channels, count, height, width) = layout.shape().dims4()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("patches of a strided tensor")
        };
        let images = &storage.as_slice::<f32>()?[start..end];
        let (rows, columns) = (window.places(height), window.places(width));
        let area = window.size * window.size;
        let length = count * rows * columns;
        let mut patches = vec![0f32; channels * area * length];
        patches
            .par_chunks_exact_mut(length)
            .enumerate()
            .for_each(|(row, patches)| {
                let (channel, cell) = (row / area, row % area);
                let (down, across) = (cell / window.size, cell % window.size);
                let (first, start, run) = window.run(across, width);
                for (line, patch) in patches.chunks_exact_mut(columns).enumerate() {
                    let (image, y) = (line / rows, line % rows * window.stride + down);
                    if y < window.padding || y - window.padding >= height {
                        continue;
                    }
                    let y = (channel * count + image) * height + y - window.padding;
                    let pixels = images[y * width + start..(y + 1) * width].iter();
                    for (to, from) in patch[first..first + run]
                        .iter_mut()
                        .zip(pixels.step_by(window.stride))
                    {
                        *to = *from;
                    }
                }
            });
        let shape = Shape::from((channels * area, length));
        Ok((CpuStorage::F32(patches), shape))
    }

    fn bwd(&self, images: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scatter = Scatter {
            window: self.0,
            images: images.dims4()?,
        };
        gradient.contiguous()?.apply_op1_no_bwd(&scatter).map(Some)
    }
}

impl CustomOp1 for Scatter {
    fn name(&self) -> &'static str {
        "scatter-patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let window = self.window;
        let (channels, count, height, width) = self.images;
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("scattered patches of a strided tensor")
        };
        let patches = &storage.as_slice::<f32>()?[start..end];
        let (rows, columns) = (window.places(height), window.places(width));
        let area = window.size * window.size;
        let length = count * rows * columns;
        let mut images = vec![0f32; channels * count * height * width];
        images
            .par_chunks_exact_mut(count * height * width)
            .zip(patches.par_chunks_exact(area * length))
            .for_each(|(images, patches)| {
                for (cell, patches) in patches.chunks_exact(length).enumerate() {
                    let (down, across) = (cell / window.size, cell % window.size);
                    let (first, start, run) = window.run(across, width);
                    for (line, patch) in patches.chunks_exact(columns).enumerate() {
                        let (image, y) = (line / rows, line % rows * window.stride + down);
                        if y < window.padding || y - window.padding >= height {
                            continue;
                        }
                        let y = image * height + y - window.padding;
                        let pixels = images[y * width + start..(y + 1) * width].iter_mut();
                        for (to, from) in pixels
                            .step_by(window.stride)
                            .zip(&patch[first..first + run])
                        {
                            *to += *from;
                        }
                    }
                }
            });
        let shape = Shape::from((channels, count, height, width));
        Ok((CpuStorage::F32(images), shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn ramp(shape: (usize, usize, usize, usize)) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let levels: Vec<f32> = (0..count).map(|i| (i * 7 % 31) as f32 - 15.0).collect();
        Tensor::from_vec(levels, shape, &Device::Cpu).unwrap()
    }

    /// candle's own convolution, value and gradient, is the oracle. Both sides are
    /// odd: candle's gradient fails where a stride leaves over more of one than of
    /// the other.
    #[test]
    fn convolution_and_gradients_match_candle() {
        for (size, stride, padding) in [(5, 1, 2), (3, 2, 1), (2, 2, 0), (7, 1, 3)] {
            let window = Window {
                size,
                stride,
                padding,
            };
            let images = Var::from_tensor(&ramp((3, 2, 9, 7))).unwrap();
            let kernel = Var::from_tensor(&ramp((4, 3, size, size))).unwrap();
            let (rows, columns) = (window.places(9), window.places(7));
            let ours = kernel
                .reshape((4, 3 * size * size))
                .unwrap()
                .matmul(&window.patches(&images).unwrap())
                .unwrap()
                .reshape((4, 2, rows, columns))
                .unwrap()
                .transpose(0, 1)
                .unwrap();
            let theirs = images
                .transpose(0, 1)
                .unwrap()
                .conv2d(&kernel, padding, stride, 1, 1)
                .unwrap();
            let difference = |a: &Tensor, b: &Tensor| -> f32 {
                let gap = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                gap.to_scalar().unwrap()
            };
            assert_eq!(difference(&ours, &theirs), 0.0);
            let weigh = |output: &Tensor| {
                let weights = ramp((2, 4, rows, columns));
                (output * weights)
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .backward()
                    .unwrap()
            };
            let (ours, theirs) = (weigh(&ours), weigh(&theirs));
            for var in [&images, &kernel] {
                assert_eq!(
                    difference(ours.get(var).unwrap(), theirs.get(var).unwrap()),
                    0.0
                );
            }
        }
    }
}
