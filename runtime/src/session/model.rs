//! A model as the runtime sees it: bytes, and the inputs it declares.

use std::fmt;

use super::graph;
use crate::Error;

/// A model as bytes, with the name that messages call it by.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The ONNX message.
    pub bytes: &'a [u8],
}

impl<'a> Model<'a> {
    /// A model of these bytes. Its weights are in them: external data are
    /// refused, since nothing here reads files that a model names.
    pub fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes }
    }

    /// The model's inputs that are no initializers.
    ///
    /// # Errors
    /// [`Error::NotAModel`] where the bytes cannot be decoded.
    pub fn inputs(&self) -> Result<Vec<InputInfo>, Error> {
        graph::inputs(self)
    }
}

/// An axis of an input as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A known extent.
    Fixed(usize),
    /// A symbol, or `?`.
    Free(String),
}

/// An input as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputInfo {
    /// Its name.
    pub name: String,
    /// ONNX element type (`TensorProto.DataType`).
    pub elem_type: i32,
    /// Its axes; `None` where the rank is unknown.
    pub dims: Option<Vec<Dim>>,
}

impl InputInfo {
    /// The shape as `Nx3x224x224`.
    pub fn shape(&self) -> String {
        let Some(dims) = &self.dims else {
            return "any shape".into();
        };
        let shown: Vec<String> = dims.iter().map(Dim::to_string).collect();
        if shown.is_empty() {
            "scalar".into()
        } else {
            shown.join("x")
        }
    }
}

impl InputInfo {
    /// The shape of a sample: the axes after the first, if all are known.
    pub fn sample(&self) -> Option<Vec<usize>> {
        let dims = self.dims.as_ref()?.get(1..)?;
        dims.iter()
            .map(|dim| match dim {
                Dim::Fixed(n) => Some(*n),
                Dim::Free(_) => None,
            })
            .collect()
    }
}

impl fmt::Display for InputInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.shape())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => n.fmt(f),
            Dim::Free(symbol) => f.write_str(symbol),
        }
    }
}
