//! Execution in tract, data sets, comparison and timing.
//!
//! This crate sees ONNX bytes and data files only: it knows neither the graph
//! nor the rules of convfold.
//!
//! - [`Session`] runs a model, or up to named values of it, over samples;
//! - [`Dataset`] opens an `.npz`, a `test_data_set` folder or a folder of images;
//! - [`bench`](mod@bench) measures wall-clock time;
//! - [`Reference`] compares rewritten models with an original over a data set;
#![forbid(unsafe_code)]

mod array;
mod control;
mod error;

pub mod bench;
pub mod compare;
pub mod dataset;
pub mod session;

pub use array::Array;
pub use compare::{CompareOptions, Comparison, Limits, Pair, Reference};
pub use control::Control;
pub use dataset::{DataError, DataOptions, Dataset};
pub use error::Error;
pub use session::{Model, Session};
