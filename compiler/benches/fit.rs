//! How long a fit takes: layers of the size that small trained networks have, on
//! synthetic kernels and activations with a natural spectrum.

use std::hint::black_box;

use compiler::fit::{
    FactorShape, Form, Kernel, Metric, Moments, Options, Seen, Window, factorize, factorize_exact,
};
use criterion::{Criterion, criterion_group, criterion_main};

fn noise(len: usize, seed: u64) -> Vec<f64> {
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

/// A kernel whose taps are smooth, as trained ones are.
fn kernel(out: usize, inp: usize, k: usize, seed: u64) -> Kernel {
    let mut data = noise(out * inp * k * k, seed);
    for tap in data.chunks_exact_mut(k * k) {
        let rough = tap.to_vec();
        for (i, w) in tap.iter_mut().enumerate() {
            let (r, c) = (i / k, i % k);
            let near = |r: usize, c: usize| {
                if r < k && c < k {
                    rough[r * k + c]
                } else {
                    0.0
                }
            };
            *w = near(r, c) + 0.6 * (near(r + 1, c) + near(r, c + 1)) + 0.3 * near(r + 1, c + 1);
        }
    }
    Kernel::new(out, inp, vec![k, k], 1, data).expect("a valid kernel")
}

/// Rectified random walks: neighbouring activations are alike.
fn activations(batch: usize, channels: usize, size: usize) -> Vec<f32> {
    let steps = noise(batch * channels * size * size, 7);
    let mut x = vec![0.0f32; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        let (r, c) = (i / size % size, i % size);
        let up = if r > 0 { x[i - size] } else { 0.0 };
        let left = if c > 0 { x[i - 1] } else { 0.0 };
        x[i] = 0.45 * (up + left) + *step as f32;
    }
    x.iter_mut().for_each(|v| *v = v.max(0.0));
    x
}

fn moments(kernel: &Kernel, batch: usize, size: usize) -> Moments {
    let pad = kernel.spatial[0] / 2;
    let window = Window {
        pads_begin: vec![pad; 2],
        pads_end: vec![pad; 2],
        stride: vec![1; 2],
        dilation: vec![1; 2],
    };
    let channels = kernel.inp;
    let mut moments = Moments::new(kernel);
    let x = activations(batch, channels, size);
    moments
        .accumulate(&window, &[Seen::new(&[batch, channels, size, size], &x)])
        .expect("moments");
    moments
}

fn serial(kernel: &Kernel, split: [usize; 2], width: usize) -> Form {
    let [first, last] = split;
    Form {
        factors: vec![
            FactorShape::new(vec![first; 2], width, 1),
            FactorShape::new(vec![last; 2], kernel.out, 1),
        ],
    }
}

fn fit(c: &mut Criterion) {
    let mut group = c.benchmark_group("fit");
    group.sample_size(10);
    // (name, out, in, extent, split, width): the layers of the two small
    // trained networks of the test corpus, and a 3x3 layer.
    let layers = [
        ("5x5 1 to 8 by 2", 8, 1, 5, [3, 3], 2),
        ("5x5 8 to 16 by 8", 16, 8, 5, [3, 3], 8),
        ("5x5 12 to 12 by 9", 12, 12, 5, [3, 3], 9),
        ("5x5 24 to 24 by 18", 24, 24, 5, [3, 3], 18),
        ("3x3 16 to 64 by 17", 64, 16, 3, [2, 2], 17),
    ];
    for (name, out, inp, k, split, width) in layers {
        let kernel = kernel(out, inp, k, 3);
        let form = serial(&kernel, split, width);
        let moments = moments(&kernel, 16, 14);
        let options = Options {
            metric: Metric::Data(&moments),
            ..Options::default()
        };
        group.bench_function(name, |b| {
            b.iter(|| factorize(black_box(&kernel), &form, &options).expect("a fit"));
        });
    }
    let three = kernel(4, 3, 7, 5);
    let chain = Form {
        factors: [4, 4, 4]
            .map(|w| FactorShape::new(vec![3; 2], w, 1))
            .to_vec(),
    };
    group.bench_function("7x7 3 to 4 as three 3x3", |b| {
        b.iter(|| factorize(black_box(&three), &chain, &Options::default()).expect("a fit"));
    });
    let lossless = kernel(4, 4, 5, 5);
    group.bench_function("5x5 4 to 4 lossless", |b| {
        b.iter(|| {
            let form = |width| Some(serial(&lossless, [3, 3], width));
            factorize_exact(black_box(&lossless), 16, form, &Options::default()).expect("a fit")
        });
    });
    group.finish();
}

fn gather(c: &mut Criterion) {
    let mut group = c.benchmark_group("moments");
    group.sample_size(10);
    for (inp, size) in [(8, 14), (24, 12), (16, 56)] {
        let kernel = kernel(4, inp, 5, 1);
        group.bench_function(format!("{inp} channels of {size}x{size}, 16 images"), |b| {
            b.iter(|| moments(black_box(&kernel), 16, size));
        });
    }
    group.finish();
}

criterion_group!(benches, fit, gather);
criterion_main!(benches);
