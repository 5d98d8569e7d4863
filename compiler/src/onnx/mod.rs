//! The ONNX codec: the only code that knows protobuf.

pub mod schema;
