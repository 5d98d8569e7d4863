//! What can go wrong in a fit.

/// Why a factorization could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A kernel has no elements.
    #[error("the kernel is empty: every extent and channel count must be at least 1")]
    Empty,
    /// A weight or an activation is NaN or infinite.
    #[error("the {0} hold NaN or infinite values; they cannot be fitted")]
    NotFinite(&'static str),
    /// Shapes contradict each other.
    #[error("{0}")]
    Shape(String),
    /// A dense system did not factorize, even when damped.
    #[error("the numerics broke down: {0}")]
    Numerical(&'static str),
    /// The cancel flag was raised.
    #[error("the factorization was cancelled")]
    Cancelled,
}
