//! Edits of a graph, collected first and applied at once: a walk that finds
//! something to change returns a patch and mutates nothing.

use std::collections::{HashMap, HashSet};

use super::graph::{Graph, GraphError, Node, NodeId, ValueId};
use super::{Attrs, Tensor};

/// A value that a new node reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        self.check(graph)?;
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

    /// Whether the graph would be one afterwards: each value written once, none
    /// read that is not written. Costs what the patch touches, not the graph.
    fn check(&self, graph: &Graph) -> Result<(), PatchError> {
        let gone: HashSet<NodeId> = self.removed.iter().copied().collect();
        let mut writers: HashMap<&Ref, &NewNode> = HashMap::new();
        for node in &self.nodes {
            for output in &node.outputs {
                let (value, constant, first) = match output {
                    Ref::Existing(id) => {
                        let value = graph.value(*id);
                        let before = graph.producer(*id).filter(|p| !gone.contains(p));
                        (
                            &value.name,
                            value.initializer.is_some() || graph.inputs.contains(id),
                            before.map(|p| graph.describe(p)),
                        )
                    }
                    Ref::New(i) => (&self.values[*i].0, self.values[*i].1.is_some(), None),
                };
                let earlier = writers.insert(output, node).map(NewNode::describe);
                if let Some(first) = first.or(earlier) {
                    return Err(PatchError::Graph(GraphError::TwoProducers {
                        value: value.clone(),
                        first,
                        second: node.describe(),
                    }));
                }
                if constant {
                    return Err(PatchError::Graph(GraphError::WritesConstant {
                        value: value.clone(),
                        node: node.describe(),
                    }));
                }
            }
        }
        let read: HashSet<&Ref> = self
            .nodes
            .iter()
            .flat_map(|n| n.inputs.iter().flatten())
            .collect();
        for &node in &gone {
            for &id in graph.node(node).outputs.iter().flatten() {
                let used = graph.outputs.contains(&id)
                    || read.contains(&Ref::Existing(id))
                    || graph.consumers(id).iter().any(|c| !gone.contains(c));
                let value = graph.value(id);
                let given = value.initializer.is_some()
                    || graph.inputs.contains(&id)
                    || graph.captured.contains(&id);
                if used && !given && !writers.contains_key(&Ref::Existing(id)) {
                    return Err(PatchError::Orphan(value.name.clone()));
                }
            }
        }
        Ok(())
    }
}

impl NewNode {
    /// The node for an error message, as [`Graph::describe`] has those of a graph.
    fn describe(&self) -> String {
        format!("{} \"{}\"", self.op, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x -> Relu -> y -> Relu -> z, z an output.
    fn chain() -> (Graph, [ValueId; 3], Vec<NodeId>) {
        let mut graph = Graph::default();
        let [x, y, z] = ["x", "y", "z"].map(|name| graph.value_named(name));
        graph.inputs.push(x);
        graph.outputs.push(z);
        let mut nodes = Vec::new();
        for (from, to) in [(x, y), (y, z)] {
            let node = Node {
                name: String::new(),
                domain: String::new(),
                op: "Relu".into(),
                opset: 17,
                attrs: Attrs::default(),
                inputs: vec![Some(from)],
                outputs: vec![Some(to)],
                captures: Vec::new(),
                origin: None,
            };
            nodes.push(graph.add_node(node, None).unwrap());
        }
        (graph, [x, y, z], nodes)
    }

    fn relu(from: Ref, to: Ref) -> NewNode {
        NewNode {
            name: "new".into(),
            domain: String::new(),
            op: "Relu".into(),
            opset: 17,
            attrs: Attrs::default(),
            inputs: vec![Some(from)],
            outputs: vec![to],
        }
    }

    #[test]
    fn what_does_not_fit_leaves_the_graph_as_it_was() {
        let (graph, [x, y, z], nodes) = chain();
        type Edit = fn(&mut Patch, [ValueId; 3], &[NodeId]);
        let edits: [(&str, Edit); 5] = [
            ("takes away the producer of \"y\"", |patch, _, nodes| {
                patch.remove(nodes[0]);
            }),
            (
                "takes away the producer of \"y\"",
                |patch, [_, y, z], nodes| {
                    patch.remove(nodes[0]);
                    patch.remove(nodes[1]);
                    patch.node(relu(Ref::Existing(y), Ref::Existing(z)));
                },
            ),
            (
                "written by Relu \"z\" and by Relu \"new\"",
                |patch, [x, _, z], nodes| {
                    patch.remove(nodes[0]);
                    patch.node(relu(Ref::Existing(x), Ref::Existing(z)));
                },
            ),
            (
                "written by Relu \"new\" and by Relu \"new\"",
                |patch, [x, y, _], nodes| {
                    patch.remove(nodes[0]);
                    patch.node(relu(Ref::Existing(x), Ref::Existing(y)));
                    patch.node(relu(Ref::Existing(x), Ref::Existing(y)));
                },
            ),
            (
                "which is a graph input or initializer",
                |patch, [x, y, _], _| {
                    patch.node(relu(Ref::Existing(y), Ref::Existing(x)));
                },
            ),
        ];
        for (message, edit) in edits {
            let mut patch = Patch::default();
            edit(&mut patch, [x, y, z], &nodes);
            let mut after = graph.clone();
            let error = patch.apply(&mut after).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(after.order(), graph.order());
            let names = |g: &Graph| g.values().map(|(_, v)| v.name.clone()).collect::<Vec<_>>();
            assert_eq!(names(&after), names(&graph));
        }
    }

    #[test]
    fn what_fits_stands_where_the_old_nodes_stood() {
        let (mut graph, [x, y, z], nodes) = chain();
        let mut patch = Patch::default();
        patch.remove(nodes[0]);
        patch.remove(nodes[1]);
        let fresh = patch.value("y");
        patch.node(relu(Ref::Existing(x), fresh.clone()));
        patch.node(relu(fresh, Ref::Existing(z)));
        let new = patch.apply(&mut graph).unwrap();
        assert_eq!(graph.order(), new);
        assert_eq!(graph.producer(z), Some(new[1]));
        assert!(
            graph.find_value_by_id(y).is_none(),
            "nobody reads it any more"
        );
    }
}
