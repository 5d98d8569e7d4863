//! What an operator lets through of a small change of its input.

use super::Window;

/// How a small change of an operator's data input reaches its output.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// Everywhere alike, but for a factor a channel.
    Linear,
    /// In full where the element lies in an open range, as (0, ∞) of a
    /// rectifier and (0, 6) of `ReLU6`; by the slope outside.
    Range {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// Slope outside the range.
        slope: f64,
    },
    /// At the largest element of each window.
    Largest(Window),
}
