//! Models from files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use compiler::model::Model;
use compiler::onnx::{self, ExternalData, ExternalOptions, UnknownFields};

/// What becomes of weights that lie in files beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// They are not looked at.
    Leave,
    /// They are mapped, and become part of the model.
    Bring,
}

/// A model that was read from a file.
pub struct Source {
    /// The file, as it was given.
    pub path: PathBuf,
    /// The whole file.
    pub bytes: Bytes,
    /// What it holds.
    pub model: Model,
    /// What writing it would lose.
    pub unknown: UnknownFields,
}

impl Source {
    /// Opens a model.
    ///
    /// # Errors
    /// Why the file is no model; the message names it.
    pub fn open(path: &Path, weights: Weights) -> anyhow::Result<Self> {
        let file = onnx::open(path)?;
        let mut proto = file.model;
        if weights == Weights::Bring {
            ExternalData::beside(path, ExternalOptions::default())
                .inline(&mut proto)
                .with_context(|| path.display().to_string())?;
        }
        let model = Model::from_proto(proto, path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            bytes: file.bytes,
            model,
            unknown: file.unknown,
        })
    }

    /// The file's name for messages and reports.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The names of the inputs that are to be provided.
    pub fn inputs(&self) -> Vec<String> {
        let graph = self.model.expanded();
        let names = graph.inputs.iter().map(|&v| graph.value(v).name.clone());
        names.collect()
    }
}

/// A model file for the runtime: its bytes, and the folder of its weights.
pub struct Runnable {
    path: PathBuf,
    name: String,
    bytes: Bytes,
}

impl Runnable {
    /// Opens a model.
    ///
    /// # Errors
    /// Why the file is no model; the message names it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::of(path, onnx::open(path)?.bytes))
    }

    /// A model whose bytes are at hand.
    pub fn of(path: &Path, bytes: Bytes) -> Self {
        Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            bytes,
        }
    }

    /// The file's name for messages and reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the runtime takes it.
    pub fn model(&self) -> runtime::Model<'_> {
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        runtime::Model::new(&self.name, &self.bytes).in_folder(folder)
    }
}
