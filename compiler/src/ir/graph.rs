//! The graph: operators and values as the two kinds of vertex of a petgraph
//! `StableDiGraph`, so that ids survive edits and walks in either direction
//! are the library's own.

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

use super::{Attrs, DataType, Shape, Tensor};
use crate::onnx::schema::NodeProto;

/// A node of the graph: one operator call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) NodeIndex);

/// A value: what a node, an initializer or the caller provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(super) NodeIndex);

/// One operator call.
#[derive(Clone, Debug)]
pub struct Node {
    /// The node's own name; may be empty.
    pub name: String,
    /// Operator set; empty for the standard one.
    pub domain: String,
    /// Operator.
    pub op: String,
    /// Version of the operator set by which the node is to be read.
    pub opset: i64,
    /// Attributes.
    pub attrs: Attrs,
    /// Inputs by position; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs by position; `None` where one is left out.
    pub outputs: Vec<Option<ValueId>>,
    /// Values that the node's subgraphs take from this graph.
    pub captures: Vec<ValueId>,
    /// The message this node was read from: an untouched node is written back
    /// byte for byte.
    pub origin: Option<Arc<NodeProto>>,
}

/// Declared type of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueType {
    /// Element type; `None` for what is not a tensor.
    pub dtype: Option<DataType>,
    /// Shape; `None` where not even the rank is declared.
    pub shape: Option<Shape>,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name, unique in the graph.
    pub name: String,
    /// What the model declares about it (graph input, output or value info).
    pub declared: Option<ValueType>,
    /// Its data, if it is an initializer.
    pub initializer: Option<Tensor>,
}

#[derive(Clone, Debug)]
enum Vertex {
    Node(Node),
    Value(Value),
}

/// What an edge between a value and a node stands for. The node's own lists
/// hold the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Input,
    Output,
    Captured,
}

/// A graph of operators and values.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    net: StableDiGraph<Vertex, Port>,
    order: Vec<NodeId>,
    by_name: HashMap<String, ValueId>,
    /// The graph's name.
    pub name: String,
    /// What the caller provides; initializers that are listed among the
    /// inputs (IR version 3) are not here.
    pub inputs: Vec<ValueId>,
    /// What the caller gets.
    pub outputs: Vec<ValueId>,
    /// In a subgraph: the values taken from the enclosing graphs.
    pub captured: Vec<ValueId>,
}

/// Why a graph cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two nodes write the same value.
    #[error("value \"{value}\" is written by {first} and by {second}; a value has one producer")]
    TwoProducers {
        /// The value.
        value: String,
        /// The node that wrote it first.
        first: String,
        /// The node that writes it again.
        second: String,
    },
    /// A node writes a graph input or initializer.
    #[error("{node} writes \"{value}\", which is a graph input or initializer")]
    WritesConstant {
        /// The value.
        value: String,
        /// The node.
        node: String,
    },
    /// Nodes depend on each other in a circle.
    #[error("the graph has a cycle through {0}; an ONNX graph must be acyclic")]
    Cycle(String),
}

