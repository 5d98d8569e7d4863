//! A tensor's elements as one run of little-endian bytes, whichever of the
//! seven fields of [`TensorProto`] they were stored in.
//!
//! Everything here is checked against the bytes at hand before anything is
//! allocated: a tensor that declares 10^18 elements and holds four bytes is a
//! [`TensorProblem::WrongLength`], not an allocation.

use bytes::Bytes;

use super::schema::{DataLocation, DataType, TensorProto};

/// Why a tensor's data cannot be had, and the tensor's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tensor {tensor:?}: {problem}")]
pub struct TensorDataError {
    /// Name of the tensor; empty where it has none.
    pub tensor: String,
    /// What is wrong with it.
    pub problem: TensorProblem,
}

/// What can be wrong with a tensor's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorProblem {
    /// `data_type` is absent, 0, or a number that IR version 14 does not define.
    #[error("unknown data type {0}; export the model with a current ONNX or without that tensor")]
    UnknownType(i32),
    /// The type has no fixed width: strings are read with [`strings`].
    #[error("strings have no fixed width")]
    String,
    /// A dimension is below zero.
    #[error("dimension {axis} is {size}, below zero; the model is malformed")]
    NegativeDimension {
        /// Which axis.
        axis: usize,
        /// What it says.
        size: i64,
    },
    /// The dimensions' product, or its size in bytes, exceeds 64 bits.
    #[error("the dimensions {dims:?} multiply to more than 64 bits; the model is malformed")]
    Overflow {
        /// The dimensions.
        dims: Vec<i64>,
    },
    /// The stored data do not have the size that type and dimensions ask for.
    #[error(
        "{field} holds {actual} {unit}, but {dims:?} of {data_type:?} needs {expected}; \
         the model is malformed or truncated"
    )]
    WrongLength {
        /// The field that holds the data.
        field: &'static str,
        /// What is counted: bytes of `raw_data`, entries of the other fields.
        unit: &'static str,
        /// How many there are.
        actual: u64,
        /// How many there should be.
        expected: u64,
        /// The tensor's dimensions.
        dims: Vec<i64>,
        /// The tensor's element type.
        data_type: DataType,
    },
    /// The data are in another file; see the `external` module.
    #[error("the data are in an external file")]
    External,
    /// The tensor is one chunk of a larger one, which no exporter writes.
    #[error("the data are split into segments, which is not supported; export the model anew")]
    Segmented,
}

/// Bits of one element: 2, 4, 6, 8, 16, 32, 64 or 128; `None` for strings and
/// the undefined type.
pub const fn bit_width(data_type: DataType) -> Option<u32> {
    use DataType::*;
    Some(match data_type {
        Undefined | String => return None,
        Uint2 | Int2 => 2,
        Uint4 | Int4 | Float4e2m1 => 4,
        Float6e2m3 | Float6e3m2 => 6,
        Uint8 | Int8 | Bool | Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz
        | Float8e8m0 => 8,
        Uint16 | Int16 | Float16 | Bfloat16 => 16,
        Uint32 | Int32 | Float => 32,
        Uint64 | Int64 | Double | Complex64 => 64,
        Complex128 => 128,
    })
}

/// Bytes of `count` elements, packed: `ceil(count · bits / 8)`. `None` for
/// types without a fixed width and above 64 bits.
pub fn packed_len(data_type: DataType, count: u64) -> Option<u64> {
    let bits = u128::from(bit_width(data_type)?) * u128::from(count);
    u64::try_from(bits.div_ceil(8)).ok()
}

/// The tensor's element type.
///
/// # Errors
/// [`TensorProblem::UnknownType`] where it is absent, undefined or not of the standard.
pub fn data_type(tensor: &TensorProto) -> Result<DataType, TensorDataError> {
    let code = tensor.data_type.unwrap_or(0);
    match DataType::try_from(code) {
        Ok(data_type) if data_type != DataType::Undefined => Ok(data_type),
        _ => Err(problem(tensor, TensorProblem::UnknownType(code))),
    }
}

/// Product of the dimensions; 1 for a scalar, 0 where any dimension is 0.
///
/// # Errors
/// A negative dimension, or a product above 64 bits.
pub fn element_count(tensor: &TensorProto) -> Result<u64, TensorDataError> {
    let mut count = 1u64;
    let mut overflow = false;
    for (axis, &size) in tensor.dims.iter().enumerate() {
        let factor = u64::try_from(size)
            .map_err(|_| problem(tensor, TensorProblem::NegativeDimension { axis, size }))?;
        // A later zero makes the product zero again, so overflow is remembered.
        match count.checked_mul(factor) {
            Some(product) => count = product,
            None => overflow = true,
        }
        if factor == 0 {
            (count, overflow) = (0, false);
        }
    }
    if overflow {
        Err(too_large(tensor))
    } else {
        Ok(count)
    }
}

/// Bytes that the tensor's elements take in canonical form.
///
/// # Errors
/// Those of [`data_type`] and [`element_count`]; strings; more than 64 bits.
pub fn byte_len(tensor: &TensorProto) -> Result<u64, TensorDataError> {
    let data_type = data_type(tensor)?;
    let count = element_count(tensor)?;
    if data_type == DataType::String {
        return Err(problem(tensor, TensorProblem::String));
    }
    packed_len(data_type, count).ok_or_else(|| too_large(tensor))
}

