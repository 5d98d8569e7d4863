//! Cost, receptive field, aliasing and lint rules of ONNX models.
//!
//! [`analyze`] reads a model's facts and gives an [`Analysis`], which
//! serializes as the JSON that the command line documents. What an operator
//! does is known by `compiler::ops` alone: nothing here names one.
#![forbid(unsafe_code)]

pub mod aliasing;
pub mod config;
mod cost;
mod describe;
mod diagnostic;
mod figures;
pub mod information;
mod layers;
mod memory;
mod number;
pub mod receptive;
mod report;
pub mod rules;
mod study;
mod unit;
pub mod units;
mod weights;

pub use config::{Config, Overrides, Selector, Settings};
pub use diagnostic::{Draft, Finding, Severity};
pub use figures::Figures;
pub use information::Information;
pub use number::{Count, Exact, Real};
pub use report::{
    Aliasing, AliasingKind, Analysis, Layer, ModelInfo, OutputField, ReceptiveField, SCHEMA,
    TotalField, Totals, ValueInfo, WorstAliasing,
};
pub use rules::{RULES, Rule, lint};
pub use study::{AnalyzeError, Options, Progress, Study, analyze};
pub use unit::Unit;

#[cfg(test)]
mod testing;
