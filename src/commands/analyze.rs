//! `convfold analyze`.

use std::path::{Path, PathBuf};

use analyzer::{Analysis, Options};
use anyhow::Context;
use clap::Args;
use rayon::prelude::*;

use super::Verdict;
use crate::args::{InputShapes, Output};
use crate::source::{Source, Weights};
use crate::{failure, interrupt, views};

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
    /// Read weights that lie in files beside the model too, for the aliasing of its kernels
    #[arg(long)]
    weights: bool,
}

impl Analyze {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        self.output.check()?;
        let results: Vec<anyhow::Result<Analysis>> = self
            .models
            .par_iter()
            .map(|path| {
                interrupt::check()?;
                self.analyze(path)
            })
            .collect();
        interrupt::check()?;
        let mut analyses = Vec::with_capacity(results.len());
        let mut verdict = Verdict::Clean;
        for result in results {
            match result {
                Ok(analysis) => analyses.push(analysis),
                Err(error) => {
                    verdict = Verdict::Unreadable;
                    failure::line(&failure::describe(&error));
                }
            }
        }
        if !analyses.is_empty() {
            let report = views::analysis::report(&analyses);
            self.output.publish(&report, &self.models)?;
        }
        Ok(verdict)
    }

    fn analyze(&self, path: &Path) -> anyhow::Result<Analysis> {
        let weights = if self.weights {
            Weights::Bring
        } else {
            Weights::Leave
        };
        let source = Source::open(path, weights)?;
        let shapes = self.shapes.resolve(&source.name(), &source.inputs())?;
        let options = Options {
            input_shapes: shapes,
            weights: self.weights,
            ..Options::default()
        };
        analyzer::analyze(&source.model, &options).with_context(|| source.name())
    }
}
