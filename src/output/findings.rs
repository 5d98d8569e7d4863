//! Formats for findings alone: what `lint` offers besides those of every
//! command.

use super::Style;
use crate::lint::Outcome;

/// A way to write findings.
pub struct FindingFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for the help.
    pub what: &'static str,
    /// Writes the findings, with a line end at their end.
    pub render: fn(&Outcome, &Style) -> String,
}

/// All of them; a name that [`super::FORMATS`] has too goes before it.
pub static FINDING_FORMATS: &[&FindingFormat] = &[
    &super::lint_text::FORMAT,
    &super::sarif::FORMAT,
    &super::github::FORMAT,
    &super::gitlab::FORMAT,
    &super::junit::FORMAT,
];
