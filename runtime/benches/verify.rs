//! What `verify` costs: loading, running and comparing a small classifier.

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;
use runtime::{Control, Dataset, Model, Reference, Session};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as DimValue, type_proto, type_proto::Value as TypeValue,
};

/// Conv 5x5 (8 channels), Relu, GlobalAveragePool on Nx1x28x28.
fn model() -> Vec<u8> {
    let dim = |value| Dimension {
        value: Some(value),
        ..Dimension::default()
    };
    let dims = [DimValue::DimParam("N".into())]
        .into_iter()
        .chain([1, 28, 28].map(DimValue::DimValue));
    let shape = TensorShapeProto {
        dim: dims.map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: 1,
        shape: Some(shape),
    };
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: op.into(),
        input: inputs.iter().map(|i| i.to_string()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![
            node("Conv", &["x", "w"], "conv"),
            node("Relu", &["conv"], "relu"),
            node("GlobalAveragePool", &["relu"], "y"),
        ],
        initializer: vec![TensorProto {
            name: "w".into(),
            data_type: 1,
            dims: vec![8, 1, 5, 5],
            float_data: (0..200).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect(),
            ..TensorProto::default()
        }],
        input: vec![ValueInfoProto {
            name: "x".into(),
            r#type: Some(TypeProto {
                value: Some(TypeValue::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        }],
        output: vec![ValueInfoProto {
            name: "y".into(),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            version: 13,
            ..OperatorSetIdProto::default()
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

fn verify(criterion: &mut Criterion) {
    let bytes = model();
    let model = Model::new("bench.onnx", &bytes);
    let data = Dataset::random(&[vec![1, 28, 28]], 500, 0);
    let control = Control::default();
    criterion.bench_function("load", |b| {
        b.iter(|| Session::load(model, data.shapes()).expect("loads").batch());
    });
    let reference = Reference::new(model, &data, Default::default(), &control).expect("runs");
    criterion.bench_function("verify 500 images", |b| {
        b.iter(|| {
            reference
                .compare(model, &control)
                .expect("compares")
                .agreement
        });
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
