//! Comparison of models, small ones made on the spot and the corpus' own.

mod common;

use std::time::Duration;

use common::onnx::*;
use common::{bytes, data};
use runtime::bench::{BenchOptions, Timing, bench, time_model};
use runtime::compare::{compare, shift_consistency};
use runtime::{
    Array, CompareOptions, Comparison, Control, DataOptions, Dataset, Error, Limits, Model, Pair,
    Reference,
};

const PLAIN: CompareOptions = CompareOptions {
    shift: false,
    cache_bytes: 1 << 30,
};

/// A linear classifier: scores W·x with W of 3 classes.
fn classifier(weights: [f32; 9]) -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &["N", "3"])
        .floats("w", &[3, 3], &weights)
        .node("scores", "MatMul", &["x", "w"], "y", vec![])
        .output("y")
        .bytes()
}

const IDENTITY: [f32; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// Four samples of three features, labelled.
fn samples(labels: &[i64]) -> Dataset {
    #[rustfmt::skip]
    let data = vec![
        3.0, 1.0, 0.0,
        0.0, 2.0, 1.0,
        1.0, 0.0, 2.0,
        2.0, 1.9, 0.0,
    ];
    let array = Array::new(vec![4, 3], data).expect("fits");
    let options = DataOptions::default();
    Dataset::from_arrays("samples", vec![array], Some(labels.to_vec()), &options).expect("valid")
}

fn compared(original: &[u8], rewritten: &[u8], data: &Dataset) -> Result<Comparison, Error> {
    let (a, b) = (
        Model::new("a.onnx", original),
        Model::new("b.onnx", rewritten),
    );
    compare(a, b, data, PLAIN, &Control::default())
}

#[test]
fn figures_are_those_worked_out_by_hand() {
    let data = samples(&[0, 1, 2, 1]);
    let original = classifier(IDENTITY);
    // The second class gains 0.2: the last sample changes sides, to its label.
    let rewritten = classifier([1.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let comparison = compared(&original, &rewritten, &data).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(comparison.samples, 4);
    assert_eq!(
        comparison.top1,
        Some(Pair {
            original: 0.75,
            rewritten: 1.0
        })
    );
    assert_eq!((comparison.top5, comparison.agreement), (None, Some(0.75)));
    assert!((comparison.max_abs_error - 0.6).abs() < 1e-6);
    // Δ = (0.6, 0, 0.2, 0.4): ‖Δ‖² = 0.56; the scores sum to 13.9 and their
    // squares to 27.61, so that the deviation² is 27.61 − 13.9²/12.
    let expected = (0.56 / (27.61 - 13.9f64.powi(2) / 12.0)).sqrt();
    assert!(
        (comparison.relative_error - expected).abs() < 1e-6,
        "{comparison:?}"
    );
    assert_eq!((comparison.psnr_db, comparison.non_finite), (None, 0));
    assert_eq!(comparison.outputs[0].shape, [1, 3]);

    let json = serde_json::to_value(&comparison).expect("serializes");
    assert_eq!(json["schema"], "convfold.comparison.v1");
    for key in [
        "samples",
        "top1",
        "top5",
        "agreement",
        "max_abs_error",
        "relative_error",
        "shift_consistency",
        "seconds",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["top1"]["rewritten"], 1.0);
    assert!(json["top5"].is_null() && json["seconds"]["original"].is_number());
}

#[test]
fn limits_are_kept_or_the_reason_is_told() {
    let data = samples(&[0, 1, 2, 0]);
    let rewritten = classifier([1.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let comparison = compared(&classifier(IDENTITY), &rewritten, &data).expect("compares");
    let limits = |max_drop, max_error| Limits {
        max_drop,
        max_error,
    };
    assert!(
        comparison
            .violations(&limits(Some(25.0), Some(0.5)))
            .is_empty()
    );
    let reasons = comparison.violations(&limits(Some(24.9), Some(0.1)));
    assert!(
        reasons[0].contains("25.00 points") && reasons[1].contains("relative error"),
        "{reasons:?}"
    );

    let nan = classifier([f32::NAN; 9]);
    let broken = compared(&classifier(IDENTITY), &nan, &data).expect("compares");
    assert_eq!((broken.non_finite, broken.agreement), (12, Some(0.0)));
    assert!(broken.violations(&Limits::default())[0].contains("12 output values"));
}

#[test]
fn neither_threads_nor_the_cache_change_a_figure() {
    let data = Dataset::random(&[vec![3]], 1000, 7);
    let original = classifier([0.3, -0.2, 0.1, 0.7, 0.1, -0.4, 0.2, 0.6, 0.5]);
    let rewritten = classifier([0.31, -0.2, 0.1, 0.7, 0.12, -0.4, 0.2, 0.57, 0.5]);
    let run = |threads, cache_bytes| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let options = CompareOptions {
            shift: false,
            cache_bytes,
        };
        let (a, b) = (Model::new("a", &original), Model::new("b", &rewritten));
        let mut comparison = pool
            .install(|| compare(a, b, &data, options, &Control::default()))
            .unwrap_or_else(|e| panic!("{e}"));
        comparison.seconds = Pair {
            original: 0.0,
            rewritten: 0.0,
        };
        comparison
    };
    let expected = run(1, 1 << 30);
    assert!(expected.relative_error > 0.0 && expected.agreement < Some(1.0));
    for (threads, cache) in [(3, 1 << 30), (1, 0), (4, 0)] {
        assert_eq!(
            run(threads, cache),
            expected,
            "{threads} threads, {cache} bytes of cache"
        );
    }
}

#[test]
fn outputs_are_paired_by_name_and_must_fit() {
    let two = |first: &str, second: &str, op: &str| {
        graph(13)
            .input("x", FLOAT, &["N", "3"])
            .node("n", "Neg", &["x"], "a", vec![])
            .node("m", op, &["x"], "b", vec![])
            .output(first)
            .output(second)
            .bytes()
    };
    let data = samples(&[0; 4]);
    let swapped = compared(&two("a", "b", "Abs"), &two("b", "a", "Abs"), &data).expect("compares");
    assert_eq!(
        (swapped.relative_error, swapped.outputs[1].name.as_str()),
        (0.0, "b")
    );
    let message = compared(&two("a", "b", "Abs"), &classifier(IDENTITY), &data).unwrap_err();
    assert!(
        message.to_string().contains("2 outputs against 1"),
        "{message}"
    );
    let message = compared(&two("a", "b", "Abs"), &two("a", "b", "Shape"), &data).unwrap_err();
    assert!(
        message.to_string().contains("output \"b\" is 1x3 against"),
        "{message}"
    );
}

#[test]
fn labels_beyond_the_classes_and_no_samples_are_refused() {
    let model = classifier(IDENTITY);
    let message = compared(&model, &model, &samples(&[0, 1, 3, 0]))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("label 3 of sample 2") && message.contains("3 classes"),
        "{message}"
    );
    let none = Dataset::random(&[vec![3]], 0, 0);
    assert!(matches!(
        compared(&model, &model, &none),
        Err(Error::Empty { .. })
    ));
}

#[test]
fn images_have_a_peak_signal_to_noise_ratio() {
    let scale = |by: f32| {
        graph(13)
            .input("x", FLOAT, &["N", "3", "8", "8"])
            .floats("by", &[1], &[by])
            .node("mul", "Mul", &["x", "by"], "y", vec![])
            .output("y")
            .bytes()
    };
    let data = Dataset::random(&[vec![3, 8, 8]], 3, 1);
    let comparison = compared(&scale(1.0), &scale(1.01), &data).expect("compares");
    let values = data.batch(0..3).expect("made").remove(0).data;
    let mse = values
        .iter()
        .map(|&v| f64::from(v * 0.01).powi(2))
        .sum::<f64>()
        / values.len() as f64;
    let expected = 10.0 * (255f64.powi(2) / mse).log10();
    let psnr = comparison.psnr_db.expect("an image");
    assert!((psnr - expected).abs() < 0.01, "{psnr} {expected}");
    assert_eq!(
        (comparison.agreement, comparison.outputs[0].psnr_peak),
        (None, Some(255.0))
    );
}

/// A classifier of 2x2 images: is the left or the right column brighter?
fn sides() -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &["N", "1", "2", "2"])
        .ints("flat", &[-1, 4])
        .node("flat", "Reshape", &["x", "flat"], "f", vec![])
        .floats("w", &[4, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
        .node("scores", "MatMul", &["f", "w"], "y", vec![])
        .output("y")
        .bytes()
}

#[test]
fn shift_consistency_counts_classes_that_stay() {
    // Up and down keep the columns apart. Left makes both the old right one, a
    // tie that the first class wins; right both the old left one, likewise.
    let image = [1.0, 5.0, 1.0, 5.0];
    let array = Array::new(vec![8, 1, 2, 2], image.repeat(8)).expect("fits");
    let data =
        Dataset::from_arrays("sides", vec![array], None, &DataOptions::default()).expect("valid");
    let model = sides();
    let share = shift_consistency(Model::new("m", &model), &data, &Control::default());
    assert_eq!(share.expect("runs"), Some(0.5));
    let options = CompareOptions {
        shift: true,
        ..PLAIN
    };
    let (a, b) = (Model::new("a", &model), Model::new("b", &model));
    let comparison = compare(a, b, &data, options, &Control::default()).expect("compares");
    assert_eq!(
        comparison.shift_consistency,
        Some(Pair {
            original: 0.5,
            rewritten: 0.5
        })
    );
}

#[test]
fn benches_compare_round_by_round() {
    let (small, large) = (conv(4), conv(256));
    let models = [Model::new("small", &small), Model::new("large", &large)];
    let data = Dataset::random(&[vec![4, 24, 24]], 1, 0);
    let options = BenchOptions {
        rounds: 15,
        warmup: 1,
        budget: Duration::from_secs(5),
        threads: 1,
    };
    let timings =
        bench(&models, &data, &options, &Control::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (timings[0].model.as_str(), timings[0].ratio.median),
        ("small", 1.0)
    );
    for Timing {
        seconds,
        ratio,
        rounds,
        ..
    } in &timings
    {
        assert!(*rounds >= 1 && 0.0 < seconds.min && seconds.min <= seconds.lower);
        assert!(seconds.lower <= seconds.median && seconds.median <= seconds.upper);
        assert!(ratio.min > 0.0);
    }
    // The fastest round is the one that other processes disturb least.
    assert!(
        timings[1].seconds.min > 2.0 * timings[0].seconds.min,
        "{timings:?}"
    );
    let threads = BenchOptions {
        threads: 2,
        rounds: 2,
        ..options
    };
    bench(&models, &data, &threads, &Control::default()).unwrap_or_else(|e| panic!("{e}"));
    let timing = time_model(models[0], &[vec![4, 24, 24]], Duration::from_millis(50));
    assert!(timing.expect("runs").seconds.median > 0.0);
}

/// A 3x3 convolution of 4 channels to `cout`.
fn conv(cout: i64) -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &["1", "4", "24", "24"])
        .floats("w", &[cout, 4, 3, 3], &vec![0.1; (cout * 36) as usize])
        .node("conv", "Conv", &["x", "w"], "y", vec![])
        .output("y")
        .bytes()
}

/// Compares a model of the corpus with itself.
fn itself(model: &str, spec: &str, options: &[(&str, &str)]) -> Option<Comparison> {
    let bytes = bytes(&format!("{model}.onnx"))?;
    let data = data(spec, options);
    let reference = Reference::new(Model::new(model, &bytes), &data, PLAIN, &Control::default())
        .unwrap_or_else(|e| panic!("{e}"));
    let comparison = reference
        .compare(Model::new(model, &bytes), &Control::default())
        .unwrap_or_else(|e| panic!("{e}"));
    println!(
        "{model}: {:.2} s and {:.2} s",
        comparison.seconds.original, comparison.seconds.rewritten
    );
    assert_eq!(
        (comparison.agreement, comparison.max_abs_error),
        (Some(1.0), 0.0)
    );
    Some(comparison)
}

#[test]
fn mnist_has_its_published_accuracy() {
    let Some(comparison) = itself("mnist", "mnist-test.npz", &[]) else {
        return;
    };
    assert_eq!(
        (comparison.samples, comparison.top1.map(|t| t.original)),
        (5000, Some(4947.0 / 5000.0))
    );
    assert!(comparison.top5.expect("ten classes").original > 0.999);
}

#[test]
fn cifar10_has_its_published_accuracy() {
    let options = [("scale", "1/127.5"), ("mean", "1")];
    let Some(comparison) = itself("cifar10_cnn", "cifar10-test.npz", &options) else {
        return;
    };
    assert_eq!(comparison.top1.map(|t| t.original), Some(952.0 / 1500.0));
}
