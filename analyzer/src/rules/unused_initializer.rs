//! CF024: weights that nothing reads.

use super::subject::Subject;
use super::words::{counted, some};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF024",
    name: "unused-initializer",
    severity: Severity::Information,
    what: "Initializers that no node, subgraph or output reads; told once a model. A warning where \
           they are large.",
    why: "They are stored, shipped and loaded for nothing, and are often the trace of an edit \
          that was not finished.",
    ignore: "Where a later tool looks them up by name.",
    example: "2 initializers that nothing reads hold 4.10 MB: fc.weight, fc.bias.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "bytes",
        default: 65_536.0,
        what: "bytes from which on it is a warning",
    }],
    check: Check::Model(check),
};

#[allow(clippy::cast_precision_loss)]
fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    // The file's own graph: expanding functions may leave values behind.
    let graph = &subject.study.model.graph;
    let mut unused: Vec<(String, u64)> = graph
        .values()
        .filter(|(id, _)| !graph.is_used(*id))
        .filter_map(|(_, value)| {
            let tensor = value.initializer.as_ref()?;
            Some((value.name.clone(), tensor.byte_len().unwrap_or(0)))
        })
        .collect();
    unused.sort();
    if unused.is_empty() {
        return;
    }
    let bytes: u64 = unused.iter().map(|(_, bytes)| bytes).sum();
    let names: Vec<String> = unused.into_iter().map(|(name, _)| name).collect();
    let message = format!(
        "{} that nothing reads hold{} {}: {}",
        counted(names.len(), "initializer"),
        if names.len() == 1 { "s" } else { "" },
        units::bytes(bytes as f64),
        some(&names),
    );
    let draft = Draft::model(message)
        .help("take them out of the file; onnxsim and onnxslim do")
        .with("initializers", names)
        .with("bytes", bytes);
    drafts.push(if bytes as f64 >= subject.threshold("bytes") {
        draft.severity(Severity::Warning)
    } else {
        draft
    });
}
