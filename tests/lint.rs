//! `convfold lint`: what it finds, what it exits with, what it keeps.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{convfold, json, repository, small_model, stderr, stdout};
use compiler::onnx::schema::{ModelProto, StringStringEntryProto};
use compiler::onnx::{decode, encode};
use serde_json::Value;
use tempfile::TempDir;

/// A project: a folder that `lint` is run in.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// With one model whose bias stands apart (CF030).
    fn with_model(name: &str) -> Self {
        let project = Self::new();
        project.model(name);
        project
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn model(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        small_model(&path);
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut ModelProto)) {
        let path = self.path(name);
        let mut proto = decode(fs::read(&path).expect("there").into()).expect("a model");
        change(&mut proto);
        fs::write(path, encode(&proto).expect("small")).expect("writable");
    }

    fn lint(&self, arguments: &[&str]) -> Output {
        let mut command = convfold();
        command
            .current_dir(self.0.path())
            .arg("lint")
            .args(arguments);
        command.output().expect("the program starts")
    }

    /// The report as JSON.
    fn report(&self, arguments: &[&str]) -> Value {
        json(&self.lint(&[&["--format", "json"], arguments].concat()))
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=lint", "-c", "user.email=lint@example.org"];
        let done = Command::new("git")
            .current_dir(self.0.path())
            .args(identity)
            .args(arguments)
            .output();
        assert!(
            done.expect("git is there").status.success(),
            "{arguments:?}"
        );
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// Codes, paths and nodes of a report's findings.
fn places(report: &Value) -> Vec<(String, String, Option<String>)> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let findings = report["findings"].as_array().expect("findings");
    let place = |f: &Value| {
        (
            text(&f["code"]).expect("a code"),
            text(&f["path"]).expect("a path"),
            text(&f["node"]),
        )
    };
    findings.iter().map(place).collect()
}

fn codes(report: &Value) -> Vec<String> {
    places(report).into_iter().map(|(code, ..)| code).collect()
}

#[test]
fn the_exit_code_does_not_depend_on_the_format() {
    let project = Project::with_model("a.onnx");
    let formats = [
        "text", "json", "sarif", "github", "gitlab", "junit", "markdown", "csv", "html",
    ];
    for format in formats {
        let failing = project.lint(&["--format", format]);
        assert_eq!(code(&failing), 1, "{format}: {}", stderr(&failing));
        assert!(stdout(&failing).contains("CF030"), "{format}");
        let clean = project.lint(&["--format", format, "--ignore", "CF030"]);
        assert_eq!(code(&clean), 0, "{format}: {}", stdout(&clean));
        let zero = project.lint(&["--format", format, "--exit-zero"]);
        assert_eq!(code(&zero), 0, "{format}");
    }
    project.edit("a.onnx", |proto| proto.opset_import[0].version = Some(12));
    let told = project.lint(&["--ignore", "CF030"]);
    assert!(code(&told) == 0 && stdout(&told).contains("CF023"));
    let strict = project.lint(&["--ignore", "CF030", "--fail-level", "information"]);
    assert_eq!(code(&strict), 1);
    let lenient = project.lint(&["--fail-level", "error"]);
    assert_eq!(code(&lenient), 0);
}

#[test]
fn json_has_the_documented_shape() {
    let project = Project::with_model("a.onnx");
    let report = project.report(&["a.onnx"]);
    assert_eq!(report["schema"], "convfold.lint.v1");
    let findings = report["findings"].as_array().expect("findings");
    let bias = findings
        .iter()
        .find(|f| f["code"] == "CF030")
        .expect("CF030");
    for (key, value) in [
        ("name", "unfolded-bias"),
        ("severity", "warning"),
        ("path", "a.onnx"),
        ("node", "shifted_node"),
    ] {
        assert_eq!(bias[key], value);
    }
    assert!(
        bias["message"]
            .as_str()
            .is_some_and(|m| m.contains("conv_node"))
    );
    assert!(bias["help"].as_str().is_some_and(|m| m.contains("--fix")));
    assert!(bias["evidence"].is_object());
    let mut prints: Vec<&str> = findings
        .iter()
        .filter_map(|f| f["fingerprint"].as_str())
        .collect();
    assert_eq!(prints.len(), findings.len());
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), findings.len());
    assert_eq!(report["summary"]["files"], 1);
    assert_eq!(report["summary"]["failed"], true);
}