/// Whether the tensor's data are in another file.
pub fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// Checks that the data stored in the model are as many as type and dimensions
/// say, without copying them. Of external data only type and dimensions are checked.
///
/// # Errors
/// Any [`TensorProblem`] but `External`.
pub fn check_size(tensor: &TensorProto) -> Result<(), TensorDataError> {
    let data_type = data_type(tensor)?;
    let count = element_count(tensor)?;
    if data_type != DataType::String {
        byte_len(tensor)?;
    }
    if is_external(tensor) {
        return Ok(());
    }
    if tensor.segment.is_some() {
        return Err(problem(tensor, TensorProblem::Segmented));
    }
    let (field, unit, actual, expected) = stored(tensor, data_type, count)?;
    if actual == expected {
        return Ok(());
    }
    let dims = tensor.dims.clone();
    Err(problem(
        tensor,
        TensorProblem::WrongLength {
            field,
            unit,
            actual,
            expected,
            dims,
            data_type,
        },
    ))
}

/// The tensor's elements, row-major, fixed-width little-endian, types below
/// 8 bits packed from the least significant bit on, as `raw_data` has them.
///
/// A `raw_data` field is returned as it is, a slice of the file's map: nothing
/// is copied.
///
/// # Errors
/// Those of [`check_size`]; [`TensorProblem::String`]; [`TensorProblem::External`].
pub fn little_endian(tensor: &TensorProto) -> Result<Bytes, TensorDataError> {
    use DataType::*;
    let data_type = data_type(tensor)?;
    if data_type == String {
        return Err(problem(tensor, TensorProblem::String));
    }
    check_size(tensor)?;
    if is_external(tensor) {
        return Err(problem(tensor, TensorProblem::External));
    }
    if let Some(raw) = &tensor.raw_data {
        return Ok(raw.clone());
    }
    let words = &tensor.int32_data;
    let bytes: Vec<u8> = match data_type {
        Float | Complex64 => tensor
            .float_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        Double | Complex128 => tensor
            .double_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        Int64 => tensor
            .int64_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        Uint64 => tensor
            .uint64_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        Uint32 => tensor
            .uint64_data
            .iter()
            .flat_map(|&v| (v as u32).to_le_bytes())
            .collect(),
        Int32 => words.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Uint16 | Int16 | Float16 | Bfloat16 => words
            .iter()
            .flat_map(|&v| (v as u16).to_le_bytes())
            .collect(),
        Bool => words.iter().map(|&v| u8::from(v != 0)).collect(),
        Float6e2m3 | Float6e3m2 => pack_six_bits(words),
        // One byte an entry, which holds one, two or four elements.
        Uint8 | Int8 | Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz | Float8e8m0
        | Uint4 | Int4 | Float4e2m1 | Uint2 | Int2 => words.iter().map(|&v| v as u8).collect(),
        String | Undefined => Vec::new(),
    };
    Ok(Bytes::from(bytes))
}

/// The elements of a string tensor.
///
/// # Errors
/// Those of [`check_size`]; [`TensorProblem::UnknownType`] where the type is not a string.
pub fn strings(tensor: &TensorProto) -> Result<&[Bytes], TensorDataError> {
    let data_type = data_type(tensor)?;
    if data_type != DataType::String {
        return Err(problem(
            tensor,
            TensorProblem::UnknownType(data_type as i32),
        ));
    }
    check_size(tensor)?;
    Ok(&tensor.string_data)
}

/// Which field holds the data: its name, what it counts, how many it holds and
/// how many `count` elements need.
fn stored(
    tensor: &TensorProto,
    data_type: DataType,
    count: u64,
) -> Result<(&'static str, &'static str, u64, u64), TensorDataError> {
    use DataType::*;
    if let (Some(raw), true) = (&tensor.raw_data, data_type != String) {
        return Ok(("raw_data", "bytes", raw.len() as u64, byte_len(tensor)?));
    }
    let (field, actual) = match data_type {
        String => ("string_data", tensor.string_data.len()),
        Float | Complex64 => ("float_data", tensor.float_data.len()),
        Double | Complex128 => ("double_data", tensor.double_data.len()),
        Int64 => ("int64_data", tensor.int64_data.len()),
        Uint64 | Uint32 => ("uint64_data", tensor.uint64_data.len()),
        _ => ("int32_data", tensor.int32_data.len()),
    };
    let expected = match data_type {
        Complex64 | Complex128 => count.checked_mul(2).ok_or_else(|| too_large(tensor))?,
        Uint4 | Int4 | Float4e2m1 => count.div_ceil(2),
        Uint2 | Int2 => count.div_ceil(4),
        _ => count,
    };
    Ok((field, "entries", actual as u64, expected))
}

/// Six-bit entries as one stream of bits, the least significant first: four
/// entries in three bytes, the rest of the last byte zero.
fn pack_six_bits(entries: &[i32]) -> Vec<u8> {
    let groups = entries.chunks(4).map(|group| {
        let bits = group
            .iter()
            .rev()
            .fold(0u32, |bits, &v| bits << 6 | (v as u32 & 0x3f));
        (bits.to_le_bytes(), (group.len() * 6).div_ceil(8))
    });
    groups
        .flat_map(|(bytes, used)| bytes.into_iter().take(used))
        .collect()
}

fn problem(tensor: &TensorProto, problem: TensorProblem) -> TensorDataError {
    let tensor = tensor.name.clone().unwrap_or_default();
    TensorDataError { tensor, problem }
}

fn too_large(tensor: &TensorProto) -> TensorDataError {
    problem(
        tensor,
        TensorProblem::Overflow {
            dims: tensor.dims.clone(),
        },
    )
}
