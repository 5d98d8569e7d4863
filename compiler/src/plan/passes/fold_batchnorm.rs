//! `fold-batchnorm`: BatchNormalization after a convolution goes into its weights.

use egg::Id;

use super::{Pass, Rule};
use crate::ops::BatchNormalization;
use crate::plan::knowledge::{EGraph, series};
use crate::plan::lang::{OpKey, Term};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-batchnorm",
    exact: true,
    retrain: false,
    what: "Folds BatchNormalization after a convolution into the convolution's weights and bias.",
    why: "At inference it is one multiplication and one addition a channel with constants: scaled \
          weights do the same for nothing, and the layer's true kernel becomes visible.",
    when_not: "Keep it apart if the model is to be trained further.",
    example: "convfold factorize model.onnx -o folded.onnx --pass fold-batchnorm",
    rule: Rule::Fold {
        apply: fold,
        takes: "BatchNormalization",
    },
};

fn fold(
    egraph: &mut EGraph,
    key: &OpKey,
    children: &[Id],
    _unfolded: &mut dyn FnMut(String),
) -> Vec<Id> {
    let operator = key.operator.downcast::<BatchNormalization>();
    let (Some(norm), &[x, scale, shift, mean, variance]) = (operator, children) else {
        return Vec::new();
    };
    if [scale, shift, mean, variance]
        .iter()
        .any(|&c| egraph[c].data.flows)
    {
        return Vec::new();
    }
    let epsilon = norm.epsilon.to_bits();
    let mut found = Vec::new();
    for term in egraph[x].nodes.clone() {
        let Term::Op(conv, inputs) = &term else {
            continue;
        };
        if conv.conv().is_none() || !egraph[inputs[0]].data.flows || egraph[inputs[1]].data.flows {
            continue;
        }
        let bias = match inputs.get(2) {
            Some(&bias) => bias,
            None => egraph.add(Term::Missing),
        };
        let weights = scaled(egraph, inputs[1], |w| {
            Term::Scaled(epsilon, [w, scale, variance])
        });
        let bias = egraph.add(Term::Shifted(epsilon, [bias, scale, shift, mean, variance]));
        found.push(egraph.add(Term::Op(conv.clone(), [inputs[0], weights, bias].into())));
    }
    found
}

/// The weights with their output channels scaled; of a series it is the last
/// that takes the scale, so that a series stays flat.
fn scaled(egraph: &mut EGraph, weights: Id, scale: impl Fn(Id) -> Term) -> Id {
    let Some((steps, mut parts)) = series(egraph, weights) else {
        return egraph.add(scale(weights));
    };
    if let Some(last) = parts.last_mut() {
        *last = egraph.add(scale(*last));
    }
    egraph.add(Term::Composed(steps, parts))
}
