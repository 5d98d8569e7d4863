//! The fit against a naive convolution.

use compiler::fit::{
    FactorShape, Fit, FitError, Form, Kernel, Metric, Moments, Options, Passage, Pool, Window,
    compose, compose_bias, exact_width, factorize, factorize_exact, importance, max_width_within,
    predicted_error,
};
use proptest::prelude::*;

/// A dense image `(channels, height, width)`.
#[derive(Debug, Clone, PartialEq)]
struct Image {
    channels: usize,
    size: [usize; 2],
    data: Vec<f64>,
}

/// Cross-correlation as ONNX defines Conv, by its definition.
fn convolve(x: &Image, w: &Kernel, pads: [usize; 4], stride: usize, dilation: usize) -> Image {
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

fn kernel(out: usize, inp: usize, spatial: &[usize], groups: usize, seed: u64) -> Kernel {
    let len = out * inp * spatial.iter().product::<usize>();
    Kernel::new(out, inp, spatial.to_vec(), groups, noise(len, seed)).unwrap()
}

fn image(channels: usize, size: [usize; 2], seed: u64) -> Image {
    Image {
        channels,
        size,
        data: noise(channels * size[0] * size[1], seed),
    }
}

/// Two factors of a kernel with the middle `width`, all groups counted.
fn two(kernel: &Kernel, first: [usize; 2], step: usize, width: usize) -> Form {
    let last = [0, 1].map(|a| 1 + (kernel.spatial[a] - first[a]) / step);
    Form {
        factors: vec![
            FactorShape::new(first.to_vec(), width, kernel.groups),
            FactorShape::new(last.to_vec(), kernel.out, kernel.groups).with_step(vec![step; 2]),
        ],
    }
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A serial pair, all padding on the first, is the composed convolution,
    /// borders, strides, dilation, groups and bias included.
    #[test]
    fn composing_equals_convolving_in_turn(
        k1 in prop::array::uniform2(1usize..4),
        k2 in prop::array::uniform2(1usize..4),
        pads in prop::array::uniform4(0usize..3),
        (stride, dilation) in (1usize..3, 1usize..3),
        (groups_first, groups_last) in (1usize..3, 1usize..3),
        seed in any::<u64>(),
    ) {
        let first = kernel(4, 4 / groups_first, &k1, groups_first, seed);
        let last = kernel(6, 4 / groups_last, &k2, groups_last, seed ^ 1);
        let x = image(4, [11, 12], seed ^ 2);
        let bias = noise(4, seed ^ 3);
        // With a stride on the first factor the second's taps lie further apart.
        let mut middle = convolve(&x, &first, pads, stride, dilation);
        let plane = middle.size[0] * middle.size[1];
        for (channel, b) in middle.data.chunks_exact_mut(plane).zip(&bias) {
            channel.iter_mut().for_each(|v| *v += b);
        }
        prop_assume!((0..2).all(|a| middle.size[a] > (k2[a] - 1) * dilation));
        let serial = convolve(&middle, &last, [0; 4], 1, dilation);
        let whole = compose(&[first, last.clone()], &[vec![1; 2], vec![stride; 2]]).unwrap();
        let mut direct = convolve(&x, &whole, pads, stride, dilation);
        let plane = direct.size[0] * direct.size[1];
        let after = compose_bias(&bias, &last).unwrap();
        for (channel, b) in direct.data.chunks_exact_mut(plane).zip(&after) {
            channel.iter_mut().for_each(|v| *v += b);
        }
        prop_assert_eq!(serial.size, direct.size);
        prop_assert!(largest(&serial.data, &direct.data) < 1e-12);
    }

    /// At the width that is lossless by construction the fit is lossless, with
    /// groups, uneven kernels and a stride on the first factor.
    #[test]
    fn wide_enough_is_exact(
        (out, inp, groups) in (1usize..4, 1usize..4, 1usize..3),
        k1 in prop::array::uniform2(1usize..4),
        k2 in prop::array::uniform2(1usize..4),
        step in 1usize..3,
        seed in any::<u64>(),
    ) {
        // Taps of the last factor must not leave holes in the window.
        prop_assume!((0..2).all(|a| k1[a] >= step || k2[a] == 1));
        let spatial = [0, 1].map(|a| k1[a] + (k2[a] - 1) * step);
        let w = kernel(out * groups, inp, &spatial, groups, seed);
        let width = groups * inp * k1[0] * k1[1];
        let fit = factorize(&w, &two(&w, k1, step, width), &Options::default()).unwrap();
        prop_assert!(fit.exact, "{}", fit.weight_error);
        let whole = compose(&fit.factors, &[vec![1; 2], vec![step; 2]]).unwrap();
        prop_assert!(largest(&whole.data, &w.data) < 1e-9);
    }
}

#[test]
fn the_threshold_of_theory_is_reached() {
    // 5x5 as 3x3 and 3x3 at equal channels: lossless from about 1.52 C.
    let w = kernel(4, 4, &[5, 5], 1, 7);
    let (threshold, construction) = exact_width(&w, &two(&w, [3, 3], 1, 1));
    assert_eq!((threshold, construction), (7, 16));
    let options = Options {
        starts: 6,
        iterations: 200,
        ..Options::default()
    };
    let exact = factorize_exact(&w, construction, |m| Some(two(&w, [3, 3], 1, m)), &options);
    let (width, fit) = exact.unwrap().unwrap();
    assert!(fit.exact && width <= threshold + 1, "{width}");
    assert!(fit.weight_error < 1e-9, "{}", fit.weight_error);
}

#[test]
fn a_composed_kernel_is_taken_apart_again() {
    let (first, last) = (kernel(3, 5, &[3, 3], 1, 1), kernel(6, 3, &[3, 3], 1, 2));
    let w = compose(&[first, last], &[vec![1; 2], vec![1; 2]]).unwrap();
    let options = Options {
        starts: 6,
        iterations: 200,
        ..Options::default()
    };
    let fit = factorize(&w, &two(&w, [3, 3], 1, 3), &options).unwrap();
    assert!(fit.exact, "{}", fit.weight_error);
    let (width, _) = factorize_exact(&w, 20, |m| Some(two(&w, [3, 3], 1, m)), &options)
        .unwrap()
        .unwrap();
    assert_eq!(width, 3);
}

#[test]
fn a_chain_of_three_reaches_an_exact_kernel() {
    let parts = [
        kernel(2, 2, &[3, 3], 1, 4),
        kernel(2, 2, &[3, 3], 1, 5),
        kernel(3, 2, &[3, 3], 1, 6),
    ];
    let w = compose(&parts, &[vec![1; 2], vec![1; 2], vec![1; 2]]).unwrap();
    let form = Form {
        factors: [2, 2, 3]
            .map(|width| FactorShape::new(vec![3, 3], width, 1))
            .to_vec(),
    };
    let options = Options {
        starts: 8,
        iterations: 400,
        tolerance: 1e-6,
        ..Options::default()
    };
    let fit = factorize(&w, &form, &options).unwrap();
    assert!(fit.weight_error < 0.05, "{}", fit.weight_error);
}

fn window(pads: usize) -> Window {
    Window {
        pads_begin: vec![pads; 2],
        pads_end: vec![pads; 2],
        stride: vec![1; 2],
        dilation: vec![1; 2],
    }
}

/// Correlated activations: noise under a box average.
fn activations(batch: usize, channels: usize, size: [usize; 2], seed: u64) -> Vec<f32> {
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

#[test]
fn moments_are_those_of_the_patches() {
    let w = kernel(3, 2, &[3, 3], 1, 3);
    let x = activations(2, 2, [6, 5], 11);
    let mut moments = Moments::new(&w);
    moments
        .accumulate(&x, &[2, 2, 6, 5], &window(1), None)
        .unwrap();
    assert_eq!(moments.samples(), 60.0);
    // The variance of each output channel, directly and through the moments.
    let mut halves = [Moments::new(&w), Moments::new(&w)];
    let mut outputs = vec![Vec::new(); 3];
    for b in 0..2 {
        let part = &x[b * 60..(b + 1) * 60];
        halves[b]
            .accumulate(part, &[1, 2, 6, 5], &window(1), None)
            .unwrap();
        let image = Image {
            channels: 2,
            size: [6, 5],
            data: part.iter().map(|v| f64::from(*v)).collect(),
        };
        let y = convolve(&image, &w, [1; 4], 1, 1);
        for (all, plane) in outputs.iter_mut().zip(y.data.chunks_exact(30)) {
            all.extend_from_slice(plane);
        }
    }
    let [mut merged, other] = halves;
    merged.merge(&other).unwrap();
    assert!(largest(&merged.covariance(0), &moments.covariance(0)) < 1e-12);
    let (mean, covariance) = (moments.mean(0), moments.covariance(0));
    for (o, values) in outputs.iter().enumerate() {
        let row = &w.data[o * 18..(o + 1) * 18];
        let m = values.iter().sum::<f64>() / values.len() as f64;
        let var = values.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / values.len() as f64;
        let through: f64 = row.iter().zip(&mean).map(|(w, x)| w * x).sum();
        let quadratic: f64 = (0..18 * 18)
            .map(|i| row[i / 18] * covariance[i] * row[i % 18])
            .sum();
        assert!((m - through).abs() < 1e-12 && (var - quadratic).abs() < 1e-9);
    }
}

#[test]
fn the_data_metric_serves_the_output_and_corrects_the_mean() {
    let w = kernel(6, 4, &[5, 5], 1, 21);
    let x = activations(3, 4, [12, 12], 5);
    let shape = [3, 4, 12, 12];
    let mut moments = Moments::new(&w);
    moments.accumulate(&x, &shape, &window(2), None).unwrap();
    let form = two(&w, [3, 3], 1, 4);
    let data = factorize(
        &w,
        &form,
        &Options {
            metric: Metric::Data(&moments),
            ..Options::default()
        },
    )
    .unwrap();
    let plain = factorize(&w, &form, &Options::default()).unwrap();
    let bias = data.bias_correction.clone().unwrap();
    let lost = |factors: &[Kernel], bias: &[f64]| -> f64 {
        let whole = compose(factors, &[vec![1; 2], vec![1; 2]]).unwrap();
        let (mut lost, mut mean, mut count) = (0.0, 0.0, 0.0);
        for part in x.chunks_exact(4 * 144) {
            let data = part.iter().map(|v| f64::from(*v)).collect();
            let image = Image {
                channels: 4,
                size: [12, 12],
                data,
            };
            let (y, z) = (
                convolve(&image, &w, [2; 4], 1, 1),
                convolve(&image, &whole, [2; 4], 1, 1),
            );
            for (i, (y, z)) in y.data.iter().zip(&z.data).enumerate() {
                let rest = y - z - bias[i / 144];
                lost += rest * rest;
                mean += rest;
                count += 1.0;
            }
        }
        assert!((mean / count).abs() < 1e-9 || bias.iter().all(|b| *b == 0.0));
        lost
    };
    let (with_data, without) = (lost(&data.factors, &bias), lost(&plain.factors, &[0.0; 6]));
    assert!(with_data < 0.8 * without, "{with_data} against {without}");
    assert!(plain.weight_error < data.weight_error);
}

#[test]
fn paired_moments_fit_what_the_outputs_want() {
    // The network before the layer was rewritten: its patches are distorted, and
    // the outputs wanted are those of the original on the true patches.
    let w = kernel(5, 3, &[3, 3], 1, 8);
    let x = activations(4, 3, [10, 10], 31);
    let mut moments = Moments::paired(&w);
    for part in x.chunks_exact(300) {
        let data: Vec<f64> = part.iter().map(|v| f64::from(*v)).collect();
        let y = convolve(
            &Image {
                channels: 3,
                size: [10, 10],
                data,
            },
            &w,
            [1; 4],
            1,
            1,
        );
        let y: Vec<f32> = y.data.iter().map(|v| *v as f32).collect();
        let bent: Vec<f32> = part.iter().map(|v| 0.5 * v + 0.25).collect();
        moments
            .accumulate(&bent, &[1, 3, 10, 10], &window(1), Some(&y))
            .unwrap();
    }
    let options = Options {
        metric: Metric::Data(&moments),
        ridge: 1e-9,
        ..Options::default()
    };
    let form = two(&w, [3, 3], 1, 9);
    let fit = factorize(&w, &form, &options).unwrap();
    // Half the signal and a constant: the kernel doubles, but for the borders.
    assert!(fit.output_error.unwrap() < 0.2, "{:?}", fit.output_error);
    assert!(fit.weight_error > 0.5);
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let w = kernel(12, 10, &[5, 5], 1, 17);
    let x = activations(2, 10, [9, 9], 3);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut moments = Moments::new(&w);
            moments
                .accumulate(&x, &[2, 10, 9, 9], &window(2), None)
                .unwrap();
            let options = Options {
                metric: Metric::Data(&moments),
                iterations: 8,
                ..Options::default()
            };
            factorize(&w, &two(&w, [3, 3], 1, 9), &options).unwrap()
        })
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.factors, three.factors);
    assert_eq!(one.bias_correction, three.bias_correction);
}

