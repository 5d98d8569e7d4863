//! `analyze`, and the commands that read models only.
#![allow(missing_docs)]

mod common;

use std::collections::HashMap;

use common::{convfold, corpus, json, repository, run, small_model, stderr, stdout};
use serde_json::Value;
use tempfile::TempDir;

fn small() -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("small.onnx");
    small_model(&path);
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn json_is_the_documented_object() {
    let (_folder, model) = small();
    let analysis = json(&run([
        "analyze",
        &model,
        "--format",
        "json",
        "--input-shape",
        "1x4x8x8",
    ]));
    assert_eq!(analysis["schema"], "convfold.analysis.v1");
    assert_eq!(analysis["model"]["path"], model.as_str());
    assert_eq!(analysis["model"]["opset"][""], 17);
    assert_eq!(
        analysis["model"]["inputs"][0]["shape"],
        serde_json::json!([1, 4, 8, 8])
    );
    // 600 weights, 6 added to the channels, 18 of the linear layer.
    assert_eq!(analysis["totals"]["parameters"], 624);
    assert_eq!(analysis["totals"]["macs"], 600 * 64 + 18);
    assert_eq!(analysis["totals"]["convolutions"], 1);
    assert_eq!(analysis["totals"]["gaps"], 0);
    assert_eq!(
        analysis["totals"]["receptive_field"]["size"],
        serde_json::json!([5, 5])
    );
    let layers = analysis["layers"].as_array().expect("layers");
    let ops: Vec<&Value> = layers.iter().map(|l| &l["op"]).collect();
    assert_eq!(
        ops,
        [
            "Conv",
            "Add",
            "Relu",
            "GlobalAveragePool",
            "Flatten",
            "Gemm"
        ]
    );
    let conv = &layers[0];
    assert_eq!(conv["node"], "conv_node");
    assert_eq!(conv["outputs"], serde_json::json!(["conv"]));
    assert_eq!(conv["kernel"], serde_json::json!([5, 5]));
    assert_eq!(conv["pads"], serde_json::json!([2, 2, 2, 2]));
    assert_eq!(conv["shape"], serde_json::json!([1, 6, 8, 8]));
    assert_eq!(conv["receptive_field"]["centre"], serde_json::json!([0, 0]));
    assert_eq!(layers[5]["receptive_field"]["size"], Value::Null);
}

#[test]
fn an_open_batch_stays_a_symbol_until_it_is_given() {
    let (_folder, model) = small();
    let open = json(&run(["analyze", &model, "--format", "json"]));
    assert!(
        open["totals"]["macs"]
            .as_str()
            .is_some_and(|m| m.contains('N')),
        "{}",
        open["totals"]
    );
    for shape in ["2x4x8x8", "image=2x4x8x8"] {
        let given = json(&run([
            "analyze",
            &model,
            "--format",
            "json",
            "--input-shape",
            shape,
        ]));
        assert_eq!(given["totals"]["macs"], 2 * (600 * 64 + 18));
    }
}

#[test]
fn several_models_are_an_array_in_the_order_given() {
    let (folder, model) = small();
    let other = folder.path().join("other.onnx");
    small_model(&other);
    let other = other.to_str().expect("UTF-8");
    let analyses = json(&run(["analyze", other, &model, "--format", "json"]));
    let paths: Vec<&Value> = analyses
        .as_array()
        .expect("an array")
        .iter()
        .map(|a| &a["model"]["path"])
        .collect();
    assert_eq!(paths, [other, &model]);
}

#[test]
fn every_format_holds_the_layers() {
    let (folder, model) = small();
    for (format, words) in [
        ("text", ["conv_node", "38.4 k", "5x5"]),
        ("markdown", ["| conv\\_node |", "38.4 k", "| ---: |"]),
        ("csv", ["conv_node,Conv,5x5", "38400", "model,node,op"]),
        ("html", ["<svg", "conv_node", "38.4 k"]),
    ] {
        let arguments = [
            "analyze",
            &model,
            "--format",
            format,
            "--input-shape",
            "1x4x8x8",
        ];
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        for word in words {
            assert!(text.contains(word), "{format}: no {word:?} in {text}");
        }
        // The same into a file, the format by its name.
        let ending = match format {
            "text" => "txt",
            "markdown" => "md",
            other => other,
        };
        let file = folder.path().join(format!("report.{ending}"));
        let named = ["analyze", &model, "--input-shape", "1x4x8x8", "-o"];
        let output = convfold()
            .args(named)
            .arg(&file)
            .output()
            .expect("it starts");
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{}",
            stderr(&output)
        );
        assert_eq!(
            std::fs::read_to_string(&file).expect("written"),
            text,
            "{format}"
        );
    }
    let page = stdout(&run(["analyze", &model, "--format", "html"]));
    for outside in ["http", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
}

