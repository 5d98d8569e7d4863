//! What a pass would make of a model: what it saves, the time it takes, what it
//! loses, in all and a layer.

use analyzer::Totals;
use runtime::bench::Timing;
use serde_json::{Value, json};

use super::timing::range;
use super::{comparable, error_cell, site_cells, site_columns};
use crate::forms::{Form, Layer};
use crate::output::{Block, Cell, Column, Table, Tone};
use crate::units;

/// The answer in words, then layer by layer.
pub(super) fn blocks(form: &Form, timing: &Timing) -> Vec<Block> {
    let own = vec![
        Column::numbers("weights", "parameters_ratio"),
        Column::numbers("MACs", "macs_ratio"),
        Column::numbers("time before", "seconds_before"),
        Column::numbers("after", "seconds_after"),
        Column::numbers("ratio", "ratio"),
        Column::numbers("quartiles", "ratio_quartiles"),
        Column::numbers("weights off by", "weight_error"),
    ];
    let mut table = Table::new("", &[site_columns(), own].concat());
    table.rows = form.layers.iter().map(row).collect();
    vec![
        Block::Heading(format!("{}, layer by layer", form.pass)),
        Block::Table(table.beside()),
        Block::Note(Tone::Plain, answer(form, timing)),
    ]
}

/// What it comes to, in a sentence.
fn answer(form: &Form, timing: &Timing) -> String {
    let [before, after] = &form.totals;
    let mut parts = Vec::new();
    if let Some(share) = ratio(before, after, weights) {
        parts.push(format!("{} times the weights", units::small(share)));
    }
    if let Some(share) = ratio(before, after, macs) {
        parts.push(format!("{} times the MACs", units::small(share)));
    }
    let time = &timing.ratio;
    parts.push(format!(
        "{} times the time ({} to {})",
        units::small(time.median),
        units::small(time.lower),
        units::small(time.upper)
    ));
    let mut text = format!("{} takes {}", form.pass, parts.join(", "));
    let errors: Vec<f64> = errors(form).collect();
    let most = errors.iter().copied().fold(0.0, f64::max);
    let least = errors.iter().copied().fold(most, f64::min);
    if most > 0.0 {
        text.push_str(&format!(
            "; the layers' weights are off by {} to {}",
            units::percent(least),
            units::percent(most)
        ));
    }
    if let Some(comparison) = &form.comparison {
        text.push_str(&match (comparison.agreement, &comparison.top1) {
            (Some(agreement), Some(top1)) => format!(
                "; agreement {}, top-1 {} before and {} after",
                units::percent(agreement),
                units::percent(top1.original),
                units::percent(top1.rewritten)
            ),
            (Some(agreement), None) => format!("; agreement {}", units::percent(agreement)),
            _ => format!(
                "; relative error {}",
                units::small(comparison.relative_error)
            ),
        });
    }
    let slower = form.layers.iter().filter(|l| slower(l)).count();
    if slower > 0 {
        text.push_str(&format!(
            "; {slower} of {} layers are slower for it",
            form.layers.len()
        ));
    }
    text + "."
}

/// Whether a layer takes longer than before, in three rounds of four.
fn slower(layer: &Layer) -> bool {
    layer.alone.as_ref().is_some_and(|a| a.ratio.lower > 1.0)
}

fn errors(form: &Form) -> impl Iterator<Item = f64> {
    form.layers.iter().filter_map(|l| l.site.weight_error)
}

fn weights(totals: &Totals) -> analyzer::Count {
    totals.parameters.into()
}

fn macs(totals: &Totals) -> analyzer::Count {
    totals.macs.clone()
}

fn ratio(before: &Totals, after: &Totals, of: fn(&Totals) -> analyzer::Count) -> Option<f64> {
    let (before, after) = comparable(&of(before), &of(after))?;
    (before > 0.0).then(|| after / before)
}

fn row(layer: &Layer) -> Vec<Cell> {
    let mut row = site_cells(&layer.site);
    match &layer.alone {
        None => row.extend(vec![Cell::default(); 6]),
        Some(alone) => {
            let [before, after] = &alone.totals;
            let share = |of| ratio(before, after, of).map_or(Cell::default(), small);
            row.extend([
                share(weights as fn(&Totals) -> _),
                share(macs),
                seconds(alone.seconds[0].median),
                seconds(alone.seconds[1].median),
                small(alone.ratio.median),
                range(&alone.ratio, units::small),
            ]);
        }
    }
    row.push(error_cell(layer.site.weight_error));
    row
}

fn small(value: f64) -> Cell {
    Cell::with_raw(units::small(value), value)
}

fn seconds(value: f64) -> Cell {
    Cell::with_raw(units::seconds(value), value)
}

/// The same for machines.
pub(super) fn json(form: &Form) -> Value {
    let layer = |layer: &Layer| {
        let site = &layer.site;
        json!({
            "node": site.node, "from": site.from, "to": site.to, "widths": site.widths,
            "weight_error": site.weight_error,
            "alone": layer.alone.as_ref().map(|alone| json!({
                "before": totals(&alone.totals[0]), "after": totals(&alone.totals[1]),
                "seconds": {"before": alone.seconds[0], "after": alone.seconds[1]},
                "ratio": alone.ratio,
            })),
        })
    };
    json!({
        "pass": form.pass,
        "before": totals(&form.totals[0]), "after": totals(&form.totals[1]),
        "layers": form.layers.iter().map(layer).collect::<Vec<_>>(),
        "comparison": form.comparison,
    })
}

fn totals(totals: &Totals) -> Value {
    json!({"parameters": totals.parameters, "macs": totals.macs})
}
