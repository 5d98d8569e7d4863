//! Constant tensors: type, shape, and data that are shared, filled, or absent.

use bytes::Bytes;

use super::{DataType, Expr, Shape};

/// Constants above this many elements are not computed ahead of need (a fill
/// that a hostile model makes 2^60 elements large must stay a description).
pub const FOLD_LIMIT: usize = 1 << 24;

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub dtype: DataType,
    /// Sizes, one an axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: TensorData,
}

/// Where a tensor's elements are.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Little-endian, row-major, packed; often a slice of a memory map.
    Bytes(Bytes),
    /// Every element has this value (`ConstantOfShape`).
    Fill(f64),
    /// Elements of a string tensor.
    Strings(Vec<Bytes>),
    /// Type and shape are known, the elements are not (external file not at
    /// hand, sparse tensor, or too large to compute ahead of need).
    Absent,
}

impl Tensor {
    /// A tensor of the given type from float64 values, rounded to nearest;
    /// `None` if the type is not a float or integer, or the length is off.
    pub fn from_f64(dtype: DataType, shape: Vec<usize>, values: &[f64]) -> Option<Self> {
        if checked_len(&shape)? != values.len() {
            return None;
        }
        macro_rules! pack {
            ($convert:expr) => {
                values
                    .iter()
                    .flat_map(|&v| $convert(v))
                    .collect::<Vec<u8>>()
            };
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes = match dtype {
            DataType::Float => pack!(|v: f64| (v as f32).to_le_bytes()),
            DataType::Double => pack!(f64::to_le_bytes),
            DataType::Float16 => pack!(|v| half::f16::from_f64(v).to_le_bytes()),
            DataType::Bfloat16 => pack!(|v| half::bf16::from_f64(v).to_le_bytes()),
            DataType::Int64 => pack!(|v: f64| (v as i64).to_le_bytes()),
            DataType::Int32 => pack!(|v: f64| (v as i32).to_le_bytes()),
            DataType::Int16 => pack!(|v: f64| (v as i16).to_le_bytes()),
            DataType::Int8 => pack!(|v: f64| (v as i8).to_le_bytes()),
            DataType::Uint64 => pack!(|v: f64| (v as u64).to_le_bytes()),
            DataType::Uint32 => pack!(|v: f64| (v as u32).to_le_bytes()),
            DataType::Uint16 => pack!(|v: f64| (v as u16).to_le_bytes()),
            DataType::Uint8 => pack!(|v: f64| (v as u8).to_le_bytes()),
            DataType::Bool => pack!(|v: f64| [u8::from(v != 0.0)]),
            _ => return None,
        };
        Some(Self {
            dtype,
            shape,
            data: TensorData::Bytes(bytes.into()),
        })
    }

    /// An int64 tensor.
    pub fn from_i64(shape: Vec<usize>, values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self {
            dtype: DataType::Int64,
            shape,
            data: TensorData::Bytes(bytes.into()),
        }
    }

    /// Number of elements; `None` above `usize`.
    pub fn len(&self) -> Option<usize> {
        checked_len(&self.shape)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The shape as expressions.
    pub fn dims(&self) -> Shape {
        self.shape.iter().map(|&d| Expr::from(d)).collect()
    }

    /// Whether the element type is a floating-point one.
    pub fn is_float(&self) -> bool {
        is_float(self.dtype)
    }

    /// Bytes that the elements take in memory.
    pub fn byte_len(&self) -> Option<u64> {
        crate::onnx::packed_len(self.dtype, self.len()? as u64)
    }

    /// The elements as float64: any float, integer or bool type up to 64 bits.
    /// `None` where they are absent, strings, complex, or too many
    /// ([`FOLD_LIMIT`] for a fill).
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        let n = self.len()?;
        match &self.data {
            TensorData::Fill(v) => (n <= FOLD_LIMIT).then(|| vec![*v; n]),
            TensorData::Bytes(b) => decode(self.dtype, b, n),
            TensorData::Strings(_) | TensorData::Absent => None,
        }
    }

    /// The elements as int64; `None` where the type is not an integer or bool
    /// or a value does not fit.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let n = self.len()?;
        match &self.data {
            TensorData::Bytes(b) => match self.dtype {
                DataType::Int64 => Some(
                    b.chunks_exact(8)
                        .filter_map(|c| c.try_into().ok().map(i64::from_le_bytes))
                        .collect(),
                ),
                DataType::Uint64 => b
                    .chunks_exact(8)
                    .filter_map(|c| c.try_into().ok())
                    .map(|c| i64::try_from(u64::from_le_bytes(c)).ok())
                    .collect(),
                t if is_float(t) => None,
                #[allow(clippy::cast_possible_truncation)]
                t => Some(decode(t, b, n)?.into_iter().map(|v| v as i64).collect()),
            },
            #[allow(clippy::cast_possible_truncation)]
            TensorData::Fill(v) => {
                (n <= FOLD_LIMIT && !is_float(self.dtype)).then(|| vec![*v as i64; n])
            }
            TensorData::Strings(_) | TensorData::Absent => None,
        }
    }

