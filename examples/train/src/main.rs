//! Trains the example network on freshly drawn glyphs and exports it as ONNX.
#![forbid(unsafe_code)]

mod export;
mod network;
mod patches;

use std::{f64::consts::PI, path::PathBuf, time::Instant};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss::cross_entropy};
use clap::Parser;
use glyphs::{SIDE, Sample, Split};
use network::{Mode, Network};

/// Batches between two reports.
const REPORT_EVERY: u64 = 100;

/// Train the glyph network and write it as ONNX
#[derive(Parser)]
struct Arguments {
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Number of batches; no image is ever shown twice
    #[arg(long, default_value_t = 4000)]
    steps: u64,
    /// Images in a batch
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 4e-3)]
    rate: f64,
    /// Weight decay of the kernels
    #[arg(long, default_value_t = 0.3)]
    decay: f64,
    /// Seed of the first weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of test images
    #[arg(long, default_value_t = 2000)]
    test: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let network = Network::new(arguments.seed)?;
    train(&network, &arguments)?;
    let samples = glyphs::samples(Split::Test, 0, arguments.test);
    let share = 100.0 * accuracy(&network, &samples)?;
    println!(
        "top-1 on the first {} test images: {share:.2} %",
        samples.len()
    );
    netbuilder::write(&arguments.out, &export::model(&network)?)
}

/// AdamW under one cycle of the learning rate.
fn train(network: &Network, arguments: &Arguments) -> Result<()> {
    let settings = |weight_decay| ParamsAdamW {
        weight_decay,
        ..ParamsAdamW::default()
    };
    let mut optimizers = [
        AdamW::new(network.kernels(), settings(arguments.decay))?,
        AdamW::new(network.offsets(), settings(0.0))?,
    ];
    let (start, mut sum) = (Instant::now(), 0.0);
    for step in 0..arguments.steps {
        let first = step * arguments.batch as u64;
        let samples = glyphs::samples(Split::Train, first, arguments.batch);
        let (images, labels) = tensors(&samples)?;
        let loss = cross_entropy(&network.forward(&images, Mode::Train)?, &labels)?;
        let gradients = loss.backward()?;
        let rate = arguments.rate * cycle((step as f64 + 0.5) / arguments.steps as f64);
        for optimizer in &mut optimizers {
            optimizer.set_learning_rate(rate);
            optimizer.step(&gradients)?;
        }
        sum += loss.to_scalar::<f32>()?;
        if (step + 1) % REPORT_EVERY == 0 {
            let (mean, seconds) = (sum / REPORT_EVERY as f32, start.elapsed().as_secs());
            println!("step {}: loss {mean:.4}, {seconds} s", step + 1);
            sum = 0.0;
        }
    }
    Ok(())
}

/// Share of the highest learning rate when `done` of the training (0 to 1) is over:
/// up in a line over the first tenth, then down along a cosine to zero.
fn cycle(done: f64) -> f64 {
    if done < 0.1 {
        done / 0.1
    } else {
        0.5 + 0.5 * ((done - 0.1) / 0.9 * PI).cos()
    }
}

/// Images as (1, N, 28, 28) and labels as (N).
fn tensors(samples: &[Sample]) -> Result<(Tensor, Tensor)> {
    let levels: Vec<f32> = samples
        .iter()
        .flat_map(|s| s.image.iter().map(|&l| l.into()))
        .collect();
    let labels: Vec<u32> = samples.iter().map(|sample| sample.label as u32).collect();
    Ok((
        Tensor::from_vec(levels, (1, samples.len(), SIDE, SIDE), &Device::Cpu)?,
        Tensor::from_vec(labels, samples.len(), &Device::Cpu)?,
    ))
}

fn accuracy(network: &Network, samples: &[Sample]) -> Result<f64> {
    let mut right = 0;
    for batch in samples.chunks(250) {
        let (images, labels) = tensors(batch)?;
        let guesses = network.forward(&images, Mode::Infer)?.argmax(1)?;
        let hits = guesses.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?;
        right += hits.to_scalar::<u32>()?;
    }
    Ok(f64::from(right) / samples.len() as f64)
}
