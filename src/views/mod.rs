//! Results as reports: what people are shown of what was computed.

pub mod analysis;
pub mod comparison;
pub mod diff;
pub mod dot;
pub mod passes;
pub mod rewriting;
pub mod timing;

use analyzer::Count;

use crate::output::Cell;
use crate::units;

/// `3x3`; empty without axes.
fn sizes<T: std::fmt::Display>(sizes: &[T]) -> String {
    let sizes: Vec<String> = sizes.iter().map(T::to_string).collect();
    sizes.join("x")
}

/// `1.81 G` where the number is known, else the polynomial.
fn count(count: &Count) -> String {
    count
        .approximate()
        .map_or_else(|| count.to_string(), units::si)
}

/// The same for bytes.
fn byte_count(count: &Count) -> String {
    let symbolic = || format!("{count} B");
    count.approximate().map_or_else(symbolic, units::bytes)
}

/// A count as a cell; empty where it is zero or not known.
fn count_cell(value: Option<&Count>) -> Cell {
    match value {
        Some(c) if c.known() == Some(0) => Cell::with_raw("", 0),
        Some(c) => Cell::with_raw(count(c), c),
        None => Cell::default(),
    }
}
