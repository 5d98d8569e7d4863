//! `convfold explain`.

use anyhow::bail;
use clap::Args;
use compiler::plan::{self, PASSES};

use super::Verdict;
use crate::args::Output;
use crate::views;

/// Arguments.
#[derive(Debug, Args)]
pub struct Explain {
    /// A pass, as `convfold passes` lists them
    #[arg(value_name = "PASS")]
    name: String,
    #[command(flatten)]
    output: Output,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        let Some(pass) = plan::find(&self.name) else {
            bail!("{}", unknown(&self.name));
        };
        self.output.publish(&views::passes::one(pass), &[])?;
        Ok(Verdict::Clean)
    }
}

/// That there is no pass of this name, and which there are.
pub(super) fn unknown(name: &str) -> String {
    let names: Vec<&str> = PASSES.iter().map(|p| p.name).collect();
    format!("{name:?} is no pass; there are {}", names.join(", "))
}
