//! `factorize`, `fold` and `verify`, the whole way.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::Output;

use common::{Array, corpus, images, json, labels, npz, run, small_model, stderr, stdout, within};
use serde_json::Value;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        small_model(&folder.path().join("model.onnx"));
        npz(&folder.path().join("data.npz"), &[images(12), labels(12)]);
        let Array(key, dtype, shape, data) = images(12);
        npz(
            &folder.path().join("images.npz"),
            &[Array(key, dtype, shape, data)],
        );
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        within(&self.folder, name)
    }

    /// Runs `factorize model.onnx -o out.onnx` with these arguments and a report.
    fn factorize(&self, arguments: &[&str]) -> (Output, Value) {
        let (model, out, report) = (
            self.path("model.onnx"),
            self.path("out.onnx"),
            self.path("report.json"),
        );
        let fixed = ["factorize", &model, "-o", &out, "--report", &report];
        let output = run([&fixed[..], arguments].concat());
        let text = std::fs::read_to_string(&report)
            .unwrap_or_else(|_| panic!("no report: {}", stderr(&output)));
        (output, serde_json::from_str(&text).expect("JSON"))
    }

    fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    fn kernels(&self, name: &str) -> Vec<Value> {
        kernels(&self.path(name))
    }
}

fn kernels(model: &str) -> Vec<Value> {
    let analysis = json(&run(["analyze", model, "--format", "json"]));
    let layers = analysis["layers"].as_array().expect("layers").iter();
    layers
        .filter(|l| l["op"] == "Conv")
        .map(|l| l["kernel"].clone())
        .collect()
}

