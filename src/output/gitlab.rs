//! GitLab's code quality report.

use analyzer::Severity;
use serde_json::{Value, json};

use super::{FindingFormat, Style};
use crate::lint::{Located, Outcome};

pub(super) static FORMAT: FindingFormat = FindingFormat {
    name: "gitlab",
    what: "GitLab's code quality report",
    render,
};

fn render(outcome: &Outcome, _: &Style) -> String {
    let entries: Vec<Value> = outcome.findings.iter().map(entry).collect();
    format!("{:#}\n", Value::Array(entries))
}

fn entry(located: &Located) -> Value {
    let finding = &located.finding;
    let node = finding
        .node
        .as_deref()
        .map_or(String::new(), |n| format!("{n}: "));
    json!({
        "description": format!("{node}{}", finding.message),
        "check_name": format!("{} {}", finding.code, finding.name),
        "fingerprint": located.fingerprint,
        "severity": match finding.severity {
            Severity::Information => "info",
            Severity::Warning => "minor",
            Severity::Error => "major",
        },
        // A model has no lines, the format asks for one.
        "location": {"path": located.path, "lines": {"begin": 1}},
    })
}
