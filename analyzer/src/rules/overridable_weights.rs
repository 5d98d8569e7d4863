//! CF027: weights that callers may replace.

use std::collections::HashSet;

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF027",
    name: "overridable-weights",
    severity: Severity::Information,
    what: "A model that lists its initializers among its graph inputs (the style of IR version 3).",
    why: "A caller may then replace them, so that runtimes cannot fold them into constants: \
          onnxruntime warns at load and leaves BatchNormalization and other fusions out.",
    ignore: "Where weights are in fact fed from outside.",
    example: "66 of 67 graph inputs are weights: take them off the list (IR version 4 or later) \
              with onnxruntime's remove_initializer_from_input.py, or export again.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let Some(graph) = subject.study.model.proto.graph.as_ref() else {
        return;
    };
    let held: HashSet<&str> = graph
        .initializer
        .iter()
        .filter_map(|t| t.name.as_deref())
        .collect();
    let inputs = graph.input.iter().filter_map(|i| i.name.as_deref());
    let weights = inputs.filter(|name| held.contains(name)).count();
    if weights == 0 {
        return;
    }
    let message = format!(
        "{weights} of {} graph inputs are weights, which a caller may thus replace: runtimes must \
         not fold them into constants, and onnxruntime warns of each",
        graph.input.len(),
    );
    drafts.push(
        Draft::model(message)
            .help("take them off the inputs and set IR version 4 or later, or export again")
            .with("weights", weights)
            .with("inputs", graph.input.len())
            .with("ir_version", subject.analysis.model.ir_version),
    );
}
