//! Which files are models: those named, and the `*.onnx` of folders.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use analyzer::Config;
use anyhow::{Context, bail};
use ignore::WalkBuilder;

use super::places::{Place, absolute};

/// The models that these paths stand for, each once, in the order of their
/// names. `.gitignore` and hidden folders are respected in folders; what is
/// named itself is taken whatever its ending.
///
/// # Errors
/// A path that does not exist.
pub fn models(paths: &[PathBuf], config: &Config) -> anyhow::Result<Vec<Place>> {
    let root = absolute(&config.root);
    let mut found: BTreeMap<PathBuf, Place> = BTreeMap::new();
    let mut add = |path: PathBuf| {
        let place = Place::new(path, &root);
        if !config.excludes(Path::new(&place.key)) {
            found.entry(place.absolute.clone()).or_insert(place);
        }
    };
    for path in expand(paths)? {
        if path.is_dir() {
            for file in within(&path)? {
                add(file);
            }
        } else if path.exists() {
            add(path);
        } else {
            bail!("{}: there is no such file or folder", path.display());
        }
    }
    let mut places: Vec<Place> = found.into_values().collect();
    places.sort_by(|a, b| a.shown.cmp(&b.shown));
    Ok(places)
}

/// The `*.onnx` of a folder.
fn within(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // Outside a git repository too: an archive of one holds the same files.
    let walk = WalkBuilder::new(folder).require_git(false).build();
    for entry in walk {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let model = entry
            .path()
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
        if model && entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// The paths, `-` replaced by the lines (or NUL-separated entries) of standard
/// input.
fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if path.as_os_str() != "-" {
            all.push(path.clone());
            continue;
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the list of files on standard input")?;
        let separator = if text.contains('\0') { '\0' } else { '\n' };
        let entries = text.split(separator).map(|l| l.trim_end_matches('\r'));
        all.extend(entries.filter(|l| !l.is_empty()).map(PathBuf::from));
    }
    Ok(all)
}
