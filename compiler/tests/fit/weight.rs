//! The metric of the weights.

use compiler::fit::*;
use proptest::prelude::*;

use crate::naive::*;

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
fn factors_do_not_grow_to_cancel_each_other() {
    let w = kernel(12, 6, &[5, 5], 1, 3);
    let x = activations(8, 6, [12, 12], 13);
    let mut moments = Moments::new(&w);
    moments
        .accumulate(&window(2), &[Seen::new(&[8, 6, 12, 12], &x)])
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
