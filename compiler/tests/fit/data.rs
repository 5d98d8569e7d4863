//! The metric of what a layer reads.

use compiler::fit::*;

use crate::naive::*;

#[test]
fn moments_are_those_of_the_patches() {
    let w = kernel(3, 2, &[3, 3], 1, 3);
    let x = activations(2, 2, [6, 5], 11);
    let mut moments = Moments::new(&w);
    moments
        .accumulate(&window(1), &[Seen::new(&[2, 2, 6, 5], &x)])
        .unwrap();
    assert_eq!(moments.samples(), 60.0);
    // The variance of each output channel, directly and through the moments.
    let mut halves = [Moments::new(&w), Moments::new(&w)];
    let mut outputs = vec![Vec::new(); 3];
    for b in 0..2 {
        let part = &x[b * 60..(b + 1) * 60];
        halves[b]
            .accumulate(&window(1), &[Seen::new(&[1, 2, 6, 5], part)])
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

/// Batches of different sizes, thinned and weighted, at once and one after the other.
#[test]
fn moments_do_not_depend_on_how_batches_come() {
    let w = kernel(4, 3, &[3, 3], 1, 9);
    let shapes = [[2, 3, 9, 8], [1, 3, 5, 6], [3, 3, 12, 12]];
    let inputs = shapes.map(|[n, c, h, w]| activations(n, c, [h, w], 7));
    let others = |seed| shapes.map(|[n, _, h, w]| activations(n, 4, [h, w], seed));
    let (outputs, importances) = (others(3), others(5));
    let importances = importances.map(|all| all.iter().map(|v| v.abs().min(1.0)).collect());
    let importances: [Vec<f32>; 3] = importances;
    let seen: Vec<Seen> = (0..3)
        .map(|i| {
            let seen = Seen::new(&shapes[i], &inputs[i]).paired(&outputs[i]);
            seen.weighted(&importances[i])
        })
        .collect();
    let empty = Moments::weighted(&w).thinned(20);
    let (mut at_once, mut in_turn) = (empty.clone(), empty);
    at_once.accumulate(&window(1), &seen).unwrap();
    for one in &seen {
        in_turn.accumulate(&window(1), &[*one]).unwrap();
    }
    assert!(at_once.samples() > 100.0);
    assert_eq!(at_once.samples(), in_turn.samples());
    assert!(largest(&at_once.covariance(0), &in_turn.covariance(0)) < 1e-12);
    let fit = |moments: &Moments| {
        let options = Options {
            metric: Metric::Data(moments),
            starts: 1,
            iterations: 3,
            polish: 2,
            ..Options::default()
        };
        factorize(&w, &two(&w, [2, 2], 1, 3), &options).unwrap()
    };
    let (a, b) = (fit(&at_once), fit(&in_turn));
    assert!((a.output_error.unwrap() - b.output_error.unwrap()).abs() < 1e-9);
}

#[test]
fn the_data_metric_serves_the_output_and_corrects_the_mean() {
    let w = kernel(6, 4, &[5, 5], 1, 21);
    let x = activations(3, 4, [12, 12], 5);
    let shape = [3, 4, 12, 12];
    let mut moments = Moments::new(&w);
    moments
        .accumulate(&window(2), &[Seen::new(&shape, &x)])
        .unwrap();
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
            .accumulate(&window(1), &[Seen::new(&[1, 3, 10, 10], &bent).paired(&y)])
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
                .accumulate(&window(2), &[Seen::new(&[2, 10, 9, 9], &x)])
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
