//! Passes on small models, held against a naive convolution.

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
fn noise(n: usize, seed: u64) -> Vec<f32> {
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

fn tensor(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(Bytes::from(raw)),
        ..TensorProto::default()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
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

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Ints as i32),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

struct Layer {
    weights: [usize; 4],
    stride: i64,
    pads: [i64; 4],
    bias: bool,
}

/// One convolution over a 1 x Cin x 13 x 11 input.
fn model(layer: &Layer) -> ModelProto {
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

fn rewrite(
    proto: ModelProto,
    pass: &str,
    width: Width,
    stride: StridePlace,
) -> (Model, PassReport) {
    let never = AtomicBool::new(false);
    let options = Options {
        width,
        stride,
        only: &[],
        skip: &[],
        calibration: None,
        explain: true,
        cancel: &never,
        progress: &|_, _, _| {},
    };
    let model = Model::from_proto(proto, Path::new("test.onnx")).unwrap();
    let mut compilation = Compilation::new(model, options, Scope::default());
    let report = compilation.run(plan::find(pass).unwrap()).unwrap();
    (compilation.model().clone(), report)
}

/// Runs a chain of ungrouped convolutions the plain way.
fn run(proto: &ModelProto) -> Vec<f64> {
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

fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "the outputs have the same shape");
    let norm: f64 = a.iter().map(|v| v * v).sum();
    let error: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (error / norm).sqrt()
}

#[test]
fn exact_widths_keep_outputs_borders_included() {
    for (pass, k, stride, place) in [
        ("5x5-to-3x3", 5, 1, StridePlace::Last),
        ("5x5-to-3x3", 5, 2, StridePlace::Last),
        ("3x3-to-2x2", 3, 1, StridePlace::Last),
        ("3x3-to-2x2", 3, 2, StridePlace::Last),
        ("large-to-3x3", 5, 3, StridePlace::Last),
    ] {
        for pads in [[0, 0, 0, 0], [2, 2, 2, 2], [0, 1, 2, 0]] {
            let before = model(&Layer {
                weights: [4, 3, k, k],
                stride,
                pads,
                bias: true,
            });
            let (after, report) = rewrite(before.clone(), pass, Width::Exact, place);
            let context = format!("{pass} stride {stride} pads {pads:?}");
            assert_eq!(report.sites.len(), 1, "{context}: {:?}", report.skipped);
            assert!(report.sites[0].exact, "{context}: {:?}", report.sites);
            let error = relative(&run(&before), &run(&after.to_proto()));
            assert!(error < 1e-5, "{context}: {error}");
        }
    }
}

/// `model` with one more node reading `y` and these initializers.
fn followed_by(layer: &Layer, node: NodeProto, constants: Vec<TensorProto>) -> ModelProto {
    let mut proto = model(layer);
    let graph = proto.graph.as_mut().unwrap();
    graph.initializer.extend(constants);
    graph.node.push(node);
    graph.output = vec![value("z", &[])];
    proto
}

fn batchnorm(channels: usize) -> (NodeProto, Vec<TensorProto>) {
    let names = ["scale", "shift", "mean", "var"];
    let constants = names.iter().enumerate().map(|(i, name)| {
        let data: Vec<f32> = noise(channels, 40 + i as u64)
            .iter()
            .map(|v| if i == 3 { v.abs() + 0.1 } else { *v })
            .collect();
        tensor(name, &[channels], &data)
    });
    let node = NodeProto {
        op_type: Some("BatchNormalization".into()),
        input: ["y", "scale", "shift", "mean", "var"]
            .map(String::from)
            .to_vec(),
        output: vec!["z".into()],
        ..NodeProto::default()
    };
    (node, constants.collect())
}

#[test]
fn batchnorm_folds_and_combines_with_a_factorization() {
    for bias in [false, true] {
        let layer = Layer {
            weights: [4, 3, 5, 5],
            stride: 1,
            pads: [2; 4],
            bias,
        };
        let (node, constants) = batchnorm(4);
        let before = followed_by(&layer, node, constants);
        let (after, report) = rewrite(
            before.clone(),
            "fold-batchnorm",
            Width::Auto,
            StridePlace::Last,
        );
        let proto = after.to_proto();
        assert_eq!(proto.graph.as_ref().unwrap().node.len(), 1, "{report:?}");
        assert!(report.sites[0].exact);
        let error = relative(&run(&before), &run(&proto));
        assert!(error < 1e-6, "{error}");

        // The order in which passes are named does not matter.
        let orders = [
            ["fold-batchnorm", "5x5-to-3x3"],
            ["5x5-to-3x3", "fold-batchnorm"],
        ];
        let results = orders.map(|passes| {
            let never = AtomicBool::new(false);
            let options = Options {
                width: Width::Exact,
                stride: StridePlace::Last,
                only: &[],
                skip: &[],
                calibration: None,
                explain: false,
                cancel: &never,
                progress: &|_, _, _| {},
            };
            let model = Model::from_proto(before.clone(), Path::new("test.onnx")).unwrap();
            let mut compilation = Compilation::new(model, options, Scope::default());
            for pass in passes {
                compilation.run(plan::find(pass).unwrap()).unwrap();
            }
            compilation.model().to_proto()
        });
        assert_eq!(results[0].graph.as_ref().unwrap().node.len(), 2);
        assert!(results[0].graph == results[1].graph);
        let error = relative(&run(&before), &run(&results[0]));
        assert!(error < 1e-5, "{error}");
    }
}

#[test]
fn serial_linear_convolutions_fold_where_that_is_exact_and_saves() {
    let second = |pads: [i64; 4]| NodeProto {
        op_type: Some("Conv".into()),
        input: ["y", "w2"].map(String::from).to_vec(),
        output: vec!["z".into()],
        attribute: vec![ints("kernel_shape", &[3, 3]), ints("pads", &pads)],
        ..NodeProto::default()
    };
    // A wide middle: 2 -> 16 -> 2 channels by two 3x3 costs more than one 5x5.
    let layer = Layer {
        weights: [16, 2, 3, 3],
        stride: 1,
        pads: [2; 4],
        bias: true,
    };
    let w2 = tensor("w2", &[2, 16, 3, 3], &noise(2 * 16 * 9, 77));
    let before = followed_by(&layer, second([0; 4]), vec![w2.clone()]);
    let (after, _) = rewrite(
        before.clone(),
        "fold-linear",
        Width::Auto,
        StridePlace::Last,
    );
    let proto = after.to_proto();
    assert_eq!(proto.graph.as_ref().unwrap().node.len(), 1);
    let error = relative(&run(&before), &run(&proto));
    assert!(error < 1e-5, "{error}");
    // With padding on the second it would be wrong at the borders.
    let before = followed_by(&layer, second([1; 4]), vec![w2]);
    let (after, _) = rewrite(
        before.clone(),
        "fold-linear",
        Width::Auto,
        StridePlace::Last,
    );
    assert!(after.to_proto() == before);
    // A bottleneck is the cheap form.
    let layer = Layer {
        weights: [1, 8, 3, 3],
        stride: 1,
        pads: [2; 4],
        bias: true,
    };
    let w2 = tensor("w2", &[8, 1, 3, 3], &noise(72, 77));
    let before = followed_by(&layer, second([0; 4]), vec![w2]);
    let (after, _) = rewrite(
        before.clone(),
        "fold-linear",
        Width::Auto,
        StridePlace::Last,
    );
    assert!(after.to_proto() == before);
}

#[test]
fn a_strided_seven_becomes_two_threes_with_the_stride_first() {
    let before = model(&Layer {
        weights: [6, 3, 7, 7],
        stride: 2,
        pads: [3, 3, 3, 3],
        bias: false,
    });
    let (after, report) = rewrite(
        before.clone(),
        "7x7-to-3x3",
        Width::Budget,
        StridePlace::First,
    );
    assert_eq!(report.sites[0].to, ["3x3", "3x3"], "{:?}", report.skipped);
    let proto = after.to_proto();
    let nodes = &proto.graph.as_ref().unwrap().node;
    let strides: Vec<_> = nodes
        .iter()
        .map(|n| {
            n.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some("strides"))
                .unwrap()
                .ints
                .clone()
        })
        .collect();
    assert_eq!(strides, [[2, 2], [1, 1]]);
    let error = relative(&run(&before), &run(&proto));
    let claimed = report.sites[0].weight_error.unwrap();
    assert!(
        (error / claimed - 1.0).abs() < 0.5,
        "{error} against {claimed}"
    );
}

