//! `convfold analyze`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer::receptive::UnitError;
use analyzer::{Options, Study, Unit};
use anyhow::{Context, bail, ensure};
use clap::Args;
use compiler::onnx::{WriteOptions, write_atomically};
use rayon::prelude::*;
use runtime::{Control, compare::shift_consistency};

use super::Verdict;
use crate::args::{InputShapes, Output, Preprocessing};
use crate::source::{Runnable, Source, Weights};
use crate::terminal::Terminal;
use crate::views::analysis::{Findings, Measured, UnitFindings};
use crate::{failure, files, interrupt, views};

/// Arguments.
#[derive(Debug, Args)]
pub struct Analyze {
    /// ONNX models
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    shapes: InputShapes,
    /// Look at the weights too: ranges, NaN, Inf and subnormal numbers, dead and twin filters,
    /// effective rank; weights that lie in files beside the model are read
    #[arg(long)]
    weights: bool,
    /// Tell what a unit of a layer sees, the middle one without a position (any number of times)
    #[arg(long = "unit", value_name = "NODE[:Y,X]")]
    units: Vec<String>,
    /// Write what the unit sees of the first sample of --data to a PNG file
    #[arg(long, value_name = "FILE", requires = "units", requires = "data")]
    crop: Option<PathBuf>,
    /// Run the model on samples, and tell how often the class stays when the input shifts by
    /// one pixel
    #[arg(long, value_name = "FILE")]
    data: Option<String>,
    #[command(flatten)]
    preprocessing: Preprocessing,
}

impl Analyze {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        self.output.check()?;
        self.crop.as_deref().map_or(Ok(()), files::check_writable)?;
        ensure!(
            self.crop.is_none() || (self.units.len() == 1 && self.models.len() == 1),
            "--crop takes one model and one --unit: there is one file to write"
        );
        let results: Vec<anyhow::Result<Findings>> = self
            .models
            .par_iter()
            .map(|path| {
                interrupt::check()?;
                self.analyze(path, terminal)
            })
            .collect();
        interrupt::check()?;
        let mut models = Vec::with_capacity(results.len());
        let mut verdict = Verdict::Clean;
        for result in results {
            match result {
                Ok(findings) => models.push(findings),
                Err(error) => {
                    verdict = Verdict::Unreadable;
                    failure::line(&failure::describe(&error));
                }
            }
        }
        if !models.is_empty() {
            let report = views::analysis::report(&models);
            self.output.publish(&report, &self.models)?;
        }
        Ok(verdict)
    }

    fn analyze(&self, path: &Path, terminal: &Terminal) -> anyhow::Result<Findings> {
        let weights = if self.weights {
            Weights::Bring
        } else {
            Weights::Leave
        };
        let source = Source::open(path, weights)?;
        let bar = self.weights.then(|| Arc::new(terminal.progress("weights")));
        let options = Options {
            input_shapes: self.shapes.resolve(&source.name(), &source.inputs())?,
            weights: self.weights,
            progress: bar.map_or_else(Default::default, |bar| {
                analyzer::Progress::new(move |done, all, layer| bar.say(done, all, layer))
            }),
        };
        let study = Study::new(&source.model, &options).with_context(|| source.name())?;
        let units = self.units.iter().map(|asked| {
            let unit = unit(&study, asked).with_context(|| source.name())?;
            let crop = self.crop.as_deref();
            let crop = crop.map(|file| self.write_crop(&unit, file)).transpose()?;
            Ok(UnitFindings { unit, crop })
        });
        Ok(Findings {
            units: units.collect::<anyhow::Result<_>>()?,
            measured: match &self.data {
                Some(data) if self.crop.is_none() => Some(self.measure(path, data, terminal)?),
                _ => None,
            },
            analysis: study.analysis(),
        })
    }

    /// Runs the model.
    fn measure(&self, path: &Path, data: &str, terminal: &Terminal) -> anyhow::Result<Measured> {
        let model = Runnable::open(path)?;
        let samples = self.preprocessing.open(data)?;
        let bar = terminal.progress("shifts");
        let progress = |done, total| bar.set(done, total);
        let control = Control {
            progress: Some(&progress),
            cancel: Some(interrupt::flag()),
        };
        Ok(Measured {
            data: data.to_owned(),
            samples: samples.len(),
            shift_consistency: shift_consistency(model.model(), &samples, &control)?,
        })
    }

    /// Writes what a unit sees of the first sample; the file's name.
    fn write_crop(&self, unit: &Unit, file: &Path) -> anyhow::Result<String> {
        let data = self.data.as_deref().unwrap_or_default();
        let samples = self.preprocessing.open_pictures(data)?;
        let size = samples.image_size().unwrap_or_default();
        let wanted: Option<Vec<usize>> = unit.image.iter().map(|&s| s.try_into().ok()).collect();
        ensure!(
            wanted.as_deref() == Some(&size),
            "{data}: its images are {}x{}, {} takes {}; resize with --preprocess",
            size[0],
            size[1],
            unit.input,
            views::sizes(&unit.image)
        );
        let place = |(lo, hi): (i64, i64)| Some((lo.try_into().ok()?, hi.try_into().ok()?));
        let part = match unit.rectangle.as_deref() {
            Some(&[rows, columns]) => place(rows).zip(place(columns)),
            _ => None,
        };
        let Some((rows, columns)) = part else {
            bail!(
                "{} sees nothing of {}: there is no crop",
                unit.node,
                unit.input
            );
        };
        let png = samples.picture(0, [rows, columns])?;
        let options = WriteOptions {
            inputs: vec![data.into()],
            force: false,
        };
        write_atomically(file, &png, &options)?;
        Ok(file.display().to_string())
    }
}

/// What the unit that `NODE`, `NODE:Y,X` or `NODE:X` names sees.
fn unit(study: &Study, asked: &str) -> Result<Unit, UnitError> {
    match study.unit(asked, None) {
        Err(UnitError::NoNode(_)) => {}
        found => return found,
    }
    let position = asked.rsplit_once(':').and_then(|(node, position)| {
        let numbers: Result<Vec<i64>, _> = position.split(',').map(|p| p.trim().parse()).collect();
        Some((node, numbers.ok()?))
    });
    match position {
        Some((node, position)) => study.unit(node, Some(&position)),
        None => Err(UnitError::NoNode(asked.to_owned())),
    }
}
