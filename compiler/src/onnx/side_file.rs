//! Writing a model whose weights go to a file of their own.
//!
//! The side file's name carries a digest of its content, so a new one never
//! replaces an old one that an older model still names: the side file is
//! written first, then the model is renamed into place, and a crash at any
//! moment leaves either the old pair or the new one whole.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::encode::encode;
use super::file::open;
use super::schema::{DataLocation, ModelProto, StringStringEntryProto, TensorProto};
use super::tensor_data::little_endian;
use super::tensors::{try_for_each_initializer_mut, try_for_each_tensor_mut};
use super::write::{WriteError, WriteOptions, write_atomically, write_atomically_with};
use super::{external, write};

/// Initializers of at least this many bytes go to the side file.
pub const SIDE_FILE_THRESHOLD: usize = 1024;

/// Each tensor begins at a multiple of this many bytes, so that it can be
/// mapped (the standard's advice).
pub const SIDE_FILE_ALIGNMENT: u64 = 4096;

/// The weights of a model, in the order of its initializers: slices of where
/// they were, not copies.
#[derive(Debug, Clone, Default)]
pub struct SideFile {
    /// Offset, a multiple of [`SIDE_FILE_ALIGNMENT`], and data of each tensor.
    pieces: Vec<(u64, Bytes)>,
    len: u64,
}

impl SideFile {
    /// Adds a tensor's data; their offset and length.
    fn push(&mut self, bytes: Bytes) -> (u64, u64) {
        let (offset, length) = (
            self.len.next_multiple_of(SIDE_FILE_ALIGNMENT),
            bytes.len() as u64,
        );
        self.len = offset + length;
        self.pieces.push((offset, bytes));
        (offset, length)
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no tensor was large enough.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes the file, piece by piece, gaps filled with zeros.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        const ZEROS: [u8; SIDE_FILE_ALIGNMENT as usize] = [0; SIDE_FILE_ALIGNMENT as usize];
        let mut at = 0;
        for (offset, bytes) in &self.pieces {
            out.write_all(&ZEROS[..(offset - at) as usize])?;
            out.write_all(bytes)?;
            at = offset + bytes.len() as u64;
        }
        Ok(())
    }

    /// A digest for telling contents apart by accident, not by malice: words of
    /// eight bytes mixed in the manner of FNV-1a, 64 bits.
    fn digest(&self) -> u64 {
        const PRIME: u64 = 0x0100_0000_01b3;
        let mix = |hash: u64, word: u64| {
            let hash = (hash ^ word).wrapping_mul(PRIME);
            hash ^ hash >> 29
        };
        self.pieces
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, (offset, bytes)| {
                let (words, rest) = bytes.as_chunks::<8>();
                let hash = mix(mix(hash, *offset), bytes.len() as u64);
                let hash = words
                    .iter()
                    .fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
                rest.iter()
                    .fold(hash, |hash, &byte| mix(hash, u64::from(byte)))
            })
    }

    /// The name beside a model of that name: `NAME.DIGEST.data`.
    pub fn name_for(&self, model_file_name: &str) -> String {
        format!("{model_file_name}.{:016x}.data", self.digest())
    }
}

/// Takes the initializers of [`SIDE_FILE_THRESHOLD`] bytes and more out of a
/// model. `name` is called with the side file and says what the model calls it.
/// Strings, sparse tensors, attributes, and what is external already stay.
pub fn split(
    mut model: ModelProto,
    name: impl FnOnce(&SideFile) -> String,
) -> (ModelProto, SideFile) {
    let mut side = SideFile::default();
    // Where each initializer goes, in the order of the visit.
    let mut places = Vec::new();
    let Ok(()) = try_for_each_initializer_mut::<Infallible>(&mut model, &mut |tensor| {
        // What is malformed stays as it is: writing is not the place to judge.
        let bytes = little_endian(tensor)
            .ok()
            .filter(|b| b.len() >= SIDE_FILE_THRESHOLD);
        places.push(bytes.map(|bytes| side.push(bytes)));
        Ok(())
    });
    let location = name(&side);
    let mut places = places.into_iter();
    let Ok(()) = try_for_each_initializer_mut::<Infallible>(&mut model, &mut |tensor| {
        if let Some((offset, length)) = places.next().flatten() {
            refer(tensor, &location, offset, length);
        }
        Ok(())
    });
    (model, side)
}

