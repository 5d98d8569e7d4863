//! Bad input: one line that names the file and what to do, exit 2, no output file.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use common::{convfold, images, labels, npz, run, small_model, stderr, within};
use tempfile::TempDir;

/// Exit 2, nothing on standard output, one line on standard error that holds
/// all of `words`.
fn refuses(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert!(line.starts_with("error: "), "{line}");
    for word in words {
        assert!(line.contains(word), "{arguments:?}: no {word:?} in {line}");
    }
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        small_model(&folder.path().join("model.onnx"));
        npz(&folder.path().join("data.npz"), &[images(6), labels(6)]);
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        within(&self.folder, name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    fn empty_of(&self, name: &str) {
        assert!(!Path::new(&self.path(name)).exists(), "{name} was written");
        let left = std::fs::read_dir(self.folder.path()).expect("a folder");
        for entry in left.flatten() {
            let name = entry.file_name();
            assert!(
                !name.to_string_lossy().starts_with('.'),
                "{name:?} was left behind"
            );
        }
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let place = Place::new();
    let model = std::fs::read(place.path("model.onnx")).expect("readable");
    let pointer = "version https://git-lfs.github.com/spec/v1\n\
                   oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
                   size 12345\n";
    let cases = [
        (
            place.file(
                "notes.onnx",
                b"# This is not a model, it is a page of text.\n",
            ),
            "text",
        ),
        (place.file("empty.onnx", b""), "empty"),
        (
            place.file("cut.onnx", &model[..model.len() / 2]),
            "truncated",
        ),
        (
            place.file("pointer.onnx", pointer.as_bytes()),
            "git lfs pull",
        ),
        (place.path("absent.onnx"), "No such file"),
    ];
    let out = place.path("out.onnx");
    for (file, word) in &cases {
        refuses(&["analyze", file], &[file, word]);
        refuses(
            &["factorize", file, "-o", &out, "--pass", "5x5-to-3x3"],
            &[file, word],
        );
        refuses(&["fold", file, "-o", &out], &[file, word]);
        let data = place.path("data.npz");
        refuses(
            &["verify", file, &place.path("model.onnx"), "--data", &data],
            &[file, word],
        );
        refuses(
            &["verify", &place.path("model.onnx"), file, "--data", &data],
            &[file, word],
        );
        refuses(&["bench", file], &[file, word]);
    }
    place.empty_of("out.onnx");
}

#[test]
fn data_that_do_not_fit_are_refused() {
    let place = Place::new();
    let (model, out) = (place.path("model.onnx"), place.path("out.onnx"));
    let short = place.path("short.npz");
    npz(Path::new(&short), &[images(6), labels(5)]);
    let wide = place.path("wide.npz");
    let mut large = images(4);
    large.2 = vec![1, 4, 16, 16];
    npz(Path::new(&wide), &[large]);
    let mut wrong = labels(6);
    wrong.3 = (0..6i64).flat_map(|i| (i + 7).to_le_bytes()).collect();
    let classes = place.path("classes.npz");
    npz(Path::new(&classes), &[images(6), wrong]);
    let text = place.file("data.txt", b"1 2 3\n");
    let keys = format!("{}:pictures,labels", place.path("data.npz"));
    let cases = [
        (keys.as_str(), "pictures"),
        (short.as_str(), "labels"),
        (wide.as_str(), "16"),
        (classes.as_str(), "label"),
        (text.as_str(), "numpy.savez"),
    ];
    for (data, word) in cases {
        let file = data.split(':').next().expect("a file");
        let pass = ["--pass", "5x5-to-3x3"];
        refuses(
            &[
                &["factorize", &model, "-o", &out, "--data", data],
                &pass[..],
            ]
            .concat(),
            &[word],
        );
        if data != wide {
            refuses(&["verify", &model, &model, "--data", data], &[file, word]);
        }
        place.empty_of("out.onnx");
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    let place = Place::new();
    let model = place.path("model.onnx");
    let before = std::fs::read(&model).expect("readable");
    let nowhere = place.path("nowhere/out.onnx");
    refuses(
        &["factorize", &model, "-o", &nowhere, "--pass", "5x5-to-3x3"],
        &[&nowhere, "create"],
    );
    refuses(&["fold", &model, "-o", &model], &[&model, "--force"]);
    let folder = place.path("");
    refuses(&["fold", &model, "-o", &folder], &["folder"]);
    refuses(&["analyze", &model, "-o", &nowhere], &[&nowhere, "create"]);
    refuses(&["analyze", &model, "-o", &model], &[&model]);
    let odd = place.path("report.xls");
    let out = place.path("out.onnx");
    let report = [
        "factorize",
        &model,
        "-o",
        &out,
        "--pass",
        "5x5-to-3x3",
        "--report",
        &odd,
    ];
    refuses(&report, &[&odd, ".json"]);
    assert_eq!(std::fs::read(&model).expect("readable"), before);
    place.empty_of("out.onnx");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    let (model, out) = (place.path("model.onnx"), place.path("out.onnx"));
    refuses(
        &["factorize", &model, "-o", &out, "--pass", "5x5-to-1x1"],
        &["5x5-to-1x1", "5x5-to-3x3"],
    );
    refuses(
        &[
            "factorize",
            &model,
            "-o",
            &out,
            "--pass",
            "5x5-to-3x3",
            "--max-drop",
            "1",
        ],
        &["--data"],
    );
    refuses(
        &["analyze", &model, "--input-shape", "1x4xa"],
        &["1x4xa", "1x3x224x224"],
    );
    refuses(
        &["analyze", &model, "--input-shape", "photo=1x4x8x8"],
        &[&model, "photo", "image"],
    );
    refuses(&["explain", "5x5-to-1x1"], &["5x5-to-1x1", "5x5-to-3x3"]);
    place.empty_of("out.onnx");
    for wrong in [
        &["factorize", &model][..],
        &["analyze"],
        &["nonsense"],
        &["analyze", &model, "--format", "xls"],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_bad_model_does_not_hide_the_good_ones() {
    let place = Place::new();
    let bad = place.file("notes.onnx", b"not a model, but text of some length\n");
    let output = run([
        "analyze",
        &bad,
        &place.path("model.onnx"),
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("notes.onnx"));
    let analysis = common::json(&output);
    assert_eq!(analysis["schema"], "convfold.analysis.v1");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_convfold"))
        .args(["analyze", &place.path("model.onnx")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    let model = place.path("model.onnx");
    assert!(!run(["analyze", &model]).stdout.contains(&0x1b));
    assert!(
        run(["analyze", &model, "--color", "always"])
            .stdout
            .contains(&0x1b)
    );
    let output = convfold()
        .args(["analyze", &place.path("no.onnx")])
        .output()
        .expect("it starts");
    assert!(!output.stderr.contains(&0x1b));
}
