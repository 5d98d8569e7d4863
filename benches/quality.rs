//! What a search reaches without training, at several budgets, beside the goal
//! and beside single forms fitted to the weights alone, every layer at the same
//! share: 1x1, k x k, 1x1 of one width, and k x 1, 1 x k.
//!
//! `cargo bench --bench quality`, with the corpus where `CONVFOLD_CORPUS` says.
//! `.ci/peers.py` compares with Tucker-2 and SVD-separable, all run in onnxruntime.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

/// A model with its samples, and budgets with the goal of top-1 and agreement.
struct Case {
    model: &'static str,
    samples: [&'static str; 2],
    preprocess: &'static [&'static str],
    budgets: &'static [(f64, f64, f64)],
}

const CASES: [Case; 2] = [
    Case {
        model: "mnist.onnx",
        samples: ["mnist-calib.npz", "mnist-test.npz"],
        preprocess: &[],
        budgets: &[
            (0.55, 98.94, 99.90),
            (0.43, 98.88, 99.80),
            (0.30, 98.60, 99.40),
        ],
    },
    Case {
        model: "cifar10_cnn.onnx",
        samples: ["cifar10-calib.npz", "cifar10-test.npz"],
        preprocess: &["--scale", "1/127.5", "--mean", "1"],
        budgets: &[
            (0.70, 63.4, 98.0),
            (0.55, 63.0, 96.0),
            (0.43, 62.9, 92.0),
            (0.30, 60.5, 87.0),
        ],
    },
];

fn corpus() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    std::env::var_os("CONVFOLD_CORPUS").map_or(default, PathBuf::from)
}

/// Share of the convolutions' weights, top-1 and agreement, in percent.
fn measure(case: &Case, how: &[&str], calibrate: bool) -> Option<[f64; 3]> {
    let folder = tempfile::TempDir::new().expect("a folder");
    let report = folder.path().join("report.json");
    let file = |name: &str| corpus().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_convfold"));
    command.args([
        "--quiet",
        "factorize",
        "--dry-run",
        "--calibration-samples",
        "1000",
    ]);
    command
        .arg(file(case.model))
        .args(how)
        .args(case.preprocess);
    command.arg("--data").arg(file(case.samples[1]));
    command.arg("--report").arg(&report);
    if calibrate {
        command.arg("--calibrate").arg(file(case.samples[0]));
    }
    let output = command.output().expect("the program starts");
    let text = std::fs::read(&report).ok()?;
    let report: Value = serde_json::from_slice(&text).ok()?;
    let pass = report["passes"].as_array()?.last()?;
    let number = |path: &str| pass.pointer(path).and_then(Value::as_f64);
    let weights = |when: &str| number(&format!("/convolution_parameters/{when}"));
    assert!(output.status.code().is_some_and(|c| c < 2));
    Some([
        100.0 * weights("after")? / weights("before")?,
        100.0 * number("/accuracy/top1/rewritten")?,
        100.0 * number("/accuracy/agreement")?,
    ])
}

fn show(figures: Option<[f64; 3]>) -> String {
    figures.map_or("none".into(), |[_, top1, agreement]| {
        format!("{top1:.2} / {agreement:.2}")
    })
}

fn main() {
    if !corpus().join(CASES[0].model).exists() {
        println!("SKIPPED: no corpus at {}", corpus().display());
        return;
    }
    println!("top-1 / agreement in percent");
    println!(
        "{:18} {:>6} {:>15} {:>15} {:>8} {:>8} {:>15} {:>15}",
        "model", "budget", "goal", "search", "kept", "seconds", "bottleneck", "separable"
    );
    for case in &CASES {
        for &(budget, top1, agreement) in case.budgets {
            let share = budget.to_string();
            let started = Instant::now();
            let found = measure(case, &["--goal", "params", "--budget", &share], true);
            let seconds = started.elapsed().as_secs_f64();
            let width = format!("x{budget}");
            let peer = |pass| measure(case, &["--pass", pass, "--width", &width], false);
            println!(
                "{:18} {budget:>6.2} {:>15} {:>15} {:>7.1}% {seconds:>8.1} {:>15} {:>15}",
                case.model,
                format!("{top1:.2} / {agreement:.2}"),
                show(found),
                found.map_or(f64::NAN, |f| f[0]),
                show(peer("bottleneck")),
                show(peer("separate")),
            );
        }
    }
}
