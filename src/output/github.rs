//! Annotations of GitHub workflows. A step shows ten of a kind at most, so
//! that findings of one rule in one file share one.

use analyzer::Severity;

use super::{FindingFormat, Style};
use crate::lint::{Located, Outcome, by_rule};
use crate::views::lint::{nodes, strongest, summary};

pub(super) static FORMAT: FindingFormat = FindingFormat {
    name: "github",
    what: "annotations of GitHub workflows",
    render,
};

fn render(outcome: &Outcome, _: &Style) -> String {
    let mut out = String::new();
    for (path, findings) in outcome.by_file() {
        for line in by_rule(findings)
            .into_iter()
            .filter_map(|g| annotation(path, g))
        {
            out.push_str(&line);
        }
    }
    out.push_str(&format!("{}\n", data(&summary(outcome))));
    out
}

fn annotation(path: &str, group: &[Located]) -> Option<String> {
    let finding = &strongest(group)?.finding;
    let kind = match finding.severity {
        Severity::Information => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let node = finding
        .node
        .as_deref()
        .map_or(String::new(), |n| format!("{n}: "));
    let mut text = format!("{node}{}\nHelp: {}", finding.message, finding.help);
    if group.len() > 1 {
        text.push_str(&format!("\n{} places: {}", group.len(), nodes(group)));
    }
    let title = format!("{} {}", finding.code, finding.name);
    Some(format!(
        "::{kind} file={},title={}::{}\n",
        property(path),
        property(&title),
        data(&text)
    ))
}

/// The runner's escapes of a message.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The runner's escapes of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_an_annotation() {
        assert_eq!(data("50 %\n::error::x"), "50 %25%0A::error::x");
        assert_eq!(property("a,b:c%"), "a%2Cb%3Ac%25");
    }
}
