//! `convfold bench`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use runtime::bench::{BenchOptions, bench};
use runtime::session::Dim;
use runtime::{Control, Dataset};

use super::Verdict;
use crate::args::{InputShapes, Output, Preprocessing};
use crate::source::Runnable;
use crate::terminal::Terminal;
use crate::{interrupt, views};

/// Arguments.
#[derive(Debug, Args)]
pub struct Bench {
    /// ONNX models; the first is what the others are compared with
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Samples to run on; random ones without
    #[arg(long, value_name = "FILE")]
    data: Option<String>,
    /// Rounds; each measures every model once, in turn
    #[arg(long, value_name = "N", default_value_t = BenchOptions::default().rounds)]
    rounds: usize,
    /// Begin no further round after this time
    #[arg(long, value_name = "S", default_value_t = BenchOptions::default().budget.as_secs_f64())]
    seconds: f64,
    /// Streams that run at the same time, each on its own thread
    #[arg(long, value_name = "N", default_value_t = 1)]
    streams: usize,
    #[command(flatten)]
    shapes: InputShapes,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    preprocessing: Preprocessing,
}

impl Bench {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        self.output.check()?;
        let Ok(budget) = Duration::try_from_secs_f64(self.seconds) else {
            bail!(
                "--seconds {}: give a time of 0 seconds or more",
                self.seconds
            );
        };
        let sources = self
            .models
            .iter()
            .map(|m| Runnable::open(m))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let models: Vec<_> = sources.iter().map(Runnable::model).collect();
        let data = match &self.data {
            Some(data) => self.preprocessing.open(data)?,
            None => self.random(&sources[0])?,
        };
        let options = BenchOptions {
            rounds: self.rounds,
            budget,
            threads: self.streams,
            ..BenchOptions::default()
        };
        let timings = {
            let bar = terminal.progress("rounds");
            let progress = |done, total| bar.set(done, total);
            let control = Control {
                progress: Some(&progress),
                cancel: Some(interrupt::flag()),
            };
            bench(&models, &data, &options, &control)?
        };
        self.output
            .publish(&views::timing::report(&timings, self.streams), &self.models)?;
        Ok(Verdict::Clean)
    }

    /// Random samples of the shapes that the model's inputs have.
    fn random(&self, source: &Runnable) -> anyhow::Result<Dataset> {
        let inputs = source.model().inputs()?;
        let names: Vec<String> = inputs.iter().map(|i| i.name.clone()).collect();
        let given = self.shapes.resolve(source.name(), &names)?;
        let mut samples = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let shape: Option<Vec<usize>> = match (given.get(&input.name), &input.dims) {
                (Some(shape), _) => shape.iter().skip(1).map(|&d| d.try_into().ok()).collect(),
                (None, Some(dims)) => dims
                    .iter()
                    .skip(1)
                    .map(|d| match d {
                        Dim::Fixed(n) => Some(*n),
                        Dim::Free(_) => None,
                    })
                    .collect(),
                (None, None) => None,
            };
            let Some(shape) = shape else {
                bail!(
                    "{}: input {} is {}; say its size with --input-shape {}=1x3x224x224, or give --data",
                    source.name(),
                    input.name,
                    input.shape(),
                    input.name
                );
            };
            samples.push(shape);
        }
        Ok(Dataset::random(&samples, 16, 0))
    }
}
