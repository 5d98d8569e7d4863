//! NumPy's archives: a zip file of arrays, stored or deflated; and single arrays.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::npy::{Header, Kind};
use super::{Column, DataError, Values};
use crate::array::show;

/// An opened archive and what its arrays are.
struct Npz<'a> {
    path: &'a str,
    archive: ZipArchive<BufReader<File>>,
    /// In the archive's order.
    arrays: Vec<Entry>,
}

/// An array of an archive.
#[derive(Clone)]
struct Entry {
    key: String,
    /// Its place in the archive.
    index: usize,
    header: Header,
}

/// Reads input and labels of an archive. `keys` name them; without, the input is
/// the first float or uint8 array of rank 2 or more, the labels the first int64
/// or int32 vector.
pub(super) fn read(
    path: &str,
    keys: &[&str],
    max_bytes: u64,
) -> Result<(Column, Option<Vec<i64>>), DataError> {
    let mut npz = Npz::open(path)?;
    let input = match keys.first() {
        Some(key) => npz.find(key)?,
        None => (npz.arrays.iter())
            .position(|Entry { header: h, .. }| {
                h.shape.len() >= 2 && h.numeric() && (h.kind == Kind::Float || h.is_u8())
            })
            .ok_or_else(|| DataError::NoInput {
                path: path.into(),
                keys: npz.listing(),
            })?,
    };
    let labels = match keys.get(1) {
        Some(key) => Some(npz.find(key)?),
        None => npz.arrays.iter().position(|Entry { header: h, .. }| {
            h.kind == Kind::Signed && matches!(h.size, 4 | 8) && h.shape.len() == 1
        }),
    };
    let column = npz.input(input, max_bytes)?;
    let labels = labels
        .map(|at| npz.labels(at, column.count, max_bytes))
        .transpose()?;
    Ok((column, labels))
}

/// Reads a single array as the input.
pub(super) fn read_npy(path: &str, max_bytes: u64) -> Result<Column, DataError> {
    let mut reader = BufReader::new(open(path)?);
    let header = Header::read(&mut reader).map_err(|cause| damaged(path, "the array", cause))?;
    let key = Path::new(path)
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or(path);
    column(path, key, &header, reader, max_bytes)
}

impl<'a> Npz<'a> {
    fn open(path: &'a str) -> Result<Self, DataError> {
        let archive = |e: zip::result::ZipError| damaged(path, "the archive", e.to_string());
        refuse_pointer(path)?;
        let mut archive_file = ZipArchive::new(BufReader::new(open(path)?)).map_err(archive)?;
        let mut arrays = Vec::new();
        for index in 0..archive_file.len() {
            let mut entry = archive_file.by_index(index).map_err(archive)?;
            let name = entry.name().map_err(archive)?.into_owned();
            let Some(key) = name.strip_suffix(".npy") else {
                continue;
            };
            let header = Header::read(&mut entry).map_err(|cause| damaged(path, key, cause))?;
            arrays.push(Entry {
                key: key.to_string(),
                index,
                header,
            });
        }
        Ok(Self {
            path,
            archive: archive_file,
            arrays,
        })
    }

    fn find(&self, key: &str) -> Result<usize, DataError> {
        self.arrays
            .iter()
            .position(|e| e.key == key)
            .ok_or_else(|| DataError::MissingKey {
                path: self.path.into(),
                key: key.into(),
                keys: self.listing(),
            })
    }

    /// `images (uint8 5000x1x28x28), labels (int64 5000)`
    fn listing(&self) -> String {
        const SHOWN: usize = 12;
        if self.arrays.is_empty() {
            return "no arrays".into();
        }
        let mut names: Vec<String> = self
            .arrays
            .iter()
            .take(SHOWN)
            .map(|e| format!("{} ({})", e.key, e.header))
            .collect();
        if self.arrays.len() > SHOWN {
            names.push(format!("and {} more", self.arrays.len() - SHOWN));
        }
        names.join(", ")
    }

