//! Models from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use analyzer::Analysis;
use anyhow::Context;
use bytes::Bytes;
use compiler::facts::{Facts, Scope};
use compiler::model::Model;
use compiler::onnx::schema::ModelProto;
use compiler::onnx::{self, ExternalData, UnknownFields};

use crate::failure;
use crate::limits::{self, Size};

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
    /// Whether weights were brought from files beside the model.
    external: bool,
}

/// Brings the weights of other files into a model; whether there are any.
fn bring(path: &Path, model: &mut ModelProto) -> anyhow::Result<bool> {
    let data = ExternalData::beside(path, limits::external_options());
    let brought = data.inline(model);
    Ok(brought.with_context(|| path.display().to_string())? > 0)
}

impl Source {
    /// Opens a model.
    ///
    /// # Errors
    /// Why the file is no model; the message names it.
    pub fn open(path: &Path, weights: Weights) -> anyhow::Result<Self> {
        limits::begin_model();
        let file = onnx::open_with(path, &limits::open_options())?;
        if let Some(field) = file.unknown.listed.first() {
            failure::note(&format!(
                "{}: holds {} fields that ONNX up to IR version 14 does not define ({field}); they \
                 are not looked at",
                path.display(),
                file.unknown.count
            ));
        }
        let mut proto = file.model;
        let external = weights == Weights::Bring && bring(path, &mut proto)?;
        let model = Model::from_proto(proto, path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            bytes: file.bytes,
            model,
            unknown: file.unknown,
            external,
        })
    }

    /// The file's name for messages and reports.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The model as it was read, for the runtime.
    pub fn runnable(&self) -> Runnable {
        let bytes = if self.external {
            onnx::encode_unbounded(&self.model.proto)
        } else {
            self.bytes.clone()
        };
        Runnable::of(&self.path, bytes)
    }

    /// The names of the inputs that are to be provided.
    pub fn inputs(&self) -> Vec<String> {
        let graph = self.model.expanded();
        let names = graph.inputs.iter().map(|&v| graph.value(v).name.clone());
        names.collect()
    }
}

/// Why a model is not handed to tract: a value that it would allocate takes more
/// than this process may. tract itself would end the process.
pub fn too_large(model: &Model, shapes: &HashMap<String, Vec<i64>>) -> Option<String> {
    let scope = Scope::of_inputs(shapes.clone());
    let graph = model.expanded();
    let facts = Facts::infer(graph, &scope).ok()?;
    let allowed = limits::memory();
    facts.sorted.iter().find_map(|&node| {
        let outputs = facts.outputs_of(graph, node);
        let sizes = outputs.iter().filter_map(|fact| fact.bytes()?.at_least());
        let most = u64::try_from(sizes.max()?).unwrap_or(u64::MAX);
        (most > allowed).then(|| {
            format!(
                "{}: {} makes {}, and {} of memory are allowed (--max-memory), so that tract cannot run it",
                model.path.display(),
                graph.describe(node),
                Size(most),
                Size(allowed)
            )
        })
    })
}

/// The analysis of a model whose inputs have these shapes.
///
/// # Errors
/// The model cannot be analyzed; the message names it.
pub fn analysis(model: &Model, shapes: &HashMap<String, Vec<i64>>) -> anyhow::Result<Analysis> {
    let options = analyzer::Options {
        input_shapes: shapes.clone(),
        ..analyzer::Options::default()
    };
    analyzer::analyze(model, &options).with_context(|| model.path.display().to_string())
}

/// A model for the runtime: its bytes, weights and all. Files beside the model
/// are read here, by our rules, and not by tract.
pub struct Runnable {
    name: String,
    bytes: Bytes,
}

impl Runnable {
    /// Opens a model.
    ///
    /// # Errors
    /// Why the file is no model; the message names it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        limits::begin_model();
        let mut file = onnx::open_with(path, &limits::open_options())?;
        let bytes = if bring(path, &mut file.model)? {
            onnx::encode_unbounded(&file.model)
        } else {
            file.bytes
        };
        // What the compiler cannot read, tract may still run.
        if let Ok(model) = Model::from_proto(file.model, path)
            && let Some(why) = too_large(&model, &HashMap::new())
        {
            anyhow::bail!(why);
        }
        Ok(Self::of(path, bytes))
    }

    /// A model whose bytes are at hand.
    pub fn of(path: &Path, bytes: Bytes) -> Self {
        Self {
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
        runtime::Model::new(&self.name, &self.bytes)
    }
}
