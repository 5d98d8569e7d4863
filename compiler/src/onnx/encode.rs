//! From a [`ModelProto`] to bytes.

use bytes::Bytes;
use prost::Message;

use super::schema::ModelProto;

/// Protobuf readers refuse messages of 2 GiB and more.
pub const MAX_MODEL_BYTES: usize = i32::MAX as usize;

/// Why a model cannot be written as one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Larger than [`MAX_MODEL_BYTES`].
    #[error(
        "the model takes {bytes} bytes, and no protobuf file may take more than 2147483647; \
         write the weights as external data"
    )]
    TooLarge {
        /// What it would take.
        bytes: usize,
    },
}

/// The model's bytes: fields in the order of their numbers, so equal models
/// give equal bytes. What decoded without unknown fields loses nothing.
///
/// # Errors
/// A model of 2 GiB and more; see [`write_external`](super::write_external).
pub fn encode(model: &ModelProto) -> Result<Bytes, EncodeError> {
    let bytes = model.encoded_len();
    if bytes > MAX_MODEL_BYTES {
        return Err(EncodeError::TooLarge { bytes });
    }
    Ok(Bytes::from(model.encode_to_vec()))
}

/// [`encode`] without the limit: for readers in this process that know none.
pub fn encode_unbounded(model: &ModelProto) -> Bytes {
    Bytes::from(model.encode_to_vec())
}
