//! What gets through the rectifier and the max-pool that follow.

use compiler::fit::*;

use crate::naive::*;

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
    let fit_from = |moments: &Moments, from: Option<&[Kernel]>| {
        let options = Options {
            metric: Metric::Data(moments),
            polish: 30,
            starts: if from.is_some() { 1 } else { 4 },
            from,
            ..Options::default()
        };
        factorize(&w, &two(&w, [3, 3], 1, 3), &options).unwrap()
    };
    let fit = |moments: &Moments| fit_from(moments, None);
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
    let seen = Seen::new(&shape, &x).paired(&outputs);
    let mut plain = Moments::paired(&w);
    plain.accumulate(&window(2), &[seen]).unwrap();
    let mut weighted = Moments::weighted(&w);
    weighted
        .accumulate(&window(2), &[seen.weighted(&weights)])
        .unwrap();
    let (before, after) = (lost(&fit(&plain)), lost(&fit(&weighted)));
    assert!(after < 0.8 * before, "{after} against {before}");

    // With the same importance everywhere it is the plain fit.
    let mut even = Moments::weighted(&w);
    let ones = vec![1.0; outputs.len()];
    even.accumulate(&window(2), &[seen.weighted(&ones)])
        .unwrap();
    let plain = fit(&plain);
    // From the same place, or the two may end in different valleys.
    let even = fit_from(&even, Some(&plain.factors));
    let [a, b] = [&plain, &even].map(|f| f.output_error.unwrap());
    assert!((a - b).abs() < 0.02 * a, "{a} {b}");

    let missing = weighted.accumulate(&window(2), &[seen]);
    assert!(matches!(missing, Err(FitError::Shape(_))));
}