/// Replaces a tensor's data by where they are.
fn refer(tensor: &mut TensorProto, location: &str, offset: u64, length: u64) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    *tensor = TensorProto {
        external_data: vec![
            entry("location", location.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ],
        data_location: Some(DataLocation::External as i32),
        dims: std::mem::take(&mut tensor.dims),
        data_type: tensor.data_type,
        name: tensor.name.take(),
        doc_string: tensor.doc_string.take(),
        metadata_props: std::mem::take(&mut tensor.metadata_props),
        ..TensorProto::default()
    };
}

/// Writes a model as two files: `path`, and beside it the weights. Without
/// large initializers there is no side file. The weights are written from
/// where they are, never gathered in memory. Data that are external already
/// are not touched; [`ExternalData::inline`](super::ExternalData::inline)
/// brings them along. Returns the side file's path.
///
/// Where `path` replaces an older model, the side files that this function
/// once wrote for it go, unless one of the inputs uses them.
///
/// # Errors
/// See [`WriteError`]. Then the old pair is as it was, and no new file is left.
pub fn write_external(
    path: &Path,
    model: &ModelProto,
    options: &WriteOptions,
) -> Result<Option<PathBuf>, WriteError> {
    let target = write::Target::check(path, options)?;
    let Some(file_name) = target.path.file_name().and_then(|name| name.to_str()) else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
        return Err(WriteError::Io {
            path: path.to_owned(),
            error,
        });
    };
    let (model, side) = split(model.clone(), |side| side.name_for(file_name));
    let bytes = encode(&model).map_err(|error| WriteError::Encode {
        path: path.to_owned(),
        error,
    })?;
    let replaces = target.old.is_some();
    if side.is_empty() {
        write_atomically(path, &bytes, options)?;
        return Ok(None);
    }
    let side_path = target.folder.join(side.name_for(file_name));
    let existed = side_path.exists();
    write_atomically_with(&side_path, options, |out| side.write_to(out))?;
    if let Err(error) = write_atomically(path, &bytes, options) {
        if !existed {
            let _ = std::fs::remove_file(&side_path);
        }
        return Err(error);
    }
    if replaces {
        remove_superseded(&target.folder, file_name, &side_path, &options.inputs);
    }
    Ok(Some(side_path))
}

/// Removes the side files of earlier models of that name. What cannot be
/// removed stays: it harms nobody.
fn remove_superseded(folder: &Path, file_name: &str, current: &Path, inputs: &[PathBuf]) {
    let is_old = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let digest = name.and_then(|name| {
            name.strip_prefix(file_name)?
                .strip_prefix('.')?
                .strip_suffix(".data")
        });
        digest.is_some_and(|d| d.len() == 16 && d.bytes().all(|b| b.is_ascii_hexdigit()))
            && path.file_name() != current.file_name()
    };
    let Ok(entries) = folder.read_dir() else {
        return;
    };
    let mut old: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_old)
        .collect();
    if old.is_empty() {
        return;
    }
    for input in inputs {
        let Ok(mut file) = open(input) else { continue };
        let Ok(()) =
            try_for_each_tensor_mut(&mut file.model, &mut |tensor| -> Result<(), Infallible> {
                if let Ok(reference) = external::reference(tensor) {
                    old.retain(|path| {
                        path.file_name() != Path::new(&reference.location).file_name()
                    });
                }
                Ok(())
            });
    }
    for path in old {
        let _ = std::fs::remove_file(path);
    }
}