#[test]
fn the_prediction_is_a_lower_bound() {
    let w = kernel(16, 4, &[5, 5], 1, 41);
    for width in [1, 2, 4] {
        let form = two(&w, [5, 1], 1, width);
        let options = Options::default();
        let bound = predicted_error(&w, &form, &options).unwrap();
        let fit = factorize(&w, &form, &options).unwrap();
        assert!(
            bound <= fit.weight_error + 1e-9,
            "{bound} {}",
            fit.weight_error
        );
        assert!(bound > 0.0);
    }
}

#[test]
fn widths_within_a_budget() {
    let w = kernel(16, 8, &[5, 5], 1, 1);
    // 3200 weights; a width costs 9·(8 + 16) = 216.
    assert_eq!(
        max_width_within(&w, 0.6, |m| Some(two(&w, [3, 3], 1, m))),
        Some(8)
    );
    assert_eq!(
        max_width_within(&w, 0.05, |m| Some(two(&w, [3, 3], 1, m))),
        None
    );
    assert_eq!(two(&w, [3, 3], 1, 8).parameters(8), 1728);
}

#[test]
fn odd_input_is_an_error_and_odd_kernels_are_not() {
    let bad = Kernel::new(1, 1, vec![1], 1, vec![f64::NAN]);
    assert_eq!(bad, Err(FitError::NotFinite("weights")));
    assert_eq!(Kernel::new(0, 1, vec![3], 1, vec![]), Err(FitError::Empty));
    assert!(matches!(
        Kernel::new(2, 1, vec![3], 1, vec![0.0; 5]),
        Err(FitError::Shape(_))
    ));

    let mut zero = kernel(3, 2, &[5, 5], 1, 1);
    zero.data.fill(0.0);
    let fit = factorize(&zero, &two(&zero, [3, 3], 1, 1), &Options::default()).unwrap();
    assert!(fit.exact && fit.weight_error == 0.0);

    let pointwise = kernel(3, 2, &[1, 1], 1, 1);
    let fit = factorize(
        &pointwise,
        &two(&pointwise, [1, 1], 1, 2),
        &Options::default(),
    )
    .unwrap();
    assert!(fit.exact);

    let w = kernel(3, 2, &[7, 7], 1, 1);
    let wrong = two(&kernel(3, 2, &[5, 5], 1, 1), [3, 3], 1, 2);
    assert!(matches!(
        factorize(&w, &wrong, &Options::default()),
        Err(FitError::Shape(_))
    ));

    let stop = std::sync::atomic::AtomicBool::new(true);
    let options = Options {
        cancel: Some(&stop),
        ..Options::default()
    };
    let stopped = factorize(&w, &two(&w, [4, 4], 1, 2), &options);
    assert_eq!(stopped.err(), Some(FitError::Cancelled));
}

