//! Noise that resembles pictures.
//!
//! The energy of natural images is about the same in every octave of spatial
//! frequency (amplitude 1/f; Field 1987). What a few pictures do not show, such
//! noise does: in all directions, at all frequencies, in their proportion.

use crate::Array;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Mix(pub u64);

impl Mix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of mean 0 and variance 1: twelve uniform numbers (within 0.01 of the
    /// normal distribution).
    fn normal(&mut self) -> f32 {
        let uniform = |bits: u64| (bits >> 40) as f32 / (1u64 << 24) as f32;
        (0..12).map(|_| uniform(self.next())).sum::<f32>() - 6.0
    }
}

/// A plane of noise with the same energy in each octave, mean 0, variance 1.
fn plane(height: usize, width: usize, mix: &mut Mix) -> Vec<f32> {
    let mut sum = vec![0.0; height * width];
    let mut cells = 1;
    loop {
        let (rows, columns) = (cells.min(height), cells.min(width));
        let grid: Vec<f32> = (0..(rows + 1) * (columns + 1))
            .map(|_| mix.normal())
            .collect();
        let place = |at: usize, extent: usize, cells: usize| {
            let x = (at as f32 + 0.5) / extent as f32 * cells as f32;
            (x as usize, x.fract())
        };
        for y in 0..height {
            let (row, v) = place(y, height, rows);
            for x in 0..width {
                let (column, u) = place(x, width, columns);
                let at = |r: usize, c: usize| grid[(row + r) * (columns + 1) + column + c];
                let top = at(0, 0) * (1.0 - u) + at(0, 1) * u;
                let bottom = at(1, 0) * (1.0 - u) + at(1, 1) * u;
                sum[y * width + x] += top * (1.0 - v) + bottom * v;
            }
        }
        if cells >= height.max(width) {
            break;
        }
        cells *= 2;
    }
    let (mean, deviation) = moments(&sum);
    let scale = 1.0 / deviation.max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|v| *v = (*v - mean) * scale);
    sum
}

fn moments(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f64;
    let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
    let square: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    let mean = sum / count;
    (
        mean as f32,
        (square / count - mean * mean).max(0.0).sqrt() as f32,
    )
}

/// Pictures of noise like those in `images`, (N, C, H, W) or, where
/// `channels_last`, (N, H, W, C): each channel has the mean, the deviation and
/// the range of theirs, and one half of it is common to all channels.
pub(super) fn like(images: &Array, channels_last: bool, count: usize, seed: u64) -> Array {
    let sizes = &images.shape[1..];
    let (channels, height, width) = if channels_last {
        (sizes[2], sizes[0], sizes[1])
    } else {
        (sizes[0], sizes[1], sizes[2])
    };
    let spatial = height * width;
    let place = |channel: usize, at: usize| {
        if channels_last {
            at * channels + channel
        } else {
            channel * spatial + at
        }
    };
    let sample = channels * spatial;
    let mut mix = Mix(seed);
    let mut data = vec![0.0; count * sample];
    for image in data.chunks_exact_mut(sample.max(1)) {
        let shared = plane(height, width, &mut mix);
        for channel in 0..channels {
            let own: Vec<f32> = (images.data.chunks_exact(sample))
                .flat_map(|image| (0..spatial).map(move |at| image[place(channel, at)]))
                .collect();
            let (mean, deviation) = moments(&own);
            let low = own.iter().copied().fold(f32::INFINITY, f32::min);
            let high = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let apart = plane(height, width, &mut mix);
            for at in 0..spatial {
                let value = (shared[at] + apart[at]) * std::f32::consts::FRAC_1_SQRT_2;
                image[place(channel, at)] = (mean + deviation * value).clamp(low, high);
            }
        }
    }
    Array {
        shape: [&[count], sizes].concat(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice as far apart, the difference of two pixels varies hardly more: white
    /// noise would not grow at all, a smooth plane fourfold.
    #[test]
    fn each_octave_has_its_share() {
        let (side, mut mix) = (128, Mix(3));
        let apart = |plane: &[f32], step: usize| -> f32 {
            let rows = plane.chunks_exact(side);
            let pairs = rows.flat_map(|r| (0..side - step).map(move |x| r[x + step] - r[x]));
            pairs.map(|d| d * d).sum::<f32>() / (side * (side - step)) as f32
        };
        let mut growth = 0.0;
        for _ in 0..8 {
            let plane = plane(side, side, &mut mix);
            let (mean, deviation) = moments(&plane);
            assert!(mean.abs() < 1e-3 && (deviation - 1.0).abs() < 1e-3);
            growth += apart(&plane, 8) / apart(&plane, 4) / 8.0;
        }
        assert!((1.1..1.9).contains(&growth), "{growth}");
    }

    #[test]
    fn channels_keep_their_range_and_mean_in_either_layout() {
        let mut mix = Mix(1);
        // Channel 0 lies in 0..1, channel 1 in 10..12.
        let first = |c: usize, u: f32| [u, 10.0 + 2.0 * u][c];
        for last in [false, true] {
            let shape = if last {
                vec![2, 16, 20, 2]
            } else {
                vec![2, 2, 16, 20]
            };
            let channel = |i: usize| if last { i % 2 } else { i / 320 % 2 };
            let data = (0..1280)
                .map(|i| first(channel(i), (mix.next() >> 40) as f32 / (1u64 << 24) as f32))
                .collect();
            let noise = like(&Array { shape, data }, last, 3, 7);
            assert_eq!(noise.shape[0], 3);
            for (c, range) in [(0, 0.0..=1.0), (1, 10.0..=12.0)] {
                let own: Vec<f32> = noise
                    .data
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| channel(*i) == c)
                    .map(|(_, v)| *v)
                    .collect();
                assert!(own.iter().all(|v| range.contains(v)));
                let (mean, deviation) = moments(&own);
                let middle = (range.start() + range.end()) / 2.0;
                let extent = range.end() - range.start();
                assert!((mean - middle).abs() < 0.1 * extent, "{mean}");
                assert!(deviation > 0.15 * extent, "{deviation}");
            }
        }
    }
}
