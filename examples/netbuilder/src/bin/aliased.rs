//! Writes a small classifier that has one of each common design fault.
//!
//! It is not trained: its weights are random, with twin filters and a dead one put
//! in on purpose; see [`netbuilder::aliased`].
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
