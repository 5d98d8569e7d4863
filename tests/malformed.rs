//! Models that decode and are none: refused with the names, by every command.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use common::{run, stderr, within};
use compiler::onnx::encode;
use compiler::onnx::schema::{
    AttributeProto, AttributeType, Dimension, DimensionValue, FunctionProto, GraphProto,
    ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType,
    TypeProto, TypeValue, ValueInfoProto,
};
use tempfile::TempDir;

fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        name: Some(name.into()),
        input: inputs.iter().map(|&i| i.into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

fn named(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.into()),
        ..ValueInfoProto::default()
    }
}

fn tensor(name: &str, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(vec![0; 16].into()),
        ..TensorProto::default()
    }
}

fn opset(domain: &str) -> OperatorSetIdProto {
    OperatorSetIdProto {
        domain: Some(domain.into()),
        version: Some(17),
    }
}

/// The graph of one node `first`, x to y, changed.
fn model(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut graph = GraphProto {
        node: vec![node("Relu", "first", &["x"], "y")],
        input: vec![named("x")],
        output: vec![named("y")],
        ..GraphProto::default()
    };
    change(&mut graph);
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset(""), opset("own")],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn function(name: &str, calls: &str) -> FunctionProto {
    let call = |output: &str| NodeProto {
        domain: Some("own".into()),
        ..node(calls, "", &["a"], output)
    };
    FunctionProto {
        name: Some(name.into()),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["c".into()],
        node: vec![call("b"), call("c")],
        opset_import: vec![opset("own")],
        ..FunctionProto::default()
    }
}

/// A model that calls `F0`; each function calls the next one twice.
fn functions(count: usize, next: impl Fn(usize) -> String) -> ModelProto {
    let mut calling = model(|graph| {
        graph.node[0].op_type = Some("F0".into());
        graph.node[0].domain = Some("own".into());
    });
    let functions = (0..count).map(|i| function(&format!("F{i}"), &next(i)));
    calling.functions = functions.collect();
    calling
}

#[test]
fn graphs_that_are_none_are_refused_with_the_names() {
    let cases: Vec<(ModelProto, &[&str])> = vec![
        (
            model(|g| {
                g.node[0].input.push("z".into());
                g.node.push(node("Relu", "second", &["y"], "z"));
            }),
            &["cycle", "first", "second"],
        ),
        (
            model(|g| g.node.push(node("Relu", "second", &["x"], "y"))),
            &["\"y\"", "first", "second", "one producer"],
        ),
        (
            model(|g| g.node[0].output[0] = "x".into()),
            &["\"x\"", "first", "graph input"],
        ),
        (
            model(|g| g.input.push(named("x"))),
            &["\"x\"", "defined twice"],
        ),
        (
            model(|g| g.initializer = vec![tensor("w", &[4]), tensor("w", &[4])]),
            &["\"w\"", "defined twice"],
        ),
        (
            model(|g| g.node[0].input[0] = "nothing".into()),
            &["first", "\"nothing\"", "no node"],
        ),
        (
            model(|g| g.initializer = vec![tensor("w", &[1 << 40, 1 << 40])]),
            &["\"w\"", "64 bits"],
        ),
        (
            model(|g| g.initializer = vec![tensor("w", &[1 << 40])]),
            &["\"w\"", "16 bytes", "truncated"],
        ),
        (
            model(|g| g.initializer = vec![tensor("w", &[-4])]),
            &["\"w\"", "below zero"],
        ),
        (functions(1, |_| "F0".into()), &["F0", "cannot be expanded"]),
        (
            functions(64, |i| format!("F{}", i + 1)),
            &["cannot be expanded"],
        ),
    ];
    let folder = TempDir::new().expect("a folder");
    let (path, out) = (within(&folder, "model.onnx"), within(&folder, "out.onnx"));
    for (model, words) in cases {
        std::fs::write(&path, encode(&model).expect("small")).expect("writable");
        for command in [
            &["analyze", &path][..],
            &["fold", &path, "-o", &out],
            &["factorize", &path, "-o", &out],
            &["graph", &path],
            &["diff", &path, &path],
        ] {
            let refused = run(command);
            let line = stderr(&refused);
            assert_eq!(
                refused.status.code(),
                Some(2),
                "{command:?} {words:?}: {line}"
            );
            assert_eq!(line.lines().count(), 1, "{line}");
            for word in words.iter().chain(&["model.onnx"]) {
                assert!(line.contains(word), "{command:?}: no {word:?} in {line}");
            }
        }
        assert!(!Path::new(&out).exists());
    }
}

/// Subgraphs in subgraphs, as deep as decoding allows, and deeper.
#[test]
fn nesting_is_analyzed_or_refused() {
    let nested = |depth: usize| {
        let mut graph = GraphProto {
            node: vec![node("Relu", "leaf", &["x"], "y")],
            output: vec![named("y")],
            ..GraphProto::default()
        };
        for _ in 0..depth {
            let branch = |name: &str| AttributeProto {
                name: Some(name.into()),
                kind: Some(AttributeType::Graph as i32),
                g: Some(Box::new(graph.clone())),
                ..AttributeProto::default()
            };
            let mut choice = node("If", "choice", &["x"], "y");
            choice.attribute = vec![branch("then_branch")];
            graph = GraphProto {
                node: vec![choice],
                output: vec![named("y")],
                ..GraphProto::default()
            };
        }
        model(|main| main.node = graph.node)
    };
    let folder = TempDir::new().expect("a folder");
    let (path, out) = (within(&folder, "model.onnx"), within(&folder, "out.onnx"));
    for (depth, code) in [(5, 0), (30, 0), (40, 2), (200, 2)] {
        // Encoding measures each level again at every level above it: deep
        // nests are quick to build, but not for ever.
        let bytes = encode(&nested(depth)).expect("small");
        std::fs::write(&path, bytes).expect("writable");
        for command in [&["analyze", &path][..], &["fold", &path, "-o", &out]] {
            let output = run(command);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{depth}: {}",
                stderr(&output)
            );
        }
    }
}

/// A recurrence of missing weights, whose output the model declares a plane.
#[test]
fn what_a_model_claims_of_an_output_is_not_believed_over_its_operator() {
    let plane = |name: &str, sizes: &[i64]| {
        let dim = sizes.iter().map(|&size| Dimension {
            value: Some(DimensionValue::DimValue(size)),
            ..Dimension::default()
        });
        let tensor = TensorType {
            elem_type: Some(1),
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        };
        ValueInfoProto {
            kind: Some(TypeProto {
                value: Some(TypeValue::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..named(name)
        }
    };
    let folder = TempDir::new().expect("a folder");
    let path = within(&folder, "model.onnx");
    for op in [
        "GRU",
        "LSTM",
        "RNN",
        "GroupNormalization",
        "DequantizeLinear",
    ] {
        let model = model(|graph| {
            graph.node = vec![node(op, "claimed", &["x"], "y")];
            graph.input = vec![plane("x", &[1, 2, 4, 4])];
            graph.output = vec![plane("y", &[4, 4])];
        });
        std::fs::write(&path, encode(&model).expect("small")).expect("writable");
        let analyzed = run(["analyze", &path, "--format", "json"]);
        assert_eq!(
            analyzed.status.code(),
            Some(0),
            "{op}: {}",
            stderr(&analyzed)
        );
        let gap = &common::json(&analyzed)["layers"][0]["gap"];
        let recurrent = ["GRU", "LSTM", "RNN"].contains(&op);
        assert!(gap.is_string() || !recurrent, "{op}: {gap}");
    }
}
