//! Calls of model-local functions, expanded.

use std::collections::HashMap;

use super::ImportError;
use super::import::{OPSET_KEY, opsets};
use crate::onnx::schema::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
};

/// Expansion stops at this many nodes.
pub(super) const MAX_NODES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;

type Key = (String, String, String);

/// The main graph with every call expanded; `None` if there is no function.
pub(super) fn inline(model: &ModelProto) -> Result<Option<GraphProto>, ImportError> {
    let (Some(graph), false) = (&model.graph, model.functions.is_empty()) else {
        return Ok(None);
    };
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let functions = model
        .functions
        .iter()
        .map(|f| ((text(&f.domain), text(&f.name), text(&f.overload)), f))
        .collect();
    let mut expander = Expander {
        functions,
        nodes: 0,
    };
    Ok(Some(expander.graph(graph, 0)?))
}

struct Expander<'a> {
    functions: HashMap<Key, &'a FunctionProto>,
    nodes: usize,
}

impl Expander<'_> {
    fn graph(&mut self, graph: &GraphProto, depth: usize) -> Result<GraphProto, ImportError> {
        let mut out = graph.clone();
        out.node.clear();
        for node in &graph.node {
            self.node(node.clone(), depth, &mut out.node)?;
        }
        Ok(out)
    }

    fn node(
        &mut self,
        mut node: NodeProto,
        depth: usize,
        into: &mut Vec<NodeProto>,
    ) -> Result<(), ImportError> {
        let text = |s: &Option<String>| s.clone().unwrap_or_default();
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(ImportError::Function(text(&node.op_type)));
        }
        for attr in &mut node.attribute {
            if let Some(graph) = &mut attr.g {
                **graph = self.graph(graph, depth + 1)?;
            }
        }
        let key = (
            text(&node.domain),
            text(&node.op_type),
            text(&node.overload),
        );
        let Some(&function) = self.functions.get(&key) else {
            into.push(node);
            return Ok(());
        };
        let call = Call::new(&node, function);
        for inner in &function.node {
            self.node(call.instance(inner), depth + 1, into)?;
        }
        Ok(())
    }
}

/// One call: how the names and attributes of the function's nodes change.
struct Call<'a> {
    prefix: String,
    names: HashMap<&'a str, String>,
    attrs: HashMap<&'a str, &'a AttributeProto>,
    opsets: HashMap<String, i64>,
}

impl<'a> Call<'a> {
    fn new(node: &'a NodeProto, function: &'a FunctionProto) -> Self {
        let formal = function
            .input
            .iter()
            .zip(node.input.iter().map(Some).chain(std::iter::repeat(None)));
        let mut names: HashMap<&str, String> = formal
            .map(|(f, actual)| (f.as_str(), actual.cloned().unwrap_or_default()))
            .collect();
        for (formal, actual) in function.output.iter().zip(&node.output) {
            if !actual.is_empty() {
                names.insert(formal, actual.clone());
            }
        }
        let given = function.attribute_proto.iter().chain(&node.attribute);
        let own = node.name.as_deref().filter(|n| !n.is_empty());
        Self {
            prefix: own
                .or(node.output.first().map(String::as_str))
                .unwrap_or("call")
                .to_owned(),
            names,
            attrs: given
                .filter_map(|a| Some((a.name.as_deref()?, a)))
                .collect(),
            opsets: opsets(&function.opset_import),
        }
    }

    fn rename(&self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        match self.names.get(name.as_str()) {
            Some(actual) => name.clone_from(actual),
            None => *name = format!("{}/{name}", self.prefix),
        }
    }

    fn instance(&self, node: &NodeProto) -> NodeProto {
        let mut node = node.clone();
        let domain = node
            .domain
            .as_deref()
            .filter(|d| *d != "ai.onnx")
            .unwrap_or("");
        if let Some(version) = self.opsets.get(domain) {
            node.metadata_props
                .retain(|p| p.key.as_deref() != Some(OPSET_KEY));
            node.metadata_props.push(StringStringEntryProto {
                key: Some(OPSET_KEY.into()),
                value: Some(version.to_string()),
            });
        }
        self.instantiate(&mut node);
        node
    }

    fn instantiate(&self, node: &mut NodeProto) {
        node.input.iter_mut().for_each(|n| self.rename(n));
        node.output.iter_mut().for_each(|n| self.rename(n));
        if let Some(name) = node.name.as_mut().filter(|n| !n.is_empty()) {
            *name = format!("{}/{name}", self.prefix);
        }
        node.attribute = std::mem::take(&mut node.attribute)
            .into_iter()
            .filter_map(|a| self.attribute(a))
            .collect();
    }

    fn attribute(&self, mut attr: AttributeProto) -> Option<AttributeProto> {
        if let Some(name) = attr.ref_attr_name.as_deref().filter(|n| !n.is_empty()) {
            // A reference that the caller leaves out leaves the attribute out.
            let mut actual = (*self.attrs.get(name)?).clone();
            actual.name = attr.name;
            return Some(actual);
        }
        if let Some(graph) = &mut attr.g {
            self.subgraph(graph);
        }
        Some(attr)
    }

    fn subgraph(&self, graph: &mut GraphProto) {
        for info in graph
            .input
            .iter_mut()
            .chain(&mut graph.output)
            .chain(&mut graph.value_info)
        {
            if let Some(name) = &mut info.name {
                self.rename(name);
            }
        }
        for tensor in &mut graph.initializer {
            if let Some(name) = &mut tensor.name {
                self.rename(name);
            }
        }
        graph.node.iter_mut().for_each(|n| self.instantiate(n));
    }
}
