//! JUnit XML: a suite a model, a case a finding; what does not fail is told
//! as output of a case that passes.

use super::{FindingFormat, Style};
use crate::lint::{Located, Outcome};

pub(super) static FORMAT: FindingFormat = FindingFormat {
    name: "junit",
    what: "JUnit XML, for test reports",
    render,
};

fn render(outcome: &Outcome, _: &Style) -> String {
    let failing = |f: &&Located| outcome.is_failing(f);
    let failures = outcome.findings.iter().filter(failing).count();
    let clean = outcome.files.len() - outcome.by_file().count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"convfold lint\" tests=\"{}\" failures=\"{failures}\" errors=\"0\">\n",
        outcome.findings.len() + clean
    );
    let mut left = outcome.findings.as_slice();
    for file in &outcome.files {
        let count = left.iter().take_while(|f| f.path == *file).count();
        let (findings, rest) = left.split_at(count);
        left = rest;
        suite(&mut out, file, findings, outcome);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, file: &str, findings: &[Located], outcome: &Outcome) {
    let failures = findings.iter().filter(|f| outcome.is_failing(f)).count();
    let name = escape(file);
    out.push_str(&format!(
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\">\n",
        findings.len().max(1)
    ));
    if findings.is_empty() {
        out.push_str(&format!(
            "    <testcase name=\"lint\" classname=\"{name}\"/>\n"
        ));
    }
    for located in findings {
        let finding = &located.finding;
        let node = finding
            .node
            .as_deref()
            .map_or(String::new(), |n| format!(" {n}"));
        let case = escape(&format!("{} {}{node}", finding.code, finding.name));
        let (message, help) = (escape(&finding.message), escape(&finding.help));
        out.push_str(&format!(
            "    <testcase name=\"{case}\" classname=\"{name}\" file=\"{name}\">\n"
        ));
        out.push_str(&if outcome.is_failing(located) {
            format!(
                "      <failure type=\"{}\" message=\"{message}\">{help}</failure>\n",
                finding.severity
            )
        } else {
            format!(
                "      <system-out>{}: {message}. {help}</system-out>\n",
                finding.severity
            )
        });
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n");
}

/// XML 1.0: control characters cannot be written at all.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_model_is_text() {
        assert_eq!(escape("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot; ");
    }
}
