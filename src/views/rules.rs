//! The registry of lint rules.

use analyzer::{Rule, Severity};
use serde_json::{Value, json};

use crate::output::{Block, Cell, Column, Report, Table, Tone};

/// All rules, a line each.
pub fn table(rules: &[Rule]) -> Report {
    let mut table = Table::new(
        "",
        &[
            Column::words("code", "code"),
            Column::words("name", "name"),
            Column::words("severity", "severity"),
            Column::words("fix", "fix"),
            Column::names("what it finds", "what"),
        ],
    );
    table.rows = rules
        .iter()
        .map(|r| {
            vec![
                r.code.into(),
                r.name.into(),
                Cell::new(r.severity.name()).toned(tone(r.severity)),
                if r.fixes.is_empty() { "" } else { "--fix" }.into(),
                Cell::with_raw(super::first_sentence(r.what), r.what),
            ]
        })
        .collect();
    let hint = "From warning on a finding makes `convfold lint` exit 1 (fail-level). \
                `convfold explain CODE` tells more.";
    Report {
        title: "Rules".into(),
        blocks: vec![Block::Table(table), Block::Note(Tone::Plain, hint.into())],
        data: Value::Array(rules.iter().map(data).collect()),
    }
}

/// One rule in full.
pub fn one(rule: &Rule) -> Report {
    let title = format!("{} {} ({})", rule.code, rule.name, rule.severity);
    let mut blocks = vec![Block::Heading(title), Block::Paragraph(rule.what.into())];
    let mut part = |name: &str, text: &str| {
        if !text.is_empty() {
            blocks.push(Block::Heading(name.into()));
            blocks.push(Block::Paragraph(text.into()));
        }
    };
    part("Why", rule.why);
    part("When to ignore it", rule.ignore);
    part("Example", rule.example);
    part("For and against", rule.discussion);
    if !rule.fixes.is_empty() {
        let fixes = format!(
            "`convfold lint --fix` takes it away exactly ({}).",
            rule.fixes.join(", ")
        );
        part("Repair", &fixes);
    }
    let mut keys = vec![format!("severity = \"{}\"", rule.severity)];
    keys.extend(
        rule.thresholds
            .iter()
            .map(|t| format!("{} = {}  # {}", t.key, t.default, t.what)),
    );
    blocks.push(Block::Heading("Configuration (convfold.toml)".into()));
    blocks.push(Block::Verbatim(format!(
        "[rules.{}]\n{}",
        rule.code,
        keys.join("\n")
    )));
    Report {
        title: rule.code.into(),
        blocks,
        data: data(rule),
    }
}

/// How a severity is shown.
pub fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Information => Tone::Plain,
        Severity::Warning => Tone::Warning,
        Severity::Error => Tone::Bad,
    }
}

fn data(rule: &Rule) -> Value {
    let thresholds = rule.thresholds.iter();
    let thresholds: Vec<Value> = thresholds
        .map(|t| json!({"key": t.key, "default": t.default, "what": t.what}))
        .collect();
    json!({
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "what": rule.what,
        "why": rule.why,
        "ignore": rule.ignore,
        "example": rule.example,
        "discussion": rule.discussion,
        "fixes": rule.fixes,
        "weights": rule.weights,
        "thresholds": thresholds,
    })
}
