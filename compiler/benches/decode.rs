//! Decoding and encoding: a generated model of 300 nodes and 1 MB, and, where
//! the corpus is there, its largest trained and its largest weightless model.
//!
//! `cargo bench -p convfold-compiler --bench decode`

#[path = "../tests/codec_support/mod.rs"]
mod codec_support;

use std::hint::black_box;

use bytes::Bytes;
use codec_support::{chain, corpus};
use compiler::onnx::{OpenOptions, ReadMode, decode, encode, open_with, unknown_fields};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let mut inputs = vec![(
        "generated".to_owned(),
        Bytes::from(chain(300, 10).encode_to_vec()),
    )];
    for name in ["squeezenet", "densenet121"] {
        let path = corpus()
            .into_iter()
            .find(|path| path.file_stem().is_some_and(|s| s == name));
        if let Some(path) = path {
            let options = OpenOptions {
                mode: ReadMode::Memory,
                ..OpenOptions::default()
            };
            let file = open_with(&path, &options).expect("the corpus is readable");
            inputs.push((name.to_owned(), file.bytes));
            group.bench_function(format!("{name}/open mapped"), |b| {
                b.iter(|| open_with(black_box(&path), &OpenOptions::default()));
            });
        }
    }
    for (name, bytes) in &inputs {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| decode(black_box(bytes.clone()))));
        group.bench_function(format!("{name}/walk alone"), |b| {
            b.iter(|| unknown_fields(black_box(bytes)));
        });
        let model = decode(bytes.clone()).expect("decodes");
        group.bench_function(format!("{name}/encode"), |b| {
            b.iter(|| encode(black_box(&model)))
        });
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
