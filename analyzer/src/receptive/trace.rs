//! Follows every axis of every input through the graph, forwards.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use compiler::ops::{Reach, Window};

use super::sight::{AxisSight, Branch, Sight, Step};

/// Inputs of more axes are not traced.
const MAX_AXES: usize = 64;

/// An axis of a graph input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputAxis {
    /// Position among the graph's inputs.
    pub input: usize,
    /// The axis.
    pub axis: usize,
}

/// What a value sees of each traced axis; `None` where it does not depend on
/// that input.
type Sights = Vec<Option<AxisSight>>;

/// The receptive fields of all values of a graph.
#[derive(Debug, Default)]
pub struct Fields {
    /// The traced axes: all axes of the inputs of rank 3 and more.
    axes: Arc<Vec<InputAxis>>,
    /// Their sizes, where they are numbers.
    sizes: Arc<Vec<Option<i64>>>,
    values: HashMap<ValueId, Sights>,
    nested: HashMap<NodeId, Vec<Fields>>,
    gaps: HashMap<NodeId, String>,
    /// The traced axes over which a window slides.
    slid: BTreeSet<usize>,
}

impl Fields {
    /// Traces the inputs of a graph.
    pub fn trace(graph: &Graph, facts: &Facts) -> Self {
        let (mut axes, mut sizes) = (Vec::new(), Vec::new());
        for (input, &value) in graph.inputs.iter().enumerate() {
            let shape = facts.value(value).shape.as_deref().unwrap_or_default();
            if shape.len() < 3 || axes.len() + shape.len() > MAX_AXES {
                continue;
            }
            for (axis, size) in shape.iter().enumerate() {
                axes.push(InputAxis { input, axis });
                sizes.push(size.as_i64());
            }
        }
        let mut fields = Self {
            axes: Arc::new(axes),
            sizes: Arc::new(sizes),
            ..Self::default()
        };
        for (input, &value) in graph.inputs.iter().enumerate() {
            let sights = fields
                .axes
                .iter()
                .map(|a| (a.input == input).then(|| AxisSight::input(a.axis)));
            let sights = sights.collect();
            fields.values.insert(value, sights);
        }
        fields.run(graph, facts);
        fields
    }

    fn run(&mut self, graph: &Graph, facts: &Facts) {
        for &id in &facts.sorted {
            self.visit(graph, facts, id);
        }
    }

    fn visit(&mut self, graph: &Graph, facts: &Facts, id: NodeId) {
        let branches = self.enter(graph, facts, id);
        let node = graph.node(id);
        let mut read = node.inputs.iter().flatten().chain(&node.captures);
        if !read.any(|v| self.depends(*v)) {
            return;
        }
        let name = graph.node_name(id);
        let cx = facts.cx(graph, id, &name);
        let facts_out = facts.outputs_of(graph, id);
        let window = facts.operator(id).and_then(|o| o.window(&cx));
        for (index, output) in node.outputs.iter().enumerate() {
            let Some(output) = *output else { continue };
            if facts.value(output).is_constant() {
                continue;
            }
            let sights = if branches {
                self.joined_branches(id, facts, index)
            } else {
                let reach = match (facts.operator(id), facts.gap(id)) {
                    (Some(operator), _) => operator.reach(&cx, &facts_out, index),
                    (None, Some(gap)) => Err(gap.clone()),
                    (None, None) => continue,
                };
                match reach {
                    Ok(reach) => self.read(graph, facts, id, &reach, window.as_ref()),
                    Err(gap) => {
                        self.gaps.insert(id, gap.0.clone());
                        self.lost(graph, id, &format!("{name}: {gap}"))
                    }
                }
            };
            self.values.insert(output, sights);
        }
    }

    /// Whether a value depends on a traced input.
    pub(crate) fn depends(&self, value: ValueId) -> bool {
        self.values
            .get(&value)
            .is_some_and(|s| s.iter().any(Option::is_some))
    }

    /// What an output sees through the paths of a reach.
    fn read(
        &mut self,
        graph: &Graph,
        facts: &Facts,
        id: NodeId,
        reach: &Reach,
        window: Option<&Window>,
    ) -> Sights {
        let mut branches: Vec<Vec<Branch>> = self.axes.iter().map(|_| Vec::new()).collect();
        let mut slid = Vec::new();
        for (slot, value) in graph.node(id).inputs.iter().enumerate() {
            let (Some(value), Some(Some(path))) = (*value, reach.0.get(slot)) else {
                continue;
            };
            let Some(sights) = self.values.get(&value) else {
                continue;
            };
            let shape = facts.value(value).shape.as_deref().unwrap_or_default();
            let sizes: Vec<Option<i64>> = shape.iter().map(|d| d.as_i64()).collect();
            for (i, sight) in sights.iter().enumerate() {
                let Some(sight) = sight else { continue };
                let step = Step {
                    path,
                    window,
                    sizes: &sizes,
                    whole: self.sizes[i],
                };
                let sight = sight.through(&step);
                let mut valid = None;
                if let Sight::Local { axis, .. } = sight.sight {
                    valid = step.valid(axis);
                    if step.window(axis).is_some() {
                        slid.push(i);
                    }
                }
                branches[i].push(Branch { sight, valid });
            }
        }
        self.slid.extend(slid);
        branches.into_iter().map(AxisSight::join).collect()
    }

