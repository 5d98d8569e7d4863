//! Rewrites random networks with every pass and runs them in tract, for another
//! program to hold against onnxruntime.
//!
//! ```text
//! cargo run --example rewrite_random -- FOLDER COUNT
//! ```
//!
//! For each pass, COUNT networks that it acts on go to FOLDER as
//! `PASS-SEED.onnx` and `PASS-SEED-rewritten.onnx`, with the samples and what
//! tract makes of the two as little-endian float32. Standard output lists them,
//! a JSON object a line.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail, ensure};
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::encode;
use compiler::plan::{Compilation, Options, PASSES, Pass};
use netbuilder::random;
use runtime::{Array, Session};
use serde_json::json;

/// So many networks are tried for each that is wanted.
const PATIENCE: u64 = 40;

/// Samples of each network.
const SAMPLES: usize = 2;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count] = arguments.as_slice() else {
        bail!("usage: rewrite_random FOLDER COUNT");
    };
    let count: u64 = count.parse().context("COUNT is a number")?;
    let mut failed = 0;
    for (index, pass) in PASSES.iter().enumerate() {
        // Each pass meets networks of its own.
        let first = index as u64 * 1_000_000;
        let mut found = 0;
        for seed in first..first + count * PATIENCE {
            match one(Path::new(folder), seed, pass) {
                Ok(acted) => found += u64::from(acted),
                Err(error) => {
                    eprintln!("{error:#}");
                    failed += 1;
                }
            }
            if found == count {
                break;
            }
        }
    }
    ensure!(failed == 0, "{failed} networks could not be rewritten");
    Ok(())
}

/// Rewrites one network; whether the pass had something to do.
fn one(folder: &Path, seed: u64, pass: &'static Pass) -> anyhow::Result<bool> {
    let original = random::model(seed);
    let name = format!("{}-{seed}", pass.name);
    let file = |suffix: &str| folder.join(format!("{name}{suffix}"));
    let model = Model::from_proto(original.clone(), &file(".onnx"))?;
    let never = AtomicBool::new(false);
    let mut compilation = Compilation::new(model, Options::new(&never), Scope::default());
    let report = compilation.run(pass).with_context(|| name.clone())?;
    if report.sites.is_empty() {
        return Ok(false);
    }
    let exact = report.sites.iter().all(|site| site.exact);
    let (before, after) = (encode(&original)?, encode(&compilation.model().to_proto())?);
    let inputs = runtime::Model::new(&name, &before).inputs()?;
    let shape = inputs.first().and_then(|input| input.sample());
    let shape = shape.context("the input's shape is known")?;
    let samples = noise(seed, &shape);
    let mut outputs = Vec::new();
    for (bytes, suffix) in [(&before, ""), (&after, "-rewritten")] {
        std::fs::write(file(&format!("{suffix}.onnx")), bytes)?;
        let session = Session::load(
            runtime::Model::new(&name, bytes),
            std::slice::from_ref(&shape),
        )?;
        let (rows, _) = session.run(std::slice::from_ref(&samples))?;
        let values = rows.iter().flatten().flat_map(|array| &array.data);
        let bytes: Vec<u8> = values.flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(file(&format!("{suffix}.f32")), bytes)?;
        outputs.push(file(suffix));
    }
    let bytes: Vec<u8> = samples.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(file("-input.f32"), bytes)?;
    let told = json!({
        "name": name,
        "pass": pass.name,
        "sites": report.sites.len(),
        "exact": exact,
        "shape": samples.shape,
        "original": outputs[0],
        "rewritten": outputs[1],
        "input": file("-input.f32"),
    });
    println!("{told}");
    Ok(true)
}

/// Samples between -1 and 1, the same for the same seed.
fn noise(seed: u64, shape: &[usize]) -> Array {
    let shape = [&[SAMPLES], shape].concat();
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let data = (0..shape.iter().product::<usize>()).map(|_| {
        // Knuth's MMIX generator; its high bits are good enough for noise.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    });
    Array {
        data: data.collect(),
        shape,
    }
}
