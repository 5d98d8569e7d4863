//! What goes beyond single layers.

use analyzer::information::{Extent, Information, LinearPair, NoOverlap, OneSided, Stage};
use analyzer::{AliasingKind, Analysis, Exact, Real, aliasing::Compound};

use super::layers::extents;
use crate::output::{Block, Cell, Column, Table, Tone};
use crate::units;
use crate::views::sizes;

/// Of longer lists the rest is counted.
const SHOWN: usize = 12;

/// A table a kind of information, none for what there is nothing of.
pub fn blocks(analysis: &Analysis) -> Vec<Block> {
    let path = &analysis.model.path;
    let all: &Information = &analysis.information;
    [
        part(path, "Growth along the depth", GROWTH, &all.growth, stage),
        part(
            path,
            "Windows that never overlap",
            OVERLAP,
            &all.without_overlap,
            no_overlap,
        ),
        part(
            path,
            "Centres shifted by one-sided padding",
            SHIFTS,
            &all.one_sided,
            one_sided,
        ),
        part(
            path,
            "Downsampling layers in a row: what they let through together",
            COMPOUNDS,
            &all.compound_aliasing,
            compound,
        ),
        part(
            path,
            "Convolutions in a row without a rectifier between",
            PAIRS,
            &all.linear_pairs,
            linear_pair,
        ),
        part(
            path,
            "Windows over inputs that see more than the image already",
            EXTENTS,
            &all.unproductive,
            extent,
        ),
        part(
            path,
            "Last local layers that see less than the image",
            BLIND,
            &all.blind,
            blind,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A heading, the first rows, and how many more there are.
fn part<T>(
    subject: &str,
    heading: &str,
    columns: &[Column],
    all: &[T],
    row: impl Fn(&T) -> Vec<Cell>,
) -> Vec<Block> {
    if all.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(subject, columns).beside();
    table.rows = all.iter().take(SHOWN).map(row).collect();
    let mut blocks = vec![
        Block::Heading(heading.into()),
        Block::Table(table.without_empty_columns()),
    ];
    if all.len() > SHOWN {
        let more = all.len() - SHOWN;
        blocks.push(Block::Note(
            Tone::Plain,
            format!("and {more} more; --format json has all"),
        ));
    }
    blocks
}

const GROWTH: &[Column] = &[
    Column::names("from", "first"),
    Column::names("to", "last"),
    Column::numbers("convolutions", "convolutions").optional(2),
    Column::numbers("jump", "jump"),
    Column::numbers("channels", "channels"),
    Column::numbers("field", "field"),
    Column::numbers("values a pixel", "density").optional(1),
    Column::numbers("channels grow", "channel_growth").optional(3),
    Column::numbers("positions", "position_growth").optional(3),
    Column::numbers("field grows", "field_growth").optional(3),
];

fn stage(stage: &Stage) -> Vec<Cell> {
    let times = |growth: Option<Real>| growth.map_or(Cell::default(), |g| ratio(g.0));
    vec![
        stage.first.as_str().into(),
        stage.last.as_str().into(),
        stage.convolutions.to_string().into(),
        sizes(&stage.jump).into(),
        stage.channels.to_string().into(),
        stage.field.as_deref().map_or("all".into(), extents).into(),
        number(stage.density),
        times(stage.channel_growth),
        times(stage.position_growth),
        times(stage.field_growth),
    ]
}

const OVERLAP: &[Column] = &[
    Column::names("layer", "node"),
    Column::words("kernel", "kernel"),
    Column::words("stride", "stride"),
    Column::numbers("of the input never read", "unread"),
];

fn no_overlap(layer: &NoOverlap) -> Vec<Cell> {
    vec![
        layer.node.as_str().into(),
        sizes(&layer.kernel).into(),
        sizes(&layer.stride).into(),
        Cell::with_raw(
            match layer.unread.0 {
                0.0 => "none".into(),
                share => units::percent(share),
            },
            layer.unread,
        ),
    ]
}

const SHIFTS: &[Column] = &[
    Column::names("layer", "node"),
    Column::words("kernel", "kernel"),
    Column::words("pads", "pads"),
    Column::numbers("shift here, pixels", "shift"),
    Column::numbers("along the path", "total"),
];

fn one_sided(layer: &OneSided) -> Vec<Cell> {
    vec![
        layer.node.as_str().into(),
        sizes(&layer.kernel).into(),
        sizes(&layer.pads).into(),
        exact(&layer.shift).into(),
        exact(&layer.total).into(),
    ]
}

const COMPOUNDS: &[Column] = &[
    Column::names("first", "first"),
    Column::names("then", "second"),
    Column::words("stride", "stride"),
    Column::numbers("white", "white"),
    Column::numbers("natural", "natural"),
];

fn compound(pair: &Compound) -> Vec<Cell> {
    let bound = if pair.kind == AliasingKind::Bound {
        "≤ "
    } else {
        ""
    };
    let share = |v: Real| Cell::with_raw(format!("{bound}{}", units::small(v.0)), v);
    vec![
        pair.first.as_str().into(),
        pair.second.as_str().into(),
        sizes(&pair.stride).into(),
        share(pair.white),
        share(pair.natural),
    ]
}

const PAIRS: &[Column] = &[
    Column::names("first", "first"),
    Column::names("second", "second"),
    Column::words("as one", "kernel"),
    Column::numbers("MACs a position", "macs_apart"),
    Column::numbers("as one", "macs_together"),
    Column::words("equal at borders", "exact_at_borders").optional(1),
];

fn linear_pair(pair: &LinearPair) -> Vec<Cell> {
    let macs = |v: Real| Cell::with_raw(units::si(v.0), v);
    vec![
        pair.first.as_str().into(),
        pair.second.as_str().into(),
        sizes(&pair.kernel).into(),
        macs(pair.macs_apart),
        macs(pair.macs_together),
        if pair.exact_at_borders { "yes" } else { "no" }.into(),
    ]
}

const EXTENTS: &[Column] = &[
    Column::names("layer", "node"),
    Column::numbers("its input sees", "field"),
    Column::numbers("image", "image"),
];

fn extent(layer: &Extent) -> Vec<Cell> {
    vec![
        layer.node.as_str().into(),
        extents(&layer.field).into(),
        sizes(&layer.image).into(),
    ]
}

const BLIND: &[Column] = &[
    Column::names("layer", "node"),
    Column::numbers("sees", "field"),
    Column::numbers("image", "image"),
    Column::names("read as a whole by", "read_by"),
];

fn blind(layer: &Extent) -> Vec<Cell> {
    let reader = layer.read_by.as_deref().unwrap_or_default();
    let mut row = extent(layer);
    row.push(reader.into());
    row
}

fn ratio(value: f64) -> Cell {
    Cell::with_raw(format!("x{}", units::small(value)), value)
}

fn number(value: Real) -> Cell {
    Cell::with_raw(units::small(value.0), value)
}

fn exact(axes: &[Option<Exact>]) -> String {
    let axes: Vec<String> = axes
        .iter()
        .map(|a| a.map_or("?".into(), |a| a.to_string()))
        .collect();
    axes.join(", ")
}