#[test]
fn mistakes_of_the_caller_exit_2() {
    let project = Project::with_model("a.onnx");
    for (arguments, says) in [
        (&["--select", "CF999"][..], "CF999"),
        (
            &["--ignore", "CF001,bad-wieghts"],
            "did you mean \"bad-weights\"?",
        ),
        (&["absent.onnx"], "absent.onnx"),
        (&["--baseline", "absent.json"], "--write-baseline"),
        (&["--config", "absent.toml"], "absent.toml"),
        (&["--since", "HEAD"], "git"),
    ] {
        let output = project.lint(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stdout(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn configuration_is_found_and_its_mistakes_are_told() {
    let project = Project::with_model("models/a.onnx");
    project.write(
        "convfold.toml",
        "select = [\"CF03\"]\nfail-level = \"error\"\n",
    );
    let output = project.lint(&["models"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(codes(&project.report(&["models"])), ["CF030"]);
    project.write("convfold.toml", "selct = []\n[rules.CF005]\nwhit = 1\n");
    let output = project.lint(&["models"]);
    assert_eq!(code(&output), 2);
    let told = stderr(&output);
    assert!(
        told.contains("convfold.toml:1:1:") && told.contains("\"select\""),
        "{told}"
    );
    assert!(
        told.contains("convfold.toml:3:1:") && told.contains("\"white\""),
        "{told}"
    );
    fs::remove_file(project.path("convfold.toml")).expect("there");
    project.write(
        "pyproject.toml",
        "[project]\nname = \"x\"\n[tool.convfold]\nignore = [\"ALL\"]\n",
    );
    assert!(codes(&project.report(&["models"])).is_empty());
}

#[test]
fn sections_and_budgets_hold_for_their_globs() {
    let project = Project::with_model("server/a.onnx");
    project.model("mobile/b.onnx");
    project.write(
        "convfold.toml",
        "select = [\"CF019\"]\n[[files]]\nglob = \"mobile/**\"\nbudget = { parameters = 600 }\n",
    );
    let report = project.report(&["."]);
    assert_eq!(
        places(&report),
        [("CF019".to_owned(), "mobile/b.onnx".to_owned(), None)]
    );
    let message = report["findings"][0]["message"].as_str().expect("text");
    assert!(message.contains("4 % above the budget of 600"), "{message}");
    // From another folder the same globs hold.
    let mut command = convfold();
    let inside = command
        .current_dir(project.path("mobile"))
        .args(["lint", "--format", "json"]);
    assert_eq!(codes(&json(&inside.output().expect("runs"))), ["CF019"]);
}

#[test]
fn what_is_no_model_is_a_finding_and_the_rest_goes_on() {
    let project = Project::with_model("z.onnx");
    project.write("a.onnx", "");
    project.write("b.onnx", "<html>not found</html>");
    project.write(
        "c.onnx",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46758048\n",
    );
    project.write("notes.txt", "no model");
    let report = project.report(&["."]);
    let found = places(&report);
    let unreadable: Vec<&str> = found
        .iter()
        .filter(|(code, ..)| code == "CF000")
        .map(|(_, path, _)| path.as_str())
        .collect();
    assert_eq!(unreadable, ["a.onnx", "b.onnx", "c.onnx"]);
    assert!(
        found
            .iter()
            .any(|(code, path, _)| code == "CF030" && path == "z.onnx")
    );
    let pointer = &report["findings"][2]["message"];
    assert!(
        pointer
            .as_str()
            .is_some_and(|m| m.contains("46.8 MB") && m.contains("git lfs pull"))
    );
    assert_eq!(code(&project.lint(&["."])), 1);
}

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
fn models_carry_suppressions() {
    let project = Project::with_model("a.onnx");
    let entry = |value: &str| StringStringEntryProto {
        key: Some("convfold.ignore".into()),
        value: Some(value.into()),
    };
    project.edit("a.onnx", |proto| {
        let graph = proto.graph.as_mut().expect("a graph");
        graph.node[1].metadata_props.push(entry("unfolded-bias"));
    });
    assert!(!codes(&project.report(&["."])).contains(&"CF030".to_owned()));
    project.edit("a.onnx", |proto| proto.metadata_props.push(entry("ALL")));
    assert!(codes(&project.report(&["."])).is_empty());
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
fn diff_tells_what_is_found_now_and_what_no_more() {
    let project = Project::with_model("old.onnx");
    project.model("new.onnx");
    project.lint(&["new.onnx", "--fix"]);
    project.edit("new.onnx", |proto| proto.opset_import[0].version = Some(12));
    let mut command = convfold();
    let diff = command
        .current_dir(project.0.path())
        .args(["diff", "old.onnx", "new.onnx", "--format", "json"]);
    let report = json(&diff.output().expect("runs"));
    let codes = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("findings");
        list.iter()
            .filter_map(|f| f["code"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(codes(&report["findings"]["gone"]), ["CF030"]);
    assert_eq!(codes(&report["findings"]["new"]), ["CF023"]);
}

/// What is told of trained models: more than this, and somebody cries wolf.
#[test]
fn trained_models_have_these_findings_and_no_others() {
    for (model, expected) in [
        ("blazeface", "CF004 CF005 CF018"),
        ("candy", "CF011 CF023 CF026 CF027"),
        ("cifar10_cnn", "CF001 CF004 CF005 CF023"),
        ("mnist", "CF001 CF004 CF005 CF023 CF027 CF030"),
        ("squeezenet", "CF002 CF005 CF006 CF023 CF027"),
        ("super_resolution", "CF002 CF008 CF023"),
        ("ultraface-slim-320", "CF010 CF023 CF024 CF027"),
        ("yunet_n_320", "CF004 CF005 CF014 CF023"),
    ] {
        let Some(path) = common::corpus(&format!("{model}.onnx")) else {
            return;
        };
        let project = Project::new();
        let mut found = codes(&project.report(&[path.to_str().expect("UTF-8")]));
        found.dedup();
        assert_eq!(found.join(" "), expected, "{model}");
    }
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

#[test]
fn sarif_and_junit_hold_what_json_holds() {
    let project = Project::with_model("a b.onnx");
    let report = project.report(&["."]);
    let findings = report["findings"].as_array().expect("findings");
    let log: Value = json(&project.lint(&["--format", "sarif"]));
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), findings.len());
    for (result, finding) in results.iter().zip(findings) {
        assert_eq!(result["ruleId"], finding["code"]);
        let place = &result["locations"][0];
        let uri = &place["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(uri, "a%20b.onnx");
        if finding["node"].is_string() {
            assert_eq!(place["logicalLocations"][0]["name"], finding["node"]);
        }
        assert_eq!(
            result["partialFingerprints"]["convfold/v1"],
            finding["fingerprint"]
        );
        let rule = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
        assert_eq!(
            log["runs"][0]["tool"]["driver"]["rules"][rule]["id"],
            finding["code"]
        );
    }
    let junit = stdout(&project.lint(&["--format", "junit"]));
    let failing = findings
        .iter()
        .filter(|f| f["severity"] != "information")
        .count();
    assert_eq!(junit.matches("<failure ").count(), failing);
    assert_eq!(junit.matches("<testcase ").count(), findings.len());
}

#[test]
fn rules_are_listed_and_explained() {
    let list = convfold()
        .args(["rules", "--format", "json"])
        .output()
        .expect("runs");
    let rules = json(&list);
    for rule in rules.as_array().expect("rules") {
        let name = rule["code"].as_str().expect("a code");
        let told = convfold().args(["explain", name]).output().expect("runs");
        assert!(told.status.success());
        assert!(stdout(&told).contains("When to ignore it"), "{name}");
    }
    let by_name = convfold()
        .args(["explain", "bad-weights"])
        .output()
        .expect("runs");
    assert!(stdout(&by_name).contains("CF016"));
    let pass = convfold()
        .args(["explain", "fold-pad"])
        .output()
        .expect("runs");
    assert!(pass.status.success());
    let unknown = convfold()
        .args(["explain", "CF999"])
        .output()
        .expect("runs");
    assert_eq!(code(&unknown), 2);
}

#[test]
fn the_faulty_network_is_found_out() {
    let model = repository("examples/models/aliased.onnx");
    let project = Project::new();
    let found = codes(&project.report(&[model.to_str().expect("UTF-8")]));
    for code in [
        "CF003", "CF004", "CF006", "CF009", "CF010", "CF013", "CF014", "CF024",
    ] {
        assert!(found.iter().any(|f| f == code), "{code}: {found:?}");
    }
}
