//! One model: read, analyzed, and what the rules say of it.

use std::io::Read;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use analyzer::rules::unreadable;
use analyzer::{Draft, Figures, Finding, Options, Settings, Study, lint};
use bytes::Bytes;
use compiler::model::Model;
use compiler::onnx::schema::ModelProto;
use compiler::onnx::{
    self, DecodeError, ExternalData, ExternalError, OnnxError, is_external, reference,
    try_for_each_tensor_mut,
};
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Key, SideFile};
use super::places::Place;
use crate::failure::describe;
use crate::limits;
use crate::units;

/// What is known of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// What the rules say.
    pub findings: Vec<Finding>,
    /// What the model takes.
    pub figures: Option<Figures>,
    /// Files beside the model that it was read with.
    pub side_files: Vec<SideFile>,
}

/// Looks at one file. Whatever is wrong with it is a finding.
pub fn examine(
    place: &Place,
    settings: &Settings,
    before: Option<&Figures>,
    cache: Option<&Cache>,
) -> Seen {
    let whole = || match read(&place.path) {
        Ok(bytes) => of_bytes(place, &bytes, settings, before, cache),
        Err(error) => Seen {
            findings: unreadable(
                settings,
                Draft::model(format!("cannot be read: {error}"))
                    .help("see to the file's permissions")
                    .with("reason", error.to_string()),
            )
            .into_iter()
            .collect(),
            ..Seen::default()
        },
    };
    // A panic in one model must not take the others' findings away.
    panic::catch_unwind(AssertUnwindSafe(whole)).unwrap_or_else(|_| Seen {
        findings: unreadable(
            settings,
            Draft::model("convfold failed on this model; nothing is known of it")
                .help("please report it, with the model if you can")
                .with("reason", "internal error"),
        )
        .into_iter()
        .collect(),
        ..Seen::default()
    })
}

/// The bytes of a regular file: a pipe may never end. Read, not mapped: who
/// changes the file meanwhile must not end the whole run.
fn read(path: &Path) -> std::io::Result<Bytes> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if metadata.len() > limits::memory() {
        return Err(std::io::Error::other("it is larger than --max-memory"));
    }
    std::fs::read(path).map(Bytes::from)
}

fn of_bytes(
    place: &Place,
    bytes: &Bytes,
    settings: &Settings,
    before: Option<&Figures>,
    cache: Option<&Cache>,
) -> Seen {
    let key = Key::new(bytes, settings, before);
    if let Some(seen) = cache.and_then(|c| c.get(&key, &place.path)) {
        return seen;
    }
    let seen = match load(&place.path, bytes, settings.needs_weights()) {
        Ok((model, side_files)) => Seen {
            side_files,
            ..judge(&model, settings, before)
        },
        // Not kept: it is known at once, and may lie in a file beside.
        Err(draft) => {
            return Seen {
                findings: unreadable(settings, *draft).into_iter().collect(),
                ..Seen::default()
            };
        }
    };
    if let Some(cache) = cache {
        cache.put(&key, &seen);
    }
    seen
}

fn judge(model: &Model, settings: &Settings, before: Option<&Figures>) -> Seen {
    let graph = model.expanded();
    let has = |name: &String| graph.inputs.iter().any(|&v| graph.value(v).name == *name);
    let shapes = settings.input_shapes.iter();
    let options = Options {
        input_shapes: shapes
            .filter(|(name, _)| has(name))
            .map(|(name, shape)| (name.clone(), shape.clone()))
            .collect(),
        weights: settings.needs_weights(),
        ..Options::default()
    };
    match Study::new(model, &options) {
        Ok(study) => {
            let analysis = study.analysis();
            Seen {
                findings: lint(&study, &analysis, settings, before),
                figures: Some(Figures::of(&analysis)),
                ..Seen::default()
            }
        }
        Err(error) => Seen {
            findings: unreadable(
                settings,
                Draft::model(format!("cannot be analyzed: {error}"))
                    .help("see to the graph, or to [input-shapes] in the configuration")
                    .with("reason", error.to_string()),
            )
            .into_iter()
            .collect(),
            ..Seen::default()
        },
    }
}

