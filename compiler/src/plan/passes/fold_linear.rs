//! `fold-linear`: two convolutions in series without anything between as one.

use std::sync::Arc;

use egg::Id;

use super::{Pass, Rule};
use crate::ir::Expr;
use crate::ops::Conv;
use crate::ops::window::{AutoPad, WindowAttrs};
use crate::plan::lang::{EGraph, OpKey, Term, is_missing};
use crate::plan::site::ConvSite;

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-linear",
    exact: true,
    retrain: false,
    what: "Folds two convolutions in series, nothing between, into one whose kernel is their \
           composition, where that is exact and saves multiply-accumulates.",
    why: "Training tricks (ExpandNets, RepVGG) and exporters leave linear pairs behind; one \
          convolution of k1 + s1·(k2 − 1) does the same.",
    when_not: "Where the pair is a bottleneck it is the cheap form: the pass leaves it then. With \
               padding on the second convolution the fold would be wrong at the borders: left too.",
    example: "convfold factorize model.onnx -o folded.onnx --pass fold-linear",
    rule: Rule::Fold {
        apply: fold,
        takes: "",
    },
};

fn fold(egraph: &mut EGraph, key: &OpKey, children: &[Id]) -> Vec<Id> {
    let Some(Ok(second)) = ConvSite::read(egraph, key, children) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for term in egraph[second.inputs[0]].nodes.clone() {
        let Term::Op(before, inputs) = &term else {
            continue;
        };
        let Some(Ok(first)) = ConvSite::read(egraph, before, inputs) else {
            continue;
        };
        // Factors stay apart: to fold them would undo the factorization.
        let apart = |site: &ConvSite| egraph[site.inputs[1]].data.factored;
        if apart(&first) || apart(&second) {
            continue;
        }
        if let Some(conv) = composed(egraph, &first, &second)
            && saves(egraph, &first, &second, &conv)
        {
            let step: Box<[u32]> = first.stride.iter().map(|&s| s as u32).collect();
            let weights = egraph.add(Term::Composed(step, [first.inputs[1], second.inputs[1]]));
            let mut inputs = vec![first.inputs[0], weights];
            let missing = egraph.add(Term::Missing);
            let bias = |egraph: &EGraph, site: &ConvSite| {
                let own = site.inputs[2] != site.inputs[1] && !is_missing(egraph, site.inputs[2]);
                if own { site.inputs[2] } else { missing }
            };
            let (a, b) = (bias(egraph, &first), bias(egraph, &second));
            if a != missing {
                inputs.push(egraph.add(Term::Carried([a, second.inputs[1], b])));
            } else if b != missing {
                inputs.push(b);
            }
            let key = OpKey::new("Conv", before.site, Arc::new(conv));
            found.push(egraph.add(Term::Op(key, inputs.into())));
        }
    }
    found
}

/// The single convolution, where it is exact: ungrouped, undilated; the second
/// without padding, or the first 1x1 without bias (then padding commutes).
fn composed(egraph: &EGraph, first: &ConvSite, second: &ConvSite) -> Option<Conv> {
    let plain = |s: &ConvSite| s.groups == 1 && s.dilation.iter().all(|&d| d == 1);
    let inner = second.pads.iter().any(|&p| p != 0);
    let pointwise = first.kernel.iter().chain(&first.stride).all(|&k| k == 1);
    let unbiased = first.inputs[2] == first.inputs[1] || is_missing(egraph, first.inputs[2]);
    if !plain(first) || !plain(second) || (inner && !(pointwise && unbiased)) {
        return None;
    }
    let sum = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    let ints = |v: &mut dyn Iterator<Item = usize>| -> Option<Vec<i64>> {
        v.map(|n| i64::try_from(n).ok()).collect()
    };
    let axes = || first.kernel.iter().zip(&second.kernel).zip(&first.stride);
    let strides = || first.stride.iter().zip(&second.stride);
    Some(Conv {
        window: WindowAttrs {
            kernel: Some(ints(&mut axes().map(|((a, b), s)| a + s * (b - 1)))?),
            strides: Some(ints(&mut strides().map(|(a, b)| a * b))?),
            dilations: None,
            pads: Some(sum(&first.pads, &second.pads)),
            auto_pad: AutoPad::NotSet,
            ceil: false,
        },
        groups: 1,
    })
}

/// Whether the single convolution needs fewer multiply-accumulates.
fn saves(egraph: &EGraph, first: &ConvSite, second: &ConvSite, conv: &Conv) -> bool {
    let area = |id: Id| -> Option<f64> {
        let shape = egraph[id].data.fact.shape.as_ref()?;
        let size: Expr = shape[2..].iter().product();
        #[allow(clippy::cast_precision_loss)]
        size.substitute(&|_| Some(64)).as_const().map(|v| v as f64)
    };
    #[allow(clippy::cast_precision_loss)]
    let taps = |k: &[usize]| k.iter().product::<usize>() as f64;
    let Some(middle) = area(second.inputs[0]) else {
        return false;
    };
    let Some(kernel) = &conv.window.kernel else {
        return false;
    };
    let outputs: f64 = second.stride.iter().fold(middle, |a, &s| a / s as f64);
    let single: f64 = kernel.iter().map(|&k| k as f64).product();
    let (inp, mid, out) = (first.inp as f64, first.out as f64, second.out as f64);
    let pair =
        middle * inp * mid * taps(&first.kernel) + outputs * mid * out * taps(&second.kernel);
    outputs * inp * out * single < pair
}
