//! `fold-linear`: two convolutions in series without anything between as one.

use std::sync::Arc;

use egg::Id;

use super::{Pass, Rule};
use crate::ops::Conv;
use crate::ops::window::{AutoPad, WindowAttrs};
use crate::plan::knowledge::{EGraph, Series, is_missing, series};
use crate::plan::lang::{OpKey, Term, extents};
use crate::plan::serial_pair::{Link, Together};
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
        takes: "Conv",
    },
};

fn fold(
    egraph: &mut EGraph,
    key: &OpKey,
    children: &[Id],
    unfolded: &mut dyn FnMut(String),
) -> Vec<Id> {
    let mut found = Vec::new();
    let before = match children.first() {
        Some(&x) if key.conv().is_some() => egraph[x].nodes.clone(),
        _ => return found,
    };
    let second = ConvSite::read(egraph, key, children);
    for term in before {
        let Term::Op(before, inputs) = &term else {
            continue;
        };
        let (first, second) = match (ConvSite::read(egraph, before, inputs), &second) {
            (Some(Ok(first)), Some(Ok(second))) => (first, second),
            (Some(Err(reason)), _) => {
                unfolded(format!("of the convolution before it: {reason}"));
                continue;
            }
            (Some(_), Some(Err(reason))) => {
                unfolded(reason.clone());
                continue;
            }
            _ => continue,
        };
        // Factors stay apart: to fold them would undo the factorization.
        let apart = |site: &ConvSite| egraph[site.inputs[1]].data.factored;
        if apart(&first) || apart(second) {
            continue;
        }
        match one(egraph, &first, second) {
            Ok(conv) => found.extend(composed(
                egraph, key, children, before, &first, second, conv,
            )),
            Err(reason) => unfolded(reason),
        }
    }
    found
}

/// The one convolution, or why the two are left.
fn one(egraph: &EGraph, first: &ConvSite, second: &ConvSite) -> Result<Conv, String> {
    let link = |site: &ConvSite| Link {
        out: site.out,
        inp: site.inp,
        groups: site.groups,
        kernel: site.kernel.clone(),
        stride: site.stride.clone(),
        dilation: site.dilation.clone(),
        pads: site.pads.clone(),
        bias: bias(egraph, site).is_some(),
    };
    let one = Together::of(&link(first), &link(second))
        .ok_or("its sizes and those of the convolution before it do not go together")?;
    if let Some(obstacle) = one.obstacle {
        return Err(obstacle.into());
    }
    if !one.saves() {
        return Err(format!(
            "one {} in place of it and the convolution before it takes {:.0} % more \
             multiply-accumulates",
            extents(&one.kernel),
            100.0 * (one.together / one.apart - 1.0),
        ));
    }
    let ints = |v: &[usize]| -> Result<Vec<i64>, &str> {
        let all = v.iter().map(|&n| i64::try_from(n).ok());
        all.collect::<Option<_>>().ok_or("its sizes overflow")
    };
    Ok(Conv {
        window: WindowAttrs {
            kernel: Some(ints(&one.kernel)?),
            strides: Some(ints(&one.stride)?),
            dilations: None,
            pads: Some(one.pads),
            auto_pad: AutoPad::NotSet,
            ceil: false,
        },
        groups: 1,
    })
}

/// A constant that the convolution adds to its output.
fn bias(egraph: &EGraph, site: &ConvSite) -> Option<Id> {
    let own = site.inputs[2] != site.inputs[1] && !is_missing(egraph, site.inputs[2]);
    own.then_some(site.inputs[2])
}

/// The one convolution as a term; `None` where a term for it is there already,
/// from another order of folding.
fn composed(
    egraph: &mut EGraph,
    key: &OpKey,
    children: &[Id],
    before: &OpKey,
    first: &ConvSite,
    second: &ConvSite,
    conv: Conv,
) -> Option<Id> {
    let (steps, parts) = joined(egraph, first, second)?;
    let weights = egraph.add(Term::Composed(steps, parts));
    let own = egraph.lookup(Term::Op(key.clone(), children.into()))?;
    let key = OpKey::new("Conv", before.site, Arc::new(conv));
    let data = egraph.find(first.inputs[0]);
    let known = egraph[own].nodes.iter().any(|term| match term {
        Term::Op(op, inputs) => {
            let same = |i: usize, id: Id| inputs.get(i).is_some_and(|&c| egraph.find(c) == id);
            same(1, egraph.find(weights)) && same(0, data) && *op == key
        }
        _ => false,
    });
    if known {
        return None;
    }
    let mut inputs = vec![first.inputs[0], weights];
    let (a, b) = (bias(egraph, first), bias(egraph, second));
    if let Some(a) = a {
        let b = match b {
            Some(b) => b,
            None => egraph.add(Term::Missing),
        };
        inputs.push(egraph.add(Term::Carried([a, second.inputs[1], b])));
    } else {
        inputs.extend(b);
    }
    Some(egraph.add(Term::Op(key, inputs.into())))
}

/// The weights of both as one series, and the distances of their taps in the
/// first one's input.
fn joined(egraph: &EGraph, first: &ConvSite, second: &ConvSite) -> Option<Series> {
    let ones = vec![1; first.stride.len()];
    let (mut steps, mut parts) = (Vec::new(), Vec::new());
    for (site, jump) in [(first, &ones), (second, &first.stride)] {
        let (own, weights) = series(egraph, site.inputs[1]).unwrap_or_else(|| {
            let taps = vec![1; ones.len()].into_boxed_slice();
            ([taps].into(), [site.inputs[1]].into())
        });
        for step in &own {
            let step = step.iter().zip(&site.dilation).zip(jump);
            let step: Option<Box<[u32]>> = step
                .map(|((&s, &d), &j)| u32::try_from(d.checked_mul(j)?).ok()?.checked_mul(s))
                .collect();
            steps.push(step?);
        }
        parts.extend(weights);
    }
    Some((steps.into(), parts.into()))
}
