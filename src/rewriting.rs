//! Passes run one after the other, each followed by its report: what `factorize`
//! and `fold` have in common.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use analyzer::{Analysis, Totals};
use anyhow::{Context, bail};
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::{self, WriteOptions};
use compiler::plan::{Compilation, Options, Pass, PassReport};
use runtime::{CompareOptions, Comparison, Control, Dataset, Limits, Reference};

use crate::source::{self, Source};
use crate::terminal::{Progress, Terminal};
use crate::{interrupt, limits};

/// What a rewriting came to: `convfold.factorization.v1`.
pub struct Rewriting {
    /// The model that was read.
    pub input: String,
    /// Where the result was written, if it was.
    pub output: Option<String>,
    /// The passes, in order.
    pub passes: Vec<Step>,
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
}

impl Figures {
    fn of(model: &Model, shapes: &HashMap<String, Vec<i64>>) -> anyhow::Result<Self> {
        let options = analyzer::Options {
            input_shapes: shapes.clone(),
            ..analyzer::Options::default()
        };
        let analysis =
            analyzer::analyze(model, &options).with_context(|| model.path.display().to_string())?;
        Ok(Self {
            convolution_parameters: analysis
                .layers
                .iter()
                .filter(|l| l.patch_ratio.is_some())
                .map(|l| l.parameters)
                .sum(),
            effective_sigma: sigma(&analysis),
            totals: analysis.totals,
        })
    }
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

/// A rewriting to be done.
pub struct Task<'a> {
    /// The model.
    pub source: Source,
    /// Sizes of its dynamic inputs.
    pub shapes: HashMap<String, Vec<i64>>,
    /// The passes, in order.
    pub passes: Vec<&'static Pass>,
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

    fn write(&self, model: &Model, input: &Path) -> anyhow::Result<()> {
        limits::unchanged()?;
        let options = WriteOptions {
            inputs: vec![input.to_owned()],
            force: self.force,
        };
        let proto = model.to_proto();
        // `None` where that is asked for, or one protobuf file cannot hold it all.
        let whole = (!self.external_data).then(|| onnx::encode(&proto).ok());
        match whole.flatten() {
            Some(bytes) => onnx::write_atomically(&self.path, &bytes, &options)?,
            None => {
                onnx::write_external(&self.path, &proto, &options)?;
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
                let options = CompareOptions::default();
                runnable(Reference::new(original.model(), data, options, control))
            })?),
            None => None,
        };
        let mut figures = Figures::of(&source.model, &self.shapes)?;
        let scope = Scope {
            input_shapes: self.shapes.clone(),
            ..Scope::default()
        };
        let options = Options {
            progress: &progress,
            ..self.options
        };
        let mut compilation = Compilation::new(source.model, options, scope);
        let mut passes = Vec::with_capacity(self.passes.len());
        for pass in self.passes {
            let report = compilation
                .run(pass)
                .with_context(|| format!("{name}: {}", pass.name))?;
            let after = Figures::of(compilation.model(), &self.shapes)?;
            let accuracy = match &reference {
                Some(Ok(reference)) => compare(reference, compilation.model(), pass, &bar)?,
                Some(Err(why)) => Accuracy::Unavailable(why.clone()),
                None => Accuracy::NotAsked,
            };
            let before = std::mem::replace(&mut figures, after.clone());
            passes.push(Step {
                report,
                before,
                after,
                accuracy,
            });
        }
        let missed = missed(&passes, &self.limits);
        interrupt::check()?;
        if let Some(output) = &self.output {
            output.write(compilation.model(), &source.path)?;
        }
        Ok(Rewriting {
            input: name,
            output: self.output.map(|o| o.path.display().to_string()),
            passes,
            missed,
        })
    }
}

fn compare(
    reference: &Reference,
    model: &Model,
    pass: &Pass,
    bar: &Progress,
) -> anyhow::Result<Accuracy> {
    let bytes = onnx::encode_unbounded(&model.to_proto());
    let name = format!("{} after {}", model.path.display(), pass.name);
    let outcome = measured(bar, "rewritten", |control| {
        runnable(reference.compare(runtime::Model::new(&name, &bytes), control))
    });
    Ok(match outcome? {
        Ok(comparison) => Accuracy::Measured(Box::new(comparison)),
        Err(why) => Accuracy::Unavailable(why),
    })
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
