//! Mistakes in a configuration: where, what, and what was probably meant.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl Mistake {
    /// A mistake at a span of a text.
    pub(super) fn at(
        file: &Path,
        text: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) -> Self {
        let place = span.map_or(0, |s| s.start);
        let before = text.get(..place.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
            suggestion,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// The name that was probably meant, in words.
pub(crate) fn did_you_mean<'a>(
    given: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    const LIKELY: f64 = 0.75;
    let plain = |s: &str| s.to_lowercase().replace('_', "-");
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&plain(given), &plain(name)), name))
        .filter(|(likeness, _)| *likeness >= LIKELY)
        // The first of several that are as likely.
        .reduce(|a, b| if b.0 > a.0 { b } else { a })
        .map(|(_, name)| format!("did you mean \"{name}\"?"))
}
