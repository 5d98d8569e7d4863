//! `bench`: models in turns, and what passes would make of one.
#![allow(missing_docs)]

mod common;

use common::{json, repository, run, stderr, within};
use serde_json::Value;
use tempfile::TempDir;

fn glyphs() -> String {
    let path = repository("examples/models/glyphs.onnx");
    path.to_str().expect("UTF-8").to_owned()
}

fn bench(arguments: &[&str]) -> Value {
    let model = glyphs();
    let quick = ["bench", &model, "--rounds", "2", "--format", "json"];
    json(&run(quick.iter().chain(arguments)))
}

fn parameters(file: &str, layers: &[&str]) -> u64 {
    let analysis = json(&run(["analyze", file, "--format", "json"]));
    let all = analysis["layers"].as_array().expect("layers");
    let own = all
        .iter()
        .filter(|l| layers.iter().any(|name| l["node"] == *name));
    own.map(|l| l["parameters"].as_u64().expect("a number"))
        .sum()
}

/// Each layer's weights are those that `analyze` finds before, and in the file
/// that `factorize` writes, after; the times are of both.
#[test]
fn a_model_alone_is_timed_beside_its_own_forms() {
    let report = bench(&["--pass", "large-to-3x3", "--width", "auto"]);
    let models = report["models"].as_array().expect("models");
    assert_eq!(models.len(), 2);
    assert_eq!(models[1]["rounds"], 2);
    let form = &report["forms"][0];
    assert_eq!(form["pass"], "large-to-3x3");
    assert_eq!(form["comparison"], Value::Null);

    let folder = TempDir::new().expect("a folder");
    let rewritten = within(&folder, "rewritten.onnx");
    let factorized = run([
        "factorize",
        &glyphs(),
        "-o",
        &rewritten,
        "--pass",
        "large-to-3x3",
    ]);
    assert!(factorized.status.success(), "{}", stderr(&factorized));
    let model = compiler::onnx::open(rewritten.as_ref()).expect("a model");
    let layers = form["layers"].as_array().expect("layers");
    assert!(layers.len() > 1);
    let mut all = 0;
    for layer in layers {
        let (alone, node) = (&layer["alone"], layer["node"].as_str().expect("a name"));
        assert_eq!(
            alone["before"]["parameters"],
            parameters(&glyphs(), &[node]),
            "{node}"
        );
        let after = alone["after"]["parameters"].as_u64().expect("a number");
        assert!(after > 0, "{node}");
        all += after;
        for time in ["before", "after"] {
            let median = &alone["seconds"][time]["median"];
            assert!(median.as_f64().is_some_and(|s| s > 0.0), "{node} {time}");
        }
    }
    let nodes = &model.model.graph.as_ref().expect("a graph").node;
    let convolutions: Vec<&str> = nodes
        .iter()
        .filter(|n| n.op_type.as_deref() == Some("Conv"))
        .filter_map(|n| n.name.as_deref())
        .collect();
    let kept: Vec<&str> = ["last"].into_iter().collect();
    let written: Vec<&str> = convolutions
        .into_iter()
        .filter(|n| !kept.contains(n))
        .collect();
    assert_eq!(all, parameters(&rewritten, &written));
}

#[test]
fn what_is_not_asked_about_2x2_is_not_rewritten() {
    let report = bench(&["--alone"]);
    assert_eq!(report["forms"], serde_json::json!([]));
    let (model, two) = (glyphs(), glyphs());
    let both = ["bench", &model, &two, "--rounds", "1", "--format", "json"];
    assert_eq!(json(&run(both))["forms"], serde_json::json!([]));
    let wrong = run(["bench", &model, "--pass", "all-to-4x4"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("all-to-2x2"), "{}", stderr(&wrong));
}
