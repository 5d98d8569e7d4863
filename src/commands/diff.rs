//! `convfold diff`.

use std::path::{Path, PathBuf};

use analyzer::{Analysis, Config, Finding, Options, Overrides, Study, lint};
use anyhow::Context;
use clap::Args;

use super::Verdict;
use crate::args::{InputShapes, Output};
use crate::source::{Source, Weights};
use crate::views;

/// Arguments.
#[derive(Debug, Args)]
pub struct Diff {
    /// The model as it was
    old: PathBuf,
    /// The model as it is
    new: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    shapes: InputShapes,
}

impl Diff {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        self.output.check()?;
        let (old, new) = (self.analyze(&self.old)?, self.analyze(&self.new)?);
        let report = views::diff::report(&old.0, &new.0, [&old.1, &new.1]);
        self.output
            .publish(&report, &[self.old.clone(), self.new.clone()])?;
        Ok(Verdict::Clean)
    }

    /// What a model is, and what the rules say of it.
    fn analyze(&self, path: &Path) -> anyhow::Result<(Analysis, Vec<Finding>)> {
        let source = Source::open(path, Weights::Leave)?;
        let input_shapes = self.shapes.resolve(&source.name(), &source.inputs())?;
        let settings = Config::new(Path::new(".")).settings(path, &Overrides::default());
        let options = Options {
            input_shapes,
            weights: settings.needs_weights(),
            ..Options::default()
        };
        let study = Study::new(&source.model, &options).with_context(|| source.name())?;
        let analysis = study.analysis();
        let findings = lint(&study, &analysis, &settings, None);
        Ok((analysis, findings))
    }
}
