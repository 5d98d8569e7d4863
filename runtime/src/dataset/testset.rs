//! ONNX's own test data: folders with input_0.pb, input_1.pb, ..., each one a
//! tensor.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

use super::npy::{Header, Kind};
use super::{Column, DataError, Values};
use crate::array::{elements, show};

/// The part of ONNX's TensorProto that holds elements.
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    floats: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    int32s: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    int64s: Vec<i64>,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
    #[prost(double, repeated, tag = "10")]
    doubles: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    uint64s: Vec<u64>,
}

/// The folders of test data in `path`: itself, or its `test_data_set_0`, ...
pub(super) fn folders(path: &Path) -> Vec<PathBuf> {
    let is_set = |folder: &PathBuf| folder.join("input_0.pb").is_file();
    let own = Some(path.to_path_buf()).filter(is_set);
    let sets = (0..)
        .map(|i| path.join(format!("test_data_set_{i}")))
        .take_while(is_set);
    own.into_iter().chain(sets).collect()
}

/// Reads the inputs of all `folders`.
///
/// Where the inputs of a folder have the same first axis, that axis counts the
/// samples; else the folder is one sample. Several folders must be of one shape.
pub(super) fn read(folders: &[PathBuf], max_bytes: u64) -> Result<Vec<Column>, DataError> {
    let mut columns: Vec<Column> = Vec::new();
    for folder in folders {
        let inputs = (0..)
            .map(|i| folder.join(format!("input_{i}.pb")))
            .take_while(|path| path.is_file())
            .map(|path| tensor(&path, max_bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let first = inputs.first().and_then(|(shape, _)| shape.first().copied());
        let counted = first.is_some() && inputs.iter().all(|(s, _)| s.first().copied() == first);
        for (i, (shape, data)) in inputs.into_iter().enumerate() {
            let (count, sample) = match shape.split_first() {
                Some((&count, sample)) if counted => (count, sample.to_vec()),
                _ => (1, shape),
            };
            match columns.get_mut(i) {
                Some(Column {
                    count: all,
                    sample: other,
                    values: Values::Floats(values),
                    ..
                }) if *other == sample => {
                    *all += count;
                    values.extend(data);
                }
                Some(_) => {
                    return Err(DataError::Shape {
                        path: folder.display().to_string(),
                        key: format!("input_{i}"),
                        shape: show(&sample),
                        wanted: "the sets before have another shape: name a single set",
                    });
                }
                None => {
                    let key = format!("input_{i}");
                    columns.push(Column {
                        key,
                        count,
                        sample,
                        values: Values::Floats(data),
                    });
                }
            }
        }
    }
    Ok(columns)
}

/// The shape and elements of a tensor's file.
fn tensor(path: &Path, max_bytes: u64) -> Result<(Vec<usize>, Vec<f32>), DataError> {
    let name = path.display().to_string();
    let open = |source| DataError::Open {
        path: name.clone(),
        source,
    };
    let damaged = |cause: String| DataError::Damaged {
        path: name.clone(),
        what: "the tensor".into(),
        cause,
    };
    let bytes = fs::metadata(path).map_err(open)?.len();
    if bytes > max_bytes {
        return Err(DataError::TooLarge {
            path: name.clone(),
            key: "tensor".into(),
            bytes: bytes.into(),
            limit: max_bytes,
        });
    }
    let bytes = fs::read(path).map_err(open)?;
    let tensor = Tensor::decode(bytes.as_slice()).map_err(|e| damaged(e.to_string()))?;
    let shape = (tensor.dims.iter())
        .map(|&d| {
            usize::try_from(d).map_err(|_| damaged(format!("its axes are {:?}", tensor.dims)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let data = tensor.floats(&shape).map_err(damaged)?;
    if elements(&shape) != Some(data.len()) {
        return Err(damaged(format!(
            "{} elements for the shape {}",
            data.len(),
            show(&shape)
        )));
    }
    Ok((shape, data))
}

impl Tensor {
    /// The elements, from `raw_data` or the field of the tensor's type.
    fn floats(&self, shape: &[usize]) -> Result<Vec<f32>, String> {
        let (kind, size) = match self.data_type {
            1 => (Kind::Float, 4),
            2 => (Kind::Unsigned, 1),
            3 => (Kind::Signed, 1),
            4 => (Kind::Unsigned, 2),
            5 => (Kind::Signed, 2),
            6 => (Kind::Signed, 4),
            7 => (Kind::Signed, 8),
            9 => (Kind::Bool, 1),
            10 => (Kind::Float, 2),
            11 => (Kind::Float, 8),
            12 => (Kind::Unsigned, 4),
            13 => (Kind::Unsigned, 8),
            other => return Err(format!("element type {other} is no plain number")),
        };
        if !self.raw.is_empty() {
            let header = Header {
                descr: String::new(),
                kind,
                size,
                big_endian: false,
                fortran: false,
                shape: shape.to_vec(),
            };
            return header.floats(self.raw.as_slice());
        }
        Ok(match self.data_type {
            1 => self.floats.clone(),
            7 => self.int64s.iter().map(|&v| v as f32).collect(),
            10 => self
                .int32s
                .iter()
                .map(|&v| half::f16::from_bits(v as u16).to_f32())
                .collect(),
            11 => self.doubles.iter().map(|&v| v as f32).collect(),
            12 | 13 => self.uint64s.iter().map(|&v| v as f32).collect(),
            _ => self.int32s.iter().map(|&v| v as f32).collect(),
        })
    }
}
