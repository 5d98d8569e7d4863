//! What stands between a convolution and the next layer, and so which of its
//! outputs matter.

use crate::facts::Facts;
use crate::fit::{Passage, Pool};
use crate::ir::{Graph, NodeId};
use crate::ops::{Gate, Window};

/// What a convolution's output passes through, and the value that enters it.
pub(super) struct Passed {
    /// Name of the value before the activation or pool.
    pub value: String,
    /// Activation and pool.
    pub passage: Passage,
}

/// What follows a node as long as each value has one reader: affine operators,
/// then one activation and one max-pool in either order. `None` where neither of
/// the two is there.
pub(super) fn after(graph: &Graph, facts: &Facts, node: NodeId) -> Option<Passed> {
    let mut value = graph.node(node).outputs.first().copied().flatten()?;
    let mut before = value;
    let mut passage = Passage {
        range: None,
        slope: 0.0,
        pool: None,
    };
    while let Some(next) = graph.sole_consumer(value) {
        let name = graph.node_name(next);
        let cx = facts.cx(graph, next, &name);
        let gate = facts.operator(next).and_then(|o| o.gate(&cx));
        let Some(output) = graph.node(next).outputs.first().copied().flatten() else {
            break;
        };
        #[allow(clippy::cast_possible_truncation)]
        match gate {
            Some(Gate::Linear) if passage.range.is_none() && passage.pool.is_none() => {
                before = output;
            }
            Some(Gate::Range { low, high, slope }) if passage.range.is_none() => {
                passage.range = Some((low as f32, high as f32));
                passage.slope = slope as f32;
            }
            Some(Gate::Largest(window)) if passage.pool.is_none() => match pool(&window) {
                Some(pool) => passage.pool = Some(pool),
                None => break,
            },
            _ => break,
        }
        value = output;
    }
    let something = passage.range.is_some() || passage.pool.is_some();
    something.then(|| Passed {
        value: graph.value(before).name.clone(),
        passage,
    })
}

/// The window in numbers; `None` where a size is symbolic or taps are apart.
fn pool(window: &Window) -> Option<Pool> {
    let size = |v: i64| usize::try_from(v).ok();
    let mut pool = Pool {
        kernel: Vec::new(),
        stride: Vec::new(),
        pads_begin: Vec::new(),
        windows: Vec::new(),
    };
    for axis in &window.axes {
        if axis.dilation != 1 {
            return None;
        }
        pool.kernel.push(size(axis.kernel)?);
        pool.stride.push(size(axis.stride)?);
        pool.pads_begin.push(size(axis.pads?.0)?);
        pool.windows.push(axis.output.as_usize()?);
    }
    Some(pool)
}
