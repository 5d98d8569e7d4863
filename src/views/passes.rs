//! The registry of passes.

use compiler::plan::Pass;
use serde_json::{Value, json};

use crate::output::{Block, Cell, Column, Report, Table};

/// All passes, a line each.
pub fn table(passes: &[Pass]) -> Report {
    let mut table = Table::new(
        "",
        &[
            Column::words("pass", "pass"),
            Column::words("kind", "kind"),
            Column::names("what it does", "what"),
        ],
    );
    table.rows = passes
        .iter()
        .map(|p| {
            vec![
                p.name.into(),
                kind(p).into(),
                Cell::with_raw(super::first_sentence(p.what), p.what),
            ]
        })
        .collect();
    let hint = "An exact pass keeps outputs to rounding; an approximate one is measured. \
                `convfold explain PASS` tells more.";
    Report {
        title: "Passes".into(),
        blocks: vec![
            Block::Table(table),
            Block::Note(crate::output::Tone::Plain, hint.into()),
        ],
        data: Value::Array(passes.iter().map(data).collect()),
    }
}

/// One pass in full.
pub fn one(pass: &Pass) -> Report {
    let part =
        |name: &str, text: &str| [Block::Heading(name.into()), Block::Paragraph(text.into())];
    let mut blocks = vec![Block::Heading(format!("{} ({})", pass.name, kind(pass)))];
    blocks.push(Block::Paragraph(pass.what.into()));
    blocks.extend(part("Why", pass.why));
    blocks.extend(part("When not", pass.when_not));
    blocks.push(Block::Heading("Example".into()));
    blocks.push(Block::Verbatim(pass.example.into()));
    Report {
        title: pass.name.into(),
        blocks,
        data: data(pass),
    }
}

fn kind(pass: &Pass) -> &'static str {
    if pass.exact { "exact" } else { "approximate" }
}

fn data(pass: &Pass) -> Value {
    json!({
        "pass": pass.name,
        "exact": pass.exact,
        "what": pass.what,
        "why": pass.why,
        "when_not": pass.when_not,
        "example": pass.example,
    })
}