    /// The elements of an array, after its header.
    fn reader(&mut self, entry: &Entry) -> Result<impl Read + '_, DataError> {
        let mut reader = (self.archive.by_index(entry.index))
            .map_err(|e| damaged(self.path, &entry.key, e.to_string()))?;
        Header::read(&mut reader).map_err(|cause| damaged(self.path, &entry.key, cause))?;
        Ok(reader)
    }

    fn input(&mut self, at: usize, max_bytes: u64) -> Result<Column, DataError> {
        let entry = self.arrays[at].clone();
        let path = self.path;
        column(
            path,
            &entry.key,
            &entry.header,
            self.reader(&entry)?,
            max_bytes,
        )
    }

    fn labels(&mut self, at: usize, samples: usize, max_bytes: u64) -> Result<Vec<i64>, DataError> {
        let entry = self.arrays[at].clone();
        let Entry { key, header, .. } = entry.clone();
        let path = self.path;
        let integer = matches!(header.kind, Kind::Signed | Kind::Unsigned);
        if !(integer && header.numeric()) {
            return Err(DataError::Type {
                path: path.into(),
                key,
                dtype: header.to_string(),
                wanted: "labels must be integers: save them as int64",
            });
        }
        // A column (N, 1) is a vector too.
        let Some((&count, [] | [1])) = header.shape.split_first() else {
            return Err(DataError::Shape {
                path: path.into(),
                key,
                shape: show(&header.shape),
                wanted: "labels must be a vector, one class number a sample",
            });
        };
        if count != samples {
            return Err(DataError::LabelCount {
                path: path.into(),
                key,
                labels: count,
                samples,
            });
        }
        within(path, &key, &header, max_bytes)?;
        header
            .integers(self.reader(&entry)?)
            .map_err(|cause| damaged(path, &key, cause))
    }
}

fn column(
    path: &str,
    key: &str,
    header: &Header,
    reader: impl Read,
    max_bytes: u64,
) -> Result<Column, DataError> {
    if !header.numeric() {
        return Err(DataError::Type {
            path: path.into(),
            key: key.into(),
            dtype: header.descr.clone(),
            wanted: "the input must be numbers: save it as uint8 or float32",
        });
    }
    let Some((&count, sample)) = header.shape.split_first() else {
        return Err(DataError::Shape {
            path: path.into(),
            key: key.into(),
            shape: "a scalar".into(),
            wanted: "the input's first axis must count the samples",
        });
    };
    within(path, key, header, max_bytes)?;
    let values = if header.is_u8() {
        header.octets(reader).map(Values::Bytes)
    } else {
        header.floats(reader).map(Values::Floats)
    };
    let values = values.map_err(|cause| damaged(path, key, cause))?;
    Ok(Column {
        key: key.into(),
        count,
        sample: sample.to_vec(),
        values,
    })
}

/// Refuses an array whose elements, as they are kept, exceed `max_bytes`.
fn within(path: &str, key: &str, header: &Header, max_bytes: u64) -> Result<(), DataError> {
    let bytes = header.bytes().map_or(u128::MAX, |bytes| bytes as u128);
    if bytes > u128::from(max_bytes) {
        let (path, key) = (path.into(), key.into());
        return Err(DataError::TooLarge {
            path,
            key,
            bytes,
            limit: max_bytes,
        });
    }
    Ok(())
}

/// Git LFS leaves a small text file where the data were not fetched.
fn refuse_pointer(path: &str) -> Result<(), DataError> {
    let mut start = [0; 32];
    let read = open(path)?.read(&mut start).unwrap_or(0);
    if start[..read].starts_with(b"version https://git-lfs") {
        let found = "a Git LFS pointer, not the data: run git lfs pull".into();
        return Err(DataError::Kind {
            path: path.into(),
            found,
        });
    }
    Ok(())
}

fn open(path: &str) -> Result<File, DataError> {
    File::open(path).map_err(|source| DataError::Open {
        path: path.into(),
        source,
    })
}

fn damaged(path: &str, what: &str, cause: String) -> DataError {
    DataError::Damaged {
        path: path.into(),
        what: what.into(),
        cause,
    }
}
