//! `convfold completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Verdict;
use crate::args::Cli;

/// Arguments.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "convfold", &mut script);
        crate::files::publish(&String::from_utf8_lossy(&script), None, &[])?;
        Ok(Verdict::Clean)
    }
}
