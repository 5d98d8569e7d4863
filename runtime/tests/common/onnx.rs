//! Small ONNX models made on the spot.
#![allow(dead_code)]

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as DimValue};
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

pub const FLOAT: i32 = 1;
pub const UINT8: i32 = 2;
pub const INT64: i32 = 7;
pub const FLOAT16: i32 = 10;

/// A graph under construction.
#[derive(Default)]
pub struct Graph {
    pub graph: GraphProto,
    pub opset: i64,
}

pub fn graph(opset: i64) -> Graph {
    Graph {
        opset,
        ..Graph::default()
    }
}

impl Graph {
    /// An input; an axis that is no number is a symbol.
    pub fn input(mut self, name: &str, elem_type: i32, dims: &[&str]) -> Self {
        let dim = dims
            .iter()
            .map(|d| Dimension {
                value: Some(match d.parse() {
                    Ok(n) => DimValue::DimValue(n),
                    Err(_) => DimValue::DimParam(d.to_string()),
                }),
                ..Dimension::default()
            })
            .collect();
        let tensor = type_proto::Tensor {
            elem_type,
            shape: Some(TensorShapeProto { dim }),
        };
        let r#type = Some(TypeProto {
            value: Some(TypeValue::TensorType(tensor)),
            ..<_>::default()
        });
        self.graph.input.push(ValueInfoProto {
            name: name.into(),
            r#type,
            ..<_>::default()
        });
        self
    }

    pub fn output(mut self, name: &str) -> Self {
        self.graph.output.push(ValueInfoProto {
            name: name.into(),
            ..<_>::default()
        });
        self
    }

    pub fn floats(self, name: &str, dims: &[i64], data: &[f32]) -> Self {
        self.tensor(TensorProto {
            name: name.into(),
            data_type: FLOAT,
            dims: dims.to_vec(),
            float_data: data.to_vec(),
            ..<_>::default()
        })
    }

    pub fn ints(self, name: &str, data: &[i64]) -> Self {
        self.tensor(TensorProto {
            name: name.into(),
            data_type: INT64,
            dims: vec![data.len() as i64],
            int64_data: data.to_vec(),
            ..<_>::default()
        })
    }

    pub fn tensor(mut self, tensor: TensorProto) -> Self {
        self.graph.initializer.push(tensor);
        self
    }

    /// `op` is `Conv`, or `domain:Op`; the node takes the name `name`.
    pub fn node(
        mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) -> Self {
        let (domain, op) = op.split_once(':').unwrap_or(("", op));
        self.graph.node.push(NodeProto {
            name: name.into(),
            op_type: op.into(),
            domain: domain.into(),
            input: inputs.iter().map(|i| i.to_string()).collect(),
            output: vec![output.into()],
            attribute: attributes,
            ..<_>::default()
        });
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                version: self.opset,
                ..<_>::default()
            }],
            graph: Some(self.graph),
            ..<_>::default()
        }
        .encode_to_vec()
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind as i32,
        ..<_>::default()
    }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i,
        ..attribute(name, AttributeType::Int)
    }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        f,
        ..attribute(name, AttributeType::Float)
    }
}

pub fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: floats.to_vec(),
        ..attribute(name, AttributeType::Floats)
    }
}

pub fn string(name: &str, s: &str) -> AttributeProto {
    AttributeProto {
        s: s.into(),
        ..attribute(name, AttributeType::String)
    }
}
