//! The model as a protobuf message, made ready for tract.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use super::{Dim, InputInfo, Model};
use crate::Error;
use crate::error::Unsupported;

/// Operator domains whose operators tract looks up by their bare name.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// A decoded model, cut down to what its outputs need.
pub(super) struct Prepared {
    /// The message that tract is to parse.
    pub proto: ModelProto,
    /// The inputs that are no initializers, in the model's order.
    pub inputs: Vec<InputInfo>,
    /// The outputs.
    pub outputs: Vec<String>,
    /// ONNX operator and displayed name of each node by tract's name for it.
    pub nodes: HashMap<String, (String, String)>,
}

/// Decodes `model` and keeps what `outputs` need (all graph outputs if `None`).
pub(super) fn prepare(
    model: &Model,
    outputs: Option<&[String]>,
    framework: &Onnx,
) -> Result<Prepared, Error> {
    let refused = |cause: &str| Error::NotAModel {
        model: model.name.into(),
        cause: cause.into(),
    };
    let mut proto = ModelProto::decode(model.bytes).map_err(|e| refused(&e.to_string()))?;
    let functions: HashSet<(String, String)> = (proto.functions.iter())
        .map(|f| {
            (
                f.domain.clone().unwrap_or_default(),
                f.name.clone().unwrap_or_default(),
            )
        })
        .collect();
    let graph = proto
        .graph
        .as_mut()
        .ok_or_else(|| refused("it holds no graph"))?;
    if let Some(names) = outputs {
        graph.output = names
            .iter()
            .map(|name| ValueInfoProto {
                name: name.clone(),
                ..<_>::default()
            })
            .collect();
    }
    if graph.output.is_empty() {
        return Err(refused("its graph has no outputs"));
    }
    require_outputs(model, graph)?;
    prune(graph);
    let unsupported: Vec<Unsupported> = nodes_of(graph)
        .filter(|n| {
            !DOMAINS.contains(&n.domain.as_str())
                || !framework.op_register.0.contains_key(&n.op_type)
                || functions.contains(&(n.domain.clone(), n.op_type.clone()))
        })
        .map(|n| Unsupported {
            operator: operator(n),
            node: displayed(n),
        })
        .collect();
    if !unsupported.is_empty() {
        return Err(Error::Unsupported {
            model: model.name.into(),
            operators: unsupported,
        });
    }
    scales_as_inputs(graph);
    let nodes = unique_names(graph);
    let inputs = inputs_of(graph);
    let outputs = graph.output.iter().map(|o| o.name.clone()).collect();
    Ok(Prepared {
        proto,
        inputs,
        outputs,
        nodes,
    })
}

/// The operator with its domain where that is not ONNX's own.
fn operator(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}:{}", node.op_type),
    }
}

/// The node's name, or its first output's where it has none.
fn displayed(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}

/// The nodes of a graph and of the subgraphs in their attributes.
fn nodes_of(graph: &GraphProto) -> impl Iterator<Item = &NodeProto> {
    let mut nodes = Vec::new();
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        for node in &graph.node {
            nodes.push(node);
            graphs.extend(
                node.attribute
                    .iter()
                    .flat_map(|a| a.g.iter().chain(&a.graphs)),
            );
        }
    }
    nodes.into_iter()
}

/// Checks that each output is a value of the graph.
fn require_outputs(model: &Model, graph: &GraphProto) -> Result<(), Error> {
    let values: HashSet<&str> = (graph.input.iter().map(|v| v.name.as_str()))
        .chain(graph.initializer.iter().map(|t| t.name.as_str()))
        .chain(
            graph
                .node
                .iter()
                .flat_map(|n| n.output.iter().map(String::as_str)),
        )
        .filter(|name| !name.is_empty())
        .collect();
    match graph
        .output
        .iter()
        .find(|o| !values.contains(o.name.as_str()))
    {
        Some(o) => Err(Error::NoValue {
            model: model.name.into(),
            value: o.name.clone(),
        }),
        None => Ok(()),
    }
}

