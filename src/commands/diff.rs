//! `convfold diff`.

use std::path::{Path, PathBuf};

use analyzer::{Analysis, Options};
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
        let report = views::diff::report(&old, &new);
        self.output
            .publish(&report, &[self.old.clone(), self.new.clone()])?;
        Ok(Verdict::Clean)
    }

    fn analyze(&self, path: &Path) -> anyhow::Result<Analysis> {
        let source = Source::open(path, Weights::Leave)?;
        let input_shapes = self.shapes.resolve(&source.name(), &source.inputs())?;
        analyzer::analyze(
            &source.model,
            &Options {
                input_shapes,
                ..Options::default()
            },
        )
        .with_context(|| source.name())
    }
}
