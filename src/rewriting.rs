//! Passes run one after the other, each followed by its report: what `factorize`
//! and `fold` have in common.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use analyzer::{Analysis, Totals};
use anyhow::{Context, bail};
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::{self, WriteOptions};
use compiler::plan::{Compilation, Options, Pass, PassReport, Rule};
use runtime::{CompareOptions, Comparison, Control, Dataset, Limits, Reference};

use crate::searching::{self, Target};
use crate::source::{self, Source};
use crate::terminal::{Progress, Terminal};
use crate::{interrupt, limits};

/// What a rewriting came to: `convfold.factorization.v1`.
pub struct Rewriting {
    /// The model that was read.
    pub input: String,
    /// Where the result was written, if it was.
    pub output: Option<String>,
    /// The passes, in order; or networks side by side.
    pub passes: Vec<Step>,
    /// The networks' files, where they stand side by side.
    pub front: Vec<String>,
    /// The thresholds that were missed.
    pub missed: Vec<String>,
}

/// One pass.
pub struct Step {
    /// What it did.
    pub report: PassReport,
    /// The model before it.
    pub before: Figures,
    /// The model after it.
    pub after: Figures,
    /// The model after it against the original.
    pub accuracy: Accuracy,
}

/// The outcome of a comparison with the original.
pub enum Accuracy {
    /// There are no samples to compare on.
    NotAsked,
    /// The figures.
    Measured(Box<Comparison>),
    /// tract cannot run one of the models; why.
    Unavailable(String),
}

/// What the report tells of a model.
#[derive(Clone)]
pub struct Figures {
    /// The totals of its analysis.
    pub totals: Totals,
    /// Parameters of its convolutions.
    pub convolution_parameters: u64,
    /// The largest effective field (standard deviation) of its layers, by axis.
    pub effective_sigma: Vec<f64>,
    /// How far padding of even kernels moves the centre at most, in pixels.
    pub padding_shift: f64,
}

impl Figures {
    fn of(model: &Model, shapes: &HashMap<String, Vec<i64>>) -> anyhow::Result<Self> {
        let analysis = source::analysis(model, shapes)?;
        Ok(Self {
            convolution_parameters: analysis
                .layers
                .iter()
                .filter(|l| l.patch_ratio.is_some())
                .map(|l| l.parameters)
                .sum(),
            effective_sigma: sigma(&analysis),
            padding_shift: padding_shift(&analysis),
            totals: analysis.totals,
        })
    }
}

fn padding_shift(analysis: &Analysis) -> f64 {
    let fields = analysis
        .layers
        .iter()
        .filter_map(|l| l.receptive_field.as_ref());
    fields
        .filter_map(|f| f.padding_shift.as_ref())
        .flatten()
        .flatten()
        .map(|shift| shift.as_f64().abs())
        .fold(0.0, f64::max)
}

fn sigma(analysis: &Analysis) -> Vec<f64> {
    let fields = analysis
        .layers
        .iter()
        .filter_map(|l| l.receptive_field.as_ref());
    let sigmas = fields.filter_map(|f| f.effective_sigma.as_ref());
    let mut largest: Vec<f64> = Vec::new();
    for sigma in sigmas {
        for (axis, value) in sigma.iter().enumerate() {
            let value = value.map_or(0.0, |v| v.0);
            match largest.get_mut(axis) {
                Some(most) => *most = most.max(value),
                None => largest.push(value),
            }
        }
    }
    largest
}

/// What a rewriting is to do.
pub enum Aim {
    /// These passes, in order.
    Passes(Vec<&'static Pass>),
    /// The best that a search finds.
    Search(Target),
}

impl Aim {
    /// Whether a pass is about what a shift of the input does.
    fn smooths(&self) -> bool {
        match self {
            Self::Passes(passes) => passes
                .iter()
                .any(|p| matches!(p.rule, Rule::Replace { .. })),
            Self::Search(_) => false,
        }
    }
}

/// A rewriting to be done.
pub struct Task<'a> {
    /// The model.
    pub source: Source,
    /// Sizes of its dynamic inputs.
    pub shapes: HashMap<String, Vec<i64>>,
    /// What to do.
    pub aim: Aim,
    /// The planner's options.
    pub options: Options<'a>,
    /// Samples to compare on.
    pub data: Option<&'a Dataset>,
    /// What must not be exceeded.
    pub limits: Limits,
    /// Where to write; nowhere in a dry run.
    pub output: Option<Output>,
}

