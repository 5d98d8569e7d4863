//! What one unit sees: an exact walk backwards with rectangles, clipped to
//! each value on the way, down to the inputs.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use compiler::ops::{Path, Window};

use super::ranges::Ranges;
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
    /// No input of the model has spatial axes.
    #[error("{0} sees no image: the model has no input with spatial axes")]
    NoImage(String),
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
    units: &Rectangle,
) -> Result<Seen, UnitError> {
    let mut walk = Walk {
        graph,
        facts,
        fields,
        regions: HashMap::from([(
            value,
            Region(vec![units.iter().map(|r| Ranges::of(r.0, r.1)).collect()]),
        )]),
        context: false,
    };
    for &id in facts.sorted.iter().rev() {
        walk.node(id)?;
    }
    Ok(Seen {
        inputs: graph
            .inputs
            .iter()
            .map(|v| walk.regions.get(v)?.hull())
            .collect(),
        context: walk.context,
    })
}

/// Regions of more boxes than this become one.
const MAX_BOXES: usize = 32;

/// Positions an axis: exact where layers leave holes (a transposed window
/// shorter than its stride).
type Box = Vec<Ranges>;

/// What is read of a value: boxes, since what two branches read is no box.
#[derive(Clone, Debug, Default)]
struct Region(Vec<Box>);

impl Region {
    fn add(&mut self, new: Box) {
        for known in &mut self.0 {
            let differ: Vec<usize> = (0..known.len().min(new.len()))
                .filter(|&a| !known[a].contains(&new[a]))
                .collect();
            match *differ {
                [] => return,
                // The same along all other axes: together they are a box.
                [axis] if (0..new.len()).all(|a| a == axis || known[a] == new[a]) => {
                    known[axis] = known[axis].union(&new[axis]);
                    return;
                }
                _ => {}
            }
        }
        self.0.push(new);
        if self.0.len() > MAX_BOXES {
            let all = std::mem::take(&mut self.0).into_iter();
            let one = all.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a.union(b)).collect());
            self.0.extend(one);
        }
    }

    fn hull(&self) -> Option<Rectangle> {
        self.0
            .iter()
            .filter_map(|b| b.iter().map(Ranges::hull).collect::<Option<Rectangle>>())
            .reduce(|a, b| {
                let axes = a.iter().zip(&b);
                axes.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect()
            })
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    fields: &'a Fields,
    regions: HashMap<ValueId, Region>,
    context: bool,
}

impl Walk<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), UnitError> {
        let outputs = &self.graph.node(id).outputs;
        for (index, output) in outputs.iter().enumerate() {
            let Some(units) = output.and_then(|v| self.regions.get(&v)).cloned() else {
                continue;
            };
            self.output(id, index, &units)?;
        }
        Ok(())
    }

    fn output(&mut self, id: NodeId, index: usize, units: &Region) -> Result<(), UnitError> {
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
            for units in &units.0 {
                if let Some(read) = back(path, window.as_ref(), &sizes, units) {
                    self.regions.entry(value).or_default().add(read);
                }
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
}

/// The positions of an input that those of the output read; `None` where they
/// read nothing, or only padding.
fn back(path: &Path, window: Option<&Window>, sizes: &[i64], units: &Box) -> Option<Box> {
    let known: Vec<Option<i64>> = sizes.iter().map(|&s| Some(s)).collect();
    let step = Step {
        path,
        window,
        sizes: &known,
        whole: None,
    };
    let along = |(axis, &size): (usize, &i64)| {
        let read = match path.follower(axis) {
            Some((to, map)) => units.get(to)?.back(&step.taps(to, map), size),
            None => match path.inner.iter().find(|i| i.axis == axis) {
                Some(&compiler::ops::Inner {
                    output,
                    spread: Some(spread),
                    ..
                }) => units.get(output)?.folded(spread, size),
                Some(_) => Ranges::of(0, size - 1),
                None => Ranges::of(0, size - 1),
            },
        };
        (!read.is_empty()).then_some(read)
    };
    sizes.iter().enumerate().map(along).collect()
}