/// Drops the nodes and initializers that no output depends on.
///
/// tract reads everything it is given; a value before an operator that it lacks
/// can be probed only where that operator is gone.
fn prune(graph: &mut GraphProto) {
    let producer: HashMap<&str, usize> = (graph.node.iter().enumerate())
        .flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut values: HashSet<&str> = HashSet::new();
    let mut nodes = vec![false; graph.node.len()];
    let mut open: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    while let Some(value) = open.pop() {
        if !values.insert(value) {
            continue;
        }
        let Some(&node) = producer.get(value) else {
            continue;
        };
        if !std::mem::replace(&mut nodes[node], true) {
            let node = &graph.node[node];
            open.extend(node.input.iter().map(String::as_str));
            let inner = node
                .attribute
                .iter()
                .flat_map(|a| a.g.iter().chain(&a.graphs));
            for graph in inner {
                open.extend(graph.output.iter().map(|o| o.name.as_str()));
                open.extend(nodes_of(graph).flat_map(|n| n.input.iter().map(String::as_str)));
            }
        }
    }
    let initializers: Vec<bool> = graph
        .initializer
        .iter()
        .map(|t| values.contains(t.name.as_str()))
        .collect();
    let dropped: HashSet<String> = (graph.initializer.iter().zip(&initializers))
        .filter(|(_, keep)| !**keep)
        .map(|(t, _)| t.name.clone())
        .collect();
    keep(&mut graph.node, &nodes);
    keep(&mut graph.initializer, &initializers);
    graph.input.retain(|v| !dropped.contains(&v.name));
}

fn keep<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    items.retain(|_| keep.next().copied().unwrap_or(false));
}

/// Gives every Upsample its scales as an input, as operator set 9 has them.
fn scales_as_inputs(graph: &mut GraphProto) {
    for (index, node) in graph.node.iter_mut().enumerate() {
        if node.op_type != "Upsample" || node.input.len() != 1 {
            continue;
        }
        let Some(at) = node.attribute.iter().position(|a| a.name == "scales") else {
            continue;
        };
        let scales = node.attribute.remove(at).floats;
        let name = format!("{index}.upsample.scales");
        graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![scales.len() as i64],
            data_type: DataType::Float as i32,
            float_data: scales,
            ..<_>::default()
        });
        node.input.push(name);
    }
}

/// Names the nodes `node-0`, `node-1`, ...: tract makes up names from a node's
/// name and insists that no two are alike, which ONNX does not. Returns the
/// operator and the name that each stands for.
fn unique_names(graph: &mut GraphProto) -> HashMap<String, (String, String)> {
    (graph.node.iter_mut().enumerate())
        .map(|(index, node)| {
            let shown = (operator(node), displayed(node));
            node.name = format!("node-{index}");
            (node.name.clone(), shown)
        })
        .collect()
}

/// The graph inputs that are no initializers (models of IR version 3 list both).
fn inputs_of(graph: &GraphProto) -> Vec<InputInfo> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph
        .input
        .iter()
        .filter(|v| !constants.contains(v.name.as_str()))
        .map(input_info)
        .collect()
}

fn input_info(value: &ValueInfoProto) -> InputInfo {
    let tensor = value.r#type.as_ref().and_then(|t| t.value.as_ref());
    let (elem_type, dims) = match tensor {
        Some(TypeValue::TensorType(t)) => (
            t.elem_type,
            t.shape.as_ref().map(|s| {
                s.dim
                    .iter()
                    .map(|d| match &d.value {
                        Some(DimValue::DimValue(n)) => {
                            usize::try_from(*n).map_or(Dim::Free("?".into()), Dim::Fixed)
                        }
                        Some(DimValue::DimParam(symbol)) if !symbol.is_empty() => {
                            Dim::Free(symbol.clone())
                        }
                        _ => Dim::Free("?".into()),
                    })
                    .collect()
            }),
        ),
        _ => (0, None),
    };
    InputInfo {
        name: value.name.clone(),
        elem_type,
        dims,
    }
}

/// The inputs that are no initializers, without translating the model.
pub(super) fn inputs(model: &Model) -> Result<Vec<InputInfo>, Error> {
    let refused = |cause: String| Error::NotAModel {
        model: model.name.into(),
        cause,
    };
    let proto = ModelProto::decode(model.bytes).map_err(|e| refused(e.to_string()))?;
    let graph = proto
        .graph
        .as_ref()
        .ok_or_else(|| refused("it holds no graph".into()))?;
    Ok(inputs_of(graph))
}
