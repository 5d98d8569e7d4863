//! Writes a small classifier that has most of the faults `convfold lint` looks for.
//!
//! It is not trained: its weights are random, smoothed so that they look like
//! kernels, with twins and dead filters put in on purpose.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let path: PathBuf = std::env::args_os()
        .nth(1)
        .context("usage: aliased FILE.onnx")?
        .into();
    netbuilder::write(&path, &netbuilder::aliased::model())
}
