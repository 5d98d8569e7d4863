//! `convfold passes`.

use clap::Args;
use compiler::plan::PASSES;

use super::Verdict;
use crate::args::Output;
use crate::views;

/// Arguments.
#[derive(Debug, Args)]
pub struct Passes {
    #[command(flatten)]
    output: Output,
}

impl Passes {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        self.output.publish(&views::passes::table(PASSES), &[])?;
        Ok(Verdict::Clean)
    }
}
