//! `convfold lint` on many models: which, what is known, kept and repaired.
#![allow(missing_docs)]

mod common;

use std::fs;

use common::project::{Project, code, codes, places};
use common::{convfold, json, stderr, stdout};
use compiler::onnx::schema::StringStringEntryProto;
use serde_json::Value;

#[test]
fn the_baseline_knows_what_was_there() {
    let project = Project::with_model("a.onnx");
    let written = project.lint(&["--write-baseline", "--baseline", "known.json"]);
    assert_eq!(code(&written), 0, "{}", stderr(&written));
    let later =
        |project: &Project| project.report(&["--baseline", "known.json", "--select", "ALL"]);
    assert!(codes(&later(&project)).is_empty());
    assert_eq!(code(&project.lint(&["--baseline", "known.json"])), 0);
    // Unrelated nodes are renamed, and the order of independent parts changes.
    project.edit("a.onnx", |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        graph.node[2].name = Some("another name".into());
        graph.node[4].name = None;
        graph.initializer.reverse();
    });
    assert!(codes(&later(&project)).is_empty(), "{:#}", later(&project));
    // Something new is told, and nothing else.
    project.edit("a.onnx", |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        let mut unused = graph.initializer[0].clone();
        unused.name = Some("left over".into());
        graph.initializer.push(unused);
    });
    assert_eq!(codes(&later(&project)), ["CF024"]);
    let summary = &later(&project)["summary"];
    assert!(
        summary["known"].as_u64().is_some_and(|n| n > 0),
        "{summary}"
    );
}

