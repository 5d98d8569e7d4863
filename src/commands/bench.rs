//! `convfold bench`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use compiler::model::Model;
use compiler::plan::Width;
use runtime::bench::{BenchOptions, bench};
use runtime::session::{Dim, InputInfo};
use runtime::{CompareOptions, Comparison, Control, Dataset, Reference};

use super::{Verdict, explain};
use crate::args::{InputShapes, Output, Preprocessing};
use crate::forms::{self, Form};
use crate::source::{Runnable, Source, Weights};
use crate::terminal::Terminal;
use crate::{failure, interrupt, views};

/// What a model is measured against where it is given alone.
const DEFAULT_PASSES: [&str; 2] = ["large-to-3x3", "all-to-2x2"];

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
    /// Time what this pass makes of the first model beside it, and each layer that it rewrites
    /// (repeatable) [default, for one model alone: large-to-3x3 and all-to-2x2]
    #[arg(long = "pass", value_name = "NAME")]
    passes: Vec<String>,
    /// Channels between the factors of those rewrites
    #[arg(long, default_value = "same")]
    width: Width,
    /// Time the given models and nothing else
    #[arg(long, conflicts_with = "passes")]
    alone: bool,
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
        let inputs = sources[0].model().inputs()?;
        let shapes = self.shapes(&sources[0], &inputs)?;
        let data = match &self.data {
            Some(data) => self.preprocessing.open(data)?,
            None => random(sources[0].name(), &inputs, &shapes)?,
        };
        let (original, mut forms) = self.forms(&shapes, terminal)?;
        let names: Vec<String> = forms
            .iter()
            .map(|form| format!("{}, {}", sources[0].name(), form.pass))
            .collect();
        let made = names.iter().zip(&forms);
        let made: Vec<_> = made
            .map(|(name, form)| runtime::Model::new(name, &form.bytes))
            .collect();
        let models: Vec<_> = sources.iter().map(Runnable::model).chain(made).collect();
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
        let comparisons = match &self.data {
            Some(_) if !forms.is_empty() => compared(&models, forms.len(), &data, terminal)?,
            _ => Vec::new(),
        };
        for (form, comparison) in forms.iter_mut().zip(comparisons) {
            form.comparison = Some(comparison);
        }
        if let Some(original) = original {
            for form in &mut forms {
                form.time_layers(&original, &shapes, self.rounds, budget, terminal)?;
            }
        }
        let report = views::timing::report(&timings, self.streams, &forms);
        self.output.publish(&report, &self.models)?;
        Ok(Verdict::Clean)
    }

    /// The forms to be timed beside the first model, and that model.
    fn forms(
        &self,
        shapes: &HashMap<String, Vec<i64>>,
        terminal: &Terminal,
    ) -> anyhow::Result<(Option<Model>, Vec<Form>)> {
        let default = self.passes.is_empty();
        if self.alone || (default && self.models.len() > 1) {
            return Ok((None, Vec::new()));
        }
        let names: Vec<&str> = match default {
            true => DEFAULT_PASSES.to_vec(),
            false => self.passes.iter().map(String::as_str).collect(),
        };
        let passes = names
            .into_iter()
            .map(explain::pass)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let model = match Source::open(&self.models[0], Weights::Bring) {
            Ok(source) => source.model,
            // tract runs what the compiler cannot read.
            Err(error) if default => {
                failure::note(&format!("{error:#}; it is timed as it is"));
                return Ok((None, Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let made = forms::made(&model, shapes, &passes, self.width, terminal)?;
        Ok((Some(model), made))
    }

    /// The sizes that were given for the model's inputs.
    fn shapes(
        &self,
        source: &Runnable,
        inputs: &[InputInfo],
    ) -> anyhow::Result<HashMap<String, Vec<i64>>> {
        let names: Vec<String> = inputs.iter().map(|i| i.name.clone()).collect();
        self.shapes.resolve(source.name(), &names)
    }
}

/// Random samples of the shapes that the model's inputs have, or were given.
fn random(
    model: &str,
    inputs: &[InputInfo],
    given: &HashMap<String, Vec<i64>>,
) -> anyhow::Result<Dataset> {
    let mut samples = Vec::with_capacity(inputs.len());
    for input in inputs {
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
                model,
                input.name,
                input.shape(),
                input.name
            );
        };
        samples.push(shape);
    }
    Ok(Dataset::random(&samples, 16, 0))
}

/// The last so many models against the first.
fn compared(
    models: &[runtime::Model],
    last: usize,
    data: &Dataset,
    terminal: &Terminal,
) -> anyhow::Result<Vec<Comparison>> {
    let bar = terminal.progress("comparing");
    let progress = |done, total| bar.set(done, total);
    let control = Control {
        progress: Some(&progress),
        cancel: Some(interrupt::flag()),
    };
    let reference = Reference::new(models[0], data, CompareOptions::default(), &control)?;
    let others = models[models.len() - last..].iter();
    Ok(others
        .map(|&model| reference.compare(model, &control))
        .collect::<Result<_, _>>()?)
}
