//! CF032: weights in a file that is not there.

use std::collections::BTreeSet;

use super::subject::Subject;
use super::words::counted;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF032",
    name: "absent-weights",
    severity: Severity::Warning,
    what: "Tensors whose data are in a file beside the model that is not there.",
    why: "No runtime loads the model without it, and what the rules say of weights is not said. \
          The data file is easily left out of a commit, a container or an upload.",
    ignore: "In repositories that keep structures only, and weights elsewhere.",
    example: "62 tensors are in resnet18.onnx.data, which is not beside the model.",
    discussion: "",
    fixes: &[],
    weights: true,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let Some(graph) = subject.study.model.proto.graph.as_ref() else {
        return;
    };
    let absent: Vec<&str> = graph
        .initializer
        .iter()
        .filter(|t| compiler::onnx::is_external(t))
        .map(|t| {
            let entry = t
                .external_data
                .iter()
                .find(|e| e.key.as_deref() == Some("location"));
            entry
                .and_then(|e| e.value.as_deref())
                .unwrap_or("a file that it does not name")
        })
        .collect();
    if absent.is_empty() {
        return;
    }
    let files: BTreeSet<&str> = absent.iter().copied().collect();
    let list: Vec<&str> = files.iter().copied().take(3).collect();
    let message = format!(
        "{} in {}, not beside the model",
        if absent.len() == 1 {
            "1 tensor is".to_owned()
        } else {
            format!("{} are", counted(absent.len(), "tensor"))
        },
        list.join(", "),
    );
    drafts.push(
        Draft::model(message)
            .help("put the data file beside the model")
            .with("files", files)
            .with("tensors", absent.len()),
    );
}
