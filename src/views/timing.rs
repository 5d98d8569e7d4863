//! Measured times.

use runtime::bench::{Spread, Timing};
use serde_json::json;

use super::forms;
use crate::forms::Form;
use crate::output::{Block, Cell, Column, Report, Table, Tone};
use crate::units;

/// The report on a measurement. The last timings are those of `forms`.
pub fn report(timings: &[Timing], streams: usize, forms: &[Form]) -> Report {
    let mut table = Table::new(
        "",
        &[
            Column::names("model", "model"),
            Column::numbers("median", "median_seconds"),
            Column::numbers("quartiles", "quartiles_seconds"),
            Column::numbers("fastest", "min_seconds").optional(2),
            Column::numbers("of the first", "ratio"),
            Column::numbers("quartiles", "ratio_quartiles"),
            Column::numbers("rounds", "rounds").optional(1),
            Column::numbers("batch", "batch").optional(3),
        ],
    );
    table.rows = timings.iter().map(row).collect();
    let note = format!(
        "Seconds a sample in tract, {streams} stream{}; models take turns within a round, and \
         ratios are taken round by round.",
        if streams == 1 { "" } else { "s" }
    );
    let own = &timings[timings.len() - forms.len()..];
    let mut blocks = vec![Block::Table(table), Block::Note(Tone::Plain, note)];
    for (form, timing) in forms.iter().zip(own) {
        blocks.extend(forms::blocks(form, timing));
    }
    let forms: Vec<_> = forms.iter().map(forms::json).collect();
    Report {
        title: "Time in tract".into(),
        blocks,
        data: json!({
            "schema": "convfold.bench.v1", "streams": streams, "models": timings, "forms": forms,
        }),
    }
}

fn row(timing: &Timing) -> Vec<Cell> {
    let number = |value: f64, show: fn(f64) -> String| Cell::with_raw(show(value), value);
    vec![
        timing.model.as_str().into(),
        number(timing.seconds.median, units::seconds),
        range(&timing.seconds, units::seconds),
        number(timing.seconds.min, units::seconds),
        number(timing.ratio.median, units::small),
        range(&timing.ratio, units::small),
        timing.rounds.to_string().into(),
        timing.batch.to_string().into(),
    ]
}

/// The middle half of a distribution.
pub(super) fn range(spread: &Spread, show: fn(f64) -> String) -> Cell {
    let text = format!("{} to {}", show(spread.lower), show(spread.upper));
    Cell::with_raw(text, format!("{} {}", spread.lower, spread.upper))
}
