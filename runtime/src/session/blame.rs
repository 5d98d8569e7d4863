//! Which node a model fails at, where tract does not say.

use tract_onnx::pb::{ModelProto, ValueInfoProto};

/// The first node with which `loads` is false: found by halving the model, so a
/// handful of loads however long it is. `None` where the model loads after all.
///
/// The nodes of an ONNX graph stand in the order of their execution, so that
/// the first few are a model of their own; its outputs are all that they write.
pub(super) fn culprit(proto: &ModelProto, loads: impl Fn(&ModelProto) -> bool) -> Option<String> {
    let nodes = &proto.graph.as_ref()?.node;
    let (mut works, mut fails) = (0, nodes.len());
    if loads(&beginning(proto, fails)) {
        return None;
    }
    while fails - works > 1 {
        let middle = works + (fails - works) / 2;
        if loads(&beginning(proto, middle)) {
            works = middle;
        } else {
            fails = middle;
        }
    }
    Some(nodes.get(works)?.name.clone())
}

/// The model of the first `count` nodes.
fn beginning(proto: &ModelProto, count: usize) -> ModelProto {
    let mut proto = proto.clone();
    if let Some(graph) = &mut proto.graph {
        graph.node.truncate(count);
        let written = graph.node.iter().flat_map(|node| &node.output);
        graph.output = written
            .filter(|name| !name.is_empty())
            .map(|name| ValueInfoProto {
                name: name.clone(),
                ..<_>::default()
            })
            .collect();
    }
    proto
}
