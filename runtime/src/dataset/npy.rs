//! NumPy's array format, versions 1 to 3: a header in Python's syntax, then the
//! elements in C or Fortran order.
//!
//! Nothing is allocated on the word of a header: buffers grow with the bytes
//! that are there.

use std::fmt;
use std::io::Read;

use crate::array::elements;

/// Largest header that is read; NumPy's own limit is 10,000 bytes.
const HEADER_LIMIT: u32 = 1 << 16;

/// Kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Signed,
    Unsigned,
    Bool,
    Other,
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// NumPy's type string, as `<f4`.
    pub descr: String,
    pub kind: Kind,
    /// Bytes an element.
    pub size: usize,
    pub big_endian: bool,
    pub fortran: bool,
    pub shape: Vec<usize>,
}

impl Header {
    /// Whether the elements are numbers that [`Header::floats`] reads.
    pub fn numeric(&self) -> bool {
        match self.kind {
            Kind::Float => matches!(self.size, 2 | 4 | 8),
            Kind::Signed | Kind::Unsigned => matches!(self.size, 1 | 2 | 4 | 8),
            Kind::Bool => self.size == 1,
            Kind::Other => false,
        }
    }

    /// Whether the elements are bytes.
    pub fn is_u8(&self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// Bytes of all elements; `None` on overflow.
    pub fn bytes(&self) -> Option<usize> {
        elements(&self.shape)?.checked_mul(self.size)
    }

    /// Reads the magic string and the header.
    pub fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut magic = [0; 8];
        reader.read_exact(&mut magic).map_err(|e| e.to_string())?;
        if &magic[..6] != b"\x93NUMPY" {
            return Err("it is no NumPy array".into());
        }
        let length = match magic[6] {
            1 => {
                let mut length = [0; 2];
                reader.read_exact(&mut length).map_err(|e| e.to_string())?;
                u32::from(u16::from_le_bytes(length))
            }
            2 | 3 => {
                let mut length = [0; 4];
                reader.read_exact(&mut length).map_err(|e| e.to_string())?;
                u32::from_le_bytes(length)
            }
            version => return Err(format!("version {version} of the format is unknown")),
        };
        if length > HEADER_LIMIT {
            return Err(format!("its header takes {length} bytes"));
        }
        let mut text = String::new();
        reader
            .take(length.into())
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        Self::parse(&text).ok_or_else(|| format!("its header is not understood: {}", text.trim()))
    }

    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            rest.trim_start().strip_prefix(':').map(str::trim_start)
        };
        let descr = match after("descr")?.strip_prefix('\'') {
            Some(rest) => rest.split_once('\'')?.0.to_string(),
            // A list of fields: a record type.
            None => "record".to_string(),
        };
        let fortran = match after("fortran_order")? {
            rest if rest.starts_with("True") => true,
            rest if rest.starts_with("False") => false,
            _ => return None,
        };
        let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
        let shape = (shape.split(',').map(str::trim))
            .filter(|d| !d.is_empty())
            .map(|d| d.trim_end_matches('L').parse().ok())
            .collect::<Option<_>>()?;
        let bytes = descr.as_bytes();
        let kind = match bytes.get(1)? {
            b'f' => Kind::Float,
            b'i' => Kind::Signed,
            b'u' => Kind::Unsigned,
            b'b' => Kind::Bool,
            _ => Kind::Other,
        };
        let size = descr.get(2..).and_then(|s| s.parse().ok()).unwrap_or(0);
        let big_endian = bytes[0] == b'>';
        Some(Self {
            descr,
            kind,
            size,
            big_endian,
            fortran,
            shape,
        })
    }

    /// The elements as `f32`, in C order.
    pub fn floats(&self, reader: impl Read) -> Result<Vec<f32>, String> {
        match (self.kind, self.size) {
            (Kind::Float, 2) => self.values(reader, |b| {
                half::f16::from_bits(u16::from_le_bytes(b)).to_f32()
            }),
            (Kind::Float, 4) => self.values(reader, f32::from_le_bytes),
            (Kind::Float, 8) => self.values(reader, |b| f64::from_le_bytes(b) as f32),
            (Kind::Unsigned | Kind::Bool, 1) => self.values(reader, |[b]: [u8; 1]| f32::from(b)),
            _ => Ok(self
                .integers(reader)?
                .into_iter()
                .map(|v| v as f32)
                .collect()),
        }
    }

    /// The elements as bytes, in C order.
    pub fn octets(&self, reader: impl Read) -> Result<Vec<u8>, String> {
        self.values(reader, |[b]: [u8; 1]| b)
    }

    /// The elements as `i64`, in C order; unsigned ones above its range saturate.
    pub fn integers(&self, reader: impl Read) -> Result<Vec<i64>, String> {
        match (self.kind, self.size) {
            (Kind::Signed, 1) => self.values(reader, |b| i8::from_le_bytes(b).into()),
            (Kind::Signed, 2) => self.values(reader, |b| i16::from_le_bytes(b).into()),
            (Kind::Signed, 4) => self.values(reader, |b| i32::from_le_bytes(b).into()),
            (Kind::Signed, 8) => self.values(reader, i64::from_le_bytes),
            (Kind::Unsigned | Kind::Bool, 1) => {
                self.values(reader, |b| u8::from_le_bytes(b).into())
            }
            (Kind::Unsigned, 2) => self.values(reader, |b| u16::from_le_bytes(b).into()),
            (Kind::Unsigned, 4) => self.values(reader, |b| u32::from_le_bytes(b).into()),
            (Kind::Unsigned, 8) => self.values(reader, |b| {
                u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)
            }),
            _ => Err(format!("type {} is no integer", self.descr)),
        }
    }

    /// Reads all elements, each from its little-endian bytes.
    fn values<const SIZE: usize, T: Copy>(
        &self,
        mut reader: impl Read,
        value: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, String> {
        let count = elements(&self.shape).ok_or("its shape overflows")?;
        let mut values = Vec::new();
        let mut buffer = vec![0; SIZE << 14];
        while values.len() < count {
            let bytes = &mut buffer[..SIZE * (count - values.len()).min(1 << 14)];
            reader
                .read_exact(bytes)
                .map_err(|e| format!("it ends before its {count} elements are read ({e})"))?;
            let (elements, _) = bytes.as_chunks::<SIZE>();
            values.extend(elements.iter().map(|&element| {
                let mut element = element;
                if self.big_endian {
                    element.reverse();
                }
                value(element)
            }));
        }
        // Reading on to the end makes an archive verify its checksum.
        match reader.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(format!("more bytes follow its {count} elements")),
            Err(e) => return Err(e.to_string()),
        }
        Ok(if self.fortran {
            c_order(&values, &self.shape)
        } else {
            values
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Float => "float",
            Kind::Signed => "int",
            Kind::Unsigned => "uint",
            Kind::Bool => return write!(f, "bool {}", crate::array::show(&self.shape)),
            Kind::Other => return write!(f, "{} {}", self.descr, crate::array::show(&self.shape)),
        };
        write!(
            f,
            "{kind}{} {}",
            8 * self.size,
            crate::array::show(&self.shape)
        )
    }
}

