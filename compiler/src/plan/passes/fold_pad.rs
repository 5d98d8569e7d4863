//! `fold-pad`: zero padding before a convolution becomes the convolution's own.

use std::sync::Arc;

use egg::Id;

use super::{Pass, Rule};
use crate::ops::{Cx, Pad, PadMode};
use crate::plan::knowledge::{EGraph, is_missing};
use crate::plan::lang::{OpKey, Term};
use crate::plan::site::ConvSite;

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-pad",
    exact: true,
    retrain: false,
    what: "Folds a Pad with zeros over the spatial axes into the convolution after it.",
    why: "Keras and TensorFlow exports pad in a node of its own; one node less is one map less \
          written and read.",
    when_not: "Never harmful; outputs stay bit for bit where the runtime pads with zeros.",
    example: "convfold factorize model.onnx -o folded.onnx --pass fold-pad",
    rule: Rule::Fold {
        apply: fold,
        takes: "Pad",
    },
};

fn fold(
    egraph: &mut EGraph,
    key: &OpKey,
    children: &[Id],
    _unfolded: &mut dyn FnMut(String),
) -> Vec<Id> {
    let Some(Ok(site)) = ConvSite::read(egraph, key, children) else {
        return Vec::new();
    };
    let Some(conv) = key.conv() else {
        return Vec::new();
    };
    let rank = site.kernel.len() + 2;
    let mut found = Vec::new();
    for term in egraph[site.inputs[0]].nodes.clone() {
        let Term::Op(before, inputs) = &term else {
            continue;
        };
        let Some(pad) = before.operator.downcast::<Pad>() else {
            continue;
        };
        let Some(pads) = zeros(egraph, pad, inputs) else {
            continue;
        };
        if pads.len() != 2 * rank || [0, 1, rank, rank + 1].iter().any(|&i| pads[i] != 0) {
            continue;
        }
        let own = pads[2..rank].iter().chain(&pads[rank + 2..]);
        let sum: Vec<i64> = own
            .zip(&site.pads)
            .map(|(a, b)| a.saturating_add(*b))
            .collect();
        if sum.iter().any(|&p| p < 0) {
            continue;
        }
        let mut merged = conv.clone();
        merged.window.pads = Some(sum);
        merged.window.auto_pad = crate::ops::window::AutoPad::NotSet;
        let key = OpKey::new("Conv", key.site, Arc::new(merged));
        let mut children = children.to_vec();
        children[0] = inputs[0];
        found.push(egraph.add(Term::Op(key, children.into())));
    }
    found
}

/// Begins, then ends, of every axis; `None` unless the border is a constant zero.
fn zeros(egraph: &EGraph, pad: &Pad, inputs: &[Id]) -> Option<Vec<i64>> {
    let cx = Cx {
        inputs: inputs
            .iter()
            .map(|&c| (!is_missing(egraph, c)).then(|| &egraph[c].data.fact))
            .collect(),
        outputs: 1,
        name: "Pad",
        nested: Vec::new(),
    };
    if pad.mode != PadMode::Constant || pad.border(&cx)? != 0.0 {
        return None;
    }
    let amounts = pad.amounts(&cx).ok()?;
    let begins = amounts.iter().map(|(begin, _)| begin.as_i64());
    let ends = amounts.iter().map(|(_, end)| end.as_i64());
    begins.chain(ends).collect()
}
