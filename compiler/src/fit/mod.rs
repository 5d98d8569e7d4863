//! The numerics of a factorization: weights in, weights out.
