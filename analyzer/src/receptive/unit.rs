//! What one unit sees: an exact walk backwards with rectangles, clipped to
//! each value on the way, down to the inputs.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use compiler::ops::{Path, Window};

use super::sight::{Sight, Step};
use super::trace::Fields;

/// First and last position an axis.
pub type Rectangle = Vec<(i64, i64)>;

/// Why it cannot be said what a unit sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A size that is needed is not a number.
    #[error("the size of \"{0}\" is not known; give --input-shape")]
    Symbolic(String),
    /// What a node reads is not known.
    #[error("{node}: {reason}")]
    Gap {
        /// The node.
        node: String,
        /// The reason.
        reason: String,
    },
    /// No node has that name.
    #[error("the model has no node \"{0}\"")]
    NoNode(String),
    /// The position does not fit the output.
    #[error("{node} gives {shape}, which has no unit at {position}")]
    Position {
        /// The node.
        node: String,
        /// Its output's spatial size.
        shape: String,
        /// The position asked for.
        position: String,
    },
}

/// What a set of units sees of each graph input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The rectangle of each graph input, all axes; `None` where the units
    /// read nothing of it.
    pub inputs: Vec<Option<Rectangle>>,
    /// Statistics over whole axes flow in besides; the rectangles are those of
    /// the local paths.
    pub context: bool,
}

/// What the units of `value` inside `units` see of the graph inputs: the hull
/// of all positions read, followed backwards through every node.
///
/// # Errors
/// [`UnitError::Symbolic`] and [`UnitError::Gap`].
pub fn seen(
    graph: &Graph,
    facts: &Facts,
    fields: &Fields,
    value: ValueId,
    units: Rectangle,
) -> Result<Seen, UnitError> {
    let mut walk = Walk {
        graph,
        facts,
        fields,
        boxes: HashMap::from([(value, units)]),
        context: false,
    };
    for &id in facts.sorted.iter().rev() {
        walk.node(id)?;
    }
    Ok(Seen {
        inputs: graph.inputs.iter().map(|v| walk.boxes.remove(v)).collect(),
        context: walk.context,
    })
}

struct Walk<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    fields: &'a Fields,
    boxes: HashMap<ValueId, Rectangle>,
    context: bool,
}

impl Walk<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), UnitError> {
        let outputs = &self.graph.node(id).outputs;
        for (index, output) in outputs.iter().enumerate() {
            let Some(units) = output.and_then(|v| self.boxes.get(&v)).cloned() else {
                continue;
            };
            self.output(id, index, &units)?;
        }
        Ok(())
    }

    fn output(&mut self, id: NodeId, index: usize, units: &Rectangle) -> Result<(), UnitError> {
        let node = self.graph.node(id);
        let name = self.graph.node_name(id);
        let gap = |reason: String| UnitError::Gap {
            node: name.clone(),
            reason,
        };
        if !self.facts.nested(id).is_empty() {
            return Err(gap("what its subgraphs read is not followed".into()));
        }
        let cx = self.facts.cx(self.graph, id, &name);
        let out = self.facts.outputs_of(self.graph, id);
        let operator = self.facts.operator(id).ok_or_else(|| {
            gap(self
                .facts
                .gap(id)
                .map_or_else(|| "it is not known".into(), |g| g.0.clone()))
        })?;
        let reach = operator.reach(&cx, &out, index).map_err(|g| gap(g.0))?;
        let window = operator.window(&cx);
        for (slot, value) in node.inputs.iter().enumerate() {
            let (Some(value), Some(Some(path))) = (*value, reach.0.get(slot)) else {
                continue;
            };
            if self.facts.value(value).is_constant() || !self.fields.depends(value) {
                continue;
            }
            let sizes = self.sizes(value)?;
            let output = node.outputs.get(index).copied().flatten();
            if output.is_some_and(|o| self.only_context(value, o, path, window.as_ref(), &sizes)) {
                self.context = true;
                continue;
            }
            self.context |= path.context;
            if let Some(read) = back(path, window.as_ref(), &sizes, units) {
                self.widen(value, read);
            }
        }
        Ok(())
    }

    fn sizes(&self, value: ValueId) -> Result<Vec<i64>, UnitError> {
        let shape = self.facts.value(value).shape.as_ref();
        shape
            .and_then(|s| s.iter().map(|d| d.as_i64()).collect())
            .ok_or_else(|| UnitError::Symbolic(self.graph.value(value).name.clone()))
    }

    /// Whether an input only brings in whole axes where other inputs are local.
    fn only_context(
        &self,
        input: ValueId,
        output: ValueId,
        path: &Path,
        window: Option<&Window>,
        sizes: &[i64],
    ) -> bool {
        let known: Vec<Option<i64>> = sizes.iter().map(|&s| Some(s)).collect();
        self.fields.spatial().iter().flatten().any(|&axis| {
            let (Some(before), Some(after)) =
                (self.fields.of(input, axis), self.fields.of(output, axis))
            else {
                return false;
            };
            let step = Step {
                path,
                window,
                sizes: &known,
                whole: self.fields.input_size(axis),
            };
            before.through(&step).sight == Sight::Whole && after.sight != Sight::Whole
        })
    }

    fn widen(&mut self, value: ValueId, read: Rectangle) {
        let known = self.boxes.entry(value).or_insert_with(|| read.clone());
        for (known, read) in known.iter_mut().zip(read) {
            *known = (known.0.min(read.0), known.1.max(read.1));
        }
    }
}

/// The rectangle of an input that a rectangle of the output reads; `None`
/// where it reads nothing, or only padding.
fn back(
    path: &Path,
    window: Option<&Window>,
    sizes: &[i64],
    units: &Rectangle,
) -> Option<Rectangle> {
    let known: Vec<Option<i64>> = sizes.iter().map(|&s| Some(s)).collect();
    let step = Step {
        path,
        window,
        sizes: &known,
        whole: None,
    };
    sizes
        .iter()
        .enumerate()
        .map(|(axis, &size)| {
            let all = (0, size - 1);
            let (lo, hi) = match path.follower(axis) {
                Some((to, map)) => {
                    let &(lo, hi) = units.get(to)?;
                    step.taps(to, map).back(lo, hi, size)?
                }
                None => all,
            };
            (lo <= hi).then_some((lo, hi))
        })
        .collect()
}
