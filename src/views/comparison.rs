//! Two models on the same data.

use runtime::{Comparison, Pair};

use crate::output::{Block, Cell, Column, Report, Table, Tone};
use crate::units;

/// The report on a comparison.
pub fn report(names: [&str; 2], data: &str, comparison: &Comparison, reasons: &[String]) -> Report {
    let mut table = Table::new(
        "",
        &[
            Column::words("", "figure"),
            Column::numbers("original", "original"),
            Column::numbers("rewritten", "rewritten"),
            Column::numbers("change", "change"),
        ],
    );
    table.rows = rows(comparison);
    let mut blocks = vec![
        Block::Heading(format!("{} against {}", names[1], names[0])),
        Block::Facts(vec![(
            "data",
            format!("{data}, {} samples", comparison.samples),
        )]),
        Block::Table(table),
    ];
    if comparison.outputs.len() > 1 {
        blocks.push(Block::Table(outputs(comparison)));
    }
    blocks.extend(verdict(reasons));
    Report {
        title: format!("{} against {}", names[1], names[0]),
        blocks,
        data: serde_json::to_value(comparison).unwrap_or_default(),
    }
}

/// What missed a threshold.
pub fn verdict(reasons: &[String]) -> Vec<Block> {
    reasons
        .iter()
        .map(|r| Block::Note(Tone::Bad, format!("missed: {r}")))
        .collect()
}

/// The figures of a comparison: name, original, rewritten, change.
pub fn rows(comparison: &Comparison) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut shares = |name: &str, pair: &Option<Pair>| {
        if let Some(p) = pair {
            let points = 100.0 * (p.rewritten - p.original);
            let tone = if points < 0.0 {
                Tone::Warning
            } else {
                Tone::Plain
            };
            rows.push(vec![
                name.into(),
                Cell::with_raw(units::percent(p.original), p.original),
                Cell::with_raw(units::percent(p.rewritten), p.rewritten),
                Cell::with_raw(format!("{points:+.2} points"), points).toned(tone),
            ]);
        }
    };
    shares("top-1", &comparison.top1);
    shares("top-5", &comparison.top5);
    shares("same class after a shift", &comparison.shift_consistency);
    let mut figure = |name: &str, shown: String, value: f64| {
        rows.push(vec![
            name.into(),
            Cell::default(),
            Cell::with_raw(shown, value),
            Cell::default(),
        ]);
    };
    if let Some(agreement) = comparison.agreement {
        figure("agreement", units::percent(agreement), agreement);
    }
    figure(
        "largest error",
        units::small(comparison.max_abs_error),
        comparison.max_abs_error,
    );
    figure(
        "relative error",
        units::small(comparison.relative_error),
        comparison.relative_error,
    );
    if let Some(db) = comparison.psnr_db {
        figure("PSNR", format!("{db:.1} dB"), db);
    }
    if comparison.non_finite > 0 {
        let count = comparison.non_finite;
        figure("not finite in one only", count.to_string(), count as f64);
    }
    let seconds = &comparison.seconds;
    rows.push(vec![
        "time in tract, all threads".into(),
        Cell::with_raw(units::seconds(seconds.original), seconds.original),
        Cell::with_raw(units::seconds(seconds.rewritten), seconds.rewritten),
        units::change(seconds.original, seconds.rewritten).into(),
    ]);
    rows
}

fn outputs(comparison: &Comparison) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::names("output", "output"),
            Column::words("shape", "shape"),
            Column::numbers("largest error", "max_abs_error"),
            Column::numbers("relative error", "relative_error"),
        ],
    );
    table.rows = comparison
        .outputs
        .iter()
        .map(|o| {
            vec![
                o.name.as_str().into(),
                super::sizes(&o.shape).into(),
                Cell::with_raw(units::small(o.max_abs_error), o.max_abs_error),
                Cell::with_raw(units::small(o.relative_error), o.relative_error),
            ]
        })
        .collect();
    table
}
