//! One file a subcommand.

mod analyze;
mod bench;
mod completions;
mod diff;
mod explain;
mod factorize;
mod fold;
mod graph;
mod lint;
mod passes;
mod rules;
mod verify;

use std::time::Duration;

use clap::Subcommand;

use crate::terminal::Terminal;

/// What a run came to. It is settled before anything is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, nothing to object to: exit 0.
    Clean,
    /// A threshold was missed: exit 1.
    Missed,
    /// Some of the input could not be read, the rest was reported: exit 2.
    Unreadable,
}

/// The subcommands, as the help lists them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report cost, receptive field and aliasing of each layer
    Analyze(Box<analyze::Analyze>),
    /// Rewrite large kernels as chains of small ones, and measure what that costs
    Factorize(Box<factorize::Factorize>),
    /// Fold what can be folded without changing outputs
    Fold(fold::Fold),
    /// Compare a rewritten model with its original on samples
    Verify(Box<verify::Verify>),
    /// Measure time in tract, models in turns
    Bench(Box<bench::Bench>),
    /// Look for what costs and brings nothing, mistakes, and budgets exceeded
    Lint(Box<lint::Lint>),
    /// Tell what changed between two models
    Diff(diff::Diff),
    /// Draw the graph
    Graph(graph::Graph),
    /// List the rewrite passes
    Passes(passes::Passes),
    /// List the lint rules
    Rules(rules::Rules),
    /// Tell what a rule or a pass is about, why, and when to leave it
    Explain(explain::Explain),
    /// Print a script that completes convfold's arguments in a shell
    Completions(completions::Completions),
}

impl Command {
    /// How long one model may take unless the user says so: reading is done in
    /// seconds, whatever a stranger's file makes of it; work is not hurried.
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Command::Factorize(_) | Command::Fold(_) | Command::Verify(_) | Command::Bench(_) => {
                None
            }
            _ => Some(Duration::from_secs(600)),
        }
    }
}

/// Runs a subcommand.
///
/// # Errors
/// Why it could not be run.
pub fn run(command: &Command, terminal: &Terminal) -> anyhow::Result<Verdict> {
    match command {
        Command::Analyze(c) => c.run(terminal),
        Command::Factorize(c) => c.run(terminal),
        Command::Fold(c) => c.run(terminal),
        Command::Verify(c) => c.run(terminal),
        Command::Bench(c) => c.run(terminal),
        Command::Lint(c) => c.run(terminal),
        Command::Diff(c) => c.run(),
        Command::Graph(c) => c.run(),
        Command::Passes(c) => c.run(),
        Command::Rules(c) => c.run(),
        Command::Explain(c) => c.run(),
        Command::Completions(c) => c.run(),
    }
}
