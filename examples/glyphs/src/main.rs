//! Writes the glyph data files that convfold's examples and tests use.
#![forbid(unsafe_code)]

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use glyphs::{Split, archive};

/// Draw labelled glyph images into glyphs-test.npz and glyphs-calib.npz
#[derive(Parser)]
struct Arguments {
    /// Folder to write into; made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of test images
    #[arg(long, default_value_t = 2000)]
    test: usize,
    /// Number of calibration images
    #[arg(long, default_value_t = 300)]
    calibration: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, split, count) in [
        ("glyphs-test.npz", Split::Test, arguments.test),
        (
            "glyphs-calib.npz",
            Split::Calibration,
            arguments.calibration,
        ),
    ] {
        let path = out.join(name);
        archive::write(&path, &glyphs::samples(split, 0, count))?;
        println!("{}: {count} images", path.display());
    }
    Ok(())
}
