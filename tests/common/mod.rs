//! What the integration tests share: the program, a small model, small data,
//! the corpus.
#![allow(dead_code, missing_docs)]

pub mod project;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use compiler::onnx::encode;
use compiler::onnx::schema::{
    AttributeProto, AttributeType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};
use tempfile::TempDir;

/// The program, with nothing of the caller's environment that changes its text.
pub fn convfold() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convfold"));
    for name in ["COLUMNS", "NO_COLOR", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// The path of a file in a folder, as an argument.
pub fn within(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("UTF-8").to_owned()
}

/// Runs the program.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    convfold()
        .args(arguments)
        .output()
        .expect("the program starts")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the corpus; `None`, loudly, where there is no corpus.
pub fn corpus(file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CONVFOLD_CORPUS")
        .map_or_else(|| repository("../shared/corpus"), PathBuf::from);
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    let told = format!("no {}; set CONVFOLD_CORPUS to the corpus", path.display());
    assert!(std::env::var_os("CI").is_none(), "{told}");
    eprintln!("SKIPPED: {told}");
    None
}

/// A classifier of 8x8 images into 3 classes: a 5x5 convolution of 6 channels
/// whose bias is an Add, a rectifier, the mean, a linear layer.
pub fn small_model(path: &Path) {
    let weights = |count: usize, seed: u32| -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    };
    let ints = |name: &str, ints: &[i64]| AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Ints as i32),
        ints: ints.to_vec(),
        ..Default::default()
    };
    let node =
        |op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>| NodeProto {
            op_type: Some(op.into()),
            name: Some(format!("{output}_node")),
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..Default::default()
        };
    let graph = GraphProto {
        name: Some("small".into()),
        node: vec![
            node(
                "Conv",
                &["image", "kernel"],
                "conv",
                vec![ints("kernel_shape", &[5, 5]), ints("pads", &[2, 2, 2, 2])],
            ),
            node("Add", &["conv", "shift"], "shifted", vec![]),
            node("Relu", &["shifted"], "relu", vec![]),
            node("GlobalAveragePool", &["relu"], "mean", vec![]),
            node("Flatten", &["mean"], "flat", vec![]),
            node("Gemm", &["flat", "linear"], "scores", vec![]),
        ],
        initializer: vec![
            tensor("kernel", &[6, 4, 5, 5], &weights(600, 1)),
            tensor("shift", &[6, 1, 1], &weights(6, 2)),
            tensor("linear", &[6, 3], &weights(18, 3)),
        ],
        input: vec![value("image", &[None, Some(4), Some(8), Some(8)])],
        output: vec![value("scores", &[None, Some(3)])],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        producer_name: Some("tests".into()),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(17),
        }],
        graph: Some(graph),
        ..Default::default()
    };
    std::fs::write(path, encode(&model).expect("small")).expect("writable");
}

fn tensor(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        float_data: data.to_vec(),
        ..Default::default()
    }
}

fn value(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = dims.iter().map(|d| Dimension {
        value: Some(match d {
            Some(d) => DimensionValue::DimValue(*d),
            None => DimensionValue::DimParam("N".into()),
        }),
        ..Default::default()
    });
    ValueInfoProto {
        name: Some(name.into()),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: Some(1),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An array for [`npz`]: its key, numpy's name of its type, its shape, its bytes.
pub struct Array(
    pub &'static str,
    pub &'static str,
    pub Vec<usize>,
    pub Vec<u8>,
);

/// So many 4x8x8 images of floats.
pub fn images(count: usize) -> Array {
    let data = (0..count * 256).flat_map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0).to_le_bytes());
    Array("images", "<f4", vec![count, 4, 8, 8], data.collect())
}

/// So many labels of 3 classes.
pub fn labels(count: usize) -> Array {
    let data = (0..count as i64).flat_map(|i| (i % 3).to_le_bytes());
    Array("labels", "<i8", vec![count], data.collect())
}

/// Writes an .npz as numpy.savez does.
pub fn npz(path: &Path, arrays: &[Array]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("writable"));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for Array(key, dtype, shape, data) in arrays {
        let shape: Vec<String> = shape.iter().map(|d| format!("{d},")).collect();
        let mut header = format!(
            "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}",
            shape.join(" ")
        );
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        archive
            .start_file(format!("{key}.npy"), stored)
            .expect("an entry");
        archive.write_all(b"\x93NUMPY\x01\x00").expect("written");
        archive
            .write_all(&u16::try_from(header.len()).expect("short").to_le_bytes())
            .expect("written");
        archive.write_all(header.as_bytes()).expect("written");
        archive.write_all(data).expect("written");
    }
    archive.finish().expect("written");
}
