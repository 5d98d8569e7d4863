//! Small models for the tests of passes, and a naive convolution to hold them
//! against.
#![allow(dead_code, missing_docs)]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::schema::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};
use compiler::plan::{self, Compilation, Options, PassReport, StridePlace, Width};

/// Deterministic numbers in -1..1.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub fn tensor(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(Bytes::from(raw)),
        ..TensorProto::default()
    }
}

pub fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| Dimension {
        value: Some(DimensionValue::DimValue(d)),
        ..Dimension::default()
    });
    ValueInfoProto {
        name: Some(name.into()),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: Some(DataType::Float as i32),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Ints as i32),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}

pub struct Layer {
    pub weights: [usize; 4],
    pub stride: i64,
    pub pads: [i64; 4],
    pub bias: bool,
}

/// One convolution over a 1 x Cin x 13 x 11 input.
pub fn model(layer: &Layer) -> ModelProto {
    let [o, i, kh, kw] = layer.weights;
    let mut input = vec!["x".to_owned(), "w".to_owned()];
    let mut initializer = vec![tensor("w", &layer.weights, &noise(o * i * kh * kw, 3))];
    if layer.bias {
        input.push("b".into());
        initializer.push(tensor("b", &[o], &noise(o, 5)));
    }
    let node = NodeProto {
        name: Some("conv".into()),
        op_type: Some("Conv".into()),
        input,
        output: vec!["y".into()],
        attribute: vec![
            ints("kernel_shape", &[kh as i64, kw as i64]),
            ints("strides", &[layer.stride; 2]),
            ints("pads", &layer.pads),
        ],
        ..NodeProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(17),
            ..OperatorSetIdProto::default()
        }],
        graph: Some(GraphProto {
            node: vec![node],
            initializer,
            input: vec![value("x", &[1, i as i64, 13, 11])],
            output: vec![value("y", &[])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub fn rewrite(
    proto: ModelProto,
    pass: &str,
    width: Width,
    stride: StridePlace,
) -> (Model, PassReport) {
    let never = AtomicBool::new(false);
    let options = Options {
        width,
        stride,
        explain: true,
        ..Options::new(&never)
    };
    let model = Model::from_proto(proto, Path::new("test.onnx")).unwrap();
    let mut compilation = Compilation::new(model, options, Scope::default());
    let report = compilation.run(plan::find(pass).unwrap()).unwrap();
    (compilation.model().clone(), report)
}

/// Runs a chain of ungrouped convolutions the plain way.
pub fn run(proto: &ModelProto) -> Vec<f64> {
    let graph = proto.graph.as_ref().unwrap();
    let find = |name: &str| {
        let t = graph
            .initializer
            .iter()
            .find(|t| t.name.as_deref() == Some(name))
            .unwrap();
        let data = t.raw_data.as_ref().unwrap().chunks_exact(4);
        let data: Vec<f64> = data
            .map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap())))
            .collect();
        (t.dims.iter().map(|&d| d as usize).collect::<Vec<_>>(), data)
    };
    let list = |node: &NodeProto, name: &str, default: i64, n: usize| -> Vec<i64> {
        let found = node
            .attribute
            .iter()
            .find(|a| a.name.as_deref() == Some(name));
        found.map_or_else(|| vec![default; n], |a| a.ints.clone())
    };
    let channels = find(&graph.node[0].input[1]).0[1];
    let (mut h, mut w) = (13i64, 11i64);
    let mut x: Vec<f64> = noise(channels * 13 * 11, 11)
        .iter()
        .map(|&v| f64::from(v))
        .collect();
    for node in &graph.node {
        if node.op_type.as_deref() == Some("BatchNormalization") {
            let p: Vec<Vec<f64>> = node.input[1..].iter().map(|n| find(n).1).collect();
            let plane = (h * w) as usize;
            for (i, v) in x.iter_mut().enumerate() {
                let c = i / plane;
                *v = (*v - p[2][c]) / (p[3][c] + 1e-5).sqrt() * p[0][c] + p[1][c];
            }
            continue;
        }
        assert_eq!(node.op_type.as_deref(), Some("Conv"));
        let (dims, weights) = find(&node.input[1]);
        let bias = node.input.get(2).map(|b| find(b).1);
        let [o, i, kh, kw] = [dims[0], dims[1], dims[2], dims[3]];
        let (s, p) = (list(node, "strides", 1, 2), list(node, "pads", 0, 4));
        let oh = (h + p[0] + p[2] - kh as i64) / s[0] + 1;
        let ow = (w + p[1] + p[3] - kw as i64) / s[1] + 1;
        let mut y = Vec::new();
        for c in 0..o {
            for (yy, xx) in (0..oh).flat_map(|a| (0..ow).map(move |b| (a, b))) {
                let mut sum = bias.as_ref().map_or(0.0, |b| b[c]);
                for (ci, ky, kx) in
                    (0..i).flat_map(|a| (0..kh).flat_map(move |b| (0..kw).map(move |d| (a, b, d))))
                {
                    let (r, q) = (yy * s[0] - p[0] + ky as i64, xx * s[1] - p[1] + kx as i64);
                    if (0..h).contains(&r) && (0..w).contains(&q) {
                        let at = (ci as i64 * h + r) * w + q;
                        sum += x[at as usize] * weights[((c * i + ci) * kh + ky) * kw + kx];
                    }
                }
                y.push(sum);
            }
        }
        (x, h, w) = (y, oh, ow);
    }
    x
}

pub fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "the outputs have the same shape");
    let norm: f64 = a.iter().map(|v| v * v).sum();
    let error: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (error / norm).sqrt()
}

pub fn followed_by(layer: &Layer, node: NodeProto, constants: Vec<TensorProto>) -> ModelProto {
    let mut proto = model(layer);
    let graph = proto.graph.as_mut().unwrap();
    graph.initializer.extend(constants);
    graph.node.push(node);
    graph.output = vec![value("z", &[])];
    proto
}
