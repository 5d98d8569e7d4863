//! The one array type of this crate's interface.

/// A dense array in row-major order.
///
/// Whatever the element type of a file or a model, values are handed over as
/// `f32`: exact for `uint8`, `float16` and `float32`, and for integers up to
/// 2²⁴.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// The elements, as many as the product of `shape`.
    pub data: Vec<f32>,
}

impl Array {
    /// An array of `shape` over `data`; `None` where the counts differ.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        (elements(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// The `count` equal blocks that the array falls into along its first axis.
    ///
    /// The first axis must be a multiple of `count`; each block keeps it.
    pub(crate) fn split(&self, count: usize) -> impl Iterator<Item = Array> + '_ {
        let mut shape = self.shape.clone();
        shape[0] /= count;
        let block = self.data.len() / count;
        (0..count).map(move |i| Array {
            shape: shape.clone(),
            data: self.data[i * block..(i + 1) * block].to_vec(),
        })
    }
}

/// The number of elements of `shape`, or `None` on overflow.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// A shape as `1x3x224x224`; `scalar` for rank 0.
pub(crate) fn show(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".into();
    }
    shape
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join("x")
}
