//! Sessions on small models made on the spot: no corpus needed.

mod batches;
#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod operators;

use common::onnx::*;
use runtime::{Array, Control, DataOptions, Dataset, Error, Model, Session};

/// `count` samples of `shape`, 0, 1, 2, ... throughout.
fn counting(count: usize, shape: &[usize]) -> Dataset {
    let shape = [&[count], shape].concat();
    let data = (0..shape.iter().product::<usize>())
        .map(|i| i as f32)
        .collect();
    let array = Array::new(shape, data).expect("counts agree");
    Dataset::from_arrays("counting", vec![array], None, &DataOptions::default()).expect("valid")
}

/// The outputs of each sample.
fn run(bytes: &[u8], data: &Dataset) -> Result<Vec<Vec<Array>>, Error> {
    let session = Session::load(Model::new("tiny.onnx", bytes), data.shapes())?;
    collect(&session, data)
}

fn collect(session: &Session, data: &Dataset) -> Result<Vec<Vec<Array>>, Error> {
    let mut samples = Vec::new();
    session.stream(data, &Control::default(), |_, s| s, |_, s| samples.push(s))?;
    Ok(samples)
}

/// x → 2x + 1, with the given first axis.
fn double(batch: &str) -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &[batch, "3"])
        .floats("two", &[1], &[2.0])
        .floats("one", &[1], &[1.0])
        .node("mul", "Mul", &["x", "two"], "doubled", vec![])
        .node("add", "Add", &["doubled", "one"], "y", vec![])
        .output("y")
        .bytes()
}
