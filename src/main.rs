//! `convfold`: graph compiler, analyzer and lint for convolutional networks in ONNX.
//!
//! The command line: arguments, files, formats, exit codes. What is computed is
//! computed in `compiler`, `analyzer` and `runtime`.
#![forbid(unsafe_code)]

mod args;
mod calibration;
mod commands;
mod failure;
mod files;
mod forms;
mod interrupt;
mod limits;
mod lint;
mod output;
mod rewriting;
mod searching;
mod source;
mod terminal;
mod units;
mod views;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use commands::Verdict;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::colours(cli.common.color);
    interrupt::install();
    failure::quiet_panics();
    limits::install(cli.limits());
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&cli)));
    match outcome {
        Ok(Ok(Verdict::Clean)) => ExitCode::SUCCESS,
        Ok(Ok(Verdict::Missed)) => ExitCode::from(1),
        Ok(Ok(Verdict::Unreadable)) => ExitCode::from(2),
        Ok(Err(error)) => failure::report(&error),
        Err(_) => failure::report_panic(),
    }
}

fn run(cli: &Cli) -> anyhow::Result<Verdict> {
    if let Some(threads) = cli.common.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build_global()?;
    }
    commands::run(&cli.command, &terminal::Terminal::new(cli.common.quiet))
}
