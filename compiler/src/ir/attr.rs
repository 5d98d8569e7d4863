//! Attributes of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Graph, Tensor};
use crate::onnx::schema::AttributeProto;

/// One attribute's value.
#[derive(Clone, Debug)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// A string (bytes that are not UTF-8 are replaced).
    String(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Strings.
    Strings(Vec<String>),
    /// A tensor.
    Tensor(Box<Tensor>),
    /// A subgraph (`If`, `Loop`, `Scan`).
    Graph(Arc<Graph>),
    /// Refers to an attribute of the enclosing function.
    Reference(String),
    /// A kind that no operator of a CNN uses.
    Other(Arc<AttributeProto>),
}

/// The attributes of a node, by name, with typed access. An attribute of
/// another kind than asked for counts as absent.
#[derive(Clone, Debug, Default)]
pub struct Attrs(pub BTreeMap<String, Attr>);

impl Attrs {
    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Attr::Int(v)) => Some(*v),
            _ => None,
        }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.0.get(name) {
            Some(Attr::Float(v)) => Some(*v),
            _ => None,
        }
    }

    /// A string.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Attr::String(v)) => Some(v),
            _ => None,
        }
    }

    /// Integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.0.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// Floats.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.0.get(name) {
            Some(Attr::Floats(v)) => Some(v),
            _ => None,
        }
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.0.get(name) {
            Some(Attr::Tensor(v)) => Some(v),
            _ => None,
        }
    }

    /// A subgraph.
    pub fn graph(&self, name: &str) -> Option<&Arc<Graph>> {
        match self.0.get(name) {
            Some(Attr::Graph(v)) => Some(v),
            _ => None,
        }
    }

    /// All subgraphs, by name.
    pub fn graphs(&self) -> impl Iterator<Item = (&str, &Arc<Graph>)> {
        self.0.iter().filter_map(|(name, attr)| match attr {
            Attr::Graph(graph) => Some((name.as_str(), graph)),
            _ => None,
        })
    }

    /// Sets one, and returns the attributes for chaining.
    #[must_use]
    pub fn with(mut self, name: &str, attr: Attr) -> Self {
        self.0.insert(name.to_owned(), attr);
        self
    }
}
