//! Edits of a graph, collected first and applied at once: a walk that finds
//! something to change returns a patch and mutates nothing.

use super::graph::{Graph, GraphError, Node, NodeId, ValueId};
use super::{Attrs, Tensor};

/// A value that a new node reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Ref {
    /// One that the graph has.
    Existing(ValueId),
    /// A new one, made by this patch (index as [`Patch::value`] returned it).
    New(usize),
}

/// A node to insert.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// Name of the node.
    pub name: String,
    /// Operator set; empty for the standard one.
    pub domain: String,
    /// Operator.
    pub op: String,
    /// Version of the operator set.
    pub opset: i64,
    /// Attributes.
    pub attrs: Attrs,
    /// Inputs; `None` for an optional one left out.
    pub inputs: Vec<Option<Ref>>,
    /// Outputs.
    pub outputs: Vec<Ref>,
}

/// A set of edits.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    values: Vec<(String, Option<Tensor>)>,
    nodes: Vec<NewNode>,
    removed: Vec<NodeId>,
    anchor: Option<NodeId>,
}

/// Why a patch cannot be applied; the graph is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The new nodes do not fit the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A value that is still used would have no producer.
    #[error("the edit takes away the producer of \"{0}\", which is still used")]
    Orphan(String),
}

impl Patch {
    /// A new value; its name is made unique when the patch is applied.
    pub fn value(&mut self, name: impl Into<String>) -> Ref {
        self.values.push((name.into(), None));
        Ref::New(self.values.len() - 1)
    }

    /// A new initializer.
    pub fn tensor(&mut self, name: impl Into<String>, tensor: Tensor) -> Ref {
        self.values.push((name.into(), Some(tensor)));
        Ref::New(self.values.len() - 1)
    }

    /// A new node. New nodes stand in the order of these calls.
    pub fn node(&mut self, node: NewNode) {
        self.nodes.push(node);
    }

    /// Takes a node out. The first one taken out marks the place where the new
    /// nodes stand, unless [`Self::at`] says otherwise.
    pub fn remove(&mut self, node: NodeId) {
        self.removed.push(node);
    }

    /// The new nodes stand where this node stands.
    pub fn at(&mut self, node: NodeId) {
        self.anchor = Some(node);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.removed.is_empty()
    }

    /// Applies the edits. Initializers that only the removed nodes used go,
    /// shared ones stay. Returns the new nodes.
    ///
    /// # Errors
    /// [`PatchError`]; the graph is unchanged then.
    pub fn apply(self, graph: &mut Graph) -> Result<Vec<NodeId>, PatchError> {
        let mut next = graph.clone();
        let new = self.apply_to(&mut next)?;
        *graph = next;
        Ok(new)
    }

    fn apply_to(self, graph: &mut Graph) -> Result<Vec<NodeId>, PatchError> {
        let anchor = self.anchor.or_else(|| self.removed.first().copied());
        let mut position = anchor.and_then(|n| graph.position(n));
        let mut loose = Vec::new();
        for &id in &self.removed {
            if let (Some(at), Some(p)) = (position, graph.position(id)) {
                position = Some(if p < at { at - 1 } else { at });
            }
            if let Some(node) = graph.remove_node(id) {
                loose.extend(node.inputs.into_iter().flatten());
                loose.extend(node.captures);
                loose.extend(node.outputs.into_iter().flatten());
            }
        }
        let made: Vec<ValueId> = self
            .values
            .into_iter()
            .map(|(base, tensor)| {
                let name = graph.fresh_name(&base);
                let id = graph.value_named(&name);
                graph.value_mut(id).initializer = tensor;
                id
            })
            .collect();
        let resolve = |r: Ref| match r {
            Ref::Existing(id) => id,
            Ref::New(i) => made[i],
        };
        let mut new = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            let node = Node {
                name: node.name,
                domain: node.domain,
                op: node.op,
                opset: node.opset,
                attrs: node.attrs,
                inputs: node.inputs.into_iter().map(|r| r.map(resolve)).collect(),
                outputs: node.outputs.into_iter().map(|r| Some(resolve(r))).collect(),
                captures: Vec::new(),
                origin: None,
            };
            new.push(graph.add_node(node, position)?);
            position = position.map(|p| p + 1);
        }
        for id in loose {
            let value = graph.find_value_by_id(id);
            let Some(name) = value else { continue };
            if graph.producer(id).is_none()
                && !graph.remove_value(id)
                && graph.value(id).initializer.is_none()
                && !graph.inputs.contains(&id)
                && !graph.captured.contains(&id)
            {
                return Err(PatchError::Orphan(name));
            }
        }
        Ok(new)
    }
}
