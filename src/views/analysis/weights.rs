//! The weights themselves.

use analyzer::information::{FilterReport, WeightReport};

use crate::output::{Block, Cell, Column, Table, Tone};
use crate::units;
use crate::views::sizes;

const COLUMNS: &[Column] = &[
    Column::names("layer", "node"),
    Column::names("tensor", "tensor").optional(4),
    Column::words("shape", "shape").optional(3),
    Column::numbers("from", "min"),
    Column::numbers("to", "max"),
    Column::numbers("mean size", "mean_magnitude").optional(2),
    Column::numbers("NaN", "nan"),
    Column::numbers("Inf", "infinite"),
    Column::numbers("subnormal", "subnormal").optional(1),
    Column::numbers("dead", "dead"),
    Column::numbers("twins", "twins"),
    Column::numbers("rank", "effective_rank"),
    Column::numbers("of", "full_rank"),
];

/// A row a tensor, and a line a list of filters.
pub fn blocks(reports: &[WeightReport]) -> Vec<Block> {
    if reports.is_empty() {
        return vec![Block::Note(Tone::Plain, "There are no weights.".into())];
    }
    let mut table = Table::new("", COLUMNS).beside();
    table.rows = reports.iter().map(row).collect();
    let mut blocks = vec![
        Block::Heading("Weights".into()),
        Block::Table(table.without_empty_columns()),
        summary(reports),
    ];
    let absent = reports
        .iter()
        .filter(|r| r.min.is_none() && r.nan + r.infinite == 0);
    let absent = absent.filter(|r| !r.shape.contains(&0)).count();
    if absent > 0 {
        let text = format!("The data of {absent} tensors are not at hand.");
        blocks.push(Block::Note(Tone::Warning, text));
    }
    for report in reports {
        blocks.extend(lists(report).map(|text| Block::Note(Tone::Warning, text)));
    }
    blocks
}

/// What there is that should not be, counted.
fn summary(reports: &[WeightReport]) -> Block {
    let count = |of: &dyn Fn(&WeightReport) -> usize| reports.iter().map(of).sum::<usize>();
    let filters =
        |of: &dyn Fn(&FilterReport) -> usize| count(&|r| r.filters.as_ref().map_or(0, of));
    let found = [
        (count(&|r| r.nan), "NaN"),
        (count(&|r| r.infinite), "infinite"),
        (count(&|r| r.subnormal), "subnormal numbers"),
        (filters(&|f| f.dead.len()), "dead filters"),
        (filters(&|f| f.twins.len()), "pairs of twins"),
    ];
    let tone = if found.iter().all(|(n, _)| *n == 0) {
        Tone::Plain
    } else {
        Tone::Warning
    };
    let parts: Vec<String> = found.map(|(n, what)| format!("{n} {what}")).to_vec();
    let text = format!("{} tensors: {}", reports.len(), parts.join(", "));
    Block::Note(tone, text)
}

/// So many filters of a list are named.
const NAMED: usize = 8;

/// Which filters are dead, and which are twins.
fn lists(report: &WeightReport) -> impl Iterator<Item = String> {
    let named = |what: &str, names: Vec<String>| {
        let more = names.len().saturating_sub(NAMED);
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let shown = names[..names.len() - more].join(", ");
        (!names.is_empty()).then(|| format!("{}: {what} {shown}{rest}", report.node))
    };
    let filters = report.filters.as_ref();
    let dead = filters.map(|f| f.dead.iter().map(ToString::to_string).collect());
    let twins = filters.map(|f| {
        f.twins
            .iter()
            .map(|[a, b]| format!("{a} and {b}"))
            .collect()
    });
    [
        named("dead filters", dead.unwrap_or_default()),
        named(
            "filters that are multiples of each other:",
            twins.unwrap_or_default(),
        ),
    ]
    .into_iter()
    .flatten()
}

fn row(report: &WeightReport) -> Vec<Cell> {
    let number = |v: Option<analyzer::Real>| {
        v.map_or(Cell::default(), |v| Cell::with_raw(units::small(v.0), v))
    };
    let bad = |count: usize| match count {
        0 => Cell::with_raw("", 0),
        n => Cell::new(n.to_string()).toned(Tone::Bad),
    };
    let odd = |count: usize| {
        bad(count).toned(if count > 0 {
            Tone::Warning
        } else {
            Tone::Plain
        })
    };
    let filters = report.filters.as_ref();
    vec![
        report.node.as_str().into(),
        report.tensor.as_str().into(),
        sizes(&report.shape).into(),
        number(report.min),
        number(report.max),
        number(report.mean_magnitude),
        bad(report.nan),
        bad(report.infinite),
        odd(report.subnormal),
        filters.map_or(Cell::default(), |f| odd(f.dead.len())),
        filters.map_or(Cell::default(), |f| odd(f.twins.len())),
        number(filters.and_then(|f| f.effective_rank)),
        filters.map_or(Cell::default(), |f| f.full_rank.to_string().into()),
    ]
}
