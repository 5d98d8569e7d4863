//! Runs a model in tract on the samples of an `.npz` and writes what comes out.
//!
//! ```text
//! cargo run --release --example run_tract -- MODEL.onnx DATA.npz FOLDER
//! ```
//!
//! Each output becomes a file of little-endian float32, sample after sample;
//! standard output lists names, shapes (samples first) and files as JSON.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use runtime::{Control, DataOptions, Dataset, Model, Session};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, folder] = arguments.as_slice() else {
        bail!("usage: run_tract MODEL.onnx DATA.npz FOLDER");
    };
    let bytes = std::fs::read(model).with_context(|| model.clone())?;
    let data = Dataset::open(data, &DataOptions::default())?;
    let session = Session::load(Model::new(model, &bytes), data.shapes())?;

    let count = session.outputs().len();
    let mut values: Vec<Vec<u8>> = vec![Vec::new(); count];
    let mut shapes: Vec<Vec<usize>> = vec![Vec::new(); count];
    session.stream(
        &data,
        &Control::default(),
        |_, arrays| arrays,
        |_, arrays| {
            for (i, array) in arrays.into_iter().enumerate() {
                values[i].extend(array.data.iter().flat_map(|v| v.to_le_bytes()));
                shapes[i] = array.shape;
            }
        },
    )?;

    std::fs::create_dir_all(folder)?;
    let mut outputs = Vec::new();
    for (i, name) in session.outputs().iter().enumerate() {
        let file = Path::new(folder).join(format!("output_{i}.f32"));
        std::fs::File::create(&file)?.write_all(&values[i])?;
        let shape: Vec<usize> = [data.len()].into_iter().chain(shapes[i].clone()).collect();
        outputs.push(json!({"name": name, "shape": shape, "file": file}));
    }
    println!("{}", json!(outputs));
    Ok(())
}
