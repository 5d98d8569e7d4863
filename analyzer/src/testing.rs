//! Small models for tests, built as messages and imported.
#![allow(dead_code)]

use std::path::Path;

use compiler::model::Model;
use compiler::onnx::schema::*;

/// An attribute's value.
#[allow(clippy::large_enum_variant)]
pub enum A<'a> {
    /// An integer.
    I(i64),
    /// Integers.
    Is(&'a [i64]),
    /// A string.
    S(&'static str),
    /// A float.
    F(f32),
    /// A subgraph.
    G(Net),
}

/// A graph in the making.
pub struct Net {
    graph: GraphProto,
    functions: Vec<FunctionProto>,
    opset: i64,
}

impl Net {
    /// An empty graph of operator set 17.
    pub fn new() -> Self {
        Self {
            graph: GraphProto::default(),
            functions: Vec::new(),
            opset: 17,
        }
    }

    /// Another operator set.
    pub fn opset(mut self, version: i64) -> Self {
        self.opset = version;
        self
    }

    /// A float32 graph input; sizes that are no numbers are symbols.
    pub fn input(mut self, name: &str, shape: &[&str]) -> Self {
        self.graph.input.push(info(name, Some(shape)));
        self
    }

    /// Declares the shape of a value inside the graph.
    pub fn declared(mut self, name: &str, shape: &[&str]) -> Self {
        self.graph.value_info.push(info(name, Some(shape)));
        self
    }

    /// A graph output.
    pub fn output(mut self, name: &str) -> Self {
        self.graph.output.push(info(name, None));
        self
    }

    /// A float32 initializer.
    pub fn weight(mut self, name: &str, shape: &[i64], data: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            float_data: data.to_vec(),
            ..tensor(name, shape, DataType::Float)
        });
        self
    }

    /// A float32 initializer whose data are in a file that is not there.
    pub fn absent(mut self, name: &str, shape: &[i64]) -> Self {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        };
        self.graph.initializer.push(TensorProto {
            data_location: Some(DataLocation::External as i32),
            external_data: vec![entry("location", "absent.bin")],
            ..tensor(name, shape, DataType::Float)
        });
        self
    }

    /// An int64 initializer of one axis.
    #[allow(clippy::cast_possible_wrap)]
    pub fn ints(mut self, name: &str, data: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            int64_data: data.to_vec(),
            ..tensor(name, &[data.len() as i64], DataType::Int64)
        });
        self
    }

    /// A boolean initializer without axes.
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.graph.initializer.push(TensorProto {
            int32_data: vec![i32::from(value)],
            ..tensor(name, &[], DataType::Bool)
        });
        self
    }

    /// A node of the standard's operator set, named after its first output
    /// with `/node` behind.
    pub fn node(self, op: &str, inputs: &[&str], outputs: &[&str], attrs: &[(&str, A)]) -> Self {
        self.node_of("", op, inputs, outputs, attrs)
    }

    /// A node of any operator set.
    pub fn node_of(
        mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attrs: &[(&str, A)],
    ) -> Self {
        self.graph.node.push(NodeProto {
            name: Some(format!("{}/node", outputs[0])),
            op_type: Some(op.into()),
            domain: Some(domain.into()),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.iter().map(ToString::to_string).collect(),
            attribute: attrs.iter().map(|(name, a)| attribute(name, a)).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// A function of domain "local" whose body is this graph's nodes.
    pub fn function(mut self, name: &str, body: Net) -> Self {
        let names =
            |infos: &[ValueInfoProto]| infos.iter().filter_map(|i| i.name.clone()).collect();
        self.functions.push(FunctionProto {
            name: Some(name.into()),
            domain: Some("local".into()),
            input: names(&body.graph.input),
            output: names(&body.graph.output),
            node: body.graph.node,
            opset_import: opsets(self.opset),
            ..FunctionProto::default()
        });
        self
    }

    /// The message.
    pub fn proto(self) -> ModelProto {
        ModelProto {
            ir_version: Some(8),
            opset_import: opsets(self.opset),
            producer_name: Some("test".into()),
            graph: Some(self.graph),
            functions: self.functions,
            ..ModelProto::default()
        }
    }

    /// The model.
    pub fn model(self) -> Model {
        Model::from_proto(self.proto(), Path::new("test.onnx")).unwrap()
    }
}

fn opsets(version: i64) -> Vec<OperatorSetIdProto> {
    [("", version), ("local", 1)]
        .map(|(domain, version)| OperatorSetIdProto {
            domain: Some(domain.into()),
            version: Some(version),
        })
        .to_vec()
}

fn tensor(name: &str, shape: &[i64], dtype: DataType) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: shape.to_vec(),
        data_type: Some(dtype as i32),
        ..TensorProto::default()
    }
}

fn info(name: &str, shape: Option<&[&str]>) -> ValueInfoProto {
    let dim = |s: &&str| Dimension {
        value: Some(s.parse().map_or_else(
            |_| DimensionValue::DimParam(s.to_string()),
            DimensionValue::DimValue,
        )),
        ..Dimension::default()
    };
    ValueInfoProto {
        name: Some(name.into()),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: Some(DataType::Float as i32),
                shape: shape.map(|s| TensorShapeProto {
                    dim: s.iter().map(dim).collect(),
                }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn attribute(name: &str, value: &A) -> AttributeProto {
    let mut attr = AttributeProto {
        name: Some(name.into()),
        ..AttributeProto::default()
    };
    let kind = match value {
        A::I(v) => {
            attr.i = Some(*v);
            AttributeType::Int
        }
        A::Is(v) => {
            attr.ints = v.to_vec();
            AttributeType::Ints
        }
        A::S(v) => {
            attr.s = Some(v.as_bytes().into());
            AttributeType::String
        }
        A::F(v) => {
            attr.f = Some(*v);
            AttributeType::Float
        }
        A::G(net) => {
            attr.g = Some(Box::new(net.graph.clone()));
            AttributeType::Graph
        }
    };
    attr.kind = Some(kind as i32);
    attr
}
