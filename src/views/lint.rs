//! Findings as a report, for the formats that every command has.

use analyzer::Severity;
use serde_json::{Value, json};

use super::rules::tone;
use crate::lint::{Located, Outcome, by_rule};
use crate::output::{Block, Cell, Column, Report, Table, Tone};

const COLUMNS: &[Column] = &[
    Column::words("severity", "severity"),
    Column::words("rule", "code"),
    Column::names("where", "node"),
    Column::names("what", "message"),
    Column::names("what to do", "help").optional(1),
];

/// Nodes that are named where a rule speaks of many.
const NAMED: usize = 3;

/// The report; `grouped`, findings of one rule in one file share a line. The
/// JSON is `convfold.lint.v1` either way.
pub fn report(outcome: &Outcome, grouped: bool) -> Report {
    let mut blocks = vec![Block::Note(summary_tone(outcome), summary(outcome))];
    for fixed in &outcome.fixed {
        blocks.push(Block::Note(Tone::Plain, fixed.words()));
    }
    for (path, findings) in outcome.by_file() {
        let mut table = Table::new(path, COLUMNS);
        let groups: Vec<&[Located]> = if grouped {
            by_rule(findings)
        } else {
            findings.chunks(1).collect()
        };
        table.rows = groups.into_iter().filter_map(row).collect();
        blocks.push(Block::Heading(path.to_owned()));
        blocks.push(Block::Table(table));
    }
    Report {
        title: "convfold lint".into(),
        blocks,
        data: data(outcome),
    }
}

fn row(group: &[Located]) -> Option<Vec<Cell>> {
    let first = strongest(group)?;
    let finding = &first.finding;
    Some(vec![
        Cell::new(finding.severity.name()).toned(tone(finding.severity)),
        Cell::with_raw(format!("{} {}", finding.code, finding.name), &finding.code),
        nodes(group).into(),
        finding.message.as_str().into(),
        finding.help.as_str().into(),
    ])
}

/// The finding that stands for a group: the first of the heaviest.
pub fn strongest(group: &[Located]) -> Option<&Located> {
    let heaviest = group.iter().map(|f| f.finding.severity).max()?;
    group.iter().find(|f| f.finding.severity == heaviest)
}

/// The nodes of a group, the one that stands for it first.
pub fn nodes(group: &[Located]) -> String {
    let Some(first) = strongest(group) else {
        return String::new();
    };
    let others = group.iter().filter(|f| f.fingerprint != first.fingerprint);
    let mut names: Vec<&str> = std::iter::once(first)
        .chain(others)
        .filter_map(|f| f.finding.node.as_deref())
        .collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What was found, in one line.
pub fn summary(outcome: &Outcome) -> String {
    let files = counted(outcome.files.len(), "model");
    let mut parts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .map(|s| (outcome.count(s), s))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| match severity {
            Severity::Information => format!("{count} for information"),
            other => counted(count, other.name()),
        })
        .collect();
    if parts.is_empty() {
        parts.push("nothing found".into());
    }
    let mut line = format!("{files}: {}", parts.join(", "));
    if !outcome.known.is_empty() {
        line.push_str(&format!(
            "; {} known from the baseline",
            outcome.known.len()
        ));
    }
    line
}

fn summary_tone(outcome: &Outcome) -> Tone {
    if outcome.fails() {
        return Tone::Bad;
    }
    if outcome.findings.is_empty() {
        Tone::Good
    } else {
        Tone::Plain
    }
}

fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

fn data(outcome: &Outcome) -> Value {
    let fixed: Vec<Value> = outcome
        .fixed
        .iter()
        .map(|f| {
            let passes: serde_json::Map<String, Value> = f
                .passes
                .iter()
                .map(|(p, n)| ((*p).to_owned(), json!(n)))
                .collect();
            json!({"path": f.path, "passes": passes, "refused": f.refused})
        })
        .collect();
    let findings: Vec<Value> = outcome.findings.iter().map(entry).collect();
    json!({
        "schema": "convfold.lint.v1",
        "findings": findings,
        "summary": {
            "files": outcome.files.len(),
            "findings": outcome.findings.len(),
            "error": outcome.count(Severity::Error),
            "warning": outcome.count(Severity::Warning),
            "information": outcome.count(Severity::Information),
            "known": outcome.known.len(),
            "fail_level": outcome.fail_level,
            "failed": outcome.fails(),
            "fixed": fixed,
        },
    })
}

fn entry(located: &Located) -> Value {
    let f = &located.finding;
    json!({
        "code": f.code,
        "name": f.name,
        "severity": f.severity,
        "path": located.path,
        "node": f.node,
        "message": f.message,
        "help": f.help,
        "evidence": f.evidence,
        "fingerprint": located.fingerprint,
        "fixable": !f.fix.is_empty(),
    })
}
