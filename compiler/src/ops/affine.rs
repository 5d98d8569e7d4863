//! Operators with weights, where they are linear.

/// `y = W·x + b` for each patch `x` of input 0, with `W` in input 1 and, where
/// it is there, `b` in input 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine {
    /// The weights stand as (in, out); else as (out, in, spatial…).
    pub inputs_first: bool,
    /// The operator that does the same and takes a bias.
    pub biased: &'static str,
}
