//! `convfold`: graph compiler, analyzer and lint for convolutional networks in ONNX.
#![forbid(unsafe_code)]

fn main() {}