#[test]
fn depthwise_and_one_dimensional_kernels() {
    let depthwise = kernel(8, 1, &[7, 7], 8, 5);
    let form = Form {
        factors: vec![
            FactorShape::new(vec![3, 3], 8, 8),
            FactorShape::new(vec![3, 3], 8, 8),
            FactorShape::new(vec![3, 3], 8, 8),
        ],
    };
    let fit = factorize(&depthwise, &form, &Options::default()).unwrap();
    assert!(fit.weight_error < 1.0 && fit.factors.iter().all(|f| f.groups == 8 && f.inp == 1));

    let line = kernel(4, 4, &[5], 1, 6);
    let form = Form {
        factors: vec![
            FactorShape::new(vec![3], 12, 1),
            FactorShape::new(vec![3], 4, 1),
        ],
    };
    assert!(factorize(&line, &form, &Options::default()).unwrap().exact);
}

#[test]
fn importance_is_what_gets_through() {
    let relu = Passage {
        range: Some((0.0, f32::INFINITY)),
        slope: 0.0,
        pool: None,
    };
    let values: Vec<f32> = (0..16).map(|i| i as f32 - 8.0).collect();
    let weights = importance(&values, &[1, 1, 4, 4], 0.05, &relu).unwrap();
    assert!(weights[0] < 1e-3 && weights[15] > 0.999 && (weights[8] - 0.5).abs() < 1e-6);

    let leaky = Passage {
        slope: 0.1,
        ..relu.clone()
    };
    let weights = importance(&values, &[1, 1, 4, 4], 0.05, &leaky).unwrap();
    assert!((weights[0] - 0.01).abs() < 1e-3);

    // Non-overlapping pool: one winner a window, none where all are negative.
    let pool = Pool {
        kernel: vec![2, 2],
        stride: vec![2, 2],
        pads_begin: vec![0, 0],
        windows: vec![2, 2],
    };
    let pooled = Passage {
        pool: Some(pool),
        ..relu.clone()
    };
    let weights = importance(&values, &[1, 1, 4, 4], 0.02, &pooled).unwrap();
    assert!(weights[15] > 0.99 && weights[13] > 0.99);
    assert!(
        weights
            .iter()
            .enumerate()
            .all(|(i, w)| [5, 7, 13, 15].contains(&i) || *w < 0.1)
    );
    assert!(weights[5] < 0.01 && weights[7] < 0.01);

    // Overlapping windows count a winner as often as it wins.
    let pool = Pool {
        kernel: vec![3, 3],
        stride: vec![1, 1],
        pads_begin: vec![0, 0],
        windows: vec![2, 2],
    };
    let pooled = Passage {
        range: None,
        slope: 1.0,
        pool: Some(pool),
    };
    let mut peak = vec![0.0f32; 16];
    peak[5] = 9.0;
    let weights = importance(&peak, &[1, 1, 4, 4], 0.02, &pooled).unwrap();
    assert!((weights[5] - 4.0).abs() < 1e-3);

    assert!(matches!(
        importance(&peak, &[1, 1, 4, 3], 0.1, &relu),
        Err(FitError::Shape(_))
    ));
}

