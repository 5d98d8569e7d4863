//! ONNX codec, graph, operator semantics, rewrite passes and factorization.
//!
//! See `ARCHITECTURE.md` for the map. Layers, lowest first: [`onnx`] knows
//! protobuf, [`ir`] knows no operator, [`ops`] says all there is to say about
//! each operator, [`facts`] propagates through the graph, [`model`] reads and writes files' messages,
//! [`plan`] holds the
//! e-graph and the passes, [`fit`] the numerics of a factorization.
#![deny(unsafe_code)]

pub mod facts;
pub mod fit;
pub mod ir;
pub mod model;
pub mod onnx;
pub mod ops;
pub mod plan;
