//! From the file's message to the graph.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{External, ImportError};
use crate::ir::{Attr, Attrs, Expr, Graph, Node, Tensor, TensorData, ValueId, ValueType};
use crate::onnx::schema::{
    AttributeProto, AttributeType, DataType, DimensionValue, GraphProto, NodeProto,
    OperatorSetIdProto, TensorProto, TypeValue, ValueInfoProto,
};
use crate::onnx::{data_type, is_external, little_endian, strings};

/// Key under which a node that was expanded from a function carries the
/// operator set version of that function.
pub(super) const OPSET_KEY: &str = "convfold.opset";

/// Operator set versions by domain, "ai.onnx" under the empty one.
pub(super) fn opsets(imports: &[OperatorSetIdProto]) -> HashMap<String, i64> {
    imports
        .iter()
        .map(|o| {
            let domain = match o.domain.as_deref() {
                Some("ai.onnx") | None => "",
                Some(other) => other,
            };
            (domain.to_owned(), o.version.unwrap_or(1))
        })
        .collect()
}

/// Reads the main graph.
pub(super) fn graph(
    proto: &GraphProto,
    opsets: &HashMap<String, i64>,
    external: &External,
) -> Result<Graph, ImportError> {
    let mut reader = Reader {
        opsets,
        external,
        captured: HashSet::new(),
    };
    let graph = reader.graph(proto, false)?;
    Ok(graph)
}

struct Reader<'a> {
    opsets: &'a HashMap<String, i64>,
    external: &'a External<'a>,
    /// Names that the subgraphs read so far take from the graphs around them.
    captured: HashSet<String>,
}

impl Reader<'_> {
    fn graph(&mut self, proto: &GraphProto, nested: bool) -> Result<Graph, ImportError> {
        let mut graph = Graph::default();
        graph.name = proto.name.clone().unwrap_or_default();
        self.constants(proto, &mut graph)?;
        let mut seen = HashSet::new();
        for info in &proto.input {
            let name = info.name.as_deref().unwrap_or_default();
            if !seen.insert(name) {
                return Err(ImportError::Duplicate(name.to_owned()));
            }
            let id = graph.value_named(name);
            graph.value_mut(id).declared = Some(declared(info, true));
            if graph.value(id).initializer.is_none() {
                graph.inputs.push(id);
            }
        }
        for info in proto.value_info.iter().chain(&proto.output) {
            let name = info.name.as_deref().unwrap_or_default();
            let id = graph.value_named(name);
            let value = graph.value_mut(id);
            if value.declared.is_none() {
                value.declared = Some(declared(info, false));
            }
        }
        for node in &proto.node {
            let node = self.node(node, &mut graph)?;
            graph.add_node(node, None)?;
        }
        for info in &proto.output {
            let id = graph.value_named(info.name.as_deref().unwrap_or_default());
            graph.outputs.push(id);
        }
        self.resolve(&mut graph, nested)?;
        Ok(graph)
    }

    /// What is read but not provided here comes from around, or is an error.
    fn resolve(&mut self, graph: &mut Graph, nested: bool) -> Result<(), ImportError> {
        let inputs: HashSet<ValueId> = graph.inputs.iter().copied().collect();
        let free: Vec<(ValueId, String)> = graph
            .values()
            .filter(|(id, v)| {
                v.initializer.is_none()
                    && !inputs.contains(id)
                    && graph.producer(*id).is_none()
                    && graph.is_used(*id)
            })
            .map(|(id, v)| (id, v.name.clone()))
            .collect();
        for (id, value) in free {
            if !nested {
                let reader = graph.consumers(id).first().map(|&n| graph.describe(n));
                return Err(ImportError::Undefined {
                    node: reader.unwrap_or_else(|| "the list of graph outputs".into()),
                    value,
                });
            }
            graph.captured.push(id);
            self.captured.insert(value);
        }
        Ok(())
    }

    fn constants(&self, proto: &GraphProto, graph: &mut Graph) -> Result<(), ImportError> {
        for tensor in &proto.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            let data = self.tensor(tensor)?;
            define(graph, name, data)?;
        }
        for sparse in &proto.sparse_initializer {
            let Some(values) = &sparse.values else {
                continue;
            };
            let shape = sparse
                .dims
                .iter()
                .map(|&d| usize::try_from(d).unwrap_or(0))
                .collect();
            let data = Tensor::without_data(data_type(values)?, shape);
            define(graph, values.name.as_deref().unwrap_or_default(), data)?;
        }
        Ok(())
    }

    fn tensor(&self, proto: &TensorProto) -> Result<Tensor, ImportError> {
        let dtype = data_type(proto)?;
        crate::onnx::check_size(proto)?;
        let shape = proto
            .dims
            .iter()
            .map(|&d| usize::try_from(d).unwrap_or(0))
            .collect();
        let data = if is_external(proto) {
            (self.external)(proto)?.map_or(TensorData::Absent, TensorData::Bytes)
        } else if dtype == DataType::String {
            TensorData::Strings(strings(proto)?.to_vec())
        } else {
            TensorData::Bytes(little_endian(proto)?)
        };
        Ok(Tensor { dtype, shape, data })
    }

    fn node(&mut self, proto: &NodeProto, graph: &mut Graph) -> Result<Node, ImportError> {
        let outer = std::mem::take(&mut self.captured);
        let mut attrs = Attrs::default();
        for attr in &proto.attribute {
            let name = attr.name.clone().unwrap_or_default();
            let value = self.attr(attr)?;
            attrs.0.insert(name, value);
        }
        let mut captured: Vec<String> = std::mem::replace(&mut self.captured, outer)
            .into_iter()
            .collect();
        captured.sort_unstable();
        let captures = captured
            .iter()
            .map(|name| graph.value_named(name))
            .collect();
        let mut list = |names: &[String]| {
            names
                .iter()
                .map(|name| (!name.is_empty()).then(|| graph.value_named(name)))
                .collect::<Vec<_>>()
        };
        let domain = match proto.domain.as_deref() {
            Some("ai.onnx") | None => String::new(),
            Some(other) => other.to_owned(),
        };
        let own = proto
            .metadata_props
            .iter()
            .find(|p| p.key.as_deref() == Some(OPSET_KEY))
            .and_then(|p| p.value.as_deref()?.parse().ok());
        Ok(Node {
            name: proto.name.clone().unwrap_or_default(),
            opset: own
                .or_else(|| self.opsets.get(&domain).copied())
                .unwrap_or(1),
            domain,
            op: proto.op_type.clone().unwrap_or_default(),
            attrs,
            inputs: list(&proto.input),
            outputs: list(&proto.output),
            captures,
            origin: Some(Arc::new(proto.clone())),
        })
    }

    fn attr(&mut self, proto: &AttributeProto) -> Result<Attr, ImportError> {
        use AttributeType as T;
        if let Some(name) = proto.ref_attr_name.as_deref().filter(|n| !n.is_empty()) {
            return Ok(Attr::Reference(name.to_owned()));
        }
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Ok(match kind(proto) {
            T::Int => Attr::Int(proto.i.unwrap_or(0)),
            T::Float => Attr::Float(proto.f.unwrap_or(0.0)),
            T::String => Attr::String(proto.s.as_deref().map(text).unwrap_or_default()),
            T::Ints => Attr::Ints(proto.ints.clone()),
            T::Floats => Attr::Floats(proto.floats.clone()),
            T::Strings => Attr::Strings(proto.strings.iter().map(|s| text(s)).collect()),
            T::Tensor => match &proto.t {
                Some(tensor) => Attr::Tensor(Box::new(self.tensor(tensor)?)),
                None => Attr::Other(Arc::new(proto.clone())),
            },
            T::Graph => match &proto.g {
                Some(graph) => Attr::Graph(Arc::new(self.graph(graph, true)?)),
                None => Attr::Other(Arc::new(proto.clone())),
            },
            _ => Attr::Other(Arc::new(proto.clone())),
        })
    }
}

