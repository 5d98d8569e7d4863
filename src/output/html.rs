//! HTML: one file that needs no other.

use super::{Align, Block, Format, Report, Style, Table, Tone};

pub(super) static FORMAT: Format = Format {
    name: "html",
    what: "one page with pictures, nothing loaded from elsewhere",
    extensions: &["html", "htm"],
    render,
};

const CSS: &str = "\
:root{--ink:#1c2530;--dim:#66707c;--line:#dde2e8;--page:#fff;--bar:#3f7cc4;--good:#1d7f45;--warning:#a86400;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#97a1ad;--line:#333b45;--page:#14181d;--bar:#5e9be2;--good:#5ac487;--warning:#e0a54a;--bad:#f2867e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
th{position:sticky;top:0;background:var(--page);color:var(--dim);font-weight:600;text-align:left}
td,th{padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line);white-space:nowrap}
.right{text-align:right}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem}dt{color:var(--dim)}dd{margin:0}
pre{overflow-x:auto;font-size:.8rem;border:1px solid var(--line);border-radius:6px;padding:.8rem}
figure{margin:1.5rem 0}figcaption{color:var(--dim);margin-bottom:.4rem}
svg{width:100%;height:auto;font-size:11px}svg text{fill:var(--ink)}svg rect{fill:var(--bar)}svg path{fill:none;stroke:var(--bar);stroke-width:2}
svg .grid{stroke:var(--line)}svg .hover{fill:transparent}svg .hover:hover{fill:var(--line);fill-opacity:.6}
.good{color:var(--good)}.warning{color:var(--warning)}.bad{color:var(--bad)}";

fn render(report: &Report, _: &Style) -> String {
    let title = escape(&report.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title>\n<style>{CSS}</style></head>\n<body><h1>{title}</h1>\n"
    );
    for block in &report.blocks {
        match block {
            Block::Heading(text) => out.push_str(&format!("<h2>{}</h2>\n", escape(text))),
            Block::Facts(facts) => {
                out.push_str("<dl>");
                for (name, value) in facts {
                    out.push_str(&format!(
                        "<dt>{}</dt><dd>{}</dd>",
                        escape(name),
                        escape(value)
                    ));
                }
                out.push_str("</dl>\n");
            }
            Block::Table(t) => table(&mut out, t),
            Block::Note(tone, text) => {
                out.push_str(&format!(
                    "<p{}>{}</p>\n",
                    class(*tone, Align::Left),
                    escape(text)
                ));
            }
            Block::Paragraph(text) => out.push_str(&format!("<p>{}</p>\n", escape(text))),
            Block::Verbatim(text) => out.push_str(&format!("<pre>{}</pre>\n", escape(text))),
            Block::Chart(chart) => out.push_str(&format!(
                "<figure><figcaption>{}</figcaption>{}</figure>\n",
                escape(&chart.title),
                chart.svg()
            )),
        }
    }
    out.push_str("</body></html>\n");
    out
}

fn table(out: &mut String, table: &Table) {
    out.push_str("<table><thead><tr>");
    for column in &table.columns {
        out.push_str(&format!(
            "<th{}>{}</th>",
            class(Tone::Plain, column.align),
            escape(column.title)
        ));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let class = class(cell.tone, column.align);
            out.push_str(&format!("<td{class}>{}</td>", escape(&cell.text)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

fn class(tone: Tone, align: Align) -> String {
    let tone = match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    };
    let align = if align == Align::Right { "right" } else { "" };
    match format!("{align} {tone}").trim() {
        "" => String::new(),
        classes => format!(" class=\"{classes}\""),
    }
}

/// Text from a model is text, whatever it holds.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