impl Graph {
    /// The value of this name, made if there is none.
    pub fn value_named(&mut self, name: &str) -> ValueId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = ValueId(self.net.add_node(Vertex::Value(Value {
            name: name.to_owned(),
            declared: None,
            initializer: None,
        })));
        self.by_name.insert(name.to_owned(), id);
        id
    }

    /// The value of this name.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.by_name.get(name).copied()
    }

    /// The name of a value, if it (still) exists.
    pub(super) fn find_value_by_id(&self, id: ValueId) -> Option<String> {
        match self.net.node_weight(id.0) {
            Some(Vertex::Value(value)) => Some(value.name.clone()),
            _ => None,
        }
    }

    /// Adds a node at the end of the order, or at `position`.
    ///
    /// # Errors
    /// An output that already has a producer, or is an initializer or input.
    pub fn add_node(&mut self, node: Node, position: Option<usize>) -> Result<NodeId, GraphError> {
        for &output in node.outputs.iter().flatten() {
            let value = self.value(output).name.clone();
            if let Some(first) = self.producer(output) {
                return Err(GraphError::TwoProducers {
                    value,
                    first: self.describe(first),
                    second: describe(&node, &self.name_of(&node)),
                });
            }
            if self.value(output).initializer.is_some() || self.inputs.contains(&output) {
                return Err(GraphError::WritesConstant {
                    node: describe(&node, &self.name_of(&node)),
                    value,
                });
            }
        }
        let (inputs, outputs, captures) = (
            node.inputs.clone(),
            node.outputs.clone(),
            node.captures.clone(),
        );
        let id = self.net.add_node(Vertex::Node(node));
        for value in inputs.into_iter().flatten() {
            self.net.add_edge(value.0, id, Port::Input);
        }
        for value in captures {
            self.net.add_edge(value.0, id, Port::Captured);
        }
        for value in outputs.into_iter().flatten() {
            self.net.add_edge(id, value.0, Port::Output);
        }
        let position = position.unwrap_or(self.order.len()).min(self.order.len());
        self.order.insert(position, NodeId(id));
        Ok(NodeId(id))
    }

    /// Takes a node out; its values stay.
    pub fn remove_node(&mut self, id: NodeId) -> Option<Node> {
        self.order.retain(|&n| n != id);
        match self.net.remove_node(id.0) {
            Some(Vertex::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// Takes out a value that nothing produces or uses; says whether it did.
    pub fn remove_value(&mut self, id: ValueId) -> bool {
        if self.is_used(id) || self.producer(id).is_some() || self.inputs.contains(&id) {
            return false;
        }
        if let Some(Vertex::Value(value)) = self.net.remove_node(id.0) {
            self.by_name.remove(&value.name);
            return true;
        }
        false
    }

    /// Whether a node, a subgraph or the graph's outputs use the value.
    pub fn is_used(&self, id: ValueId) -> bool {
        self.outputs.contains(&id)
            || self
                .net
                .edges_directed(id.0, Direction::Outgoing)
                .next()
                .is_some()
    }

    /// A node.
    ///
    /// # Panics
    /// On the id of another graph or of a removed node.
    pub fn node(&self, id: NodeId) -> &Node {
        match &self.net[id.0] {
            Vertex::Node(node) => node,
            Vertex::Value(_) => unreachable!("a NodeId indexes a node"),
        }
    }

    /// A value.
    ///
    /// # Panics
    /// On the id of another graph or of a removed value.
    pub fn value(&self, id: ValueId) -> &Value {
        match &self.net[id.0] {
            Vertex::Value(value) => value,
            Vertex::Node(_) => unreachable!("a ValueId indexes a value"),
        }
    }

    /// A value, to be edited.
    ///
    /// # Panics
    /// On the id of another graph or of a removed value.
    pub fn value_mut(&mut self, id: ValueId) -> &mut Value {
        match &mut self.net[id.0] {
            Vertex::Value(value) => value,
            Vertex::Node(_) => unreachable!("a ValueId indexes a value"),
        }
    }

    /// The node that writes a value.
    pub fn producer(&self, id: ValueId) -> Option<NodeId> {
        self.net
            .edges_directed(id.0, Direction::Incoming)
            .next()
            .map(|e| NodeId(e.source()))
    }

    /// The nodes that read a value, those whose subgraphs do included; a node
    /// that reads it twice appears twice.
    pub fn consumers(&self, id: ValueId) -> Vec<NodeId> {
        let mut nodes: Vec<_> = self
            .net
            .edges_directed(id.0, Direction::Outgoing)
            .map(|e| NodeId(e.target()))
            .collect();
        nodes.sort_unstable();
        nodes
    }

    /// Whether exactly one node input reads the value, no subgraph does, and
    /// it is no output of the graph: then its producer may be merged into it.
    pub fn sole_consumer(&self, id: ValueId) -> Option<NodeId> {
        if self.outputs.contains(&id) {
            return None;
        }
        let mut edges = self.net.edges_directed(id.0, Direction::Outgoing);
        let edge = edges.next()?;
        (edges.next().is_none() && *edge.weight() == Port::Input).then(|| NodeId(edge.target()))
    }

    /// The nodes in the model's own order.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// Where a node stands in the model's order.
    pub fn position(&self, id: NodeId) -> Option<usize> {
        self.order.iter().position(|&n| n == id)
    }

    /// The values, in the order of their making.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        self.net.node_indices().filter_map(|i| match &self.net[i] {
            Vertex::Value(value) => Some((ValueId(i), value)),
            Vertex::Node(_) => None,
        })
    }

    /// The nodes so that each comes after what it reads; as close to the
    /// model's own order as that allows (the same where that is sorted).
    ///
    /// # Errors
    /// A cycle, with the names of nodes on it.
    pub fn sorted(&self) -> Result<Vec<NodeId>, GraphError> {
        let rank: HashMap<NodeId, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(i, &n)| (n, i))
            .collect();
        let mut waiting: HashMap<NodeId, usize> = HashMap::new();
        let mut ready = std::collections::BTreeSet::new();
        let produced = |n: NodeId| {
            let node = self.node(n);
            node.inputs
                .iter()
                .flatten()
                .chain(&node.captures)
                .filter(|&&v| self.producer(v).is_some())
                .count()
        };
        for &n in &self.order {
            match produced(n) {
                0 => {
                    ready.insert(rank[&n]);
                }
                count => {
                    waiting.insert(n, count);
                }
            }
        }
        let mut sorted = Vec::with_capacity(self.order.len());
        while let Some(next) = ready.pop_first() {
            let id = self.order[next];
            sorted.push(id);
            for &output in self.node(id).outputs.iter().flatten() {
                for consumer in self.consumers(output) {
                    if let Some(left) = waiting.get_mut(&consumer) {
                        *left -= 1;
                        if *left == 0 {
                            waiting.remove(&consumer);
                            ready.insert(rank[&consumer]);
                        }
                    }
                }
            }
        }
        if sorted.len() == self.order.len() {
            return Ok(sorted);
        }
        let on_cycle = petgraph::algo::tarjan_scc(&self.net)
            .into_iter()
            .find(|c| c.len() > 1)
            .unwrap_or_default();
        let names: Vec<_> = on_cycle
            .iter()
            .filter_map(|&i| match &self.net[i] {
                Vertex::Node(_) => Some(self.describe(NodeId(i))),
                Vertex::Value(_) => None,
            })
            .take(4)
            .collect();
        Err(GraphError::Cycle(names.join(", ")))
    }

    /// The name by which reports call a node: its own, else its first output's.
    pub fn node_name(&self, id: NodeId) -> String {
        self.name_of(self.node(id))
    }

    fn name_of(&self, node: &Node) -> String {
        if node.name.is_empty() {
            value_name(self, node)
        } else {
            node.name.clone()
        }
    }

    /// A node for an error message: `Conv "conv1"`.
    pub fn describe(&self, id: NodeId) -> String {
        describe(self.node(id), &self.node_name(id))
    }

    /// A value name that is not in use yet, made from `base`.
    pub fn fresh_name(&self, base: &str) -> String {
        if !self.by_name.contains_key(base) {
            return base.to_owned();
        }
        (1u64..)
            .map(|i| format!("{base}_{i}"))
            .find(|name| !self.by_name.contains_key(name))
            .unwrap_or_default()
    }
}

fn value_name(graph: &Graph, node: &Node) -> String {
    node.outputs
        .iter()
        .flatten()
        .next()
        .map(|&v| graph.value(v).name.clone())
        .unwrap_or_default()
}

fn describe(node: &Node, name: &str) -> String {
    format!("{} \"{name}\"", node.op)
}
