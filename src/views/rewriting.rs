//! What passes did to a model.

use analyzer::Count;
use compiler::plan::{PassReport, Site};
use serde_json::{Value, json};

use super::{byte_count, comparable, comparison, count, sizes};
use crate::output::{Block, Cell, Column, Report, Table, Tone};
use crate::rewriting::{Accuracy, Figures, Rewriting, Step};
use crate::units;

/// The report on a rewriting; the JSON is `convfold.factorization.v1`.
pub fn report(rewriting: &Rewriting) -> Report {
    let mut blocks = Vec::new();
    for step in &rewriting.passes {
        blocks.extend(pass(&rewriting.input, step));
    }
    if rewriting.front.len() > 1 {
        blocks.push(Block::Heading("the front".into()));
        blocks.push(Block::Table(front(rewriting)));
    } else if let [first, .., last] = rewriting.passes.as_slice() {
        blocks.push(Block::Heading("all passes".into()));
        blocks.push(Block::Table(figures(&rewriting.input, &first.before, last)));
    }
    if let Some(Accuracy::Unavailable(why)) = rewriting.passes.last().map(|p| &p.accuracy) {
        blocks.push(Block::Note(Tone::Warning, format!("no accuracy: {why}")));
    }
    blocks.extend(comparison::verdict(&rewriting.missed));
    blocks.push(match &rewriting.output {
        Some(_) if rewriting.front.len() > 1 => Block::Note(
            Tone::Good,
            format!("written: {}", rewriting.front.join(", ")),
        ),
        Some(path) => Block::Note(Tone::Good, format!("written: {path}")),
        None => Block::Note(Tone::Plain, "dry run: nothing was written".into()),
    });
    Report {
        title: format!("{} rewritten", rewriting.input),
        blocks,
        data: data(rewriting),
    }
}

/// The networks side by side.
fn front(rewriting: &Rewriting) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::names("file", "file"),
            Column::numbers("parameters", "parameters"),
            Column::numbers("of convolutions", "convolution_parameters"),
            Column::numbers("MACs", "macs"),
            Column::numbers("top-1", "top1"),
            Column::numbers("agreement", "agreement"),
            Column::numbers("relative error", "relative_error"),
        ],
    );
    let rows = rewriting.front.iter().zip(&rewriting.passes);
    table.rows = rows
        .map(|(file, step)| {
            let (totals, weights) = (&step.after.totals, step.after.convolution_parameters as f64);
            let comparison = match &step.accuracy {
                Accuracy::Measured(comparison) => Some(comparison),
                _ => None,
            };
            let share = |v: Option<f64>| {
                v.map_or(Cell::default(), |v| Cell::with_raw(units::percent(v), v))
            };
            let error = comparison.map(|c| c.relative_error);
            vec![
                file.as_str().into(),
                Cell::with_raw(
                    units::si(totals.parameters as f64),
                    totals.parameters as f64,
                ),
                Cell::with_raw(units::si(weights), weights),
                Cell::with_raw(count(&totals.macs), &totals.macs),
                share(comparison.and_then(|c| c.top1.map(|t| t.rewritten))),
                share(comparison.and_then(|c| c.agreement)),
                error.map_or(Cell::default(), |e| Cell::with_raw(units::small(e), e)),
            ]
        })
        .collect();
    table.without_empty_columns()
}

fn pass(input: &str, step: &Step) -> Vec<Block> {
    let report = &step.report;
    let rewritten = match report.sites.len() {
        0 => "nothing to rewrite".into(),
        1 => "1 place".into(),
        n => format!("{n} places"),
    };
    let mut blocks = vec![Block::Heading(format!("{}: {rewritten}", report.pass))];
    if !report.sites.is_empty() {
        blocks.push(Block::Table(sites(report)));
        blocks.push(Block::Table(figures(input, &step.before, step)));
    }
    if !report.skipped.is_empty() {
        blocks.push(Block::Table(skipped(report)));
    }
    for site in &report.sites {
        if let Some(derivation) = &site.explanation {
            blocks.push(Block::Heading(format!("{}: derivation", site.node)));
            blocks.push(Block::Verbatim(derivation.clone()));
        }
    }
    blocks
}

fn sites(report: &PassReport) -> Table {
    let own = vec![
        Column::numbers("weights off by", "weight_error"),
        Column::numbers("outputs off by", "output_error"),
        Column::names("why", "why").optional(1),
    ];
    let mut table = Table::new("", &[super::site_columns(), own].concat());
    table.rows = report
        .sites
        .iter()
        .map(|s| {
            let exact = if s.exact && s.weight_error.is_none() {
                "exact".into()
            } else {
                super::error_cell(s.weight_error)
            };
            let mut row = super::site_cells(s);
            row.extend([
                exact,
                super::error_cell(s.output_error),
                s.why.as_str().into(),
            ]);
            row
        })
        .collect();
    table.without_empty_columns()
}

fn skipped(report: &PassReport) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::names("left alone", "node"),
            Column::names("reason", "reason"),
        ],
    );
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for skipped in &report.skipped {
        let known = reasons.iter_mut().find(|(r, _)| *r == skipped.reason);
        match known {
            Some((_, nodes)) => nodes.push(&skipped.node),
            None => reasons.push((&skipped.reason, vec![&skipped.node])),
        }
    }
    table.rows = reasons
        .into_iter()
        .map(|(reason, nodes)| vec![some(&nodes).into(), reason.into()])
        .collect();
    table
}

