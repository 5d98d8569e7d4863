//! The stages that a model goes through, on the example of the repository.
//!
//! `verify` is measured beside the runtime, in `runtime/benches`.
#![allow(missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx;
use compiler::plan::{self, Compilation, Options};
use criterion::{Criterion, criterion_group, criterion_main};

static NEVER: AtomicBool = AtomicBool::new(false);

fn path() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/models/glyphs.onnx"
    ))
}

fn bytes() -> Bytes {
    Bytes::from(std::fs::read(path()).expect("the example model"))
}

fn model() -> Model {
    let proto = onnx::decode(bytes()).expect("a model");
    Model::from_proto(proto, path()).expect("a graph")
}

fn rewrite(model: Model, pass: &str) -> Model {
    let options = Options::new(&NEVER);
    let mut compilation = Compilation::new(model, options, Scope::default());
    compilation
        .run(plan::find(pass).expect("a pass"))
        .expect("a rewrite");
    compilation.model().clone()
}

fn decode(c: &mut Criterion) {
    let bytes = bytes();
    c.bench_function("decode", |b| {
        b.iter(|| onnx::decode(black_box(bytes.clone())))
    });
}

fn analyze(c: &mut Criterion) {
    let model = model();
    let options = analyzer::Options::default();
    c.bench_function("analyze", |b| {
        b.iter(|| analyzer::analyze(black_box(&model), &options))
    });
}

/// An exact pass: e-graph, extraction and patches without a fit.
fn saturate(c: &mut Criterion) {
    let model = model();
    c.bench_function("saturate", |b| {
        b.iter(|| rewrite(black_box(model.clone()), "fold-bias"))
    });
}

/// An approximate pass: the same, and the least squares.
fn fit(c: &mut Criterion) {
    let model = model();
    let mut group = c.benchmark_group("fit");
    group.sample_size(10);
    group.bench_function("5x5-to-3x3", |b| {
        b.iter(|| rewrite(black_box(model.clone()), "5x5-to-3x3"))
    });
    group.finish();
}

criterion_group!(pipeline, decode, analyze, saturate, fit);
criterion_main!(pipeline);
