//! Every tensor of a model, wherever it is.

use super::schema::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// Which tensors are visited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those that are declared as initializers, of subgraphs too.
    Initializers,
}

type Visit<'a, E> = &'a mut dyn FnMut(&mut TensorProto) -> Result<(), E>;

/// Visits all tensors: initializers, sparse ones, attributes; of the graph, its
/// subgraphs, functions and training graphs; in the order of the model.
///
/// # Errors
/// The first that `visit` returns.
pub fn try_for_each_tensor_mut<E>(model: &mut ModelProto, visit: Visit<'_, E>) -> Result<(), E> {
    in_model(model, Which::All, visit)
}

/// Visits the dense initializers of all graphs.
///
/// # Errors
/// The first that `visit` returns.
pub(super) fn try_for_each_initializer_mut<E>(
    model: &mut ModelProto,
    visit: Visit<'_, E>,
) -> Result<(), E> {
    in_model(model, Which::Initializers, visit)
}

fn in_model<E>(model: &mut ModelProto, which: Which, visit: Visit<'_, E>) -> Result<(), E> {
    let training = model
        .training_info
        .iter_mut()
        .flat_map(|info| info.initialization.iter_mut().chain(&mut info.algorithm));
    for graph in model.graph.iter_mut().chain(training) {
        in_graph(graph, which, visit)?;
    }
    for function in &mut model.functions {
        in_nodes(&mut function.node, which, visit)?;
        for attribute in &mut function.attribute_proto {
            in_attribute(attribute, which, visit)?;
        }
    }
    Ok(())
}

fn in_graph<E>(graph: &mut GraphProto, which: Which, visit: Visit<'_, E>) -> Result<(), E> {
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    if which == Which::All {
        for sparse in &mut graph.sparse_initializer {
            sparse
                .values
                .iter_mut()
                .chain(&mut sparse.indices)
                .try_for_each(&mut *visit)?;
        }
    }
    in_nodes(&mut graph.node, which, visit)
}

fn in_nodes<E>(nodes: &mut [NodeProto], which: Which, visit: Visit<'_, E>) -> Result<(), E> {
    let mut attributes = nodes.iter_mut().flat_map(|node| &mut node.attribute);
    attributes.try_for_each(|attribute| in_attribute(attribute, which, visit))
}

fn in_attribute<E>(
    attribute: &mut AttributeProto,
    which: Which,
    visit: Visit<'_, E>,
) -> Result<(), E> {
    if which == Which::All {
        let own = attribute
            .t
            .as_deref_mut()
            .into_iter()
            .chain(&mut attribute.tensors);
        own.into_iter().try_for_each(&mut *visit)?;
        let sparse = attribute.sparse_tensor.as_deref_mut().into_iter();
        for sparse in sparse.chain(&mut attribute.sparse_tensors) {
            sparse
                .values
                .iter_mut()
                .chain(&mut sparse.indices)
                .try_for_each(&mut *visit)?;
        }
    }
    let graphs = attribute
        .g
        .as_deref_mut()
        .into_iter()
        .chain(&mut attribute.graphs);
    graphs
        .into_iter()
        .try_for_each(|graph| in_graph(graph, which, visit))
}
