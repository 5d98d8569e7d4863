//! What a model takes, as plain numbers: what budgets and ratchets compare.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::number::Count;
use crate::report::Analysis;

/// Totals of a model for one sample; `None` for what is not known or not
/// limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Elements of trained weights.
    pub parameters: Option<u64>,
    /// Multiply-accumulates of one execution.
    pub macs: Option<u64>,
    /// Bytes of weights and statistics.
    pub weight_bytes: Option<u64>,
    /// Peak activation memory in bytes.
    pub peak_activation_bytes: Option<u64>,
}

impl Figures {
    /// The totals of an analysis, a symbolic batch taken as 1. With another
    /// open size, what depends on it is not known.
    pub fn of(analysis: &Analysis) -> Self {
        let batch = batch_symbols(analysis);
        let known = |count: &Count| {
            let one = |symbol: &str| batch.contains(symbol).then_some(1);
            u64::try_from(count.0.substitute(&one).as_const()?).ok()
        };
        let totals = &analysis.totals;
        Self {
            parameters: Some(totals.parameters),
            macs: known(&totals.macs),
            weight_bytes: Some(totals.weight_bytes),
            peak_activation_bytes: known(&totals.peak_activation_bytes),
        }
    }

    /// The figures with their names in configuration and words for people.
    pub fn entries(&self) -> [(&'static str, &'static str, Option<u64>); 4] {
        [
            ("parameters", "parameters", self.parameters),
            ("macs", "MACs", self.macs),
            ("weight-bytes", "bytes of weights", self.weight_bytes),
            (
                "peak-activation-bytes",
                "bytes of activations at the peak",
                self.peak_activation_bytes,
            ),
        ]
    }
}

/// Symbols that stand for the first size of an input and for no other size of
/// one.
fn batch_symbols(analysis: &Analysis) -> BTreeSet<String> {
    let mut first = BTreeSet::new();
    let mut others = BTreeSet::new();
    for shape in analysis
        .model
        .inputs
        .iter()
        .filter_map(|i| i.shape.as_ref())
    {
        for (axis, size) in shape.iter().enumerate() {
            let names = size.0.symbols();
            if axis == 0 {
                first.extend(names);
            } else {
                others.extend(names);
            }
        }
    }
    first.retain(|s| !others.contains(s));
    first
}
