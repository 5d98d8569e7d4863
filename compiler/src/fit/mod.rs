//! The numerics of a factorization: weights in, weights out.
//!
//! One convolution kernel `W` goes in with the [`Form`] that it should take, a
//! chain of smaller convolutions; out comes a [`Fit`], the kernels of that chain
//! and an honest measure of what they lose. Nothing here knows graphs,
//! operators or files; all arithmetic is in `f64`; the result depends on the
//! input alone, never on the number of threads.
//!
//! - [`Kernel`] holds weights, [`compose`] and [`compose_bias`] turn a chain back
//!   into the single kernel it equals.
//! - [`Form`] describes a chain, counts its parameters and knows the widths that
//!   matter: [`exact_width`], [`max_width_within`].
//! - [`Moments`] gathers the statistics of input patches which make an error in
//!   the weights an error in the layer's output.
//! - [`factorize`] fits; [`factorize_exact`] searches the smallest lossless
//!   width; [`predicted_error`] bounds from below what a form can reach.
//! - [`refit`] fits a kernel that stays to what its input has become.

mod compose;
mod curvature;
mod error;
mod exact;
mod factorize;
mod form;
mod group;
mod importance;
mod kernel;
mod last;
mod linalg;
mod minimize;
mod moments;
mod patches;
mod predict;
mod problem;
mod refit;
mod regression;
mod report;
mod rng;
mod seen;
mod start;
mod sums;
mod tangent;
mod weighing;

pub use compose::{compose, compose_bias};
pub use error::FitError;
pub use exact::{exact_width, factorize_exact};
pub use factorize::{Fit, Metric, Options, factorize};
pub use form::{FactorShape, Form, max_width_within};
pub use importance::{Passage, Pool, importance};
pub use kernel::Kernel;
pub use moments::Moments;
pub use patches::Window;
pub use predict::predicted_error;
pub use refit::{Refit, refit};
pub use seen::Seen;