    /// What an output sees of which the reach is not known.
    fn lost(&self, graph: &Graph, id: NodeId, reason: &str) -> Sights {
        let reason: Arc<str> = reason.into();
        let node = graph.node(id);
        let mut lost: Sights = vec![None; self.axes.len()];
        for value in node.inputs.iter().flatten().chain(&node.captures) {
            let Some(sights) = self.values.get(value) else {
                continue;
            };
            for (lost, sight) in lost.iter_mut().zip(sights) {
                let Some(sight) = sight else { continue };
                let seen = match (&sight.sight, &*lost) {
                    (Sight::Whole, None) => Sight::Whole,
                    (Sight::Whole, Some(before)) => before.sight.clone(),
                    _ => Sight::Unknown(reason.clone()),
                };
                *lost = Some(AxisSight::new(seen));
            }
        }
        lost
    }

    /// Traces the subgraphs of a node; says whether its outputs are theirs
    /// (they take no inputs of their own, as the branches of an `If`).
    fn enter(&mut self, graph: &Graph, facts: &Facts, id: NodeId) -> bool {
        let nested = facts.nested(id);
        if nested.is_empty() {
            return false;
        }
        let mut all = Vec::new();
        for inner in nested {
            let mut fields = Self {
                axes: self.axes.clone(),
                sizes: self.sizes.clone(),
                ..Self::default()
            };
            for &captured in &inner.graph.captured {
                let name = &inner.graph.value(captured).name;
                let outer = graph.find_value(name).and_then(|v| self.values.get(&v));
                if let Some(sights) = outer {
                    fields.values.insert(captured, sights.clone());
                }
            }
            // What a loop carries has been through it an unknown number of times.
            let carried = self.lost(graph, id, "it is inside a loop");
            for &input in &inner.graph.inputs {
                fields.values.insert(input, carried.clone());
            }
            fields.run(&inner.graph, &inner.facts);
            self.slid.append(&mut fields.slid);
            all.push(fields);
        }
        self.nested.insert(id, all);
        nested.iter().all(|n| n.graph.inputs.is_empty())
    }

    fn joined_branches(&self, id: NodeId, facts: &Facts, index: usize) -> Sights {
        let inner = facts.nested(id).iter().zip(self.nested(id));
        let taken = inner.filter(|(n, _)| n.repeats.as_const() != Some(0));
        let outputs: Vec<&Sights> = taken
            .filter_map(|(n, fields)| fields.values.get(n.graph.outputs.get(index)?))
            .collect();
        (0..self.axes.len())
            .map(|i| {
                let branches = outputs.iter().filter_map(|s| s[i].clone());
                AxisSight::join(
                    branches
                        .map(|sight| Branch { sight, valid: None })
                        .collect(),
                )
            })
            .collect()
    }

    /// The fields inside the subgraphs of a node, in the order of
    /// [`Facts::nested`].
    pub fn nested(&self, id: NodeId) -> &[Fields] {
        self.nested.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Why it is not known what a node reads of an input.
    pub fn gap(&self, id: NodeId) -> Option<&str> {
        self.gaps.get(&id).map(String::as_str)
    }

    /// The spatial axes of each input that has any: those over which windows
    /// slide, else all from the third on.
    pub fn spatial(&self) -> Vec<Vec<InputAxis>> {
        let mut inputs: Vec<usize> = self.axes.iter().map(|a| a.input).collect();
        inputs.dedup();
        inputs
            .into_iter()
            .map(|input| {
                let own = || {
                    self.axes
                        .iter()
                        .enumerate()
                        .filter(|(_, a)| a.input == input)
                };
                let slid: Vec<InputAxis> = own()
                    .filter(|(i, _)| self.slid.contains(i))
                    .map(|(_, a)| *a)
                    .collect();
                if slid.is_empty() {
                    own().map(|(_, a)| *a).filter(|a| a.axis >= 2).collect()
                } else {
                    slid
                }
            })
            .collect()
    }

    /// The size of an input's axis, where it is a number.
    pub fn input_size(&self, axis: InputAxis) -> Option<i64> {
        let index = self.axes.iter().position(|a| *a == axis)?;
        self.sizes[index]
    }

    /// What a value sees of an input's axis; `None` where it does not depend
    /// on that input.
    pub fn of(&self, value: ValueId, axis: InputAxis) -> Option<&AxisSight> {
        let index = self.axes.iter().position(|a| *a == axis)?;
        self.values.get(&value)?.get(index)?.as_ref()
    }
}
