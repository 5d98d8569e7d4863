//! What the codec's tests share: a small model, bytes by hand, the corpus.
#![allow(dead_code)] // No test file uses all of it.

use std::path::PathBuf;

use compiler::onnx::schema::*;

/// A float initializer with its data as `raw_data`.
pub fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    let raw: Vec<u8> = (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

/// A chain of `count` convolutions with `channels` channels.
pub fn chain(count: usize, channels: i64) -> ModelProto {
    let value = |name: String| ValueInfoProto {
        name: Some(name),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: Some(DataType::Float as i32),
                shape: Some(TensorShapeProto {
                    dim: [1, channels, 32, 32]
                        .map(|size| Dimension {
                            value: Some(DimensionValue::DimValue(size)),
                            denotation: None,
                        })
                        .to_vec(),
                }),
            })),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    };
    let ints = |name: &str, ints: &[i64]| AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Ints as i32),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    let node = |i: usize| NodeProto {
        name: Some(format!("conv_{i}")),
        op_type: Some("Conv".into()),
        input: vec![format!("x{i}"), format!("conv_{i}.weight")],
        output: vec![format!("x{}", i + 1)],
        attribute: vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])],
        ..NodeProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        producer_name: Some("codec tests".into()),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(17),
        }],
        graph: Some(GraphProto {
            name: Some("chain".into()),
            node: (0..count).map(node).collect(),
            initializer: (0..count)
                .map(|i| weights(&format!("conv_{i}.weight"), &[channels, channels, 3, 3]))
                .collect(),
            input: vec![value("x0".into())],
            output: vec![value(format!("x{count}"))],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// `body` as a length-delimited field.
pub fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(body.len() as u64));
    out.extend(body);
    out
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Messages nested `depth` deep under the model: graph, node, attribute, graph …
pub fn nested(depth: usize) -> Vec<u8> {
    // From the innermost outwards, and backwards, so that it takes linear time.
    let mut reversed: Vec<u8> = Vec::new();
    for level in (0..depth).rev() {
        let number = match (level, level % 3) {
            (0, _) => 7, // ModelProto.graph
            (_, 1) => 1, // GraphProto.node
            (_, 2) => 5, // NodeProto.attribute
            (_, _) => 6, // AttributeProto.g
        };
        let length = varint(reversed.len() as u64);
        reversed.extend(length.iter().rev());
        reversed.push((number << 3 | 2) as u8);
    }
    reversed.reverse();
    reversed
}

/// Every model file of the corpus; empty, and said so, where there is none.
pub fn corpus() -> Vec<PathBuf> {
    let root = std::env::var_os("CONVFOLD_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
        PathBuf::from,
    );
    let folders = [root.clone(), root.join("structure"), root.join("light")];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| folder.read_dir().ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|path| path.extension().is_some_and(|ext| ext == "onnx"))
        .collect();
    files.sort();
    if files.is_empty() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "no corpus at {}; set CONVFOLD_CORPUS", root.display());
        eprintln!(
            "SKIPPED: no corpus at {}; set CONVFOLD_CORPUS",
            root.display()
        );
    }
    files
}
