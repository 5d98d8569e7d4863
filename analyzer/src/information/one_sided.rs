//! Windows that look to one side, and how far that has moved the centre.

use num_rational::Ratio;
use serde::Serialize;

use crate::number::Exact;
use crate::report::Layer;

/// A window whose padding is not the same at both ends (an even kernel with
/// `SAME`, a causal one).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneSided {
    /// The layer.
    pub node: String,
    /// Taps an axis.
    pub kernel: Vec<i64>,
    /// All begins, then all ends.
    pub pads: Vec<i64>,
    /// What it moves the centre by, in input pixels; `None` where it is not
    /// known how far its positions are apart.
    pub shift: Vec<Option<Exact>>,
    /// What one-sided padding has moved the centre by along the path down to
    /// its output (Wu et al., NeurIPS 2019: shifts add up).
    pub total: Vec<Option<Exact>>,
}

impl OneSided {
    pub(super) fn of(layer: &Layer) -> Option<Self> {
        let (begins, ends) = layer.pads.split_at(layer.pads.len() / 2);
        let apart: Vec<i64> = begins
            .iter()
            .zip(ends)
            .map(|(b, e)| e.saturating_sub(*b))
            .collect();
        if apart.iter().all(|&a| a == 0) {
            return None;
        }
        let field = layer.receptive_field.as_ref();
        let jumps = field.and_then(|f| f.jump.clone()).unwrap_or_default();
        // The jump after the window; its stride is undone.
        let shift = (0..apart.len()).map(|axis| {
            let Exact(jump) = (*jumps.get(axis)?)?;
            let stride = *layer.stride.get(axis)?;
            let small = |v: i64| v.unsigned_abs() < 1 << 20;
            let exact = small(*jump.numer()) && small(*jump.denom());
            (exact && small(stride) && small(apart[axis]) && stride > 0)
                .then(|| Exact(jump * Ratio::new(apart[axis], 2 * stride)))
        });
        Some(Self {
            node: layer.node.clone(),
            kernel: layer.kernel.clone(),
            pads: layer.pads.clone(),
            shift: shift.collect(),
            total: field
                .and_then(|f| f.padding_shift.clone())
                .unwrap_or_default(),
        })
    }
}
