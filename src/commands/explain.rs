//! `convfold explain`.

use analyzer::rules;
use anyhow::bail;
use clap::Args;
use compiler::plan::{self, PASSES, Pass};

use super::Verdict;
use crate::args::Output;
use crate::views;

/// Arguments.
#[derive(Debug, Args)]
pub struct Explain {
    /// A lint rule or a pass, as `convfold rules` and `convfold passes` list them
    #[arg(value_name = "CODE|PASS")]
    name: String,
    #[command(flatten)]
    output: Output,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        let report = if let Some(rule) = rules::find(&self.name) {
            views::rules::one(rule)
        } else if let Some(pass) = plan::find(&self.name) {
            views::passes::one(pass)
        } else {
            bail!(
                "{}, and no rule; `convfold rules` lists those",
                unknown(&self.name)
            );
        };
        self.output.publish(&report, &[])?;
        Ok(Verdict::Clean)
    }
}

/// The pass that `--pass` names.
///
/// # Errors
/// There is none of this name.
pub(super) fn pass(name: &str) -> anyhow::Result<&'static Pass> {
    match plan::find(name) {
        Some(pass) => Ok(pass),
        None => bail!("--pass {}", unknown(name)),
    }
}

/// That there is no pass of this name, and which there are.
fn unknown(name: &str) -> String {
    let names: Vec<&str> = PASSES.iter().map(|p| p.name).collect();
    format!("{name:?} is no pass; there are {}", names.join(", "))
}