/// Elements in Fortran order (first axis fastest) put in C order.
fn c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &d| Some(std::mem::replace(stride, *stride * d)))
        .collect();
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    (0..values.len())
        .map(|_| {
            let value = values[at];
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
            value
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An array as NumPy writes it.
    pub fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn floats(bytes: &[u8]) -> Result<Vec<f32>, String> {
        let mut reader = bytes;
        Header::read(&mut reader)?.floats(reader)
    }

    #[test]
    fn every_number_type_in_both_byte_orders() {
        let cases: [(&str, &[u8]); 10] = [
            ("<f4", &[0, 0, 0x40, 0xc0]),
            (">f4", &[0xc0, 0x40, 0, 0]),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0x08, 0xc0]),
            ("<f2", &[0, 0xc2]),
            ("|i1", &[0xfd]),
            ("<i2", &[0xfd, 0xff]),
            (">i2", &[0xff, 0xfd]),
            ("<i4", &[0xfd, 0xff, 0xff, 0xff]),
            ("<i8", &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (">i8", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd]),
        ];
        for (descr, data) in cases {
            assert_eq!(
                floats(&npy(descr, false, "(1,)", data)),
                Ok(vec![-3.0]),
                "{descr}"
            );
        }
        assert_eq!(floats(&npy("|u1", false, "()", &[200])), Ok(vec![200.0]));
        assert_eq!(
            floats(&npy("|b1", false, "(2,)", &[1, 0])),
            Ok(vec![1.0, 0.0])
        );
    }

    #[test]
    fn fortran_order_is_turned_round() {
        // [[0, 1, 2], [3, 4, 5]] column by column.
        let bytes = npy("|u1", true, "(2, 3)", &[0, 3, 1, 4, 2, 5]);
        assert_eq!(floats(&bytes), Ok(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn lies_are_found_out_before_memory_is_taken() {
        let huge = npy("<f4", false, "(4000000000, 4)", &[0; 64]);
        assert!(floats(&huge).unwrap_err().contains("16000000000"));
        let overflow = npy(
            "<f4",
            false,
            "(18446744073709551615, 18446744073709551615)",
            &[],
        );
        assert!(floats(&overflow).unwrap_err().contains("overflows"));
        for bytes in [
            &b""[..],
            b"\x93NUMPY\x01\x00\xff",
            b"\x93NUMPY\x09\x00\x00\x00",
            b"PK\x03\x04aaaa",
        ] {
            assert!(floats(bytes).is_err());
        }
        assert!(floats(&npy("<f4", false, "(2", &[0; 8])).is_err());
        assert!(floats(&npy("<U6", false, "(1,)", &[0; 24])).is_err());
    }
}
