//! `convfold rules`.

use analyzer::RULES;
use clap::Args;

use super::Verdict;
use crate::args::Output;
use crate::views;

/// Arguments.
#[derive(Debug, Args)]
pub struct Rules {
    #[command(flatten)]
    output: Output,
}

impl Rules {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        self.output.publish(&views::rules::table(RULES), &[])?;
        Ok(Verdict::Clean)
    }
}