fn define(graph: &mut Graph, name: &str, tensor: Tensor) -> Result<(), ImportError> {
    let id = graph.value_named(name);
    if graph.value(id).initializer.is_some() {
        return Err(ImportError::Duplicate(name.to_owned()));
    }
    graph.value_mut(id).initializer = Some(tensor);
    Ok(())
}

/// The attribute's kind; files of IR version 1 may leave it out.
fn kind(proto: &AttributeProto) -> AttributeType {
    use AttributeType as T;
    match T::try_from(proto.kind.unwrap_or(0)) {
        Ok(kind) if kind != T::Undefined => kind,
        _ if proto.i.is_some() => T::Int,
        _ if proto.f.is_some() => T::Float,
        _ if proto.s.is_some() => T::String,
        _ if proto.t.is_some() => T::Tensor,
        _ if proto.g.is_some() => T::Graph,
        _ if !proto.ints.is_empty() => T::Ints,
        _ if !proto.floats.is_empty() => T::Floats,
        _ if !proto.strings.is_empty() => T::Strings,
        _ => T::Undefined,
    }
}

/// Declared type and shape. A size that is left open is a symbol of its own:
/// named after the input and axis, or unknown (`?`) inside the graph.
fn declared(info: &ValueInfoProto, input: bool) -> ValueType {
    let Some(TypeValue::TensorType(tensor)) = info.kind.as_ref().and_then(|k| k.value.as_ref())
    else {
        return ValueType::default();
    };
    let name = info.name.as_deref().unwrap_or_default();
    let open = |axis: usize| {
        Expr::symbol(if input {
            format!("{name}.{axis}")
        } else {
            format!("?{name}.{axis}")
        })
    };
    let shape = tensor.shape.as_ref().map(|shape| {
        let dims = shape.dim.iter().enumerate();
        dims.map(|(axis, dim)| match &dim.value {
            Some(DimensionValue::DimValue(v)) if *v >= 0 => Expr::from(*v),
            Some(DimensionValue::DimParam(p)) if !p.is_empty() => Expr::symbol(p),
            _ => open(axis),
        })
        .collect()
    });
    ValueType {
        dtype: tensor
            .elem_type
            .and_then(|t| DataType::try_from(t).ok())
            .filter(|&t| t != DataType::Undefined),
        shape,
    }
}
