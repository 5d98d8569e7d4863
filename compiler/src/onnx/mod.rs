//! The ONNX codec: the only code that knows protobuf.
//!
//! [`open`] maps a file and decodes it; its weights stay in the map. Before
//! the derived decoder runs, a walk over the bytes bounds nesting and memory,
//! finds the fields that the schema has no place for, and reports faults with
//! path and offset. [`little_endian`] gives a tensor's elements as bytes.

mod decode;
mod descriptor;
mod encode;
mod external;
mod file;
mod foreign;
mod map;
mod scan;
pub mod schema;
mod sha1;
mod side_file;
pub mod tensor_data;
mod tensors;
mod wire;
mod write;

pub use decode::{DecodeError, Decoded, Limits, MAX_DEPTH, decode, decode_with, unknown_fields};
pub use encode::{EncodeError, MAX_MODEL_BYTES, encode, encode_unbounded};
pub use external::{
    ExternalData, ExternalError, ExternalOptions, ExternalPlace, ExternalReference, reference,
};
pub use file::{ModelFile, OnnxError, OpenOptions, open, open_with};
pub use map::{ReadMode, SMALL_FILE, changed_files, map_has_failed, stop_on_map_fault};
pub use scan::{LISTED_UNKNOWN_FIELDS, UnknownField, UnknownFields};
pub use side_file::{SIDE_FILE_ALIGNMENT, SIDE_FILE_THRESHOLD, SideFile, split, write_external};
pub use tensor_data::{
    TensorDataError, TensorProblem, bit_width, byte_len, check_size, data_type, element_count,
    is_external, little_endian, packed_len, strings,
};
pub use tensors::try_for_each_tensor_mut;
pub use wire::WireProblem;
pub use write::{
    WriteError, WriteOptions, discard_unfinished, is_same_file, write_atomically,
    write_atomically_with,
};
