//! The fit against a naive convolution.

mod data;
mod importance;
mod naive;
mod weight;
