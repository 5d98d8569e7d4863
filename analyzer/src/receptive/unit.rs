//! What one unit sees: an exact walk backwards with rectangles, clipped to
//! each value on the way, down to the inputs.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};
use compiler::ops::{Inner, Outside, Path, Window};

use super::ranges::Ranges;
use super::sight::{Sight, Step};
use super::taps::Taps;
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
/// of all positions read. For many questions about one graph see [`Reader`].
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
    Reader::new(graph, facts, fields).seen(value, units)
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
        let within = |a: &Box, b: &Box| a.iter().zip(b).all(|(a, b)| b.contains(a));
        if self.0.iter().any(|known| within(&new, known)) {
            return;
        }
        self.0.retain(|known| !within(known, &new));
        for known in &mut self.0 {
            let mut differ = (0..known.len()).filter(|&a| known[a] != new[a]);
            // The same along all other axes: together they are a box.
            if let (Some(axis), None) = (differ.next(), differ.next()) {
                known[axis] = known[axis].union(&new[axis]);
                return;
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

/// What every node of a graph reads, for walks backwards from single units.
#[derive(Debug)]
pub struct Reader {
    inputs: Vec<ValueId>,
    /// The outputs, from the last back to the first.
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Output {
    value: ValueId,
    /// A node whose reading is not known spoils only what depends on it.
    reads: Result<Vec<Read>, UnitError>,
}

/// How an output reads a value.
#[derive(Debug)]
struct Read {
    value: ValueId,
    /// By axis of the value, with its size.
    axes: Vec<(Along, i64)>,
    outside: Outside,
    context: bool,
    /// It only brings in whole axes where other inputs are local.
    only_context: bool,
}

/// How an axis is read.
#[derive(Debug)]
enum Along {
    /// Along an axis of the output.
    Follow(usize, Taps),
    /// It is inside a merged axis of the output.
    Inner {
        output: usize,
        spread: i64,
    },
    Whole,
}

impl Reader {
    /// Looks at every node once.
    pub fn new(graph: &Graph, facts: &Facts, fields: &Fields) -> Self {
        let mut outputs = Vec::new();
        for &id in facts.sorted.iter().rev() {
            for (index, output) in graph.node(id).outputs.iter().enumerate() {
                if let Some(value) = *output
                    && fields.depends(value)
                {
                    let reads = reads(graph, facts, fields, id, index);
                    outputs.push(Output { value, reads });
                }
            }
        }
        Self {
            inputs: graph.inputs.clone(),
            outputs,
        }
    }

    /// What the units of `value` inside `units` see of the graph inputs: the
    /// hull of all positions read, followed backwards through every node.
    ///
    /// # Errors
    /// [`UnitError::Symbolic`] and [`UnitError::Gap`].
    pub fn seen(&self, value: ValueId, units: &Rectangle) -> Result<Seen, UnitError> {
        let first = units.iter().map(|r| Ranges::of(r.0, r.1)).collect();
        let mut regions = HashMap::from([(value, Region(vec![first]))]);
        let mut context = false;
        for output in &self.outputs {
            let Some(units) = regions.get(&output.value).cloned() else {
                continue;
            };
            for read in output.reads.as_ref().map_err(Clone::clone)? {
                context |= read.context || read.only_context;
                if read.only_context {
                    continue;
                }
                for units in &units.0 {
                    if let Some(positions) = read.back(units) {
                        regions.entry(read.value).or_default().add(positions);
                    }
                }
            }
        }
        let hull = |v| regions.get(v).and_then(Region::hull);
        Ok(Seen {
            inputs: self.inputs.iter().map(hull).collect(),
            context,
        })
    }
}

/// What one output of a node reads.
fn reads(
    graph: &Graph,
    facts: &Facts,
    fields: &Fields,
    id: NodeId,
    index: usize,
) -> Result<Vec<Read>, UnitError> {
    let node = graph.node(id);
    let name = graph.node_name(id);
    let gap = |reason: String| UnitError::Gap {
        node: name.clone(),
        reason,
    };
    if !facts.nested(id).is_empty() {
        return Err(gap("what its subgraphs read is not followed".into()));
    }
    let operator = facts.operator(id).ok_or_else(|| {
        gap(facts
            .gap(id)
            .map_or_else(|| "it is not known".into(), |g| g.0.clone()))
    })?;
    let cx = facts.cx(graph, id, &name);
    let reach = operator.reach(&cx, &facts.outputs_of(graph, id), index);
    let reach = reach.map_err(|g| gap(g.0))?;
    let window = operator.window(&cx);
    let output = node.outputs.get(index).copied().flatten();
    let mut reads = Vec::new();
    for (slot, value) in node.inputs.iter().enumerate() {
        let (Some(value), Some(Some(path))) = (*value, reach.0.get(slot)) else {
            continue;
        };
        if facts.value(value).is_constant() || !fields.depends(value) {
            continue;
        }
        let sizes = sizes(graph, facts, value)?;
        reads.push(Read {
            value,
            axes: along(path, window.as_ref(), &sizes),
            outside: path.outside,
            context: path.context,
            only_context: output
                .is_some_and(|o| only_context(fields, value, o, path, window.as_ref(), &sizes)),
        });
    }
    Ok(reads)
}

fn sizes(graph: &Graph, facts: &Facts, value: ValueId) -> Result<Vec<i64>, UnitError> {
    let shape = facts.value(value).shape.as_ref();
    shape
        .and_then(|s| s.iter().map(|d| d.as_i64()).collect())
        .ok_or_else(|| UnitError::Symbolic(graph.value(value).name.clone()))
}

/// Whether an input only brings in whole axes where other inputs are local.
fn only_context(
    fields: &Fields,
    input: ValueId,
    output: ValueId,
    path: &Path,
    window: Option<&Window>,
    sizes: &[i64],
) -> bool {
    let known: Vec<Option<i64>> = sizes.iter().map(|&s| Some(s)).collect();
    fields.spatial().iter().flatten().any(|&axis| {
        let (Some(before), Some(after)) = (fields.of(input, axis), fields.of(output, axis)) else {
            return false;
        };
        let step = Step {
            path,
            window,
            sizes: &known,
            whole: fields.input_size(axis),
        };
        before.through(&step).sight == Sight::Whole && after.sight != Sight::Whole
    })
}

/// How each axis of an input is read.
fn along(path: &Path, window: Option<&Window>, sizes: &[i64]) -> Vec<(Along, i64)> {
    let known: Vec<Option<i64>> = sizes.iter().map(|&s| Some(s)).collect();
    let step = Step {
        path,
        window,
        sizes: &known,
        whole: None,
    };
    let how = |axis| match path.follower(axis) {
        Some((to, map)) => Along::Follow(to, step.taps(to, map)),
        None => match path.inner.iter().find(|i| i.axis == axis) {
            Some(&Inner {
                output,
                spread: Some(spread),
                ..
            }) => Along::Inner { output, spread },
            _ => Along::Whole,
        },
    };
    sizes
        .iter()
        .enumerate()
        .map(|(a, &n)| (how(a), n))
        .collect()
}

impl Read {
    /// The positions that those of the output read; `None` where they read
    /// nothing, or only padding.
    fn back(&self, units: &Box) -> Option<Box> {
        let read = self.axes.iter().map(|(along, size)| {
            let read = match along {
                Along::Follow(to, taps) => units.get(*to)?.back(taps, *size, self.outside),
                Along::Inner { output, spread } => units.get(*output)?.folded(*spread, *size),
                Along::Whole => Ranges::of(0, size - 1),
            };
            (!read.is_empty()).then_some(read)
        });
        read.collect()
    }
}
