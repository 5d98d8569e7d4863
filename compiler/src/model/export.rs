//! From the graph back to the file's message.

use std::collections::HashSet;

use bytes::Bytes;

use super::Model;
use crate::ir::{Attr, Attrs, Graph, Node, Tensor, TensorData};
use crate::onnx::schema::{
    AttributeProto, AttributeType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};

/// Below this IR version every initializer must be a graph input as well.
pub(super) const IR_WITHOUT_INITIALIZER_INPUTS: i64 = 4;

pub(super) fn model(model: &Model) -> ModelProto {
    let mut proto = model.proto.clone();
    let old = proto.ir_version.unwrap_or(0) < IR_WITHOUT_INITIALIZER_INPUTS;
    let kept = training_names(&proto);
    if let Some(graph) = &mut proto.graph {
        write_graph(&model.graph, graph, old, &kept);
    }
    proto
}

pub(super) fn set_metadata(props: &mut Vec<StringStringEntryProto>, key: &str, value: &str) {
    match props.iter_mut().find(|p| p.key.as_deref() == Some(key)) {
        Some(entry) => entry.value = Some(value.to_owned()),
        None => props.push(StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        }),
    }
}

/// Initializers that training steps refer to stay whatever the graph uses.
fn training_names(proto: &ModelProto) -> HashSet<String> {
    let bindings = proto.training_info.iter().flat_map(|t| {
        t.initialization_binding
            .iter()
            .chain(&t.update_binding)
            .filter_map(|b| b.key.clone())
    });
    let read = proto
        .training_info
        .iter()
        .filter_map(|t| t.algorithm.as_ref())
        .flat_map(|g| g.node.iter().flat_map(|n| n.input.iter().cloned()));
    bindings.chain(read).collect()
}

fn write_graph(graph: &Graph, proto: &mut GraphProto, old_ir: bool, kept: &HashSet<String>) {
    proto.node = graph
        .order()
        .iter()
        .map(|&id| write_node(graph, graph.node(id)))
        .collect();
    let gone = |name: &Option<String>| {
        let name = name.as_deref().unwrap_or_default();
        graph.find_value(name).is_none() && !kept.contains(name)
    };
    let removed: HashSet<String> = proto
        .initializer
        .iter()
        .filter(|t| gone(&t.name))
        .filter_map(|t| t.name.clone())
        .collect();
    let listed: HashSet<String> = proto
        .initializer
        .iter()
        .chain(
            proto
                .sparse_initializer
                .iter()
                .filter_map(|s| s.values.as_ref()),
        )
        .filter_map(|t| t.name.clone())
        .collect();
    proto.initializer.retain(|t| !gone(&t.name));
    proto
        .sparse_initializer
        .retain(|s| s.values.as_ref().is_none_or(|v| !gone(&v.name)));
    proto
        .input
        .retain(|i| i.name.as_ref().is_none_or(|n| !removed.contains(n)));
    proto.value_info.retain(|i| !gone(&i.name));
    proto
        .quantization_annotation
        .retain(|q| !gone(&q.tensor_name));
    for (_, value) in graph.values() {
        let Some(tensor) = &value.initializer else {
            continue;
        };
        if listed.contains(&value.name) {
            continue;
        }
        let written = write_tensor(&value.name, tensor);
        if old_ir {
            proto.input.push(input_of(&written));
        }
        proto.initializer.push(written);
    }
}

fn input_of(tensor: &TensorProto) -> ValueInfoProto {
    let dim = tensor.dims.iter().map(|&d| Dimension {
        value: Some(DimensionValue::DimValue(d)),
        ..Dimension::default()
    });
    ValueInfoProto {
        name: tensor.name.clone(),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: tensor.data_type,
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn write_tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let raw_data = match &tensor.data {
        TensorData::Bytes(bytes) => Some(bytes.clone()),
        _ => tensor
            .to_f64()
            .and_then(|v| Tensor::from_f64(tensor.dtype, tensor.shape.clone(), &v))
            .and_then(|t| match t.data {
                TensorData::Bytes(bytes) => Some(bytes),
                _ => None,
            }),
    };
    TensorProto {
        name: (!name.is_empty()).then(|| name.to_owned()),
        dims: tensor
            .shape
            .iter()
            .map(|&d| i64::try_from(d).unwrap_or(i64::MAX))
            .collect(),
        data_type: Some(tensor.dtype as i32),
        raw_data,
        ..TensorProto::default()
    }
}

fn write_node(graph: &Graph, node: &Node) -> NodeProto {
    if let Some(origin) = &node.origin {
        return origin.as_ref().clone();
    }
    let names = |ids: &[Option<crate::ir::ValueId>]| {
        ids.iter()
            .map(|v| v.map(|v| graph.value(v).name.clone()).unwrap_or_default())
            .collect()
    };
    NodeProto {
        input: names(&node.inputs),
        output: names(&node.outputs),
        name: (!node.name.is_empty()).then(|| node.name.clone()),
        op_type: Some(node.op.clone()),
        domain: (!node.domain.is_empty()).then(|| node.domain.clone()),
        attribute: write_attrs(&node.attrs),
        ..NodeProto::default()
    }
}

fn write_attrs(attrs: &Attrs) -> Vec<AttributeProto> {
    attrs
        .0
        .iter()
        .filter_map(|(name, attr)| {
            let mut proto = AttributeProto {
                name: Some(name.clone()),
                ..AttributeProto::default()
            };
            let bytes = |s: &String| Bytes::from(s.clone().into_bytes());
            let kind = match attr {
                Attr::Int(v) => {
                    proto.i = Some(*v);
                    AttributeType::Int
                }
                Attr::Float(v) => {
                    proto.f = Some(*v);
                    AttributeType::Float
                }
                Attr::String(v) => {
                    proto.s = Some(bytes(v));
                    AttributeType::String
                }
                Attr::Ints(v) => {
                    proto.ints.clone_from(v);
                    AttributeType::Ints
                }
                Attr::Floats(v) => {
                    proto.floats.clone_from(v);
                    AttributeType::Floats
                }
                Attr::Strings(v) => {
                    proto.strings = v.iter().map(bytes).collect();
                    AttributeType::Strings
                }
                Attr::Tensor(v) => {
                    proto.t = Some(Box::new(write_tensor("", v)));
                    AttributeType::Tensor
                }
                Attr::Other(original) => return Some(original.as_ref().clone()),
                // Subgraphs and references are only in nodes that keep their message.
                Attr::Graph(_) | Attr::Reference(_) => return None,
            };
            proto.kind = Some(kind as i32);
            Some(proto)
        })
        .collect()
}
