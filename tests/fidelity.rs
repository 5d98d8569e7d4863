//! A rewritten model differs from the original where a pass touched it, and
//! nowhere else: shown on the bytes of the files, by a reader of its own.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{corpus, images, npz, run, small_model, stderr, stdout, within};
use compiler::onnx::schema::{
    FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorAnnotation, TensorProto, TrainingInfoProto,
};
use compiler::onnx::{decode, encode};
use tempfile::TempDir;

/// Numbers of the standard's fields.
const GRAPH: u64 = 7;
const METADATA: u64 = 14;
const NODE: u64 = 1;
const INITIALIZER: u64 = 5;
const INPUT: u64 = 11;
const OUTPUT: u64 = 12;
const VALUE_INFO: u64 = 13;
const NODE_OUTPUT: u64 = 2;
const NODE_NAME: u64 = 3;

/// The fields of a message: number, and the bytes of the value.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes);
        let (value, after) = match key & 7 {
            0 => {
                let (_, after) = varint(rest);
                rest.split_at(rest.len() - after.len())
            }
            1 => rest.split_at(8),
            2 => {
                let (length, rest) = varint(rest);
                rest.split_at(length as usize)
            }
            5 => rest.split_at(4),
            wire => panic!("wire type {wire}"),
        };
        fields.push((key >> 3, value));
        bytes = after;
    }
    fields
}

fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (value, &bytes[index + 1..]);
        }
    }
    panic!("a varint without an end");
}

fn all(fields: &[(u64, &[u8])], number: u64) -> Vec<Vec<u8>> {
    let found = fields.iter().filter(|(n, _)| *n == number);
    found.map(|(_, value)| value.to_vec()).collect()
}

/// The name of a node, or its first output's.
fn name(node: &[u8]) -> String {
    let fields = fields(node);
    let of = |number| {
        all(&fields, number)
            .into_iter()
            .find(|name| !name.is_empty())
    };
    let name = of(NODE_NAME)
        .or_else(|| of(NODE_OUTPUT))
        .unwrap_or_default();
    String::from_utf8(name).expect("UTF-8")
}

/// What a rewriting changed, by the bytes of both files.
struct Difference {
    /// Names of the nodes that are gone.
    removed: BTreeSet<String>,
    /// Nodes that are new.
    added: usize,
}

/// Compares the files, and holds all that no pass may change.
fn compare(before: &[u8], after: &[u8]) -> Difference {
    let (old, new) = (fields(before), fields(after));
    let outside = |fields: &[(u64, &[u8])]| -> Vec<(u64, Vec<u8>)> {
        let kept = fields.iter().filter(|(n, _)| *n != GRAPH && *n != METADATA);
        kept.map(|(n, value)| (*n, value.to_vec())).collect()
    };
    assert!(
        outside(&old) == outside(&new),
        "the model around the graph changed"
    );
    let (old_meta, new_meta) = (all(&old, METADATA), all(&new, METADATA));
    assert!(new_meta.starts_with(&old_meta) && new_meta.len() <= old_meta.len() + 1);
    let (old, new) = (all(&old, GRAPH), all(&new, GRAPH));
    let (old, new) = (fields(&old[0]), fields(&new[0]));
    // What stays of lists that passes shorten and lengthen stays in order.
    for number in [NODE, INITIALIZER, INPUT, VALUE_INFO] {
        let (old, new) = (all(&old, number), all(&new, number));
        let kept: Vec<_> = new.iter().filter(|item| old.contains(item)).collect();
        let stays: Vec<_> = old.iter().filter(|item| new.contains(item)).collect();
        assert!(kept == stays, "field {number}: what stays changed places");
    }
    let numbers: BTreeSet<u64> = old.iter().chain(&new).map(|(n, _)| *n).collect();
    for number in numbers {
        if ![NODE, INITIALIZER, INPUT, VALUE_INFO].contains(&number) {
            assert!(
                all(&old, number) == all(&new, number),
                "field {number} of the graph"
            );
        }
    }
    assert!(!all(&new, OUTPUT).is_empty());
    let (old, new) = (all(&old, NODE), all(&new, NODE));
    Difference {
        removed: old
            .iter()
            .filter(|n| !new.contains(n))
            .map(|n| name(n))
            .collect(),
        added: new.iter().filter(|n| !old.contains(n)).count(),
    }
}

