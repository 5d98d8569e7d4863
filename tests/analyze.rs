//! `analyze`, and the commands that read models only.
#![allow(missing_docs)]

mod common;

use std::collections::HashMap;

use common::{
    convfold, corpus, images, json, npz, repository, run, small_model, stderr, stdout, within,
};
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
    for name in ["structure/densenet121", "mnist", "candy"] {
        let Some(model) = corpus(&format!("{name}.onnx")) else {
            return;
        };
        for width in [60, 80, 120] {
            let output = convfold()
                .arg("analyze")
                .arg(&model)
                .args(["--color", "never"])
                .env("COLUMNS", width.to_string())
                .output()
                .expect("it starts");
            let text = stdout(&output);
            let long = text.lines().find(|l| l.chars().count() > width);
            assert_eq!(long, None, "{name} at {width}");
            // Names are cut in the middle, not left out.
            assert!(name != "structure/densenet121" || text.contains('…'));
        }
    }
}

#[test]
fn colours_are_asked_for() {
    let (_folder, model) = small();
    let text = |more: &[&str]| stdout(&run([&["analyze", model.as_str()], more].concat()));
    assert!(!text(&[]).contains('\u{1b}'));
    assert!(!text(&["--color", "never"]).contains('\u{1b}'));
    assert!(text(&["--color", "always"]).contains('\u{1b}'));
    let output = convfold()
        .args(["analyze", &model])
        .env("NO_COLOR", "1")
        .output()
        .expect("it starts");
    assert!(!stdout(&output).contains('\u{1b}'));
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

#[test]
fn a_graph_is_coloured_by_risk() {
    let dot = stdout(&run([
        "graph",
        repository("examples/models/aliased.onnx")
            .to_str()
            .expect("UTF-8"),
    ]));
    assert!(dot.contains("tomato") && dot.contains("aliasing"), "{dot}");
    assert!(dot.contains("fillcolor=white"), "{dot}");
}

#[test]
fn weights_are_looked_at() {
    let (_folder, model) = small();
    let plain = json(&run(["analyze", &model, "--format", "json"]));
    assert!(plain["information"].get("weights").is_none());
    let analysis = json(&run(["analyze", &model, "--format", "json", "--weights"]));
    let weights = analysis["information"]["weights"]
        .as_array()
        .expect("weights");
    assert_eq!(weights[0]["tensor"], "kernel");
    assert_eq!(weights[0]["filters"]["count"], 6);
    assert_eq!(weights[0]["filters"]["dead"], serde_json::json!([]));
    let rank = weights[0]["filters"]["effective_rank"]
        .as_f64()
        .expect("a rank");
    assert!((5.0..=6.0).contains(&rank), "{rank}");
    for format in ["text", "markdown", "html"] {
        let text = stdout(&run(["analyze", &model, "--format", format, "--weights"]));
        for word in ["subnormal", "twins", "kernel"] {
            assert!(text.contains(word), "{format}: no {word} in {text}");
        }
    }
}

#[test]
fn information_is_in_every_format_for_people() {
    let Some(model) = corpus("structure/resnet18.onnx") else {
        return;
    };
    let model = model.to_str().expect("UTF-8");
    for format in ["text", "markdown", "html"] {
        let text = stdout(&run(["analyze", model, "--format", format]));
        for word in ["Growth along the depth", "never read", "147 → 64", "435"] {
            assert!(text.contains(word), "{format}: no {word:?}");
        }
    }
    let information = &json(&run(["analyze", model, "--format", "json"]))["information"];
    assert_eq!(information["growth"][0]["jump"], serde_json::json!([2, 2]));
    // The three 1x1 stride 2 of the shortcuts throw three quarters away.
    let unread = &information["without_overlap"];
    assert_eq!(unread.as_array().map(Vec::len), Some(3));
    assert_eq!(unread[0]["unread"], 0.75);
}

#[test]
fn a_unit_is_found_and_cut_out() {
    let (folder, model) = small();
    let data = folder.path().join("data.npz");
    npz(&data, &[images(2)]);
    let data = data.to_str().expect("UTF-8");
    let crop = within(&folder, "crop.png");
    let arguments = [
        "analyze",
        &model,
        "--unit",
        "conv_node:0,7",
        "--format",
        "json",
    ];
    let found = json(&run(arguments));
    let unit = &found["units"][0];
    assert_eq!(unit["rectangle"], serde_json::json!([[0, 2], [5, 7]]));
    assert_eq!(unit["field"], serde_json::json!([[-2, 2], [5, 9]]));
    assert_eq!(unit["effective_sigma"][0], unit["effective_sigma"][1]);
    assert_eq!(found["totals"]["macs"], "38418*N");
    let output = run([&arguments[..], &["--data", data, "--crop", &crop]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let png = std::fs::read(&crop).expect("written");
    assert!(png.starts_with(b"\x89PNG"));
    // Width and height are the fifth and sixth word.
    assert_eq!(
        (&png[16..20], &png[20..24]),
        (&[0, 0, 0, 3][..], &[0, 0, 0, 3][..])
    );
    let text = stdout(&run(["analyze", &model, "--unit", "relu_node"]));
    assert!(
        text.contains("Unit 4,4 of relu_node") && text.contains("2 to 6"),
        "{text}"
    );
    let missing = run(["analyze", &model, "--unit", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        stderr(&missing).contains("no node \"nowhere\""),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn shifts_are_measured() {
    let (folder, model) = small();
    let data = folder.path().join("data.npz");
    npz(&data, &[images(8)]);
    let data = data.to_str().expect("UTF-8");
    let analysis = json(&run([
        "analyze", &model, "--data", data, "--format", "json",
    ]));
    let share = analysis["measured"]["shift_consistency"]
        .as_f64()
        .expect("a share");
    assert!((0.0..=1.0).contains(&share));
    assert_eq!(analysis["measured"]["samples"], 8);
    let both = json(&run([
        "verify", &model, &model, "--data", data, "--format", "json",
    ]));
    assert_eq!(both["shift_consistency"]["original"], share);
    assert_eq!(both["shift_consistency"]["rewritten"], share);
    let arguments = [
        "verify",
        &model,
        &model,
        "--data",
        data,
        "--no-shift",
        "--format",
        "json",
    ];
    assert!(json(&run(arguments))["shift_consistency"].is_null());
}

#[test]
fn totals_differ_by_percentages() {
    let (folder, model) = small();
    let rewritten = within(&folder, "rewritten.onnx");
    let made = [
        "factorize",
        &model,
        "-o",
        &rewritten,
        "--pass",
        "5x5-to-3x3",
        "--width",
        "3",
    ];
    assert!(run(made).status.success());
    let text = stdout(&run(["diff", &model, &rewritten]));
    let parameters = text
        .lines()
        .find(|l| l.starts_with("parameters"))
        .expect("a row");
    // 600 weights become 4·3·9 + 3·6·9: 624 in all become 294.
    assert!(parameters.contains("-52.9 %"), "{parameters}");
}
