//! Tensor data in files beside the model: found, checked, mapped read-only.
//!
//! A model names such files itself, and models come from strangers. A file is
//! read only if it lies in the model's folder once every link is resolved, is
//! a regular file, and holds the bytes that the tensor's type and dimensions
//! ask for at the offset given. Nothing is opened before it is asked for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::map::{self, ReadMode};
use super::schema::{ModelProto, TensorProto};
use super::sha1;
use super::tensor_data::{self, TensorDataError, byte_len};
use super::tensors::try_for_each_tensor_mut;

/// What a tensor says about where its data are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalReference {
    /// Path relative to the model's folder.
    pub location: String,
    /// Where the data begin in that file, in bytes.
    pub offset: u64,
    /// Bytes of data, where it says so.
    pub length: Option<u64>,
    /// SHA-1 of the whole file, in hexadecimal. Verified where it is given: it
    /// guards against accidents, not against malice.
    pub checksum: Option<String>,
}

/// Why a tensor's external data cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The file is not there. Whoever needs no weights may go on.
    #[error("tensor {tensor:?}: its data file {} is absent; put it beside the model", path.display())]
    Absent {
        /// The tensor.
        tensor: String,
        /// Where the file should be.
        path: PathBuf,
    },
    /// The file is, or leads, outside the model's folder.
    #[error(
        "tensor {tensor:?}: its data file {location:?} is outside the model's folder and is not \
         read{}", if *.by_link { "; if the link is yours, --trust-symlinks" } else { "" }
    )]
    Outside {
        /// The tensor.
        tensor: String,
        /// What it says.
        location: String,
        /// Whether it is a symbolic link that leads outside.
        by_link: bool,
    },
    /// An entry is missing, or is no number.
    #[error(
        "tensor {tensor:?}: the entry {key:?} of its external data is {what}; the model is malformed"
    )]
    Entry {
        /// The tensor.
        tensor: String,
        /// Which entry.
        key: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Offset and length do not fit the file or the tensor.
    #[error(
        "tensor {tensor:?}: {needed} bytes at offset {offset} of {} are not to be had: the tensor \
         says {stated}, the file holds {available}; the data file is another model's or truncated",
        path.display()
    )]
    Range {
        /// The tensor.
        tensor: String,
        /// The data file.
        path: PathBuf,
        /// Where the data begin.
        offset: u64,
        /// Bytes that type and dimensions ask for.
        needed: u64,
        /// Bytes that the tensor's `length` says, or else what is needed.
        stated: u64,
        /// Bytes of the file.
        available: u64,
    },
    /// The file is not the one that the model was written with.
    #[error(
        "tensor {tensor:?}: its data file {} has the SHA-1 {found}, the model says {stated}; the \
         data file is another model's or damaged",
        path.display()
    )]
    Checksum {
        /// The tensor.
        tensor: String,
        /// The data file.
        path: PathBuf,
        /// What the model says.
        stated: String,
        /// What it is.
        found: String,
    },
    /// The system refuses to read it.
    #[error("tensor {tensor:?}: cannot read its data file {}: {error}", path.display())]
    Read {
        /// The tensor.
        tensor: String,
        /// The data file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Type or dimensions are wrong, or the data are not external.
    #[error(transparent)]
    Tensor(#[from] TensorDataError),
}

/// How external data are read.
#[derive(Debug, Clone, Default)]
pub struct ExternalOptions {
    /// Follow symbolic links out of the model's folder, as model caches have
    /// them into their own stores. Paths outside are refused all the same.
    pub trust_symlinks: bool,
    /// Mapped (the default), or read into memory.
    pub mode: ReadMode,
}

/// The data files of one model. Each is mapped at most once.
#[derive(Debug)]
pub struct ExternalData {
    folder: PathBuf,
    options: ExternalOptions,
    files: Mutex<BTreeMap<PathBuf, DataFile>>,
}

/// A data file that was opened.
#[derive(Debug, Clone)]
struct DataFile {
    bytes: Bytes,
    /// SHA-1, once a tensor has asked for it.
    digest: Option<String>,
}

/// Where a tensor's data are: found and in range, but not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPlace {
    /// The file, links resolved.
    pub path: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Number of bytes, as type and dimensions ask for.
    pub length: u64,
}

impl ExternalData {
    /// The data files beside the model of that path; none is looked at yet.
    pub fn beside(model: &Path, options: ExternalOptions) -> Self {
        let folder = match model.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self {
            folder,
            options,
            files: Mutex::default(),
        }
    }