/// Reads a model with the weights beside it where they are wanted and there.
fn load(path: &Path, bytes: &Bytes, weights: bool) -> Result<(Model, Vec<SideFile>), Box<Draft>> {
    limits::begin_model();
    let decoded = onnx::decode_with(bytes.clone(), &limits::open_options().limits);
    let mut proto = decoded
        .map_err(|error| Box::new(refused(path, error)))?
        .model;
    let mut side_files = Vec::new();
    if weights {
        side_files = beside(path, &mut proto).map_err(|error| Box::new(without_weights(&error)))?;
    }
    let model = Model::from_proto(proto, path).map_err(|error| {
        let error = describe(&error.into());
        let draft = Draft::model(format!("is no sound graph: {error}"))
            .help("export it again; onnx.checker tells more")
            .with("reason", error);
        Box::new(draft)
    })?;
    Ok((model, side_files))
}

/// Brings in the weights of files beside the model; those that are not there
/// stay away.
fn beside(path: &Path, proto: &mut ModelProto) -> Result<Vec<SideFile>, ExternalError> {
    let locations = locations(proto);
    if locations.is_empty() {
        return Ok(Vec::new());
    }
    let data = ExternalData::beside(path, limits::external_options());
    match data.inline(proto) {
        Ok(_) | Err(ExternalError::Absent { .. }) => {}
        Err(error) => return Err(error),
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let hashed = locations.into_iter().map(|l| SideFile::of(folder, l));
    Ok(hashed.collect())
}

/// The files that a model names for its weights, as it names them.
fn locations(proto: &mut ModelProto) -> Vec<String> {
    let mut locations: Vec<String> = Vec::new();
    let _ = try_for_each_tensor_mut(proto, &mut |tensor| {
        if is_external(tensor)
            && let Ok(reference) = reference(tensor)
            && !locations.contains(&reference.location)
        {
            locations.push(reference.location);
        }
        Ok::<(), ExternalError>(())
    });
    locations
}

/// The files beside a model that hold its weights; none where it is no model.
pub fn data_files(path: &Path) -> Vec<PathBuf> {
    let Ok(mut file) = onnx::open_with(path, &limits::open_options()) else {
        return Vec::new();
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let names = locations(&mut file.model).into_iter();
    names.map(|name| folder.join(name)).collect()
}

fn without_weights(error: &ExternalError) -> Draft {
    if let ExternalError::Range { path, .. } = error
        && is_lfs_pointer(path)
    {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return Draft::model(format!(
            "its weights in {file} are a Git LFS pointer and were not fetched: git lfs pull"
        ))
        .help(LFS_HELP)
        .with("reason", "git lfs pointer");
    }
    Draft::model(format!("its weights cannot be read: {error}"))
        .help("put the data file that belongs to this model beside it")
        .with("reason", error.to_string())
}

const LFS_HELP: &str = "run `git lfs pull` (actions/checkout: lfs: true)";

fn is_lfs_pointer(path: &Path) -> bool {
    const MAGIC: &[u8] = b"version https://git-lfs.github.com/spec/";
    let mut head = [0; MAGIC.len()];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && head == MAGIC
}

fn refused(path: &Path, error: DecodeError) -> Draft {
    if let DecodeError::GitLfsPointer { size } = error {
        let size = size.map_or(String::new(), |s: u64| {
            #[allow(clippy::cast_precision_loss)]
            let size = units::bytes(s as f64);
            format!(" to {size}")
        });
        return Draft::model(format!(
            "is a Git LFS pointer{size} and was not fetched: git lfs pull"
        ))
        .help(LFS_HELP)
        .with("reason", "git lfs pointer");
    }
    let error = OnnxError::Decode {
        path: path.to_owned(),
        error,
    };
    let told = error.to_string();
    let prefix = format!("{}: ", path.display());
    let reason = told.strip_prefix(&prefix).unwrap_or(&told).to_owned();
    Draft::model(format!("is no model that can be read: {reason}"))
        .help("export or download it again, or exclude it in convfold.toml")
        .with("reason", reason)
}
