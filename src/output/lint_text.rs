//! Findings for people: by file, then by rule, the heaviest first.

use super::text::{paint, printable, toned, wrapped};
use super::{FindingFormat, Style};
use crate::lint::{Located, Outcome, by_rule};
use crate::views::lint::{nodes, strongest, summary};
use crate::views::rules::tone;

pub(super) static FORMAT: FindingFormat = FindingFormat {
    name: "text",
    what: "for people, by file and rule",
    render,
};

const INDENT: &str = "    ";
const WIDTH: usize = 100;

fn render(outcome: &Outcome, style: &Style) -> String {
    let mut out = String::new();
    for fixed in &outcome.fixed {
        out.push_str(&format!("{}\n", printable(&fixed.words())));
    }
    for (path, findings) in outcome.by_file() {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&paint(style, &printable(path), |p| p.bold()));
        out.push('\n');
        for group in by_rule(findings) {
            rule(&mut out, group, style);
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(outcome));
    out.push('\n');
    out
}

fn rule(out: &mut String, group: &[Located], style: &Style) {
    let Some(first) = strongest(group) else {
        return;
    };
    let finding = &first.finding;
    let label = toned(style, tone(finding.severity), finding.severity.name());
    let title = format!("{} {}", finding.code, finding.name);
    let places = match group.len() {
        1 => String::new(),
        many => format!(", {many} places"),
    };
    out.push_str(&format!(
        "  {label} {}{places}\n",
        paint(style, &title, |p| p.bold())
    ));
    let mut lines = Vec::new();
    let node = finding
        .node
        .as_deref()
        .map_or(String::new(), |n| format!("{n}: "));
    lines.push(format!("{node}{}", finding.message));
    if group.len() > 1 {
        lines.push(format!("places: {}", nodes(group)));
    }
    lines.push(format!("help: {}", finding.help));
    // What goes to no terminal keeps its lines: programs look for them.
    let width = match style.width {
        usize::MAX => usize::MAX,
        columns => columns.min(WIDTH).saturating_sub(INDENT.len()),
    };
    for line in lines {
        for part in wrapped(&line, width) {
            out.push_str(&format!("{INDENT}{part}\n"));
        }
    }
}
