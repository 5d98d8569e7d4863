//! Which constants of a node are trained weights, and which of them count.

use std::collections::HashMap;
use std::sync::Arc;

use compiler::facts::{Facts, Root};
use compiler::ir::{DataType, Graph, NodeId};
use compiler::ops::Role;

/// What a constant tensor is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Trained.
    Parameter,
    /// Kept statistics.
    Buffer,
}

/// The constant tensors that a node uses as weights, each once.
///
/// Besides weights and biases these are constants of more than one element
/// that meet data once the network's weights have begun (a bias as its own
/// `Add`, a layer scale): before that they are pre-processing. A node whose
/// outputs are constant owns none; its tensors flow on to the node that uses
/// them.
pub(crate) fn of_node(graph: &Graph, facts: &Facts, id: NodeId) -> Vec<(Arc<Root>, Class)> {
    let node = graph.node(id);
    if is_constant(graph, facts, id) {
        return Vec::new();
    }
    let mut found: Vec<(Arc<Root>, Class)> = Vec::new();
    for (slot, value) in node.inputs.iter().enumerate() {
        let Some(value) = *value else { continue };
        let fact = facts.value(value);
        if !fact.is_constant() {
            continue;
        }
        let Some(role) = facts.role(id, slot) else {
            continue;
        };
        let class = match role {
            Role::Weight | Role::Bias => Class::Parameter,
            Role::Buffer => Class::Buffer,
            Role::Config => continue,
            Role::Data => {
                let others = node.inputs.iter().flatten();
                let begun = others
                    .filter(|&&other| other != value)
                    .any(|&other| facts.value(other).weighted);
                let scalar = fact
                    .shape
                    .as_ref()
                    .is_none_or(|s| s.iter().all(|d| d.as_const() == Some(1)));
                if !begun || scalar || !fact.dtype.is_some_and(is_float) {
                    continue;
                }
                Class::Parameter
            }
        };
        for root in &fact.roots {
            if !found.iter().any(|(known, _)| known == root) {
                found.push((root.clone(), class));
            }
        }
    }
    found
}

/// Whether the outputs of a node depend on no input of the graph.
pub(crate) fn is_constant(graph: &Graph, facts: &Facts, id: NodeId) -> bool {
    let mut outputs = graph.node(id).outputs.iter().flatten().peekable();
    outputs.peek().is_some() && outputs.all(|&v| facts.value(v).is_constant())
}

fn is_float(dtype: DataType) -> bool {
    matches!(
        dtype,
        DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16
    )
}

/// Counts tensors over a whole model, each once.
#[derive(Debug, Default)]
pub(crate) struct Census {
    seen: HashMap<Arc<Root>, Class>,
}

/// Weights of one layer, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    pub parameters: u64,
    pub shared: u64,
    pub buffers: u64,
    pub bytes: u64,
}

impl Census {
    /// What a node adds to what was counted before.
    pub fn add(&mut self, roots: &[(Arc<Root>, Class)]) -> Weights {
        let mut weights = Weights::default();
        for (root, class) in roots {
            let first = self.seen.insert(root.clone(), *class).is_none();
            match (class, first) {
                (Class::Parameter, true) => {
                    weights.parameters = weights.parameters.saturating_add(root.elements)
                }
                (Class::Parameter, false) => {
                    weights.shared = weights.shared.saturating_add(root.elements)
                }
                (Class::Buffer, true) => {
                    weights.buffers = weights.buffers.saturating_add(root.elements)
                }
                (Class::Buffer, false) => {}
            }
            if first {
                weights.bytes = weights.bytes.saturating_add(root.bytes);
            }
        }
        weights
    }
}

/// The weights that a node's window slides, (Cout, Cin/groups, *kernel*)
/// row-major, as float64; integers with their scale and zero point.
///
/// # Errors
/// The reason why they are not known.
pub(crate) fn values(graph: &Graph, facts: &Facts, id: NodeId) -> Result<Vec<f64>, String> {
    let node = graph.node(id);
    let operator = facts.operator(id).ok_or("the operator is not known")?;
    let inputs = || node.inputs.iter().enumerate();
    let (slot, value) = inputs()
        .find_map(|(slot, v)| (operator.role(slot) == Role::Weight).then_some((slot, (*v)?)))
        .ok_or("there are no weights")?;
    let fact = facts.value(value);
    if !fact.is_constant() {
        return Err("the weights are computed at run time".into());
    }
    let absent = || "the weights are not at hand".to_owned();
    let tensor = fact.tensor().ok_or_else(absent)?;
    let mut data = tensor.to_f64().ok_or_else(absent)?;
    if !tensor.is_float() {
        // x, scale, zero point, w, scale, zero point, ... or x, w, zero points.
        let (scale, zero) = if slot == 3 { (Some(4), 5) } else { (None, 3) };
        let read = |slot: usize| -> Result<Option<Vec<f64>>, String> {
            let Some(Some(value)) = node.inputs.get(slot) else {
                return Ok(None);
            };
            let tensor = facts.value(*value).tensor().ok_or_else(absent)?;
            tensor.to_f64().map(Some).ok_or_else(absent)
        };
        let kernels = tensor.shape.first().copied().unwrap_or(1).max(1);
        let each = (data.len() / kernels).max(1);
        let zero = read(zero)?.unwrap_or_default();
        let scale = scale.map_or(Ok(None), read)?.unwrap_or_default();
        let pick = |v: &[f64], o: usize, none: f64| match v {
            [] => none,
            [one] => *one,
            many => many.get(o).copied().unwrap_or(none),
        };
        for (i, w) in data.iter_mut().enumerate() {
            *w = (*w - pick(&zero, i / each, 0.0)) * pick(&scale, i / each, 1.0);
        }
    }
    Ok(data)
}
