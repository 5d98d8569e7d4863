//! Suppression inside a model: `metadata_props` of the model or of a node.

use std::collections::HashMap;

use compiler::onnx::schema::StringStringEntryProto;

use super::Rule;
use crate::config::Selector;
use crate::study::Study;

/// The key of `metadata_props` whose value lists rules that are not to be
/// applied, with commas between.
pub const IGNORE_KEY: &str = "convfold.ignore";

/// What a model wants not to hear.
pub(super) struct Suppressions {
    model: Vec<Selector>,
    nodes: HashMap<String, Vec<Selector>>,
}

impl Suppressions {
    pub fn of(study: &Study) -> Self {
        let mut nodes = HashMap::new();
        for (node, words) in entries(study) {
            let selectors = words.iter().filter_map(|w| Selector::parse(w).ok());
            nodes.insert(node, selectors.collect());
        }
        Self {
            model: nodes.remove(&None).unwrap_or_default(),
            nodes: nodes
                .into_iter()
                .filter_map(|(node, selectors)| Some((node?, selectors)))
                .collect(),
        }
    }

    pub fn covers(&self, rule: &Rule, node: Option<&str>) -> bool {
        let own = node.and_then(|n| self.nodes.get(n));
        let mut all = self.model.iter().chain(own.into_iter().flatten());
        all.any(|s| s.selects(rule))
    }
}

/// The words of each [`IGNORE_KEY`]: the model's (`None`), then the nodes'.
pub(super) fn entries(study: &Study) -> Vec<(Option<String>, Vec<String>)> {
    let mut found = Vec::new();
    if let Some(words) = words(&study.model.proto.metadata_props) {
        found.push((None, words));
    }
    let graph = study.graph;
    for &id in graph.order() {
        let origin = graph.node(id).origin.as_ref();
        if let Some(words) = origin.and_then(|o| words(&o.metadata_props)) {
            found.push((Some(graph.node_name(id)), words));
        }
    }
    found
}

fn words(properties: &[StringStringEntryProto]) -> Option<Vec<String>> {
    let entry = properties
        .iter()
        .find(|p| p.key.as_deref() == Some(IGNORE_KEY))?;
    let value = entry.value.as_deref().unwrap_or_default();
    let words = value.split([',', ' ', ';']).filter(|w| !w.is_empty());
    Some(words.map(str::to_owned).collect())
}