/// Rewrites a file; the difference, and the sites of the report with their `to`.
fn rewrite(model: &Path, pass: &str) -> (Difference, Vec<(String, usize)>) {
    let folder = TempDir::new().expect("a folder");
    let (out, report) = (within(&folder, "out.onnx"), within(&folder, "report.json"));
    let model = model.to_str().expect("UTF-8");
    let output = run([
        "factorize",
        model,
        "-o",
        &out,
        "--pass",
        pass,
        "--report",
        &report,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (before, after) = (
        fs::read(model).expect("readable"),
        fs::read(&out).expect("written"),
    );
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(report).expect("written")).expect("JSON");
    let sites = report["passes"][0]["sites"].as_array().expect("a list");
    let sites = sites.iter().map(|site| {
        let node = site["node"].as_str().expect("a name").to_owned();
        (node, site["to"].as_array().expect("a list").len())
    });
    (compare(&before, &after), sites.collect())
}

#[test]
fn trained_models_change_where_a_pass_says_so() {
    let cases = [
        ("mnist.onnx", "5x5-to-3x3"),
        ("cifar10_cnn.onnx", "5x5-to-3x3"),
        ("super_resolution.onnx", "large-to-3x3"),
        ("blazeface.onnx", "large-to-3x3"),
        ("squeezenet.onnx", "5x5-to-3x3"),
        ("yunet_n_320.onnx", "7x7-to-3x3"),
        ("candy.onnx", "5x5-to-3x3"),
        ("ultraface-slim-320.onnx", "5x5-to-3x3"),
    ];
    let mut changed = 0;
    for (file, pass) in cases {
        let Some(path) = corpus(file) else { return };
        let (difference, sites) = rewrite(&path, pass);
        let named: BTreeSet<String> = sites.iter().map(|(node, _)| node.clone()).collect();
        assert_eq!(difference.removed, named, "{file}");
        let added: usize = sites.iter().map(|(_, to)| to).sum();
        assert_eq!(difference.added, added, "{file}");
        changed += named.len();
    }
    assert_eq!(changed, 8, "of the corpus as it is");
}

/// The small model with everything around it that the standard has room for.
fn decorated(path: &Path) {
    small_model(path);
    let bytes = fs::read(path).expect("readable");
    let mut model: ModelProto = decode(bytes.into()).expect("a model");
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.into()),
        version: Some(version),
    };
    model.opset_import.push(opset("strange", 3));
    model.opset_import.push(opset("own", 1));
    model.doc_string = Some("a model\nof two lines".into());
    model.model_version = Some(-7);
    model.metadata_props = vec![entry("key", ""), entry("", "value")];
    model.functions = vec![FunctionProto {
        name: Some("Twice".into()),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![NodeProto {
            op_type: Some("Add".into()),
            input: vec!["a".into(), "a".into()],
            output: vec!["b".into()],
            ..NodeProto::default()
        }],
        opset_import: vec![opset("", 17)],
        ..FunctionProto::default()
    }];
    let Some(graph) = &mut model.graph else {
        panic!("it has a graph")
    };
    // Strangers after the scores: an unknown operator with an attribute of a kind
    // that says nothing, and a call of the function.
    let stranger = |op: &str, domain: &str, input: &str, output: &str| NodeProto {
        op_type: Some(op.into()),
        domain: Some(domain.into()),
        name: Some(op.to_lowercase()),
        input: vec![input.into()],
        output: vec![output.into()],
        doc_string: Some("kept".into()),
        metadata_props: vec![entry("of", "the node")],
        ..NodeProto::default()
    };
    let mut unknown = stranger("Oracle", "strange", "scores", "answer");
    unknown.attribute = graph.node[0].attribute.clone();
    unknown.attribute[0].doc_string = Some("an attribute's".into());
    graph.node.push(unknown);
    graph.node.push(stranger("Twice", "own", "answer", "twice"));
    graph.output[0].name = Some("twice".into());
    graph.output[0].kind = None;
    graph.doc_string = Some("the graph's".into());
    graph.metadata_props = vec![entry("of", "the graph")];
    graph.quantization_annotation = vec![TensorAnnotation {
        tensor_name: Some("linear".into()),
        quant_parameter_tensor_names: vec![entry("SCALE_TENSOR", "scale")],
    }];
    let numbers = |name: &str, data_type, floats: Vec<f32>, ints: Vec<i64>| TensorProto {
        name: Some(name.into()),
        dims: vec![2],
        data_type: Some(data_type),
        float_data: floats,
        int64_data: ints,
        ..TensorProto::default()
    };
    graph.sparse_initializer = vec![SparseTensorProto {
        values: Some(numbers("sparse", 1, vec![1.0, 2.0], vec![])),
        indices: Some(numbers("", 7, vec![], vec![1, 3])),
        dims: vec![8],
    }];
    let step = graph.clone();
    model.training_info = vec![TrainingInfoProto {
        algorithm: Some(step),
        update_binding: vec![entry("linear", "shifted")],
        ..TrainingInfoProto::default()
    }];
    fs::write(path, encode(&model).expect("small")).expect("writable");
}

