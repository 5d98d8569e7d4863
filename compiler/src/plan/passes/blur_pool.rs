//! `blur-pool`: max-pools with a stride as dense max-pools and a blur.

use std::sync::Arc;

use egg::Id;

use super::{Pass, Rule};
use crate::ops::window::{AutoPad, WindowAttrs};
use crate::ops::{Pool, PoolKind};
use crate::plan::knowledge::EGraph;
use crate::plan::lang::{OpKey, Term};

/// Taps of the blur: the mean of 3 lets 14.5 % of white energy beyond the limit of
/// a stride of 2 through, where the stride alone lets 75 %.
const TAPS: i64 = 3;

/// The pass.
pub const PASS: Pass = Pass {
    name: "blur-pool",
    exact: false,
    retrain: true,
    what: "Writes every max-pool with a stride above 1 as the same pool at stride 1 and a 3-tap mean \
           with the stride (Zhang 2019). No weights; the mean leaves the padding out.",
    why: "A strided max-pool aliases: the class may change when the image moves by one pixel. \
          `convfold verify --shift` measures how often, before and after.",
    when_not: "Where the network is not trained on: the maps that the later layers read become \
               smoother, so that accuracy drops until it is fine-tuned. The dense pool also costs \
               stride² as many comparisons.",
    example: "convfold factorize model.onnx -o smooth.onnx --pass blur-pool --data test.npz",
    rule: Rule::Replace {
        apply: replace,
        why: "the pool's stride comes after a blur",
    },
};

fn replace(egraph: &mut EGraph, key: &OpKey, children: &[Id]) -> Vec<Id> {
    let Some(pool) = key.operator.downcast::<Pool>() else {
        return Vec::new();
    };
    let Some(strides) = pool.window.strides.clone() else {
        return Vec::new();
    };
    let plain = pool.window.auto_pad == AutoPad::NotSet && !pool.window.ceil;
    if pool.kind != PoolKind::Max || !plain || strides.iter().all(|&s| s < 2) {
        return Vec::new();
    }
    let rank = strides.len();
    let dense = Pool {
        kind: PoolKind::Max,
        window: WindowAttrs {
            strides: Some(vec![1; rank]),
            ..pool.window.clone()
        },
    };
    // Axes without a stride are not blurred.
    let taps = |s: &i64| if *s > 1 { TAPS } else { 1 };
    let kernel: Vec<i64> = strides.iter().map(taps).collect();
    let pads: Vec<i64> = kernel.iter().map(|k| (k - 1) / 2).collect();
    let blur = Pool {
        kind: PoolKind::Average {
            count_include_pad: false,
        },
        window: WindowAttrs {
            kernel: Some(kernel),
            strides: Some(strides),
            dilations: None,
            pads: Some(pads.repeat(2)),
            auto_pad: AutoPad::NotSet,
            ceil: false,
        },
    };
    let dense = OpKey::new(&key.name, key.site, Arc::new(dense));
    let dense = egraph.add(Term::Op(dense, children.into()));
    let blur = OpKey::new("AveragePool", key.site, Arc::new(blur));
    vec![egraph.add(Term::Op(blur, [dense].into()))]
}