/// The first of many names, and how many more there are.
fn some(names: &[&str]) -> String {
    match names {
        [first, second, third, more @ ..] if more.len() > 1 => {
            format!("{first}, {second}, {third} and {} more", more.len())
        }
        all => all.join(", "),
    }
}

/// Before and after, and the change.
fn figures(input: &str, before: &Figures, step: &Step) -> Table {
    let mut table = Table::new(
        input,
        &[
            Column::words("", "figure"),
            Column::numbers("before", "before"),
            Column::numbers("after", "after"),
            Column::numbers("change", "change"),
        ],
    );
    let (a, b) = (before, &step.after);
    let (t, u) = (&a.totals, &b.totals);
    let number = |name: &str, x: u64, y: u64, show: fn(f64) -> String| {
        let (x, y) = (x as f64, y as f64);
        vec![
            name.into(),
            Cell::with_raw(show(x), x),
            Cell::with_raw(show(y), y),
            lower_is_better(x, y),
        ]
    };
    let symbolic = |name: &str, x: &Count, y: &Count, show: fn(&Count) -> String| {
        let change = comparable(x, y).map_or(Cell::default(), |(x, y)| lower_is_better(x, y));
        vec![
            name.into(),
            Cell::with_raw(show(x), x),
            Cell::with_raw(show(y), y),
            change,
        ]
    };
    let words = |name: &str, x: String, y: String| {
        let change = if x == y { "" } else { "differs" };
        vec![name.into(), x.into(), y.into(), change.into()]
    };
    table.rows = vec![
        number("parameters", t.parameters, u.parameters, units::si),
        number(
            "  of convolutions",
            a.convolution_parameters,
            b.convolution_parameters,
            units::si,
        ),
        symbolic("MACs", &t.macs, &u.macs, count),
        symbolic("FLOPs", &t.flops, &u.flops, count),
        number("weights", t.weight_bytes, u.weight_bytes, units::bytes),
        symbolic(
            "peak activations",
            &t.peak_activation_bytes,
            &u.peak_activation_bytes,
            byte_count,
        ),
        words(
            "receptive field",
            super::analysis::total_field(t),
            super::analysis::total_field(u),
        ),
        words("effective field σ", sigma(a), sigma(b)),
        words(
            "shift by even kernels",
            units::small(a.padding_shift),
            units::small(b.padding_shift),
        ),
        words("worst aliasing", worst(a), worst(b)),
    ];
    if let Accuracy::Measured(comparison) = &step.accuracy {
        table.rows.extend(comparison::rows(comparison));
    }
    table
}

fn lower_is_better(before: f64, after: f64) -> Cell {
    let tone = match after.total_cmp(&before) {
        std::cmp::Ordering::Less => Tone::Good,
        std::cmp::Ordering::Equal => Tone::Plain,
        std::cmp::Ordering::Greater => Tone::Warning,
    };
    Cell::new(units::change(before, after)).toned(tone)
}

fn sigma(figures: &Figures) -> String {
    let axes: Vec<String> = figures
        .effective_sigma
        .iter()
        .map(|&s| units::small(s))
        .collect();
    sizes(&axes)
}

fn worst(figures: &Figures) -> String {
    figures
        .totals
        .aliasing
        .as_ref()
        .map_or("none".into(), |w| units::small(w.worst.0))
}

fn data(rewriting: &Rewriting) -> Value {
    let passes: Vec<Value> = rewriting.passes.iter().map(step_data).collect();
    json!({
        "schema": "convfold.factorization.v1",
        "input": rewriting.input,
        "output": rewriting.output,
        "front": rewriting.front,
        "passes": passes,
        "verdict": {"ok": rewriting.missed.is_empty(), "reasons": rewriting.missed},
    })
}

fn step_data(step: &Step) -> Value {
    let report = &step.report;
    let sites: Vec<Value> = report.sites.iter().map(site_data).collect();
    let skipped: Vec<Value> = report
        .skipped
        .iter()
        .map(|s| json!({"node": s.node, "reason": s.reason}))
        .collect();
    let (before, after) = (&step.before, &step.after);
    let (accuracy, unavailable) = match &step.accuracy {
        Accuracy::NotAsked => (None, None),
        Accuracy::Measured(comparison) => (Some(comparison), None),
        Accuracy::Unavailable(why) => (None, Some(why)),
    };
    json!({
        "pass": report.pass,
        "before": before.totals,
        "after": after.totals,
        "convolution_parameters": {
            "before": before.convolution_parameters,
            "after": after.convolution_parameters,
        },
        "effective_sigma": {"before": before.effective_sigma, "after": after.effective_sigma},
        "padding_shift": {"before": before.padding_shift, "after": after.padding_shift},
        "sites": sites,
        "skipped": skipped,
        "accuracy": accuracy,
        "accuracy_unavailable": unavailable,
    })
}

fn site_data(site: &Site) -> Value {
    let rivals: Vec<Value> = site
        .rivals
        .iter()
        .map(|r| {
            json!({
                "to": r.to,
                "widths": r.widths,
                "parameters": r.parameters,
                "macs": r.macs,
                "seconds": r.seconds,
                "output_error": r.output_error,
            })
        })
        .collect();
    json!({
        "node": site.node,
        "from": site.from,
        "to": site.to,
        "width": site.widths.first(),
        "widths": site.widths,
        "exact": site.exact,
        "weight_error": site.weight_error,
        "output_error": site.output_error,
        "why": site.why,
        "explanation": site.explanation,
        "rivals": rivals,
    })
}