#[test]
fn what_no_pass_knows_survives() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("decorated.onnx");
    decorated(&path);
    let (difference, sites) = rewrite(&path, "5x5-to-3x3");
    assert_eq!(difference.removed, BTreeSet::from(["conv_node".to_owned()]));
    assert_eq!(difference.added, sites[0].1);
    let (difference, _) = rewrite(&path, "fold-bias");
    let folded = ["conv_node", "shifted_node"].map(String::from);
    assert_eq!(difference.removed, BTreeSet::from(folded));
    assert_eq!(difference.added, 1);
    let (difference, _) = rewrite(&path, "7x7-to-3x3");
    assert!(difference.removed.is_empty() && difference.added == 0);
}

#[test]
fn a_model_that_tract_cannot_run_is_rewritten_none_the_less() {
    let folder = TempDir::new().expect("a folder");
    let (path, out) = (
        folder.path().join("decorated.onnx"),
        within(&folder, "out.onnx"),
    );
    decorated(&path);
    let (model, samples) = (path.to_str().expect("UTF-8"), within(&folder, "data.npz"));
    npz(Path::new(&samples), &[images(2)]);
    let pass = ["--pass", "5x5-to-3x3", "--data", &samples];
    let output = run([&["factorize", model, "-o", &out][..], &pass].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(Path::new(&out).exists());
    let text = stdout(&output);
    assert!(text.contains("strange:Oracle"), "{text}");
    let refused = run(["verify", model, &out, "--data", &samples]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("strange:Oracle (node \"oracle\")"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn fields_that_the_standard_does_not_define_are_told_and_not_lost_unasked() {
    let folder = TempDir::new().expect("a folder");
    let (model, out) = (within(&folder, "model.onnx"), within(&folder, "out.onnx"));
    small_model(Path::new(&model));
    let mut bytes = fs::read(&model).expect("readable");
    // Field 1000, three bytes.
    bytes.extend([0xc2, 0x3e, 3, 1, 2, 3]);
    fs::write(&model, &bytes).expect("writable");
    let told = run(["analyze", &model]);
    assert_eq!(told.status.code(), Some(0));
    assert!(stderr(&told).starts_with("note: "), "{}", stderr(&told));
    assert!(
        stderr(&told).contains("field 1000 (6 bytes)"),
        "{}",
        stderr(&told)
    );
    for command in [&["fold"][..], &["factorize", "--pass", "5x5-to-3x3"]] {
        let arguments = [command, &[&model, "-o", &out]].concat();
        let refused = run(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&refused).contains("--drop-unknown"),
            "{}",
            stderr(&refused)
        );
        assert!(!Path::new(&out).exists());
        let dropped = run([&arguments[..], &["--drop-unknown"]].concat());
        assert_eq!(dropped.status.code(), Some(0), "{}", stderr(&dropped));
        fs::remove_file(&out).expect("written");
    }
}
