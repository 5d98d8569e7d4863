//! Writing reports: to standard output, or to a file that appears whole or not
//! at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use compiler::onnx::{WriteOptions, write_atomically};

use crate::limits;

/// Writes `text` to the file, or to standard output where there is none.
/// `inputs` are never written over.
///
/// # Errors
/// What the system says, with the file's name; an input that was rewritten in
/// place meanwhile. A reader of standard output
/// that has gone away (`| head`) is no error.
pub fn publish(text: &str, file: Option<&Path>, inputs: &[PathBuf]) -> anyhow::Result<()> {
    limits::unchanged()?;
    if let Some(path) = file {
        let options = WriteOptions {
            inputs: inputs.to_vec(),
            force: false,
        };
        return Ok(write_atomically(path, text.as_bytes(), &options)?);
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// Whether a file can be written, asked before long work; the write itself
/// may still fail.
///
/// # Errors
/// The file's name, and what to do.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    if path.is_dir() || path.file_name().is_none() {
        anyhow::bail!("{name}: is a folder; name a file in it");
    }
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        anyhow::bail!("{name}: its folder does not exist; create it first");
    }
    tempfile::tempfile_in(folder)
        .map(drop)
        .with_context(|| format!("{name}: cannot be written; choose another folder"))
}
