//! A naive convolution, noise, and the shapes of chains.

use compiler::fit::{FactorShape, Form, Kernel, Window};

/// A dense image `(channels, height, width)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub channels: usize,
    pub size: [usize; 2],
    pub data: Vec<f64>,
}

/// Cross-correlation as ONNX defines Conv, by its definition.
pub fn convolve(x: &Image, w: &Kernel, pads: [usize; 4], stride: usize, dilation: usize) -> Image {
    let span = |k: usize| 1 + (k - 1) * dilation;
    let size = [
        1 + (x.size[0] + pads[0] + pads[2] - span(w.spatial[0])) / stride,
        1 + (x.size[1] + pads[1] + pads[3] - span(w.spatial[1])) / stride,
    ];
    let mut data = Vec::new();
    for o in 0..w.out {
        let first = o / (w.out / w.groups) * w.inp;
        for r in 0..size[0] {
            for c in 0..size[1] {
                let mut sum = 0.0;
                for i in 0..w.inp {
                    for u in 0..w.spatial[0] {
                        for v in 0..w.spatial[1] {
                            let row = (r * stride + u * dilation).wrapping_sub(pads[0]);
                            let col = (c * stride + v * dilation).wrapping_sub(pads[1]);
                            if row < x.size[0] && col < x.size[1] {
                                let at = ((first + i) * x.size[0] + row) * x.size[1] + col;
                                let tap = ((o * w.inp + i) * w.spatial[0] + u) * w.spatial[1] + v;
                                sum += x.data[at] * w.data[tap];
                            }
                        }
                    }
                }
                data.push(sum);
            }
        }
    }
    Image {
        channels: w.out,
        size,
        data,
    }
}

/// Reproducible noise in (−1, 1).
pub fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

pub fn kernel(out: usize, inp: usize, spatial: &[usize], groups: usize, seed: u64) -> Kernel {
    let len = out * inp * spatial.iter().product::<usize>();
    Kernel::new(out, inp, spatial.to_vec(), groups, noise(len, seed)).unwrap()
}

pub fn image(channels: usize, size: [usize; 2], seed: u64) -> Image {
    Image {
        channels,
        size,
        data: noise(channels * size[0] * size[1], seed),
    }
}

/// Two factors of a kernel with the middle `width`, all groups counted.
pub fn two(kernel: &Kernel, first: [usize; 2], step: usize, width: usize) -> Form {
    let last = [0, 1].map(|a| 1 + (kernel.spatial[a] - first[a]) / step);
    Form {
        factors: vec![
            FactorShape::new(first.to_vec(), width, kernel.groups),
            FactorShape::new(last.to_vec(), kernel.out, kernel.groups).with_step(vec![step; 2]),
        ],
    }
}

pub fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

pub fn window(pads: usize) -> Window {
    Window {
        pads_begin: vec![pads; 2],
        pads_end: vec![pads; 2],
        stride: vec![1; 2],
        dilation: vec![1; 2],
    }
}

/// Correlated activations: noise under a box average.
pub fn activations(batch: usize, channels: usize, size: [usize; 2], seed: u64) -> Vec<f32> {
    let mut all = Vec::new();
    for b in 0..batch {
        let x = image(channels, [size[0] + 2, size[1] + 2], seed + b as u64);
        let mut spread = kernel(channels, channels, &[3, 3], 1, 99);
        spread.data.iter_mut().for_each(|w| *w = 0.3 + 0.1 * *w);
        all.extend(
            convolve(&x, &spread, [0; 4], 1, 1)
                .data
                .iter()
                .map(|v| *v as f32),
        );
    }
    all
}
