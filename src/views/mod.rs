//! Results as reports: what people are shown of what was computed.

pub mod analysis;
pub mod comparison;
pub mod diff;
pub mod dot;
mod forms;
pub mod lint;
pub mod passes;
pub mod rewriting;
mod risk;
pub mod rules;
pub mod timing;

use analyzer::Count;
use compiler::plan::Site;

use crate::output::{Cell, Column};
use crate::units;

/// The first sentence of a text.
pub fn first_sentence(text: &str) -> String {
    text.split_inclusive(". ")
        .next()
        .unwrap_or(text)
        .trim()
        .to_owned()
}

/// `3x3`; empty without axes.
pub fn sizes<T: std::fmt::Display>(sizes: &[T]) -> String {
    let sizes: Vec<String> = sizes.iter().map(T::to_string).collect();
    sizes.join("x")
}

/// `1.81 G` where the number is known, `1.81 G·N` where it is a multiple of
/// symbols, else the polynomial.
fn count(count: &Count) -> String {
    shown(count, units::si)
}

/// The same for bytes.
fn byte_count(count: &Count) -> String {
    shown(count, units::bytes)
}

fn shown(count: &Count, show: fn(f64) -> String) -> String {
    if let Some(number) = count.approximate() {
        return show(number);
    }
    let text = count.to_string();
    let product = !text.contains([' ', '(']);
    match text.split_once('*') {
        Some((factor, symbols)) if product => match factor.parse() {
            Ok(factor) => format!("{}·{symbols}", show(factor)),
            Err(_) => text,
        },
        _ => text,
    }
}

/// Two counts as numbers of which the ratio holds: those at one for every
/// symbol, if the ratio is the same at two.
fn comparable(a: &Count, b: &Count) -> Option<(f64, f64)> {
    let at = |count: &Count, size| {
        let number = count.0.substitute(&|_| Some(size));
        Count(number).approximate()
    };
    let [(a1, b1), (a2, b2)] = [(at(a, 1)?, at(b, 1)?), (at(a, 2)?, at(b, 2)?)];
    ((a1 * b2 - a2 * b1).abs() <= 1e-9 * (a1 * b2).abs()).then_some((a1, b1))
}

/// A count as a cell; empty where it is zero or not known.
fn count_cell(value: Option<&Count>) -> Cell {
    match value {
        Some(c) if c.known() == Some(0) => Cell::with_raw("", 0),
        Some(c) => Cell::with_raw(count(c), c),
        None => Cell::default(),
    }
}

/// What a table of rewritten layers begins with.
fn site_columns() -> Vec<Column> {
    vec![
        Column::names("layer", "node"),
        Column::words("from", "from"),
        Column::words("to", "to"),
        Column::numbers("width", "width"),
    ]
}

/// A row's cells in these columns.
fn site_cells(site: &Site) -> Vec<Cell> {
    let widths: Vec<String> = site.widths.iter().map(usize::to_string).collect();
    vec![
        site.node.as_str().into(),
        site.from.as_str().into(),
        site.to.join(", ").into(),
        widths.join(", ").into(),
    ]
}

/// A relative error as a cell; empty where there is none.
fn error_cell(error: Option<f64>) -> Cell {
    error.map_or(Cell::default(), |e| Cell::with_raw(units::percent(e), e))
}
