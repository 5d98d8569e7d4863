//! What depends on the terminal: width, colours, progress.

use std::io::IsTerminal;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// No table is squeezed below this.
const NARROWEST: usize = 60;

/// Settles whether text is coloured, for both streams.
pub fn colours(choice: Colour) {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let on = |terminal: bool| match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && !unwanted,
    };
    console::set_colors_enabled(on(std::io::stdout().is_terminal()));
    console::set_colors_enabled_stderr(on(std::io::stderr().is_terminal()));
}

/// Columns that text on standard output may take; `COLUMNS` overrides. What
/// goes to no terminal is not cut: programs look for whole names.
pub fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let found = || {
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let size = console::Term::stdout().size_checked();
        size.map(|(_, columns)| usize::from(columns))
    };
    asked.or_else(found).unwrap_or(usize::MAX).max(NARROWEST)
}

/// Where progress goes.
pub struct Terminal {
    quiet: bool,
}

impl Terminal {
    /// Progress on standard error, none where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Tells what was done besides the report, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // A closed standard error is nothing to stop for.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n"));
        }
    }

    /// A progress bar that appears on a terminal only, once the work has taken
    /// a moment, and goes when dropped.
    pub fn progress(&self, what: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if self.quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else if let Ok(style) =
            ProgressStyle::with_template("{msg} {bar:24.cyan} {pos}/{len} {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }
}

/// A progress bar; clears itself.
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows `done` of `total`.
    pub fn set(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    /// Shows `done` of `total`, and what is being done.
    pub fn say(&self, done: usize, total: usize, what: &str) {
        self.0.set_message(what.to_owned());
        self.set(done, total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
