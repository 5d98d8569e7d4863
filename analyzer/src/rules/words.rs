//! Words that several rules' messages share.

use crate::number::{Exact, Real};
use crate::units;

/// `3x3`.
pub fn sizes<T: std::fmt::Display>(sizes: &[T]) -> String {
    let sizes: Vec<String> = sizes.iter().map(T::to_string).collect();
    sizes.join("x")
}

/// `42x42`, the whole axis as `all`.
pub fn field(sizes_: &[Option<i64>]) -> String {
    let sizes_: Vec<String> = sizes_
        .iter()
        .map(|s| s.map_or("all".to_owned(), |s| s.to_string()))
        .collect();
    sizes(&sizes_)
}

/// `1 filter`, `3 filters`.
pub fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// `75 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = usize::from(percent.abs() < 9.95 && percent.fract() != 0.0);
    format!("{percent:.digits$} %")
}

/// The first few of a list, and how many more there are.
pub fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The largest magnitude of an axis, where one is known.
pub fn largest(axes: Option<&Vec<Option<Exact>>>) -> Option<f64> {
    let known = axes?.iter().flatten().map(|e| e.as_f64().abs());
    known.reduce(f64::max)
}

/// `1,1`.
pub fn list(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    numbers.join(",")
}

/// `6.5 px`.
pub fn pixels(distance: f64) -> String {
    format!("{} px", units::plain(distance))
}

/// A share as a percentage.
pub fn share(share: Real) -> String {
    percent(share.0)
}
