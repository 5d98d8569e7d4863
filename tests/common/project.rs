//! A folder with models that `lint` is run in.

use std::fs;
use std::process::{Command, Output};

use compiler::onnx::schema::ModelProto;
use compiler::onnx::{decode, encode};
use serde_json::Value;
use tempfile::TempDir;

use super::{convfold, json, small_model};

/// A project: a folder that `lint` is run in.
pub struct Project(pub TempDir);

impl Project {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// With one model whose bias stands apart (CF030).
    pub fn with_model(name: &str) -> Self {
        let project = Self::new();
        project.model(name);
        project
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    pub fn model(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        small_model(&path);
    }

    pub fn edit(&self, name: &str, change: impl FnOnce(&mut ModelProto)) {
        let path = self.path(name);
        let mut proto = decode(fs::read(&path).expect("there").into()).expect("a model");
        change(&mut proto);
        fs::write(path, encode(&proto).expect("small")).expect("writable");
    }

    pub fn lint(&self, arguments: &[&str]) -> Output {
        let mut command = convfold();
        command
            .current_dir(self.0.path())
            .arg("lint")
            .args(arguments);
        command.output().expect("the program starts")
    }

    /// The report as JSON.
    pub fn report(&self, arguments: &[&str]) -> Value {
        json(&self.lint(&[&["--format", "json"], arguments].concat()))
    }

    pub fn git(&self, arguments: &[&str]) {
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

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// Codes, paths and nodes of a report's findings.
pub fn places(report: &Value) -> Vec<(String, String, Option<String>)> {
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

pub fn codes(report: &Value) -> Vec<String> {
    places(report).into_iter().map(|(code, ..)| code).collect()
}
