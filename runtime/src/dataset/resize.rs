//! Resizing of images.

use super::options::{Filter, Resize};
use super::preprocess::Image;
use crate::array::elements;

/// Largest image that resizing makes, in elements a channel.
const LARGEST: usize = 1 << 28;

/// The new height and width; `None` where the image is empty or the new one
/// would be too large.
pub(super) fn target(size: Resize, height: usize, width: usize) -> Option<[usize; 2]> {
    if height == 0 || width == 0 {
        return None;
    }
    let new = match size {
        Resize::Exact(size) => size,
        Resize::Shorter(side) => {
            let (short, long) = (height.min(width), height.max(width));
            let long = side.checked_mul(long)? / short;
            if height <= width {
                [side, long]
            } else {
                [long, side]
            }
        }
    };
    elements(&new).filter(|&n| n <= LARGEST).map(|_| new)
}

/// The image at `height` by `width`.
pub(super) fn resize(image: &Image, height: usize, width: usize, filter: Filter) -> Image {
    let rows = taps(image.height, height, filter);
    let columns = taps(image.width, width, filter);
    let mut data = Vec::with_capacity(image.channels * height * width);
    let mut wide = vec![0.0; image.height * width];
    for plane in image.data.chunks(image.height * image.width) {
        for (source, target) in plane.chunks(image.width).zip(wide.chunks_mut(width)) {
            for (x, (first, weights)) in target.iter_mut().zip(&columns) {
                *x = dot(weights, source[*first..].iter().copied());
            }
        }
        for (first, weights) in &rows {
            data.extend((0..width).map(|x| {
                dot(
                    weights,
                    (*first..*first + weights.len()).map(|y| wide[y * width + x]),
                )
            }));
        }
    }
    Image {
        channels: image.channels,
        height,
        width,
        data,
    }
}

fn dot(weights: &[f64], values: impl Iterator<Item = f32>) -> f32 {
    weights
        .iter()
        .zip(values)
        .map(|(w, v)| w * f64::from(v))
        .sum::<f64>() as f32
}

/// For each of `new` pixels along an axis of `old`: the first pixel it draws on
/// and the weights from there.
///
/// Bilinear is a triangle over half-pixel centres, as wide as the step where the
/// image shrinks (Pillow's and torchvision's `antialias`).
fn taps(old: usize, new: usize, filter: Filter) -> Vec<(usize, Vec<f64>)> {
    if filter == Filter::Nearest {
        return (0..new).map(|i| (i * old / new, vec![1.0])).collect();
    }
    let step = old as f64 / new as f64;
    let support = step.max(1.0);
    (0..new)
        .map(|i| {
            let centre = (i as f64 + 0.5) * step;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(old);
            let weights: Vec<f64> = (first..end.max(first + 1).min(old))
                .map(|j| (1.0 - ((j as f64 + 0.5 - centre) / support).abs()).max(0.0))
                .collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.into_iter().map(|w| w / sum).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Image {
        Image {
            channels: 1,
            height: 1,
            width: values.len(),
            data: values.to_vec(),
        }
    }

    #[test]
    fn bilinear_agrees_with_pillow() {
        // Image.fromarray(numpy.float32([[0, 10, 20, 60, 100]])).resize((w, 1), BILINEAR)
        let image = row(&[0.0, 10.0, 20.0, 60.0, 100.0]);
        let cases: [(usize, &[f32]); 3] = [
            (2, &[11.3636, 61.3636]),
            (3, &[4.28571, 26.6667, 82.8571]),
            (8, &[0.0, 4.375, 10.625, 16.875, 32.5, 57.5, 82.5, 100.0]),
        ];
        for (width, expected) in cases {
            let out = resize(&image, 1, width, Filter::Bilinear);
            for (a, b) in out.data.iter().zip(expected) {
                assert!((a - b).abs() < 1e-4, "{width}: {:?} {expected:?}", out.data);
            }
        }
    }

    #[test]
    fn nearest_takes_the_pixel_at_the_floor() {
        let out = resize(&row(&[0.0, 1.0, 2.0]), 1, 7, Filter::Nearest);
        assert_eq!(out.data, [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn the_shorter_side_is_met_and_the_rest_in_proportion() {
        assert_eq!(target(Resize::Shorter(256), 375, 500), Some([256, 341]));
        assert_eq!(target(Resize::Shorter(256), 500, 375), Some([341, 256]));
        assert_eq!(target(Resize::Shorter(256), 0, 375), None);
        assert_eq!(target(Resize::Shorter(1 << 16), 1, 1 << 16), None);
    }
}
