//! A model as a file: mapped, decoded, and what is known of both.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::decode::{DecodeError, Decoded, Limits, decode_with};
use super::map::{self, ReadMode};
use super::scan::UnknownFields;
use super::schema::ModelProto;

/// Why a file could not be read as a model. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The operating system refused.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is no model.
    #[error("{}: {error}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        error: DecodeError,
    },
}

/// A model file: its bytes, and the model whose `raw_data` are slices of them.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// As it was given.
    pub path: PathBuf,
    /// The whole file, mapped where it is not small.
    pub bytes: Bytes,
    /// What it holds.
    pub model: ModelProto,
    /// Fields that the schema has no place for: writing the model loses them.
    pub unknown: UnknownFields,
    stamp: Option<Stamp>,
}

/// How a file is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Mapped (the default), or read into memory.
    pub mode: ReadMode,
    /// What decoding may take.
    pub limits: Limits,
}

/// Opens and decodes a model file with the default [`OpenOptions`].
///
/// # Errors
/// See [`OnnxError`].
pub fn open(path: &Path) -> Result<ModelFile, OnnxError> {
    open_with(path, &OpenOptions::default())
}

/// Opens and decodes a model file.
///
/// # Errors
/// See [`OnnxError`].
pub fn open_with(path: &Path, options: &OpenOptions) -> Result<ModelFile, OnnxError> {
    let read = |error| OnnxError::Read {
        path: path.to_owned(),
        error,
    };
    let stamp = Stamp::of(&path.metadata().map_err(read)?);
    let bytes = map::read(path, options.mode).map_err(read)?;
    let Decoded { model, unknown } =
        decode_with(bytes.clone(), &options.limits).map_err(|error| OnnxError::Decode {
            path: path.to_owned(),
            error,
        })?;
    Ok(ModelFile {
        path: path.to_owned(),
        bytes,
        model,
        unknown,
        stamp,
    })
}

impl ModelFile {
    /// Whether the file at [`path`](Self::path) is no longer the one that was
    /// opened: another length or time of change, or gone. Asked before results
    /// are published, so that nobody is told about a mixture of two files.
    pub fn has_changed(&self) -> bool {
        match (self.path.metadata(), self.stamp) {
            (Ok(now), Some(then)) => Stamp::of(&now) != Some(then),
            (Err(_), _) => true,
            // Without times of change there is no telling.
            (Ok(_), None) => false,
        }
    }
}

/// What tells that a file is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    modified: SystemTime,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        Some(Self {
            len: metadata.len(),
            modified: metadata.modified().ok()?,
        })
    }
}
