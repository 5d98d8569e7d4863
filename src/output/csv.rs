//! CSV (RFC 4180): the tables, with plain numbers. Tables of the same columns
//! continue under one heading.

use super::{Block, Cell, Format, Report, Style};

pub(super) static FORMAT: Format = Format {
    name: "csv",
    what: "the tables, numbers without units",
    extensions: &["csv"],
    render,
};

fn render(report: &Report, _: &Style) -> String {
    let mut out = String::new();
    let mut heading: Vec<&str> = Vec::new();
    for block in &report.blocks {
        let Block::Table(table) = block else { continue };
        if table.beside {
            continue;
        }
        let named = !table.subject.is_empty();
        let mut keys = if named { vec!["model"] } else { Vec::new() };
        keys.extend(table.columns.iter().map(|c| c.key));
        if keys != heading {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            line(&mut out, keys.iter().copied());
            heading = keys;
        }
        for row in &table.rows {
            let cells = row
                .iter()
                .map(|c: &Cell| c.raw.as_deref().unwrap_or(&c.text));
            line(
                &mut out,
                named
                    .then_some(table.subject.as_str())
                    .into_iter()
                    .chain(cells),
            );
        }
    }
    out
}

fn line<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (i, field) in fields.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Table};
    use super::*;

    #[test]
    fn fields_are_quoted_and_headings_not_repeated() {
        let mut a = Table::new(
            "a,b.onnx",
            &[
                Column::names("node", "node"),
                Column::numbers("MACs", "macs"),
            ],
        );
        a.rows.push(vec![
            "say \"x\"".into(),
            Cell::with_raw("1.81 G", 1_814_073_344u64),
        ]);
        let mut b = a.clone();
        b.subject = "c.onnx".into();
        let report = Report {
            blocks: vec![Block::Table(a), Block::Table(b)],
            ..Report::default()
        };
        let text = render(
            &report,
            &Style {
                width: 10,
                colour: false,
            },
        );
        assert_eq!(
            text,
            "model,node,macs\r\n\"a,b.onnx\",\"say \"\"x\"\"\",1814073344\r\nc.onnx,\"say \"\"x\"\"\",1814073344\r\n"
        );
    }
}
