//! `fold-bias`: a per-channel constant added after a convolution becomes its bias.

use egg::Id;

use super::{Pass, Rule};
use crate::ir::Expr;
use crate::plan::knowledge::EGraph;
use crate::plan::lang::{OpKey, Term};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-bias",
    exact: true,
    retrain: false,
    what: "Folds the addition of a per-channel constant after a convolution into the convolution's bias.",
    why: "CNTK and some Caffe2 exports write convolution and bias as two nodes; one node saves a \
          pass over the map and lets other passes see the layer.",
    when_not: "Never harmful; outputs change by rounding only.",
    example: "convfold factorize model.onnx -o folded.onnx --pass fold-bias",
    rule: Rule::Fold {
        apply: fold,
        takes: "Add",
    },
};

fn fold(
    egraph: &mut EGraph,
    key: &OpKey,
    children: &[Id],
    _unfolded: &mut dyn FnMut(String),
) -> Vec<Id> {
    let ("Add", &[a, b]) = (key.name.as_ref(), children) else {
        return Vec::new();
    };
    let (x, constant) = if egraph[a].data.flows { (a, b) } else { (b, a) };
    if egraph[constant].data.flows {
        return Vec::new();
    }
    let mut found = Vec::new();
    for term in egraph[x].nodes.clone() {
        let Term::Op(conv, inputs) = &term else {
            continue;
        };
        if conv.conv().is_none() || !egraph[inputs[0]].data.flows {
            continue;
        }
        let shape = egraph[x].data.fact.shape.clone().unwrap_or_default();
        let added = egraph[constant].data.fact.shape.clone().unwrap_or_default();
        if !per_channel(&shape, &added) {
            continue;
        }
        let bias = match inputs.get(2) {
            Some(&bias) => bias,
            None => egraph.add(Term::Missing),
        };
        let sum = egraph.add(Term::Sum([bias, constant, inputs[1]]));
        found.push(egraph.add(Term::Op(conv.clone(), [inputs[0], inputs[1], sum].into())));
    }
    found
}

/// Whether a constant of shape `added` gives one number a channel of an (N, C,
/// *spatial*) map: (C, 1, …), (1, C, 1, …), or a single number.
fn per_channel(map: &[Expr], added: &[Expr]) -> bool {
    let one = |e: &Expr| e.as_const() == Some(1);
    if added.len() > map.len() || map.len() < 2 {
        return false;
    }
    let channel = map.len() - 2;
    added
        .iter()
        .rev()
        .enumerate()
        .all(|(from_end, size)| one(size) || (from_end == channel && *size == map[1]))
}
