//! `factorize --goal`: the best network under a bound, measured on the model.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::Output;

use common::{corpus, json, repository, run, stderr, within};
use serde_json::Value;
use tempfile::TempDir;

fn example(file: &str) -> String {
    let path = repository("examples").join(file);
    path.to_str().expect("UTF-8").to_owned()
}

/// Runs `factorize` on the example model with these arguments.
fn search(folder: &TempDir, arguments: &[&str]) -> (Output, Value) {
    let (model, calib) = (
        example("models/glyphs.onnx"),
        example("data/glyphs-calib.npz"),
    );
    let (out, report) = (within(folder, "out.onnx"), within(folder, "report.json"));
    let fixed = [
        "factorize",
        &model,
        "-o",
        &out,
        "--report",
        &report,
        "--calibrate",
        &calib,
    ];
    let output = run([&fixed[..], arguments].concat());
    let text = std::fs::read_to_string(&report)
        .unwrap_or_else(|_| panic!("no report: {}", stderr(&output)));
    (output, serde_json::from_str(&text).expect("JSON"))
}

fn number(value: &Value, path: &str) -> f64 {
    value
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[test]
fn a_budget_is_kept_and_every_choice_has_its_reason() {
    let folder = TempDir::new().expect("a folder");
    let only = ["--only", "deep", "--only", "last"];
    let goal = ["--goal", "params", "--budget", "0.5"];
    let (output, report) = search(&folder, &[goal, only].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let pass = &report["passes"][0];
    assert_eq!(pass["pass"], "goal params");
    // The two layers have two thirds of the weights.
    let kept = number(pass, "/convolution_parameters/after")
        / number(pass, "/convolution_parameters/before");
    assert!(kept <= 0.7, "{kept}");
    let sites = pass["sites"].as_array().expect("sites").iter();
    let rewritten: Vec<_> = sites.filter(|s| s["output_error"].is_number()).collect();
    assert!(!rewritten.is_empty());
    for site in rewritten {
        assert!(
            site["why"].as_str().is_some_and(|w| w.contains("saves")),
            "{site}"
        );
        assert!(
            site["rivals"].as_array().is_some_and(|r| !r.is_empty()),
            "{site}"
        );
        assert!(
            site["output_error"].as_f64().is_some_and(|e| e > 0.0),
            "{site}"
        );
    }
    assert!(Path::new(&within(&folder, "out.onnx")).exists());
}

#[test]
fn a_threshold_just_holds() {
    let folder = TempDir::new().expect("a folder");
    let data = example("data/glyphs-test.npz");
    let arguments = [
        "--goal",
        "macs",
        "--max-drop",
        "0.3",
        "--data",
        &data,
        "--only",
        "deep",
        "--only",
        "last",
    ];
    let (output, report) = search(&folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let pass = &report["passes"][0];
    let drop = number(pass, "/accuracy/top1/original") - number(pass, "/accuracy/top1/rewritten");
    assert!(drop <= 0.003 + 1e-9, "{drop}");
    let weights = |when: &str| number(pass, &format!("/convolution_parameters/{when}"));
    assert!(weights("after") < 0.8 * weights("before"), "{pass}");
    assert_eq!(report["verdict"]["ok"], true);
}

/// Without pass and goal, labels mean a search for fewer parameters.
#[test]
fn labels_alone_start_a_search_that_does_not_depend_on_threads() {
    let data = example("data/glyphs-test.npz");
    let outputs = ["1", "2"].map(|threads| {
        let folder = TempDir::new().expect("a folder");
        let (output, report) = search(
            &folder,
            &["--data", &data, "--samples", "200", "--threads", threads],
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(report["passes"][0]["pass"], "goal params");
        std::fs::read(within(&folder, "out.onnx")).expect("a model")
    });
    assert!(outputs[0] == outputs[1], "the bytes differ");
}

#[test]
fn a_front_of_networks() {
    let folder = TempDir::new().expect("a folder");
    let (output, report) = search(
        &folder,
        &["--goal", "params", "--pareto", "3", "--only", "deep"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let files = report["front"].as_array().expect("files");
    assert_eq!(files.len(), 3);
    let sizes: Vec<f64> = files
        .iter()
        .map(|file| {
            let analysis = run([
                "analyze",
                file.as_str().expect("a path"),
                "--format",
                "json",
            ]);
            number(&json(&analysis), "/totals/parameters")
        })
        .collect();
    assert!(sizes.is_sorted() && sizes[0] < sizes[2], "{sizes:?}");
    assert!(!Path::new(&within(&folder, "out.onnx")).exists());
}

#[test]
fn time_is_measured() {
    let folder = TempDir::new().expect("a folder");
    let (output, report) = search(
        &folder,
        &["--goal", "latency", "--budget", "0.9", "--only", "deep"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let timed = report["passes"][0]["sites"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|s| s["rivals"].as_array().into_iter().flatten());
    for rival in timed {
        assert!(
            rival["seconds"].as_f64().is_some_and(|s| s > 0.0),
            "{rival}"
        );
    }
}

#[test]
fn a_budget_that_nothing_meets_is_told() {
    let folder = TempDir::new().expect("a folder");
    let model = example("models/glyphs.onnx");
    let out = within(&folder, "out.onnx");
    let output = run([
        "factorize",
        &model,
        "-o",
        &out,
        "--goal",
        "params",
        "--budget",
        "0.001",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("the boldest keeps"),
        "{}",
        stderr(&output)
    );
    assert!(!Path::new(&out).exists());
}

/// A flat spectrum is refused, not mangled: the first layer of this model has
/// one input channel and 64 unlike filters.
#[test]
fn a_layer_that_cannot_be_written_smaller_is_kept() {
    let Some(model) = corpus("super_resolution.onnx") else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let (out, report) = (within(&folder, "out.onnx"), within(&folder, "report.json"));
    let model = model.to_str().expect("UTF-8");
    let output = run([
        "factorize",
        model,
        "-o",
        &out,
        "--goal",
        "params",
        "--budget",
        "0.8",
        "--report",
        &report,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let skipped = report["passes"][0]["skipped"].as_array().expect("skipped");
    let kept = skipped
        .iter()
        .filter(|s| s["reason"].as_str().is_some_and(|r| r.contains("kept")));
    assert!(kept.count() > 0, "{skipped:?}");
}

/// What `cargo bench --bench quality` shows, less a margin: share of the
/// convolutions' weights, least top-1 and agreement in percent.
#[test]
fn trained_models_keep_their_accuracy() {
    let mnist = ("mnist.onnx", ["mnist-calib.npz", "mnist-test.npz"], &[][..]);
    let scaled = &["--scale", "1/127.5", "--mean", "1"][..];
    let cifar = (
        "cifar10_cnn.onnx",
        ["cifar10-calib.npz", "cifar10-test.npz"],
        scaled,
    );
    // Output channels: a bias each, which is not in the budget.
    let (small, large) = (24.0, 72.0);
    for ((model, samples, preprocess), biases, budget, top1, agreement) in [
        (mnist, small, "0.55", 98.8, 99.75),
        (mnist, small, "0.3", 98.6, 99.35),
        (cifar, large, "0.55", 62.5, 95.2),
    ] {
        let files = [model, samples[0], samples[1]].map(corpus);
        let [Some(path), Some(calib), Some(test)] = files else {
            return;
        };
        let folder = TempDir::new().expect("a folder");
        let report = within(&folder, "report.json");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let (path, calib, test) = (text(&path), text(&calib), text(&test));
        let fixed = [
            "factorize",
            &path,
            "--dry-run",
            "--goal",
            "params",
            "--budget",
            budget,
            "--calibrate",
            &calib,
            "--calibration-samples",
            "1000",
            "--data",
            &test,
            "--report",
            &report,
        ];
        let output = run([&fixed[..], preprocess].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let report = std::fs::read_to_string(&report).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let pass = &report["passes"][0];
        let weights = |when: &str| number(pass, &format!("/convolution_parameters/{when}"));
        let share: f64 = budget.parse().expect("a number");
        assert!(
            weights("after") <= share * weights("before") + biases,
            "{model} {budget}"
        );
        let (got, agreed) = (
            100.0 * number(pass, "/accuracy/top1/rewritten"),
            100.0 * number(pass, "/accuracy/agreement"),
        );
        assert!(
            got >= top1 && agreed >= agreement,
            "{model} {budget}: {got} {agreed}"
        );
    }
}
