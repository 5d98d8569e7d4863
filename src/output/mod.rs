//! Reports and the formats that they are written in.
//!
//! A command says what it found once, as a [`Report`]: blocks for people and the
//! documented JSON for machines. A format is one file here and one row in
//! [`FORMATS`]; every command offers every format.

mod chart;
mod csv;
mod findings;
mod github;
mod gitlab;
mod html;
mod json;
mod junit;
mod lint_text;
mod markdown;
mod report;
mod sarif;
mod text;

pub use chart::{Chart, ChartKind, Point};
pub use findings::{FINDING_FORMATS, FindingFormat};
pub use report::{Align, Block, Cell, Column, Report, Table, Tone};

use std::path::Path;

/// A way to write a report.
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for the help.
    pub what: &'static str,
    /// Endings of file names that mean it.
    pub extensions: &'static [&'static str],
    /// Writes the report, with a line end at its end.
    pub render: fn(&Report, &Style) -> String,
}

/// All formats.
pub static FORMATS: &[&Format] = &[
    &text::FORMAT,
    &json::FORMAT,
    &markdown::FORMAT,
    &csv::FORMAT,
    &html::FORMAT,
];

/// The default.
pub static TEXT: &Format = &text::FORMAT;

/// The format of this name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|f| f.name == name)
}

/// The format that the ending of a file name means.
pub fn by_extension(path: &Path) -> Option<&'static Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let means = |f: &&&Format| f.extensions.contains(&extension.as_str());
    FORMATS.iter().find(means).copied()
}

/// What the place that text goes to can show.
#[derive(Clone, Debug)]
pub struct Style {
    /// Columns; without end where nobody looks at lines.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
}

impl Style {
    /// The style of standard output, or of a file.
    pub fn of(standard_output: bool) -> Self {
        if standard_output {
            Self {
                width: crate::terminal::width(),
                colour: console::colors_enabled(),
            }
        } else {
            Self {
                width: usize::MAX,
                colour: false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_formats_have_unique_names() {
        let mut names: Vec<_> = FINDING_FORMATS.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FINDING_FORMATS.len());
        assert!(FINDING_FORMATS.iter().all(|f| !f.what.is_empty()));
    }

    #[test]
    fn formats_have_unique_names_and_endings() {
        let mut names: Vec<_> = FORMATS.iter().map(|f| f.name).collect();
        let mut endings: Vec<_> = FORMATS.iter().flat_map(|f| f.extensions).collect();
        let (n, e) = (names.len(), endings.len());
        names.sort_unstable();
        names.dedup();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!((n, e), (names.len(), endings.len()));
        assert!(FORMATS.iter().all(|f| !f.what.is_empty()));
        assert_eq!(
            by_extension(Path::new("a/b.HTML")).map(|f| f.name),
            Some("html")
        );
        assert!(by_extension(Path::new("html")).is_none());
    }
}
