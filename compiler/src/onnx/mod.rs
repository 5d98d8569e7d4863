//! The ONNX codec: the only code that knows protobuf.

pub mod schema;
pub mod tensor_data;

pub use tensor_data::{
    TensorDataError, TensorProblem, bit_width, byte_len, check_size, data_type, element_count,
    is_external, little_endian, packed_len, strings,
};
