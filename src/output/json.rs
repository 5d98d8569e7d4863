//! JSON: the documented object, indented.

use super::{Format, Report, Style};

pub(super) static FORMAT: Format = Format {
    name: "json",
    what: "the documented machine-readable report",
    extensions: &["json"],
    render,
};

fn render(report: &Report, _: &Style) -> String {
    // `{:#}` of a value is its indented JSON.
    format!("{:#}\n", report.data)
}
