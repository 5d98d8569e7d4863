//! Writes small networks as ONNX: just enough to hold convfold's examples.
//!
//! A [`Builder`] grows a graph node by node. Every method that adds something
//! returns the name of the value it added, to be passed on to the next; a node, its
//! output and its weights share the name that the caller gives.
//!
//! ```
//! use netbuilder::{Builder, Dim, ints};
//!
//! let mut net = Builder::new("edges", "image", &[Dim::Symbol("N"), Dim::Size(1), Dim::Size(8), Dim::Size(8)]);
//! let kernel = net.weights("edge.weight", &[1, 1, 1, 2], vec![-1.0, 1.0]);
//! let edge = net.node("Conv", "edge", &["image", &kernel], vec![ints("kernel_shape", &[1, 2])]);
//! let model = net.finish(&edge, &[Dim::Symbol("N"), Dim::Size(1), Dim::Size(8), Dim::Size(7)]);
//! assert_eq!(model.graph.unwrap().node.len(), 1);
//! ```
#![forbid(unsafe_code)]

pub mod aliased;
pub mod random;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use bytes::Bytes;
use compiler::onnx::schema::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};
use prost::Message;

/// ONNX operator set of the models.
pub const OPSET: i64 = 17;
/// IR version of the models, the one that came with [`OPSET`].
pub const IR_VERSION: i64 = 8;

/// One axis of an input or output.
#[derive(Clone, Copy, Debug)]
pub enum Dim<'a> {
    /// A size that the caller of the model chooses.
    Symbol(&'a str),
    /// A fixed size.
    Size(i64),
}

/// A graph in the making: one float input, one float output.
pub struct Builder {
    graph: GraphProto,
}

impl Builder {
    /// A graph of one input and no nodes.
    pub fn new(name: &str, input: &str, shape: &[Dim]) -> Self {
        Self {
            graph: GraphProto {
                name: Some(name.into()),
                input: vec![value_info(input, shape)],
                ..GraphProto::default()
            },
        }
    }

    /// Adds a float tensor; `values` in row-major order.
    ///
    /// # Panics
    /// If `values` are not as many as `shape` says.
    pub fn weights(&mut self, name: &str, shape: &[i64], values: Vec<f32>) -> String {
        assert_eq!(shape.iter().product::<i64>(), values.len() as i64, "{name}");
        let raw: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.graph.initializer.push(TensorProto {
            name: Some(name.into()),
            dims: shape.to_vec(),
            data_type: Some(DataType::Float as i32),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        });
        name.into()
    }

    /// Adds a vector of integers, as Pad and Reshape take them.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.graph.initializer.push(TensorProto {
            name: Some(name.into()),
            dims: vec![values.len() as i64],
            data_type: Some(DataType::Int64 as i32),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        });
        name.into()
    }

    /// Adds a node of one output.
    pub fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            op_type: Some(op_type.into()),
            name: Some(name.into()),
            input: inputs.iter().copied().map(String::from).collect(),
            output: vec![name.into()],
            attribute: attributes,
            ..NodeProto::default()
        });
        name.into()
    }

    /// The model, with the value `output` as its only output.
    pub fn finish(mut self, output: &str, shape: &[Dim]) -> ModelProto {
        self.graph.output = vec![value_info(output, shape)];
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            producer_name: Some("convfold-examples".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }
}

/// Writes `model` to the file `path`.
///
/// # Errors
/// If the file cannot be written; the message names it.
pub fn write(path: &Path, model: &ModelProto) -> Result<()> {
    fs::write(path, model.encode_to_vec())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// An attribute that is a list of integers, such as `kernel_shape`.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Ints as i32),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// An attribute that is one integer, such as `axis`.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// An attribute that is one number, such as `epsilon`.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::Float as i32),
        f: Some(value),
        ..AttributeProto::default()
    }
}

fn value_info(name: &str, shape: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| Dimension {
        value: Some(match *dim {
            Dim::Symbol(symbol) => DimensionValue::DimParam(symbol.into()),
            Dim::Size(size) => DimensionValue::DimValue(size),
        }),
        denotation: None,
    };
    let tensor = TensorType {
        elem_type: Some(DataType::Float as i32),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}