#[test]
fn importance_spends_the_width_where_it_matters() {
    let w = kernel(6, 3, &[5, 5], 1, 77);
    let (shape, plane) = ([4, 3, 12, 12], 144);
    // Two rough images and two smooth ones that are brighter; only the first
    // kind matters.
    let mut x = activations(4, 3, [12, 12], 13);
    let rough = noise(x.len() / 2, 5);
    for (v, r) in x.iter_mut().zip(rough) {
        *v = r as f32;
    }
    x[2 * 3 * plane..].iter_mut().for_each(|v| *v *= 5.0);
    let outputs: Vec<f32> = x
        .chunks_exact(3 * plane)
        .flat_map(|part| {
            let data = part.iter().map(|v| f64::from(*v)).collect();
            convolve(
                &Image {
                    channels: 3,
                    size: [12, 12],
                    data,
                },
                &w,
                [2; 4],
                1,
                1,
            )
            .data
        })
        .map(|v| v as f32)
        .collect();
    let matters = |i: usize| i / (6 * plane) < 2;
    let weights: Vec<f32> = (0..outputs.len())
        .map(|i| if matters(i) { 1.0 } else { 0.0 })
        .collect();
    let fit = |moments: &Moments| {
        let options = Options {
            metric: Metric::Data(moments),
            polish: 30,
            ..Options::default()
        };
        factorize(&w, &two(&w, [3, 3], 1, 3), &options).unwrap()
    };
    let lost = |fit: &Fit| -> f64 {
        let whole = compose(&fit.factors, &[vec![1; 2], vec![1; 2]]).unwrap();
        let bias = fit.bias_correction.clone().unwrap();
        let mut lost = 0.0;
        for (b, part) in x.chunks_exact(3 * plane).enumerate() {
            let data = part.iter().map(|v| f64::from(*v)).collect();
            let image = Image {
                channels: 3,
                size: [12, 12],
                data,
            };
            let z = convolve(&image, &whole, [2; 4], 1, 1);
            for (i, z) in z.data.iter().enumerate() {
                let at = b * 6 * plane + i;
                if matters(at) {
                    lost += (f64::from(outputs[at]) - z - bias[i / plane]).powi(2);
                }
            }
        }
        lost
    };
    let mut plain = Moments::paired(&w);
    plain
        .accumulate(&x, &shape, &window(2), Some(&outputs))
        .unwrap();
    let mut weighted = Moments::weighted(&w);
    let all = Some(&outputs[..]);
    weighted
        .accumulate_weighted(&x, &shape, &window(2), all, Some(&weights))
        .unwrap();
    let (before, after) = (lost(&fit(&plain)), lost(&fit(&weighted)));
    assert!(after < 0.8 * before, "{after} against {before}");

    // With the same importance everywhere it is the plain fit.
    let mut even = Moments::weighted(&w);
    let ones = vec![1.0; outputs.len()];
    even.accumulate_weighted(&x, &shape, &window(2), all, Some(&ones))
        .unwrap();
    let (plain, even) = (fit(&plain), fit(&even));
    let [a, b] = [&plain, &even].map(|f| f.output_error.unwrap());
    assert!((a - b).abs() < 0.02 * a, "{a} {b}");

    let missing = weighted.accumulate(&x, &shape, &window(2), all);
    assert!(matches!(missing, Err(FitError::Shape(_))));
}

#[test]
fn factors_do_not_grow_to_cancel_each_other() {
    let w = kernel(12, 6, &[5, 5], 1, 3);
    let x = activations(8, 6, [12, 12], 13);
    let mut moments = Moments::new(&w);
    moments
        .accumulate(&x, &[8, 6, 12, 12], &window(2), None)
        .unwrap();
    let at = |noise: f64| {
        let metric = Metric::Data(&moments);
        let options = Options {
            metric,
            noise,
            iterations: 200,
            starts: 1,
            ..Options::default()
        };
        let options = Options {
            tolerance: 1e-5,
            ..options
        };
        factorize(&w, &two(&w, [3, 3], 1, 8), &options).unwrap()
    };
    let (guarded, free) = (at(1e-2), at(0.0));
    let [low, high] = [&guarded, &free].map(|f| f.amplification);
    assert!(low < 20.0 && low < 0.5 * high, "{low} {high}");
    let [a, b] = [&guarded, &free].map(|f| f.output_error.unwrap());
    assert!(a < 1.1 * b, "{a} {b}");
}