#[test]
fn a_large_kernel_becomes_small_ones() {
    let place = Place::new();
    let data = place.path("data.npz");
    let (output, report) = place.factorize(&["--pass", "5x5-to-3x3", "--data", &data]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        place.kernels("out.onnx"),
        [serde_json::json!([3, 3]), serde_json::json!([3, 3])]
    );

    assert_eq!(report["schema"], "convfold.factorization.v1");
    assert_eq!(
        report["verdict"],
        serde_json::json!({"ok": true, "reasons": []})
    );
    let pass = &report["passes"][0];
    assert_eq!(pass["pass"], "5x5-to-3x3");
    let site = &pass["sites"][0];
    assert_eq!(
        (&site["node"], &site["from"]),
        (&"conv_node".into(), &"5x5".into())
    );
    assert_eq!(site["to"], serde_json::json!(["3x3", "3x3"]));
    assert!(site["width"].as_u64().is_some_and(|w| w > 0));
    let before = json(&run([
        "analyze",
        &place.path("model.onnx"),
        "--format",
        "json",
    ]));
    let after = json(&run([
        "analyze",
        &place.path("out.onnx"),
        "--format",
        "json",
    ]));
    assert_eq!(
        pass["before"], before["totals"],
        "TOTALS are those of analyze"
    );
    assert_eq!(
        pass["after"], after["totals"],
        "TOTALS are those of analyze"
    );
    assert_eq!(
        pass["after"]["receptive_field"]["size"],
        serde_json::json!([5, 5])
    );

    // `verify` comes to the same figures.
    let verified = run([
        "verify",
        &place.path("model.onnx"),
        &place.path("out.onnx"),
        "--data",
        &data,
        "--format",
        "json",
    ]);
    let comparison = json(&verified);
    assert_eq!(comparison["schema"], "convfold.comparison.v1");
    for figure in [
        "samples",
        "top1",
        "agreement",
        "max_abs_error",
        "relative_error",
    ] {
        assert_eq!(comparison[figure], pass["accuracy"][figure], "{figure}");
    }
    assert_eq!(comparison["samples"], 12);
    let text = stdout(&output);
    for word in [
        "parameters",
        "MACs",
        "FLOPs",
        "receptive field",
        "aliasing",
        "top-1",
        "agreement",
    ] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

#[test]
fn the_exact_width_loses_nothing() {
    let place = Place::new();
    let arguments = [
        "--pass",
        "5x5-to-3x3",
        "--width",
        "exact",
        "--data",
        &place.path("data.npz"),
        "--max-error",
        "1e-4",
    ];
    let (output, report) = place.factorize(&arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{}",
        stdout(&output),
        stderr(&output)
    );
    assert_eq!(report["passes"][0]["accuracy"]["agreement"], 1.0);
    assert!(
        !place
            .kernels("out.onnx")
            .contains(&serde_json::json!([5, 5]))
    );
}

#[test]
fn a_missed_threshold_is_told_by_the_exit_code_and_the_model_written() {
    let place = Place::new();
    let arguments = [
        "--pass",
        "5x5-to-3x3",
        "--width",
        "1",
        "--data",
        &place.path("data.npz"),
        "--max-error",
        "1e-6",
    ];
    let (output, report) = place.factorize(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(report["verdict"]["ok"], false);
    let reason = report["verdict"]["reasons"][0].as_str().expect("a reason");
    assert!(stdout(&output).contains(reason));
    assert!(place.exists("out.onnx"));
    let (model, out, data) = (
        place.path("model.onnx"),
        place.path("out.onnx"),
        place.path("data.npz"),
    );
    let verify = ["verify", &model, &out, "--data", &data, "--max-error"];
    assert_eq!(
        run([&verify[..], &["1e-6"]].concat()).status.code(),
        Some(1)
    );
    assert_eq!(run([&verify[..], &["100"]].concat()).status.code(), Some(0));
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    let (output, report) = place.factorize(&["--pass", "5x5-to-3x3", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!place.exists("out.onnx"));
    assert_eq!(report["output"], Value::Null);
    assert_eq!(report["passes"][0]["accuracy"], Value::Null);
    let output = run([
        "factorize",
        &place.path("model.onnx"),
        "--dry-run",
        "--pass",
        "5x5-to-3x3",
    ]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "no OUT is needed: {}",
        stderr(&output)
    );
}

#[test]
fn what_matches_nothing_is_written_as_it_was() {
    let place = Place::new();
    let (output, report) = place.factorize(&["--pass", "5x5-to-3x3", "--only", "no such node"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(report["passes"][0]["sites"], serde_json::json!([]));
    assert_eq!(report["passes"][0]["skipped"][0]["node"], "conv_node");
    let read = |name: &str| std::fs::read(place.path(name)).expect("readable");
    assert_eq!(read("model.onnx"), read("out.onnx"));
}

#[test]
fn the_result_does_not_depend_on_threads_or_on_where_it_goes() {
    let place = Place::new();
    let (model, calibration) = (place.path("model.onnx"), place.path("images.npz"));
    let made = ["1", "2", "5"].map(|threads| {
        let out = place.path(&format!("out-{threads}.onnx"));
        let output = run([
            "factorize",
            &model,
            "-o",
            &out,
            "--pass",
            "5x5-to-3x3",
            "--calibrate",
            &calibration,
            "-j",
            threads,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        std::fs::read(out).expect("written")
    });
    assert!(made[0] == made[1] && made[1] == made[2]);
}

#[test]
fn without_a_pass_the_defaults_run() {
    let place = Place::new();
    let (output, report) = place.factorize(&["--data", &place.path("images.npz")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let passes: Vec<&Value> = report["passes"]
        .as_array()
        .expect("passes")
        .iter()
        .map(|p| &p["pass"])
        .collect();
    assert_eq!(passes, ["fold-batchnorm", "fold-bias", "large-to-3x3"]);
    assert_eq!(report["passes"][2]["accuracy"]["top1"], Value::Null);
}

#[test]
fn derivations_are_told_where_asked_for() {
    let place = Place::new();
    let (output, report) = place.factorize(&["--pass", "5x5-to-3x3", "--explain"]);
    assert!(stdout(&output).contains("derivation"));
    let explanation = report["passes"][0]["sites"][0]["explanation"]
        .as_str()
        .expect("text");
    assert!(stdout(&output).contains(explanation.lines().next().expect("a line")));
}

#[test]
fn folding_keeps_outputs() {
    let place = Place::new();
    let (model, out) = (place.path("model.onnx"), place.path("folded.onnx"));
    let output = run(["fold", &model, "-o", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let analysis = json(&run(["analyze", &out, "--format", "json"]));
    let ops: Vec<&Value> = analysis["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|l| &l["op"])
        .collect();
    assert!(!ops.contains(&&"Add".into()), "the bias is folded: {ops:?}");
    let data = place.path("data.npz");
    let verify = run([
        "verify",
        &model,
        &out,
        "--data",
        &data,
        "--max-error",
        "1e-5",
    ]);
    assert_eq!(verify.status.code(), Some(0), "{}", stdout(&verify));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let Some(model) = corpus("squeezenet.onnx") else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let out = folder.path().join("out.onnx");
    let mut child = Command::new(env!("CARGO_BIN_EXE_convfold"))
        .arg("factorize")
        .arg(model)
        .arg("-o")
        .arg(&out)
        .args(["--pass", "3x3-to-2x2", "--width", "exact", "-j", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_millis(1500));
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.is_ok_and(|s| s.success()));
    let asked = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        assert!(
            asked.elapsed() < Duration::from_secs(120),
            "it does not stop"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0
    );
}

/// `factorize` on a model of the corpus with labelled data; the report.
fn measured(
    model: &str,
    data: &str,
    calibration: &str,
    options: &[&str],
) -> Option<(Value, Vec<Value>)> {
    let files = [corpus(model)?, corpus(data)?, corpus(calibration)?];
    let [model, data, calibration] = files.map(|p| p.to_str().expect("UTF-8").to_owned());
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (out, report) = (file("out.onnx"), file("report.json"));
    let fixed = [
        "factorize",
        &model,
        "-o",
        &out,
        "--pass",
        "5x5-to-3x3",
        "--calibrate",
        &calibration,
        "--data",
        &data,
        "--report",
        &report,
    ];
    let output = run([&fixed[..], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = std::fs::read_to_string(report).expect("written");
    Some((serde_json::from_str(&report).expect("JSON"), kernels(&out)))
}

fn share_left(report: &Value) -> f64 {
    let parameters = &report["passes"][0]["convolution_parameters"];
    parameters["after"].as_f64().expect("a number")
        / parameters["before"].as_f64().expect("a number")
}

fn top1_drop(report: &Value) -> f64 {
    let top1 = &report["passes"][0]["accuracy"]["top1"];
    100.0
        * (top1["original"].as_f64().expect("labels") - top1["rewritten"].as_f64().expect("labels"))
}

#[test]
fn mnist_keeps_its_accuracy_at_40_percent_fewer() {
    let Some((report, kernels)) = measured("mnist.onnx", "mnist-test.npz", "mnist-calib.npz", &[])
    else {
        return;
    };
    assert!(!kernels.contains(&serde_json::json!([5, 5])), "{kernels:?}");
    assert!(share_left(&report) <= 0.6, "{}", share_left(&report));
    assert!(top1_drop(&report) <= 0.2, "{}", top1_drop(&report));
    let agreement = report["passes"][0]["accuracy"]["agreement"].as_f64();
    assert!(agreement.is_some_and(|a| a >= 0.996), "{agreement:?}");
}

#[test]
fn cifar10_keeps_its_accuracy_at_40_percent_fewer() {
    let scaled = ["--scale", "1/127.5", "--mean", "1"];
    let Some((report, kernels)) = measured(
        "cifar10_cnn.onnx",
        "cifar10-test.npz",
        "cifar10-calib.npz",
        &scaled,
    ) else {
        return;
    };
    assert!(!kernels.contains(&serde_json::json!([5, 5])), "{kernels:?}");
    assert!(share_left(&report) <= 0.6, "{}", share_left(&report));
    assert!(top1_drop(&report) <= 1.5, "{}", top1_drop(&report));
}

#[test]
fn rectifiers_between_start_open_and_want_training() {
    let place = Place::new();
    let images = place.path("images.npz");
    let refused = run([
        "factorize",
        &place.path("model.onnx"),
        "--dry-run",
        "--between",
        "relu",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("--calibrate"),
        "{}",
        stderr(&refused)
    );

    let fitted = ["--pass", "5x5-to-3x3", "--calibrate", &images];
    let (output, _) = place.factorize(&fitted);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::rename(place.path("out.onnx"), place.path("linear.onnx")).expect("renamed");
    let (output, report) = place.factorize(&[&fitted[..], &["--between", "relu"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let site = &report["passes"][0]["sites"][0];
    assert_eq!(site["to"], serde_json::json!(["3x3", "Relu", "3x3"]));
    assert_eq!(site["exact"], false);
    assert!(
        site["why"].as_str().is_some_and(|w| w.contains("train")),
        "{site}"
    );

    let relus = |model: &str| {
        let drawn = run(["graph", &place.path(model), "--format", "dot"]);
        stdout(&drawn).matches("Relu").count()
    };
    assert!(relus("out.onnx") > relus("linear.onnx"));
    // On what calibrated, nothing is cut off.
    let verified = run([
        "verify",
        &place.path("linear.onnx"),
        &place.path("out.onnx"),
        "--data",
        &images,
        "--max-error",
        "1e-5",
    ]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
}