    /// The same elements under another shape of equal size.
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        (checked_len(&shape)? == self.len()?).then(|| Self {
            dtype: self.dtype,
            shape,
            data: self.data.clone(),
        })
    }

    /// Type and shape without the elements.
    pub fn without_data(dtype: DataType, shape: Vec<usize>) -> Self {
        Self {
            dtype,
            shape,
            data: TensorData::Absent,
        }
    }
}

/// Whether a type is a floating-point one of any width.
pub fn is_float(dtype: DataType) -> bool {
    use DataType as T;
    matches!(
        dtype,
        T::Float
            | T::Double
            | T::Float16
            | T::Bfloat16
            | T::Float8e4m3fn
            | T::Float8e4m3fnuz
            | T::Float8e5m2
            | T::Float8e5m2fnuz
            | T::Float8e8m0
            | T::Float4e2m1
            | T::Float6e2m3
            | T::Float6e3m2
    )
}

fn checked_len(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

#[allow(clippy::cast_precision_loss)]
fn decode(dtype: DataType, bytes: &[u8], n: usize) -> Option<Vec<f64>> {
    macro_rules! unpack {
        ($t:ty, $to:expr) => {
            bytes
                .chunks_exact(size_of::<$t>())
                .filter_map(|c| c.try_into().ok())
                .map(|c| $to(<$t>::from_le_bytes(c)))
                .collect::<Vec<f64>>()
        };
    }
    let nibble = |signed: bool| -> Vec<f64> {
        (0..n)
            .map_while(|i| Some((bytes.get(i / 2)? >> (4 * (i % 2))) & 15))
            .map(|v| {
                if signed && v > 7 {
                    f64::from(v) - 16.0
                } else {
                    f64::from(v)
                }
            })
            .collect()
    };
    let values = match dtype {
        DataType::Float => unpack!(f32, f64::from),
        DataType::Double => unpack!(f64, |v| v),
        DataType::Float16 => unpack!(half::f16, half::f16::to_f64),
        DataType::Bfloat16 => unpack!(half::bf16, half::bf16::to_f64),
        DataType::Int64 => unpack!(i64, |v| v as f64),
        DataType::Uint64 => unpack!(u64, |v| v as f64),
        DataType::Int32 => unpack!(i32, f64::from),
        DataType::Uint32 => unpack!(u32, f64::from),
        DataType::Int16 => unpack!(i16, f64::from),
        DataType::Uint16 => unpack!(u16, f64::from),
        DataType::Int8 => unpack!(i8, f64::from),
        DataType::Uint8 => unpack!(u8, f64::from),
        DataType::Bool => unpack!(u8, |v| f64::from(u8::from(v != 0))),
        DataType::Int4 => nibble(true),
        DataType::Uint4 => nibble(false),
        _ => return None,
    };
    (values.len() == n).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_each_type() {
        let values = [0.0, 1.0, -2.0, 96.0];
        for t in [
            DataType::Float,
            DataType::Double,
            DataType::Float16,
            DataType::Bfloat16,
            DataType::Int64,
            DataType::Int32,
            DataType::Int16,
            DataType::Int8,
        ] {
            let tensor = Tensor::from_f64(t, vec![2, 2], &values).unwrap();
            assert_eq!(tensor.to_f64().unwrap(), values, "{t:?}");
        }
        assert!(Tensor::from_f64(DataType::Float, vec![3], &values).is_none());
    }

    #[test]
    fn a_huge_fill_stays_a_description() {
        let tensor = Tensor {
            dtype: DataType::Float,
            shape: vec![1 << 40, 1 << 10],
            data: TensorData::Fill(0.5),
        };
        assert_eq!(tensor.len(), Some(1 << 50));
        assert_eq!(tensor.to_f64(), None);
    }
}