    /// Finds a tensor's data and checks their range, without opening the file.
    ///
    /// # Errors
    /// See [`ExternalError`]; `Absent` where the file does not exist.
    pub fn locate(&self, tensor: &TensorProto) -> Result<ExternalPlace, ExternalError> {
        let reference = reference(tensor)?;
        let path = self.resolve(tensor, &reference.location)?;
        let read = |error| ExternalError::Read {
            tensor: name(tensor),
            path: path.clone(),
            error,
        };
        let available = fs::metadata(&path).map_err(read)?.len();
        let (offset, length) = (reference.offset, byte_len(tensor)?);
        let stated = reference.length.unwrap_or(length);
        let end = offset.checked_add(length);
        if stated != length || end.is_none_or(|end| end > available) {
            let (tensor, needed) = (name(tensor), length);
            return Err(ExternalError::Range {
                tensor,
                path,
                offset,
                needed,
                stated,
                available,
            });
        }
        Ok(ExternalPlace {
            path,
            offset,
            length,
        })
    }

    /// A tensor's data: a slice of its file's map.
    ///
    /// # Errors
    /// See [`ExternalError`]; `Absent` where the file does not exist.
    pub fn read(&self, tensor: &TensorProto) -> Result<Bytes, ExternalError> {
        let ExternalPlace {
            path,
            offset,
            length,
        } = self.locate(tensor)?;
        let file = self.file(tensor, &path)?;
        // The file may have shrunk since: checked against what was mapped.
        let range = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(offset + length).ok());
        match range {
            Some((start, end)) if end <= file.len() => Ok(file.slice(start..end)),
            _ => Err(ExternalError::Range {
                tensor: name(tensor),
                path,
                offset,
                needed: length,
                stated: length,
                available: file.len() as u64,
            }),
        }
    }

    /// Brings all external data into the model, as slices of the maps, so that
    /// it can be written elsewhere. The number of tensors that were brought in.
    ///
    /// # Errors
    /// The first tensor whose data cannot be had; the model is then half done.
    pub fn inline(&self, model: &mut ModelProto) -> Result<usize, ExternalError> {
        let mut count = 0;
        try_for_each_tensor_mut::<ExternalError>(model, &mut |tensor| {
            if tensor_data::is_external(tensor) {
                tensor.raw_data = Some(self.read(tensor)?);
                tensor.external_data.clear();
                tensor.data_location = None;
                count += 1;
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// The file of that location: in the folder, links resolved.
    fn resolve(&self, tensor: &TensorProto, location: &str) -> Result<PathBuf, ExternalError> {
        let outside = |by_link| ExternalError::Outside {
            tensor: name(tensor),
            location: location.to_owned(),
            by_link,
        };
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(location).components().all(inside) {
            return Err(outside(false));
        }
        let path = self.folder.join(location);
        let failed = |error: io::Error| {
            let (tensor, path) = (name(tensor), path.clone());
            match error.kind() {
                io::ErrorKind::NotFound => ExternalError::Absent { tensor, path },
                _ => ExternalError::Read {
                    tensor,
                    path,
                    error,
                },
            }
        };
        let folder = self.folder.canonicalize().map_err(failed)?;
        let resolved = path.canonicalize().map_err(failed)?;
        if !self.options.trust_symlinks && !resolved.starts_with(&folder) {
            return Err(outside(true));
        }
        Ok(resolved)
    }

    fn file(&self, tensor: &TensorProto, path: &Path) -> Result<Bytes, ExternalError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match files.entry(path.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let bytes = map::read(path, self.options.mode);
                let bytes = bytes.map_err(|error| ExternalError::Read {
                    tensor: name(tensor),
                    path: path.to_owned(),
                    error,
                })?;
                entry.insert(DataFile {
                    bytes,
                    digest: None,
                })
            }
        };
        if let Some(stated) = reference(tensor)?.checksum {
            let found = file.digest.get_or_insert_with(|| sha1::hex(&file.bytes));
            if !found.eq_ignore_ascii_case(stated.trim()) {
                return Err(ExternalError::Checksum {
                    tensor: name(tensor),
                    path: path.to_owned(),
                    stated,
                    found: found.clone(),
                });
            }
        }
        Ok(file.bytes.clone())
    }
}

/// What a tensor says about where its data are. Of repeated entries the last
/// one counts, unknown entries are ignored.
///
/// # Errors
/// A location that is absent or empty, an offset or length that is no number.
pub fn reference(tensor: &TensorProto) -> Result<ExternalReference, ExternalError> {
    let entry = |key: &str| {
        let entries = tensor.external_data.iter().rev();
        let mut matching = entries.filter(|entry| entry.key.as_deref() == Some(key));
        matching.next().and_then(|entry| entry.value.clone())
    };
    let wrong = |key, what| ExternalError::Entry {
        tensor: name(tensor),
        key,
        what,
    };
    let number = |key| {
        let parse = |text: String| {
            text.parse::<u64>()
                .map_err(|_| wrong(key, "no whole number"))
        };
        entry(key).map(parse).transpose()
    };
    let location = entry("location").filter(|location| !location.is_empty());
    Ok(ExternalReference {
        location: location.ok_or_else(|| wrong("location", "missing"))?,
        offset: number("offset")?.unwrap_or(0),
        length: number("length")?,
        checksum: entry("checksum"),
    })
}

fn name(tensor: &TensorProto) -> String {
    tensor.name.clone().unwrap_or_default()
}
