//! Markdown, as code hosts render it in pull requests.

use super::{Align, Block, Format, Report, Style, Table};

pub(super) static FORMAT: Format = Format {
    name: "markdown",
    what: "for pull requests and documents",
    extensions: &["md", "markdown"],
    render,
};

fn render(report: &Report, _: &Style) -> String {
    let mut out = format!("# {}\n", escape(&report.title));
    for block in &report.blocks {
        match block {
            Block::Heading(text) => out.push_str(&format!("\n## {}\n", escape(text))),
            Block::Facts(facts) => {
                out.push('\n');
                for (name, value) in facts {
                    out.push_str(&format!("- **{name}**: {}\n", escape(value)));
                }
            }
            Block::Table(t) => table(&mut out, t),
            Block::Note(_, text) | Block::Paragraph(text) => {
                out.push_str(&format!("\n{}\n", escape(text)))
            }
            Block::Verbatim(text) => {
                // A fence longer than any run of backticks inside.
                let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
                let fence = "`".repeat(longest.max(2) + 1);
                out.push_str(&format!("\n{fence}text\n{}\n{fence}\n", text.trim_end()));
            }
            Block::Chart(_) => {}
        }
    }
    out
}

fn table(out: &mut String, table: &Table) {
    let titles: Vec<&str> = table.columns.iter().map(|c| c.title).collect();
    let rules: Vec<&str> = table
        .columns
        .iter()
        .map(|c| {
            if c.align == Align::Right {
                "---:"
            } else {
                "---"
            }
        })
        .collect();
    out.push_str(&format!(
        "\n| {} |\n| {} |\n",
        titles.join(" | "),
        rules.join(" | ")
    ));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|c| escape(&c.text)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

/// Text from a model is text, whatever it holds.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
