//! CF011: a bias that the next layer takes away again.

use compiler::ops::{BatchNormalization, Conv};

use super::subject::Subject;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF011",
    name: "redundant-bias",
    severity: Severity::Warning,
    what: "A convolution with a bias before a BatchNormalization or InstanceNormalization.",
    why: "The normalization subtracts the mean, and the bias with it: it has no effect \
          (InstanceNormalization) or one that the kept mean undoes (BatchNormalization), and \
          takes parameters, and gradients in training.",
    ignore: "Where the export is final and nobody looks at the bytes.",
    example: "conv1 adds 64 biases that bn1 subtracts: nn.Conv2d(..., bias=False).",
    discussion: "",
    fixes: &["fold-batchnorm"],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    for &id in graph.order() {
        let node = graph.node(id);
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let instance = standard && node.op == "InstanceNormalization";
        if !instance && subject.operator::<BatchNormalization>(id).is_none() {
            continue;
        }
        let Some(conv) = subject.sole_producer(id) else {
            continue;
        };
        let bias = graph.node(conv).inputs.get(2).copied().flatten();
        let (Some(bias), Some(_)) = (bias, subject.operator::<Conv>(conv)) else {
            continue;
        };
        let count = subject.facts().value(bias).shape.as_ref();
        let count = count.and_then(|s| s.first()?.as_i64());
        let message = format!(
            "adds {}biases that \"{}\" ({}) subtracts again",
            count.map_or(String::new(), |c| format!("{c} ")),
            graph.node_name(id),
            node.op,
        );
        let help = if instance {
            "train without the bias (bias=False); in this export it can be set to zero"
        } else {
            "train without the bias (bias=False); `convfold lint --fix` folds both into one"
        };
        let draft = Draft::at(&graph.node_name(conv), message)
            .help(help)
            .with("normalization", graph.node_name(id))
            .with("biases", count);
        drafts.push(if instance {
            draft
        } else {
            draft.fix(graph.node_name(id))
        });
    }
}