/// Where a rewritten model goes.
pub struct Output {
    /// The file.
    pub path: PathBuf,
    /// Whether the input itself may be replaced.
    pub force: bool,
    /// Whether fields that the ONNX schema does not know may be lost.
    pub drop_unknown: bool,
    /// Whether weights go to a file beside the model.
    pub external_data: bool,
}

impl Output {
    /// Fails now rather than after the work.
    ///
    /// # Errors
    /// Why the result could not be written, and what to do.
    pub fn check(&self, source: &Source) -> anyhow::Result<()> {
        if !self.force && onnx::is_same_file(&self.path, &source.path) {
            bail!(
                "{}: is the input itself; choose another output, or --force to replace it",
                self.path.display()
            );
        }
        if let Some(field) = source.unknown.listed.first()
            && !self.drop_unknown
        {
            bail!(
                "{}: holds {} fields that ONNX up to IR version 14 does not define ({field}); they \
                 would be lost: give --drop-unknown to go on without them",
                source.name(),
                source.unknown.count
            );
        }
        crate::files::check_writable(&self.path)
    }

    fn write(&self, path: &Path, model: &Model, input: &Path) -> anyhow::Result<()> {
        limits::unchanged()?;
        let options = WriteOptions {
            inputs: vec![input.to_owned()],
            force: self.force,
        };
        let proto = model.to_proto();
        // `None` where that is asked for, or one protobuf file cannot hold it all.
        let whole = (!self.external_data).then(|| onnx::encode(&proto).ok());
        match whole.flatten() {
            Some(bytes) => onnx::write_atomically(path, &bytes, &options)?,
            None => {
                onnx::write_external(path, &proto, &options)?;
            }
        }
        Ok(())
    }
}

impl Task<'_> {
    /// Runs the passes, compares, writes.
    ///
    /// # Errors
    /// Why that cannot be done. Then nothing is written.
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Rewriting> {
        let source = self.source;
        let name = source.name();
        if let Some(output) = &self.output {
            output.check(&source)?;
        }
        let bar = terminal.progress("");
        let progress = |done, total, what: &str| bar.say(done, total, what);
        let original = self.data.map(|data| (data, source.runnable()));
        let too_large = source::too_large(&source.model, &self.shapes);
        if let (Some(why), true) = (&too_large, self.options.calibration.is_some()) {
            bail!("{why}; leave --calibrate out to fit without data");
        }
        let reference = match &original {
            Some(_) if too_large.is_some() => too_large.map(Err),
            Some((data, original)) => Some(measured(&bar, "original", |control| {
                let options = CompareOptions {
                    shift: self.aim.smooths(),
                    ..CompareOptions::default()
                };
                runnable(Reference::new(original.model(), data, options, control))
            })?),
            None => None,
        };
        let figures = Figures::of(&source.model, &self.shapes)?;
        let scope = Scope::of_inputs(self.shapes.clone());
        let options = Options {
            progress: &progress,
            ..self.options
        };
        let mut compilation = Compilation::new(source.model, options, scope);
        let judge = Judge {
            reference: reference.as_ref(),
            shapes: &self.shapes,
            bar: &bar,
        };
        let found = match &self.aim {
            Aim::Passes(passes) => run_passes(&mut compilation, passes, figures, &judge),
            Aim::Search(target) => {
                searching::run(&mut compilation, target, &self.limits, &figures, &judge)
            }
        }
        .with_context(|| name.clone())?;
        let front = found.models.len() > 1;
        let missed = if front {
            Vec::new()
        } else {
            missed(&found.steps, &self.limits)
        };
        interrupt::check()?;
        let mut written = Vec::new();
        if let Some(output) = &self.output {
            for (i, model) in found.models.iter().enumerate() {
                let path = if front {
                    numbered(&output.path, i + 1)
                } else {
                    output.path.clone()
                };
                output.write(&path, model, &source.path)?;
                written.push(path.display().to_string());
            }
        }
        Ok(Rewriting {
            input: name,
            output: written.first().cloned(),
            passes: found.steps,
            front: if front { written } else { Vec::new() },
            missed,
        })
    }
}

