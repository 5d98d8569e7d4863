//! Fields against the image: windows that come too late, and last layers that
//! do not see it all.

use compiler::facts::Facts;
use compiler::ir::{Graph, NodeId, ValueId};

use super::Extent;
use crate::receptive::{Fields, InputAxis, Layout, Sight};

/// Windows of more than one tap over an input whose units see more than the
/// image along every axis on which there is more than one tap. Where branches
/// joined, the hull of their fields counts.
pub(crate) fn unproductive(
    graph: &Graph,
    facts: &Facts,
    fields: &Fields,
    layout: &Layout,
) -> Vec<Extent> {
    let mut found = Vec::new();
    for &id in graph.order() {
        let name = graph.node_name(id);
        let Some(operator) = facts.operator(id) else {
            continue;
        };
        let Some(window) = operator.window(&facts.cx(graph, id, &name)) else {
            continue;
        };
        let Some((input, axes)) = read(graph, fields, layout, id) else {
            continue;
        };
        let Some(image) = image(fields, axes) else {
            continue;
        };
        let sizes: Vec<Option<i64>> = axes
            .iter()
            .map(|&axis| fields.of(input, axis)?.field().map(|f| f.size()))
            .collect();
        if window.axes.len() != sizes.len() || window.axes.iter().all(|a| a.kernel == 1) {
            continue;
        }
        let beyond = window
            .axes
            .iter()
            .zip(sizes.iter().zip(&image))
            .filter(|(axis, _)| axis.kernel > 1)
            .all(|(_, (size, image))| size.is_some_and(|s| s > *image));
        if beyond {
            found.push(Extent {
                node: name,
                field: sizes,
                image,
                read_by: None,
            });
        }
    }
    found
}

/// Values with a local field that a node reads as a whole, or that are outputs
/// of the model, where the field is smaller than the image along an axis.
pub(crate) fn blind(graph: &Graph, facts: &Facts, fields: &Fields, layout: &Layout) -> Vec<Extent> {
    let mut found: Vec<Extent> = Vec::new();
    let mut look = |value: ValueId, read_by: String| {
        let axes = layout.axes_of(fields, value);
        let (Some(producer), Some(image)) = (graph.producer(value), image(fields, axes)) else {
            return;
        };
        let sizes: Vec<Option<i64>> = axes
            .iter()
            .map(|&axis| fields.of(value, axis)?.size())
            .collect();
        let partial = sizes
            .iter()
            .zip(&image)
            .any(|(size, image)| size.is_some_and(|s| s < *image));
        let node = graph.node_name(producer);
        if partial && found.iter().all(|f| f.node != node) {
            found.push(Extent {
                node,
                field: sizes,
                image,
                read_by: Some(read_by),
            });
        }
    };
    for &id in graph.order() {
        let node = graph.node(id);
        let Some(&output) = node.outputs.iter().flatten().next() else {
            continue;
        };
        let whole = |value: ValueId| {
            layout.axes_of(fields, value).iter().any(|&axis| {
                let at = |v| fields.of(v, axis).map(|s| &s.sight);
                matches!(at(output), Some(Sight::Whole))
                    && matches!(at(value), Some(Sight::Local { .. }))
            })
        };
        for &value in node.inputs.iter().flatten() {
            if !facts.value(value).is_constant() && whole(value) {
                look(value, graph.node_name(id));
            }
        }
    }
    for &output in &graph.outputs {
        look(output, graph.value(output).name.clone());
    }
    found
}

/// The first data input of a node and the spatial axes that it is traced to.
fn read<'a>(
    graph: &Graph,
    fields: &Fields,
    layout: &'a Layout,
    id: NodeId,
) -> Option<(ValueId, &'a [InputAxis])> {
    let inputs = graph.node(id).inputs.iter().flatten();
    let value = inputs.copied().find(|&v| fields.depends(v))?;
    Some((value, layout.axes_of(fields, value)))
}

fn image(fields: &Fields, axes: &[InputAxis]) -> Option<Vec<i64>> {
    let sizes: Option<Vec<i64>> = axes.iter().map(|&axis| fields.input_size(axis)).collect();
    sizes.filter(|s| !s.is_empty())
}
