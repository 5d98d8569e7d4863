//! Inputs to begin with, made by the project's own builders.

use compiler::onnx::schema::{
    AttributeProto, AttributeType, FunctionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, SparseTensorProto, StringStringEntryProto, TensorAnnotation, TensorProto,
    TrainingInfoProto, ValueInfoProto,
};
use compiler::plan::PASSES;
use netbuilder::{aliased, random};
use prost::Message;

/// So many random networks are among the seeds.
const RANDOM: u64 = 40;

/// Networks, and a message that has every kind of field.
pub fn models() -> Vec<Vec<u8>> {
    let networks = (0..RANDOM).map(random::model);
    networks
        .chain([aliased::model(), everything()])
        .map(|model| model.encode_to_vec())
        .collect()
}

/// Small networks, the choice of a pass before each.
pub fn rewritings() -> Vec<Vec<u8>> {
    let passes = PASSES.len() as u8;
    let model = |seed: u64| random::small(seed).encode_to_vec();
    let choices = (0..passes).cycle().zip(0..RANDOM);
    choices
        .map(|(choice, seed)| [vec![choice], model(seed)].concat())
        .chain([[vec![0x80], model(0)].concat()])
        .chain([[vec![0], everything().encode_to_vec()].concat()])
        .collect()
}

/// Configurations: all keys, some mistakes, a Python project's.
pub fn configurations() -> Vec<Vec<u8>> {
    let all = r#"
fail-level = "error"
select = ["K", "large-kernel"]
ignore = ["K001"]
exclude = ["old/**", "*.tmp.onnx"]
baseline = "baseline.json"

[budget]
parameters = "5M"
macs = 2e9
weight-bytes = "20 MiB"

[rules.large-kernel]
severity = "warning"

[input-shapes]
image = [1, 3, 224, 224]

[[files]]
glob = "models/**/*.onnx"
ignore = ["unfolded-batchnorm"]
"#;
    let project = r#"
[project]
name = "p"
[tool.convfold]
fail-level = "info"
"#;
    let wrong = r#"
fail-level = 3
selcet = ["X"]
[budget]
macs = "many"
"#;
    [all, project, wrong, ""]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// Archives of an image and a label, stored.
#[cfg(feature = "data")]
pub fn archives() -> Vec<Vec<u8>> {
    let floats: Vec<u8> = (0..32u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
    let labels: Vec<u8> = (0..2i64).flat_map(i64::to_le_bytes).collect();
    let images = npy("<f4", "(2, 1, 4, 4)", &floats);
    let bytes = npy("|u1", "(2, 4, 4)", &[7; 32]);
    let labels = npy("<i8", "(2,)", &labels);
    vec![
        stored(&[("images.npy", &images), ("labels.npy", &labels)]),
        stored(&[("images.npy", &bytes)]),
        stored(&[]),
        images,
    ]
}

/// An array as NumPy writes it.
#[cfg(feature = "data")]
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A zip archive of entries that are not compressed.
#[cfg(feature = "data")]
fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let size = (data.len() as u32).to_le_bytes();
        let offset = (bytes.len() as u32).to_le_bytes();
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(data).to_le_bytes());
        common.extend(size);
        common.extend(size);
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());
    }
    let (start, length) = (bytes.len() as u32, directory.len() as u32);
    let count = (entries.len() as u16).to_le_bytes();
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend(length.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// The checksum of zip archives (IEEE 802.3), bit by bit.
#[cfg(feature = "data")]
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// A model of all that the standard has besides convolutions: functions,
/// subgraphs, training, sparse and external tensors, annotations.
fn everything() -> ModelProto {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let node = |op: &str, domain: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.into()),
        domain: Some(domain.into()),
        input: inputs.iter().map(|&i| i.into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.into()),
        version: Some(version),
    };
    let named = |name: &str| ValueInfoProto {
        name: Some(name.into()),
        ..ValueInfoProto::default()
    };
    let tensor = |name: &str| TensorProto {
        name: Some(name.into()),
        dims: vec![2],
        data_type: Some(1),
        float_data: vec![1.0, 2.0],
        ..TensorProto::default()
    };
    let outside = TensorProto {
        float_data: vec![],
        data_location: Some(1),
        external_data: vec![entry("location", "model.data"), entry("offset", "4096")],
        ..tensor("outside")
    };
    let branch = |output: &str| GraphProto {
        node: vec![node("Add", "", &["x", "w"], output)],
        output: vec![named(output)],
        ..GraphProto::default()
    };
    let attribute = |name: &str, graph| AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Graph as i32),
        g: Some(Box::new(graph)),
        ..AttributeProto::default()
    };
    let choice = NodeProto {
        attribute: vec![
            attribute("then_branch", branch("yes")),
            attribute("else_branch", branch("no")),
        ],
        ..node("If", "", &["flag"], "either")
    };
    ModelProto {
        ir_version: Some(10),
        opset_import: vec![opset("", 17), opset("own", 1)],
        metadata_props: vec![entry("key", "value")],
        functions: vec![FunctionProto {
            name: Some("Twice".into()),
            domain: Some("own".into()),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: vec![node("Add", "", &["a", "a"], "b")],
            opset_import: vec![opset("", 17)],
            ..FunctionProto::default()
        }],
        training_info: vec![TrainingInfoProto {
            algorithm: Some(branch("step")),
            update_binding: vec![entry("w", "step")],
            ..TrainingInfoProto::default()
        }],
        graph: Some(GraphProto {
            name: Some("everything".into()),
            node: vec![
                choice,
                node("Twice", "own", &["either"], "twice"),
                node("Unknown", "stranger", &["twice", "outside", "sparse"], "y"),
            ],
            input: vec![named("x"), named("flag")],
            output: vec![named("y")],
            initializer: vec![tensor("w"), outside],
            sparse_initializer: vec![SparseTensorProto {
                values: Some(tensor("sparse")),
                indices: Some(TensorProto {
                    data_type: Some(7),
                    float_data: vec![],
                    int64_data: vec![1, 3],
                    ..tensor("")
                }),
                dims: vec![8],
            }],
            quantization_annotation: vec![TensorAnnotation {
                tensor_name: Some("w".into()),
                quant_parameter_tensor_names: vec![entry("SCALE_TENSOR", "outside")],
            }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}
