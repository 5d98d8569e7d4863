//! `convfold lint`: what it finds, what it exits with, what it writes.
#![allow(missing_docs)]

mod common;

use std::fs;

use common::project::{Project, code, codes, places};
use common::{convfold, json, repository, stderr, stdout};
use compiler::onnx::schema::StringStringEntryProto;
use serde_json::Value;

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