#[test]
fn only_a_baseline_is_written_over() {
    let project = Project::with_model("a.onnx");
    project.model("b.onnx");
    let before = fs::read(project.path("b.onnx")).expect("there");
    let output = project.lint(&["--write-baseline", "--baseline", "b.onnx"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_eq!(fs::read(project.path("b.onnx")).expect("there"), before);
    project.write("notes.json", "{\"a\": 1}");
    let output = project.lint(&["--write-baseline", "--baseline", "notes.json"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("notes.json is no baseline"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_ratchet_holds_totals() {
    let project = Project::with_model("a.onnx");
    project.model("b.onnx");
    project.write(
        "convfold.toml",
        "baseline = \"known.json\"\nselect = [\"CF020\"]\n",
    );
    assert_eq!(code(&project.lint(&["--write-baseline"])), 0);
    // The kernel gets three times the output channels.
    project.edit("a.onnx", |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        for tensor in &mut graph.initializer {
            tensor.float_data = tensor.float_data.repeat(3);
            tensor.dims[0] = 18;
        }
    });
    let report = project.report(&["."]);
    assert_eq!(
        places(&report),
        [("CF020".to_owned(), "a.onnx".to_owned(), None)]
    );
    let message = report["findings"][0]["message"].as_str().expect("text");
    assert!(message.contains("200 % more than the 38.4 k"), "{message}");
    // Writing it anew accepts the growth; the other model's entry stays.
    assert_eq!(code(&project.lint(&["a.onnx", "--write-baseline"])), 0);
    assert_eq!(code(&project.lint(&["."])), 0);
    let text = fs::read_to_string(project.path("known.json")).expect("there");
    assert!(text.contains("\"b.onnx\""), "{text}");
}

#[test]
fn fix_folds_in_place_and_once() {
    let project = Project::with_model("a.onnx");
    let before = fs::read(project.path("a.onnx")).expect("there");
    let output = project.lint(&["--fix", "--select", "CF030"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    assert!(
        stdout(&output).contains("a.onnx: fixed: fold-bias in 1 place"),
        "{}",
        stdout(&output)
    );
    let after = fs::read(project.path("a.onnx")).expect("there");
    assert_ne!(before, after);
    let again = project.lint(&["--fix", "--select", "CF030"]);
    assert_eq!(code(&again), 0);
    assert!(!stdout(&again).contains("fixed"), "{}", stdout(&again));
    assert_eq!(fs::read(project.path("a.onnx")).expect("there"), after);
    let leftovers = fs::read_dir(project.0.path()).expect("a folder").flatten();
    let temporary = leftovers.filter(|e| e.file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(temporary.count(), 0);
}

#[test]
fn fix_leaves_what_is_suppressed_or_not_asked_for() {
    let project = Project::with_model("a.onnx");
    let before = fs::read(project.path("a.onnx")).expect("there");
    project.lint(&["--fix", "--ignore", "CF030"]);
    project.lint(&["--fix", "--select", "CF010"]);
    assert_eq!(fs::read(project.path("a.onnx")).expect("there"), before);
    project.edit("a.onnx", |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        graph.node[1].metadata_props.push(StringStringEntryProto {
            key: Some("convfold.ignore".into()),
            value: Some("CF030".into()),
        });
    });
    let before = fs::read(project.path("a.onnx")).expect("there");
    project.lint(&["--fix"]);
    assert_eq!(fs::read(project.path("a.onnx")).expect("there"), before);
}

/// Moves the kernel's data into a file beside the model, which holds `data`.
fn external(project: &Project, model: &str, data: &[u8]) {
    project.edit(model, |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        let kernel = &mut graph.initializer[0];
        kernel.float_data.clear();
        kernel.data_location = Some(1);
        kernel.external_data = vec![StringStringEntryProto {
            key: Some("location".into()),
            value: Some("weights.bin".into()),
        }];
    });
    fs::write(project.path("weights.bin"), data).expect("writable");
}

#[test]
fn weights_beside_a_model_are_part_of_it() {
    let project = Project::with_model("a.onnx");
    let nan: Vec<u8> = (0..600)
        .flat_map(|i| if i == 7 { f32::NAN } else { i as f32 }.to_le_bytes())
        .collect();
    let sound: Vec<u8> = (0..600).flat_map(|i| (i as f32).to_le_bytes()).collect();
    external(&project, "a.onnx", &sound);
    let has = |code: &str| codes(&project.report(&["."])).iter().any(|c| c == code);
    assert!(!has("CF016") && !has("CF032"));
    // The kept result is not believed when the weights are others.
    fs::write(project.path("weights.bin"), nan).expect("writable");
    assert!(has("CF016"));
    fs::remove_file(project.path("weights.bin")).expect("there");
    assert!(has("CF032") && !has("CF016"));
    project.write(
        "weights.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2400\n",
    );
    let report = project.report(&["."]);
    assert_eq!(codes(&report), ["CF000"]);
    assert!(
        report["findings"][0]["message"]
            .as_str()
            .is_some_and(|m| m.contains("git lfs pull"))
    );
    // A change of the weights is a change of the model.
    fs::write(project.path("weights.bin"), &sound).expect("writable");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "-m", "model"]);
    let since = || project.report(&["--since", "HEAD"])["summary"]["files"].clone();
    assert_eq!(since(), 0);
    fs::write(
        project.path("weights.bin"),
        [sound.as_slice(), &[0]].concat(),
    )
    .expect("writable");
    assert_eq!(since(), 1);
    // What is beside the model is not repaired in place.
    let before = fs::read(project.path("a.onnx")).expect("there");
    let output = project.lint(&["--fix"]);
    assert!(
        stdout(&output).contains("a.onnx: not fixed"),
        "{}",
        stdout(&output)
    );
    assert_eq!(fs::read(project.path("a.onnx")).expect("there"), before);
}

#[test]
fn results_are_kept_by_content() {
    let project = Project::with_model("a.onnx");
    let first = stdout(&project.lint(&["--format", "json"]));
    let cache = project.path(".convfold_cache");
    assert_eq!(
        fs::read_to_string(cache.join(".gitignore"))
            .expect("there")
            .lines()
            .last(),
        Some("*")
    );
    assert_eq!(stdout(&project.lint(&["--format", "json"])), first);
    // A kept result is believed, under another name of the file too.
    let results = || {
        fs::read_dir(&cache)
            .expect("a folder")
            .flatten()
            .map(|e| e.path())
    };
    let kept = results()
        .find(|p| p.extension().is_some_and(|e| e == "json"))
        .expect("one");
    let text = fs::read_to_string(&kept).expect("text");
    fs::write(&kept, text.replace("could be its bias", "kept")).expect("writable");
    fs::rename(project.path("a.onnx"), project.path("b.onnx")).expect("renamed");
    let second = stdout(&project.lint(&["--format", "json"]));
    assert!(
        second.contains("kept") && second.contains("b.onnx"),
        "{second}"
    );
    // Other content, other settings or no cache: looked at anew.
    assert!(!stdout(&project.lint(&["--no-cache"])).contains("kept"));
    assert!(!stdout(&project.lint(&["--ignore", "CF001"])).contains("kept"));
    project.edit("b.onnx", |proto| proto.producer_name = Some("other".into()));
    assert!(!stdout(&project.lint(&[])).contains("kept"));
}

#[test]
fn folders_are_searched_in_a_stable_order() {
    let project = Project::new();
    for name in [
        "b/2.onnx",
        "a/1.onnx",
        "b/10.ONNX",
        "ignored/x.onnx",
        ".hidden/y.onnx",
    ] {
        project.model(name);
    }
    project.write(".gitignore", "/ignored\n");
    project.write(
        "convfold.toml",
        "select = [\"CF030\"]\nexclude = [\"a/**\"]\n",
    );
    let paths = |report: &Value| -> Vec<String> {
        places(report)
            .into_iter()
            .map(|(_, path, _)| path)
            .collect()
    };
    assert_eq!(paths(&project.report(&["."])), ["b/10.ONNX", "b/2.onnx"]);
    let one = project.lint(&["-j", "1", "--no-cache"]);
    let many = project.lint(&["-j", "4", "--no-cache"]);
    assert_eq!(stdout(&one), stdout(&many));
    // What is named is looked at, `-` reads names, and nothing twice.
    let mut command = convfold();
    let listed = command
        .current_dir(project.0.path())
        .args(["lint", "--format", "json", "-", "ignored/x.onnx"])
        .write_stdin("b/2.onnx\n./b/2.onnx\n");
    let report = json(&listed.output().expect("runs"));
    assert_eq!(paths(&report), ["b/2.onnx", "ignored/x.onnx"]);
    let none = Project::new();
    assert_eq!(code(&none.lint(&[])), 0);
}

#[test]
fn only_what_has_changed_since_a_revision() {
    let project = Project::with_model("old.onnx");
    project.model("changed.onnx");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "-m", "models"]);
    project.edit("changed.onnx", |proto| {
        proto.producer_name = Some("other".into())
    });
    project.model("new.onnx");
    let report = project.report(&["--since", "HEAD", "--select", "CF030"]);
    let paths: Vec<String> = places(&report)
        .into_iter()
        .map(|(_, path, _)| path)
        .collect();
    assert_eq!(paths, ["changed.onnx", "new.onnx"]);
    let unknown = project.lint(&["--since", "no-such-branch"]);
    assert_eq!(code(&unknown), 2);
    assert!(
        stderr(&unknown).contains("no-such-branch"),
        "{}",
        stderr(&unknown)
    );
    assert_eq!(code(&project.lint(&["--since", "--output=x"])), 2);
}