#[test]
fn text_fits_the_width_that_is_asked_for() {
    let Some(model) = corpus("structure/densenet121.onnx") else {
        return;
    };
    let output = convfold()
        .arg("analyze")
        .arg(model)
        .env("COLUMNS", "80")
        .output()
        .expect("it starts");
    let text = stdout(&output);
    let table = text.split("\n\n").nth(1).expect("a table");
    let widest = table.lines().map(|l| l.chars().count()).max();
    assert!(widest.is_some_and(|w| w <= 80), "{table}");
}

#[test]
fn macs_equal_the_reference_to_the_unit() {
    let Some(reference) = corpus("structure/reference.json") else {
        return;
    };
    let text = std::fs::read_to_string(&reference).expect("readable");
    let reference: HashMap<String, Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(reference.len(), 8);
    for (name, figures) in reference {
        let Some(model) = corpus(&format!("structure/{name}.onnx")) else {
            return;
        };
        let model = model.to_str().expect("UTF-8").to_owned();
        let analysis = json(&run(["analyze", &model, "--format", "json"]));
        assert_eq!(
            analysis["totals"]["macs"], figures["macs_conv_linear"],
            "{name}"
        );
    }
}

#[test]
fn the_example_reads_as_it_did() {
    let output = convfold()
        .current_dir(repository("."))
        .args([
            "analyze",
            "examples/models/glyphs.onnx",
            "--input-shape",
            "1x1x28x28",
        ])
        .env("COLUMNS", "100")
        .output()
        .expect("it starts");
    insta::assert_snapshot!("analyze_glyphs", stdout(&output));
}

#[test]
fn passes_are_listed_and_explained() {
    let passes = json(&run(["passes", "--format", "json"]));
    let text = stdout(&run(["passes"]));
    for pass in passes.as_array().expect("an array") {
        let name = pass["pass"].as_str().expect("a name");
        assert!(text.contains(name));
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let explained = words(&stdout(&run(["explain", name])));
        for part in ["what", "why", "when_not", "example"] {
            let part = words(pass[part].as_str().expect("text"));
            assert!(
                explained.contains(&part),
                "{name}: {part:?} is not in {explained}"
            );
        }
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&run(["completions", shell]));
        assert!(
            script.contains("factorize") && script.contains("input-shape"),
            "{shell}"
        );
    }
}

#[test]
fn differences_are_told() {
    let (folder, model) = small();
    let rewritten = folder.path().join("rewritten.onnx");
    let rewritten = rewritten.to_str().expect("UTF-8");
    let made = run(["factorize", &model, "-o", rewritten, "--pass", "5x5-to-3x3"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let same = json(&run(["diff", &model, &model, "--format", "json"]));
    assert_eq!(same["layers"]["same"], 6);
    let diff = json(&run(["diff", &model, rewritten, "--format", "json"]));
    assert_eq!(diff["schema"], "convfold.diff.v1");
    let layers = &diff["layers"];
    let count = |kind: &str| layers[kind].as_array().map_or(0, Vec::len);
    assert!(
        count("added") + count("removed") + count("changed") > 0,
        "{layers}"
    );
    assert!(stdout(&run(["diff", &model, rewritten])).contains("3x3"));
}

#[test]
fn graphs_are_drawn() {
    let (_folder, model) = small();
    let dot = stdout(&run(["graph", &model]));
    assert!(dot.starts_with("digraph model {"));
    // Six operators in a row between one input and one output.
    assert_eq!(dot.matches(" -> ").count(), 7, "{dot}");
    assert!(dot.contains("Conv 5x5\\nconv_node"), "{dot}");
}
