//! How a run that could not be done ends: one line on standard error, exit 2.

use std::panic;
use std::process::ExitCode;
use std::sync::Mutex;

use crate::interrupt;

/// What could not be run.
pub const EXIT_CODE: u8 = 2;

static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics from being printed where they happen; [`report_panic`] tells
/// of the first. With `RUST_BACKTRACE` set they are printed as usual too.
pub fn quiet_panics() {
    let usual = panic::take_hook();
    let verbose = std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0");
    panic::set_hook(Box::new(move |info| {
        if let Ok(mut first) = PANIC.lock() {
            first.get_or_insert_with(|| info.to_string());
        }
        if verbose {
            usual(info);
        }
    }));
}

/// Prints an error as one line.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if interrupt::requested() {
        line("interrupted; nothing was written");
        return ExitCode::from(interrupt::EXIT_CODE);
    }
    line(&describe(error));
    ExitCode::from(EXIT_CODE)
}

/// Prints a panic as one line.
pub fn report_panic() -> ExitCode {
    let what = PANIC.lock().ok().and_then(|mut p| p.take());
    line(&format!(
        "internal error: {}; nothing was written. Please report it, with the model if you can",
        what.unwrap_or_default()
    ));
    ExitCode::from(EXIT_CODE)
}

/// `error: TEXT`, control characters and line ends made spaces.
pub fn line(text: &str) {
    say(console::style("error:").red(), text);
}

/// `note: TEXT`: what is good to know and stops nothing.
pub fn note(text: &str) {
    say(console::style("note:").cyan(), text);
}

fn say(label: console::StyledObject<&str>, text: &str) {
    let text: Vec<&str> = text
        .split(|c: char| c.is_control())
        .filter(|part| !part.is_empty())
        .collect();
    let label = label.for_stderr().bold();
    // A closed standard error is nothing to stop for.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("{label} {}\n", text.join(" ")),
    );
}

/// The error and what caused it, `: ` between; a cause that its effect has
/// quoted already is not said twice.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
