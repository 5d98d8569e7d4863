//! Weights in files beside the model, from the command line.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::{images, json, labels, npz, run, small_model, stderr, within};
use compiler::onnx::{SIDE_FILE_ALIGNMENT, is_external, open, reference};
use tempfile::TempDir;

/// A folder with `model.onnx`, its weights in `model.onnx.DIGEST.data`.
fn split() -> (TempDir, String, String) {
    let folder = TempDir::new().expect("a folder");
    let whole = within(&folder, "whole.onnx");
    small_model(Path::new(&whole));
    let model = within(&folder, "model.onnx");
    let output = run([
        "fold",
        &whole,
        "-o",
        &model,
        "--external-data",
        "--only",
        "none",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let entries = folder.path().read_dir().expect("a folder").flatten();
    let mut data = entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "data"));
    let data = data
        .next()
        .expect("a side file")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    (folder, model, data)
}

#[test]
fn external_data_are_aligned_and_read_back() {
    let (folder, model, data) = split();
    let file = open(Path::new(&model)).expect("a model");
    let tensors = file.model.graph.expect("a graph").initializer;
    let outside: Vec<_> = tensors.iter().filter(|t| is_external(t)).collect();
    assert_eq!(outside.len(), 1, "the kernel alone is large");
    let place = reference(outside[0]).expect("a place");
    assert!(place.offset.is_multiple_of(SIDE_FILE_ALIGNMENT));
    assert_eq!(place.length, Some(2400));
    assert!(data.ends_with(&place.location));

    let samples = within(&folder, "data.npz");
    npz(Path::new(&samples), &[images(6), labels(6)]);
    let whole = within(&folder, "whole.onnx");
    let compared = run([
        "verify", &whole, &model, "--data", &samples, "--format", "json",
    ]);
    assert_eq!(compared.status.code(), Some(0), "{}", stderr(&compared));
    assert_eq!(json(&compared)["max_abs_error"], 0.0);

    // Rewritten without the option, the weights come along.
    let out = within(&folder, "out.onnx");
    let pass = [
        "--pass",
        "5x5-to-3x3",
        "--data",
        &samples,
        "--max-error",
        "10",
    ];
    let rewritten = run([&["factorize", &model, "-o", &out][..], &pass].concat());
    assert_eq!(rewritten.status.code(), Some(0), "{}", stderr(&rewritten));
    let file = open(Path::new(&out)).expect("a model");
    assert!(
        !file
            .model
            .graph
            .expect("a graph")
            .initializer
            .iter()
            .any(is_external)
    );
}

#[test]
fn weights_are_not_looked_at_where_they_are_not_needed() {
    let (_folder, model, data) = split();
    fs::remove_file(&data).expect("removed");
    assert_eq!(run(["analyze", &model]).status.code(), Some(0));
    let refused = run(["analyze", &model, "--weights"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("absent"), "{}", stderr(&refused));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_followed_when_they_are_trusted() {
    let (folder, model, data) = split();
    let store = TempDir::new().expect("a folder");
    let blob = within(&store, "blob");
    fs::rename(&data, &blob).expect("moved");
    std::os::unix::fs::symlink(&blob, &data).expect("a link");
    let out = within(&folder, "out.onnx");
    for command in [
        &["fold", &model, "-o", &out][..],
        &["bench", &model, "--rounds", "1"],
        &["analyze", &model, "--weights"],
    ] {
        let refused = run(command);
        assert_eq!(refused.status.code(), Some(2), "{command:?}");
        let line = stderr(&refused);
        assert!(line.contains("outside the model's folder"), "{line}");
        assert!(line.contains("--trust-symlinks"), "{line}");
        let trusted = run([command, &["--trust-symlinks"]].concat());
        assert_eq!(trusted.status.code(), Some(0), "{}", stderr(&trusted));
    }
    // A path that leaves the folder is no link, and never followed.
    let bytes = fs::read(&model).expect("readable");
    let name = Path::new(&data)
        .file_name()
        .expect("a name")
        .to_str()
        .expect("UTF-8");
    let escape = format!("../{:.>width$}", "", width = name.len() - 3);
    let escaped: Vec<u8> = replace(&bytes, name.as_bytes(), escape.as_bytes());
    fs::write(&model, escaped).expect("writable");
    let refused = run(["analyze", &model, "--weights", "--trust-symlinks"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("outside the model's folder"),
        "{}",
        stderr(&refused)
    );
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|w| w == from)
        .expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