#[test]
fn names_places_and_metadata() {
    let before = model(&Layer {
        weights: [8, 4, 5, 5],
        stride: 1,
        pads: [2; 4],
        bias: true,
    });
    let (after, report) = rewrite(before, "5x5-to-3x3", Width::Auto, StridePlace::Last);
    let proto = after.to_proto();
    let graph = proto.graph.as_ref().unwrap();
    let names: Vec<_> = graph
        .node
        .iter()
        .map(|n| n.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["conv.0", "conv.1"]);
    assert_eq!(graph.node[1].output, ["y"]);
    assert_eq!(
        graph.node[1].input[2], "b",
        "an untouched bias is kept as it is"
    );
    let initializers: Vec<_> = graph
        .initializer
        .iter()
        .map(|t| t.name.as_deref().unwrap())
        .collect();
    assert_eq!(
        initializers,
        ["b", "w.0", "w.1"],
        "the old weights are gone"
    );
    let weights: i64 = graph.initializer[1..]
        .iter()
        .map(|t| t.dims.iter().product::<i64>())
        .sum();
    assert!(weights as f64 <= 0.6 * 800.0, "{weights}");
    assert_eq!(proto.metadata_props[0].value.as_deref(), Some("5x5-to-3x3"));
    let site = &report.sites[0];
    assert_eq!((site.node.as_str(), site.from.as_str()), ("conv", "5x5"));
    assert!(
        site.explanation.as_ref().unwrap().contains("=> 5x5-to-3x3"),
        "{site:?}"
    );
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    use prost::Message;
    let layer = Layer {
        weights: [8, 6, 5, 5],
        stride: 1,
        pads: [2; 4],
        bias: false,
    };
    let bytes: Vec<Vec<u8>> = [1, 2]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let (after, _) =
                    rewrite(model(&layer), "5x5-to-3x3", Width::Auto, StridePlace::Last);
                after.to_proto().encode_to_vec()
            })
        })
        .collect();
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn what_no_pass_matches_is_written_as_it_was() {
    let before = model(&Layer {
        weights: [4, 3, 3, 3],
        stride: 1,
        pads: [1; 4],
        bias: true,
    });
    let (after, report) = rewrite(before.clone(), "5x5-to-3x3", Width::Auto, StridePlace::Last);
    assert!(report.sites.is_empty());
    assert!(after.to_proto() == before);
}
