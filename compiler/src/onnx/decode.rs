//! From bytes to a [`ModelProto`], or to an error that says what they are.

use bytes::Bytes;
use prost::Message;

use super::descriptor::MODEL;
use super::foreign;
use super::scan::{UnknownFields, scan};
use super::schema::ModelProto;
use super::wire::WireProblem;

/// The deepest nesting that is decoded, in messages: the decoder recurses, and
/// so do dropping, cloning and comparing. A graph inside a node takes three.
pub const MAX_DEPTH: usize = 100;

/// Decoded structures may take this many bytes a byte of file …
const MEMORY_PER_BYTE: u64 = 32;

/// … and this many on top, so that tiny models are never refused.
const MEMORY_ON_TOP: u64 = 16 << 20;

/// What decoding may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Nested messages, at most [`MAX_DEPTH`] whatever is asked for.
    pub depth: usize,
    /// Bytes that the decoded structures may take altogether. `raw_data`, which
    /// stays where it is, does not count; the spare capacity of growing lists,
    /// up to as much again, comes on top. Apart from this limit, no file may
    /// take more than 32 times its size and 16 MiB; models without weights take
    /// up to 13 times their size (measured), models with weights a fraction.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: MAX_DEPTH,
            memory: u64::MAX,
        }
    }
}

impl Limits {
    pub(super) fn memory_for(&self, len: usize) -> u64 {
        let proportion = (len as u64)
            .saturating_mul(MEMORY_PER_BYTE)
            .saturating_add(MEMORY_ON_TOP);
        proportion.min(self.memory)
    }
}

/// Why bytes are no model that can be read. The messages follow a file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the file is empty; export or download the model again")]
    Empty,
    /// A text file.
    #[error("this is a text file ({what}), not a binary ONNX model")]
    Text {
        /// What kind of text.
        what: &'static str,
    },
    /// A Git LFS pointer file.
    #[error(
        "this is a Git LFS pointer, the model itself was not fetched{}; run `git lfs pull`",
        .size.map(|n| format!(" ({n} bytes)")).unwrap_or_default()
    )]
    GitLfsPointer {
        /// Size of the model that the pointer stands for.
        size: Option<u64>,
    },
    /// A file of another well-known kind.
    #[error("this is {what}, not an ONNX model")]
    OtherFormat {
        /// Which.
        what: &'static str,
    },
    /// Protobuf, but no model.
    #[error("the file holds no graph, so it is not an ONNX model")]
    NoGraph,
    /// The file ends too early.
    #[error(
        "the file is truncated: it ends inside `{field}`{}; download or export it again",
        .missing.map(|n| format!(", {n} bytes short")).unwrap_or_default()
    )]
    Truncated {
        /// The field of the model at which it ends.
        field: &'static str,
        /// How many bytes are missing of that field.
        missing: Option<u64>,
    },
    /// Not protobuf, or not the standard's messages.
    #[error(
        "the file is corrupt or not an ONNX model: {problem} at byte {offset}{}; export it again",
        in_path(.path)
    )]
    Malformed {
        /// In which message.
        path: String,
        /// Offset in the file.
        offset: u64,
        /// What is wrong there.
        problem: WireProblem,
    },
    /// Nested beyond the limit.
    #[error("messages nest more than {limit} deep{}; no exporter writes such models", in_path(.path))]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where it was reached.
        path: String,
    },
    /// Decoding would take more memory than the limit, or than is in proportion to the file.
    #[error("decoding takes more than {allowed} bytes{}, out of proportion to the file or above the limit", in_path(.path))]
    TooMuchMemory {
        /// What is allowed.
        allowed: u64,
        /// Where it was reached.
        path: String,
    },
    /// The decoder found what the walk before it did not.
    #[error("the file is corrupt: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

fn in_path(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" in {}", abridged(path))
    }
}

/// A path that fits on a line: a hostile file can nest a hundred names.
fn abridged(path: &str) -> String {
    const ENDS: usize = 60;
    let count = path.chars().count();
    if count <= 2 * ENDS {
        return path.to_owned();
    }
    let head: String = path.chars().take(ENDS).collect();
    let tail: String = path.chars().skip(count - ENDS).collect();
    format!("{head}…{tail}")
}

/// A model, and what the schema had no place for.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The model; its `raw_data` are slices of the input.
    pub model: ModelProto,
    /// Fields that are lost when it is written again.
    pub unknown: UnknownFields,
}

/// Decodes a model with the default [`Limits`]. Tensors' `raw_data` are slices
/// of `bytes`, not copies. A singular field that occurs twice means what
/// protobuf says: the last scalar wins, messages are merged.
///
/// # Errors
/// See [`DecodeError`]: every kind of file that is no model has its own.
pub fn decode(bytes: Bytes) -> Result<ModelProto, DecodeError> {
    decode_with(bytes, &Limits::default()).map(|decoded| decoded.model)
}

/// [`decode`] within limits, and with the fields that it has no place for.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_with(bytes: Bytes, limits: &Limits) -> Result<Decoded, DecodeError> {
    let limits = Limits {
        depth: limits.depth.min(MAX_DEPTH),
        ..limits.clone()
    };
    let explain = |error| foreign::recognize(&bytes, &limits).unwrap_or(error);
    let found = scan(&bytes, &MODEL, &limits).map_err(explain)?;
    let model = ModelProto::decode(bytes.clone()).map_err(|e| explain(e.into()))?;
    if model.graph.is_none() {
        return Err(explain(DecodeError::NoGraph));
    }
    Ok(Decoded {
        model,
        unknown: found.unknown,
    })
}

/// The fields of a model that IR version 14 does not define, found by walking
/// the bytes, so whatever their encoding. Decoding and writing loses them.
///
/// # Errors
/// See [`DecodeError`].
pub fn unknown_fields(bytes: &[u8]) -> Result<UnknownFields, DecodeError> {
    scan(bytes, &MODEL, &Limits::default()).map(|found| found.unknown)
}
