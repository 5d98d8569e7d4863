//! CF022: where a shape gets lost.

use compiler::facts::Fact;

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF022",
    name: "unresolved-shape",
    severity: Severity::Warning,
    what: "The first node behind which a shape is not known though its inputs' shapes are. As \
           information where the size depends on the data (NonZero, NonMaxSuppression).",
    why: "Cost, memory and field are not known from there on, compilers for accelerators refuse \
          the model, and runtimes cannot plan memory.",
    ignore: "Where sizes depend on the data by nature: post-processing of detectors.",
    example: "Reshape to a shape computed at run time: export with fixed sizes, or fold constants \
              first.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let (graph, facts) = (subject.graph(), subject.facts());
    for &id in graph.order() {
        let node = graph.node(id);
        if compiler::ops::find(&node.domain, &node.op).is_none() {
            continue;
        }
        let mut inputs = node.inputs.iter().flatten().chain(&node.captures);
        if !inputs.all(|&v| resolved(facts.value(v))) {
            continue;
        }
        let Some(&lost) = node
            .outputs
            .iter()
            .flatten()
            .find(|&&v| !resolved(facts.value(v)))
        else {
            continue;
        };
        let reason = facts.gap(id).map(ToString::to_string);
        let message = match &reason {
            Some(reason) => format!("the shape behind this {} is not known: {reason}", node.op),
            None => format!("a size behind this {} depends on the data", node.op),
        };
        let draft = Draft::at(&graph.node_name(id), message)
            .help(
                "export with fixed sizes or simplify first; give sizes of inputs under \
                 [input-shapes]",
            )
            .with("value", &graph.value(lost).name)
            .with("reason", &reason);
        drafts.push(if reason.is_some() {
            draft
        } else {
            draft.severity(Severity::Information)
        });
    }
}

/// Whether each size is a number or made of the inputs' symbols.
fn resolved(fact: &Fact) -> bool {
    // What is no tensor has no shape to be lost.
    let Some(shape) = &fact.shape else {
        return false;
    };
    let open = |s: &String| s.starts_with('?');
    !shape.iter().any(|d| d.symbols().iter().any(open))
}
