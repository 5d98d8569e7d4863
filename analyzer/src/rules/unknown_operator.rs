//! CF021: operators that convfold has no file for.

use super::subject::Subject;
use super::{Check, Rule};
use crate::describe::operator_name;
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF021",
    name: "unknown-operator",
    severity: Severity::Warning,
    what: "A node whose operator is not of ONNX and not of the contributed sets that convfold \
           knows.",
    why: "Its cost and field are missing from every total behind it, and a runtime needs a custom \
          kernel to load the model at all.",
    ignore: "Where the custom operator is deliberate and its cost is known otherwise.",
    example: "acme::FancyNorm is not known: shapes and costs behind it are not either.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    for &id in graph.order() {
        let node = graph.node(id);
        if compiler::ops::find(&node.domain, &node.op).is_some() {
            continue;
        }
        let domain = if node.domain.is_empty() {
            "ai.onnx"
        } else {
            &node.domain
        };
        let name = operator_name(domain, &node.op);
        let message = format!("{name} is not known: its cost and its field are missing here");
        drafts.push(
            Draft::at(&graph.node_name(id), message)
                .help("export with standard operators, or suppress this where it is deliberate")
                .with("operator", name),
        );
    }
}
