//! The table of layers.

use analyzer::{Aliasing, AliasingKind, Analysis, Layer, Real, ReceptiveField};

use crate::output::{Cell, Column, Table, Tone};
use crate::units;
use crate::views::{count_cell, sizes};

const COLUMNS: &[Column] = &[
    Column::names("layer", "node"),
    Column::words("op", "op"),
    Column::words("kernel", "kernel"),
    Column::words("stride", "stride").optional(2),
    Column::words("dilation", "dilation").optional(7),
    Column::numbers("groups", "groups").optional(6),
    Column::words("output", "shape").optional(1),
    Column::numbers("params", "parameters"),
    Column::numbers("MACs", "macs"),
    Column::numbers("FLOPs", "flops").optional(5),
    Column::words("field", "receptive_field"),
    Column::words("σ", "effective_sigma").optional(3),
    Column::words("aliasing", "aliasing_white"),
    Column::words("patch", "patch_ratio").optional(4),
    Column::words("gap", "gap").optional(8),
];

/// The layers that depend on an input, a row each.
pub fn table(analysis: &Analysis) -> Table {
    let mut table = Table::new(analysis.model.path.clone(), COLUMNS);
    table.rows = analysis
        .layers
        .iter()
        .filter(|l| !l.constant)
        .map(row)
        .collect();
    table.without_empty_columns()
}

fn row(layer: &Layer) -> Vec<Cell> {
    let unusual = |values: &[i64]| {
        if values.iter().all(|&v| v == 1) {
            String::new()
        } else {
            sizes(values)
        }
    };
    let field = layer.receptive_field.as_ref();
    vec![
        layer.node.as_str().into(),
        layer.op.as_str().into(),
        sizes(&layer.kernel).into(),
        sizes(&layer.stride).into(),
        unusual(&layer.dilation).into(),
        layer
            .groups
            .filter(|&g| g != 1)
            .map_or(Cell::default(), |g| g.to_string().into()),
        layer.shape.as_ref().map_or("?".into(), |s| sizes(s)).into(),
        match layer.parameters {
            0 => Cell::with_raw("", 0),
            n => Cell::with_raw(units::si(n as f64), n),
        },
        count_cell(layer.macs.as_ref()),
        count_cell(layer.flops.as_ref()),
        field.map_or(Cell::default(), field_cell),
        field.and_then(sigma).unwrap_or_default(),
        layer.aliasing.as_ref().map_or(Cell::default(), aliasing),
        patch(layer).unwrap_or_default(),
        layer
            .gap
            .as_deref()
            .map_or(Cell::default(), |g| Cell::new(g).toned(Tone::Warning)),
    ]
}

fn field_cell(field: &ReceptiveField) -> Cell {
    let mut text = field.size.as_deref().map_or("all".into(), extents);
    if field.hull {
        text.insert_str(0, "≤ ");
    }
    if field.global_context {
        text.push('+');
    }
    text.into()
}

/// `14x14`; `all` for an axis that is seen as a whole.
pub fn extents(sizes: &[Option<i64>]) -> String {
    let axis = |s: &Option<i64>| s.map_or("all".to_owned(), |v| v.to_string());
    crate::views::sizes(&sizes.iter().map(axis).collect::<Vec<_>>())
}

fn sigma(field: &ReceptiveField) -> Option<Cell> {
    let axes: Vec<f64> = field
        .effective_sigma
        .as_ref()?
        .iter()
        .map(|s| s.map(|Real(v)| v))
        .collect::<Option<_>>()?;
    let shown: Vec<String> = axes.iter().map(|&v| units::small(v)).collect();
    let alike = shown.windows(2).all(|w| w[0] == w[1]);
    let text = if alike {
        shown.first().cloned()?
    } else {
        shown.join("x")
    };
    Some(Cell::with_raw(text, sizes(&axes)))
}

fn aliasing(aliasing: &Aliasing) -> Cell {
    let bound = if aliasing.kind == AliasingKind::Bound {
        "≤ "
    } else {
        ""
    };
    let text = format!("{bound}{}", units::small(aliasing.white.0));
    Cell::with_raw(text, aliasing.white)
}

/// `27 → 32`: what a position of a convolution is made from and becomes.
fn patch(layer: &Layer) -> Option<Cell> {
    let ratio = layer.patch_ratio?;
    let channels = layer.shape.as_ref()?.get(1)?.approximate()?;
    let patch = (channels / ratio.0).round();
    let text = format!("{} → {}", units::plain(patch), units::plain(channels));
    Some(Cell::with_raw(text, ratio))
}