/// What passes or a search came to.
pub struct Found {
    /// A report a pass, or a network.
    pub steps: Vec<Step>,
    /// The networks to write.
    pub models: Vec<Model>,
}

/// `out.onnx` as `out-3.onnx`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let part = |s: Option<&std::ffi::OsStr>| s.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (part(path.file_stem()), part(path.extension()));
    let dot = if extension.is_empty() { "" } else { "." };
    path.with_file_name(format!("{stem}-{number}{dot}{extension}"))
}

/// Runs passes one after the other, each followed by its report.
fn run_passes(
    compilation: &mut Compilation,
    passes: &[&'static Pass],
    mut figures: Figures,
    judge: &Judge,
) -> anyhow::Result<Found> {
    let mut steps = Vec::with_capacity(passes.len());
    for pass in passes {
        let report = compilation.run(pass).with_context(|| pass.name)?;
        let step = judge.step(report, &figures, compilation.model())?;
        figures = step.after.clone();
        steps.push(step);
    }
    Ok(Found {
        steps,
        models: vec![compilation.model().clone()],
    })
}

/// Holds a rewritten model against the original.
pub struct Judge<'a> {
    /// The original's outputs, or why there are none; `None` without samples.
    reference: Option<&'a Result<Reference<'a>, String>>,
    shapes: &'a HashMap<String, Vec<i64>>,
    bar: &'a Progress,
}

impl Judge<'_> {
    /// The report of one pass.
    ///
    /// # Errors
    /// The model cannot be analyzed, or the samples not be read.
    pub fn step(
        &self,
        report: PassReport,
        before: &Figures,
        model: &Model,
    ) -> anyhow::Result<Step> {
        Ok(Step {
            before: before.clone(),
            after: Figures::of(model, self.shapes)?,
            accuracy: self.accuracy(model, &report.pass)?,
            report,
        })
    }

    fn accuracy(&self, model: &Model, pass: &str) -> anyhow::Result<Accuracy> {
        let reference = match self.reference {
            None => return Ok(Accuracy::NotAsked),
            Some(Err(why)) => return Ok(Accuracy::Unavailable(why.clone())),
            Some(Ok(reference)) => reference,
        };
        let bytes = onnx::encode_unbounded(&model.to_proto());
        let name = format!("{} after {pass}", model.path.display());
        let outcome = measured(self.bar, "rewritten", |control| {
            runnable(reference.compare(runtime::Model::new(&name, &bytes), control))
        });
        Ok(match outcome? {
            Ok(comparison) => Accuracy::Measured(Box::new(comparison)),
            Err(why) => Accuracy::Unavailable(why),
        })
    }
}

fn measured<T>(bar: &Progress, what: &str, run: impl FnOnce(&Control) -> T) -> T {
    let progress = |done, total| bar.say(done, total, what);
    run(&Control {
        progress: Some(&progress),
        cancel: Some(interrupt::flag()),
    })
}

/// What tract cannot run is told and gone without; any other error is one.
fn runnable<T>(outcome: Result<T, runtime::Error>) -> anyhow::Result<Result<T, String>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(e @ (runtime::Error::Unsupported { .. } | runtime::Error::Tract { .. })) => {
            Ok(Err(e.to_string()))
        }
        Err(e) => Err(e.into()),
    }
}

/// The thresholds that the last model misses.
fn missed(passes: &[Step], limits: &Limits) -> Vec<String> {
    let limited = limits.max_drop.is_some() || limits.max_error.is_some();
    match passes.last().map(|p| &p.accuracy) {
        Some(Accuracy::Measured(comparison)) => comparison.violations(limits),
        Some(Accuracy::Unavailable(_)) if limited => {
            vec!["tract cannot run the model, so that the threshold cannot be measured".into()]
        }
        _ => Vec::new(),
    }
}
