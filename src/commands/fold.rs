//! `convfold fold`.

use std::path::PathBuf;

use clap::Args;
use compiler::plan::{Options, PASSES};
use runtime::Limits;

use super::{Verdict, factorize};
use crate::args::InputShapes;
use crate::interrupt;
use crate::rewriting::{Aim, Output, Task};
use crate::source::{Source, Weights};
use crate::terminal::Terminal;

/// Arguments.
#[derive(Debug, Args)]
pub struct Fold {
    /// The ONNX model
    model: PathBuf,
    /// Write the folded model to OUT
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Only nodes whose name fits (repeatable)
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Not nodes whose name fits (repeatable)
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// Let OUT replace MODEL itself
    #[arg(long)]
    force: bool,
    /// Go on without fields that the ONNX schema does not know
    #[arg(long)]
    drop_unknown: bool,
    /// Write the weights to a file of their own beside OUT; above 2 GB they go there anyway
    #[arg(long)]
    external_data: bool,
    #[command(flatten)]
    shapes: InputShapes,
}

impl Fold {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        let source = Source::open(&self.model, Weights::Bring)?;
        let task = Task {
            shapes: self.shapes.resolve(&source.name(), &source.inputs())?,
            source,
            aim: Aim::Passes(PASSES.iter().filter(|p| p.exact).collect()),
            options: Options {
                only: &self.only,
                skip: &self.skip,
                ..Options::new(interrupt::flag())
            },
            data: None,
            limits: Limits::default(),
            output: Some(Output {
                path: self.output.clone(),
                force: self.force,
                drop_unknown: self.drop_unknown,
                external_data: self.external_data,
            }),
        };
        let rewriting = task.run(terminal)?;
        factorize::publish(&rewriting, None, &self.model)
    }
}
