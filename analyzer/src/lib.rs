//! Cost, receptive field, aliasing and lint rules of ONNX models.
//!
//! [`analyze`] reads a model's facts and gives an [`Analysis`], which
//! serializes as the JSON that the command line documents. What an operator
//! does is known by `compiler::ops` alone: nothing here names one.
#![forbid(unsafe_code)]

pub mod aliasing;
mod analyze;
mod information;
mod memory;
mod number;
pub mod receptive;
mod report;
mod weights;

pub use analyze::{AnalyzeError, Options, Study, analyze};
pub use information::Information;
pub use number::{Count, Exact, Real};
pub use report::{
    Aliasing, AliasingKind, Analysis, Layer, ModelInfo, OutputField, ReceptiveField, SCHEMA,
    TotalField, Totals, ValueInfo, WorstAliasing,
};

#[cfg(test)]
mod testing;
