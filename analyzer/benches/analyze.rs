//! How long an analysis takes: structures of the size of VGG-16 and ResNet-152
//! without weights, and the spectrum of strided layers with weights.

#[path = "../src/testing.rs"]
mod testing;

use analyzer::aliasing::Autocorrelation;
use analyzer::{Options, analyze};
use compiler::model::Model;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use testing::{A, Net};

/// Convolutions with rectifiers, max-pools between the blocks, two layers of
/// neurons at the end.
fn vgg16() -> Net {
    let mut net = Net::new().input("v0", &["1", "3", "224", "224"]);
    let (mut channels, mut at) = (3, 0);
    for (count, width) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
        for _ in 0..count {
            let (w, b) = (format!("w{at}"), format!("b{at}"));
            let (from, mid, to) = (format!("v{at}"), format!("c{at}"), format!("v{}", at + 1));
            net = net
                .absent(&w, &[width, channels, 3, 3])
                .absent(&b, &[width])
                .node(
                    "Conv",
                    &[&from, &w, &b],
                    &[&mid],
                    &[("pads", A::Is(&[1; 4]))],
                )
                .node("Relu", &[&mid], &[&to], &[]);
            (channels, at) = (width, at + 1);
        }
        let (from, to) = (format!("v{at}"), format!("v{}", at + 1));
        net = net.node(
            "MaxPool",
            &[&from],
            &[&to],
            &[
                ("kernel_shape", A::Is(&[2, 2])),
                ("strides", A::Is(&[2, 2])),
            ],
        );
        at += 1;
    }
    let last = format!("v{at}");
    net.node("Flatten", &[&last], &["flat"], &[])
        .absent("fc", &[4096, 25088])
        .node("Gemm", &["flat", "fc"], &["y"], &[("transB", A::I(1))])
        .output("y")
}

/// Residual blocks of three convolutions with BatchNormalization.
fn residual(blocks: usize) -> Net {
    let mut net = Net::new()
        .input("x", &["N", "64", "H", "W"])
        .absent("p", &[64])
        .absent("w", &[64, 64, 3, 3]);
    let mut value = "x".to_owned();
    for block in 0..blocks {
        let mut inside = value.clone();
        for i in 0..3 {
            let name = |what: &str| format!("{what}{block}.{i}");
            let (conv, norm, relu) = (name("c"), name("n"), name("r"));
            net = net
                .node(
                    "Conv",
                    &[&inside, "w"],
                    &[&conv],
                    &[("pads", A::Is(&[1; 4]))],
                )
                .node(
                    "BatchNormalization",
                    &[&conv, "p", "p", "p", "p"],
                    &[&norm],
                    &[],
                )
                .node("Relu", &[&norm], &[&relu], &[]);
            inside = relu;
        }
        let sum = format!("s{block}");
        net = net.node("Add", &[&value, &inside], &[&sum], &[]);
        value = sum;
    }
    net.output(&value)
}

fn analysis(c: &mut Criterion) {
    let mut group = c.benchmark_group("analyze");
    let models: [(&str, Model); 2] = [
        ("vgg16", vgg16().model()),
        ("resnet152", residual(50).model()),
    ];
    for (name, model) in &models {
        group.bench_function(*name, |b| {
            b.iter(|| analyze(model, &Options::default()).unwrap());
        });
    }
    group.finish();
}

fn spectra(c: &mut Criterion) {
    let mut group = c.benchmark_group("aliasing");
    for (name, kernels, size) in [
        ("64x3x7x7", 64 * 3, 7),
        ("512x512x3x3", 512 * 512, 3),
        ("96x3x11x11", 96 * 3, 11),
    ] {
        #[allow(clippy::cast_precision_loss)]
        let bank: Vec<f64> = (0..kernels * size * size)
            .map(|i| (i as f64 * 0.7).sin())
            .collect();
        group.bench_function(name, |b| {
            b.iter_batched(
                || &bank,
                |bank| {
                    let rho = Autocorrelation::of(bank, &[size, size]).unwrap();
                    rho.shares(&[2.0, 2.0], &[1, 1]).unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, analysis, spectra);
criterion_main!(benches);
