//! A model as the runtime sees it: bytes, and the inputs it declares.

use std::fmt;
use std::path::Path;

use super::graph;
use crate::Error;

/// A model as bytes, with the name that messages call it by.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The ONNX message.
    pub bytes: &'a [u8],
    /// The folder that external data lie in; without it a model with external
    /// data is refused. tract checks that no path leaves this folder.
    pub folder: Option<&'a Path>,
}

impl<'a> Model<'a> {
    /// A model without external data.
    pub fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            name,
            bytes,
            folder: None,
        }
    }

    /// The same model, its external data in `folder`.
    pub fn in_folder(self, folder: &'a Path) -> Self {
        Self {
            folder: Some(folder),
            ..self
        }
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
