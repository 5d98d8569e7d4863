//! SARIF 2.1.0, as code hosts take it for their scanning views.

use analyzer::{RULES, Severity};
use serde_json::{Value, json};

use super::{FindingFormat, Style};
use crate::lint::{Located, Outcome};

pub(super) static FORMAT: FindingFormat = FindingFormat {
    name: "sarif",
    what: "SARIF 2.1.0, for code scanning",
    render,
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

fn render(outcome: &Outcome, _: &Style) -> String {
    let rules: Vec<Value> = RULES.iter().map(descriptor).collect();
    let results: Vec<Value> = outcome.findings.iter().map(result).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "convfold",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn descriptor(rule: &analyzer::Rule) -> Value {
    let mut help = format!(
        "{}\n\n{}\n\n**When to ignore it.** {}\n\n**Example.** {}",
        rule.what, rule.why, rule.ignore, rule.example
    );
    if !rule.discussion.is_empty() {
        help.push_str(&format!("\n\n**For and against.** {}", rule.discussion));
    }
    json!({
        "id": rule.code,
        "name": pascal(rule.name),
        "shortDescription": {"text": crate::views::first_sentence(rule.what)},
        "fullDescription": {"text": rule.what},
        "help": {"text": help.replace("**", ""), "markdown": help},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": ["convolutional-networks"]},
    })
}

fn result(located: &Located) -> Value {
    let finding = &located.finding;
    // A model has no lines; code hosts show nothing without one.
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(&located.path)},
            "region": {"startLine": 1},
        },
    });
    let mut text = finding.message.clone();
    if let Some(node) = &finding.node {
        location["logicalLocations"] = json!([{
            "name": node,
            "fullyQualifiedName": format!("{}::{node}", located.path),
            "kind": "element",
        }]);
        text = format!("{node}: {text}");
    }
    json!({
        "ruleId": finding.code,
        "ruleIndex": RULES.iter().position(|r| r.code == finding.code),
        "level": level(finding.severity),
        "message": {"text": format!("{text}. Help: {}", finding.help)},
        "locations": [location],
        "partialFingerprints": {"convfold/v1": located.fingerprint},
        "properties": {"evidence": finding.evidence},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Information => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// `bad-weights` as `BadWeights`, which SARIF wants of names.
fn pascal(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut letters = part.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    parts.collect()
}

/// A path as a relative reference of RFC 3986; an absolute one as a file URI.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char);
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped() {
        assert_eq!(uri("a b/ü:1.onnx"), "a%20b/%C3%BC%3A1.onnx");
        assert_eq!(uri("/m/a.onnx"), "file:///m/a.onnx");
    }

    #[test]
    fn names_are_pascal_case() {
        assert_eq!(pascal("wide-stem-dilutes-patch"), "WideStemDilutesPatch");
    }
}
