//! The analysis of a model.

use analyzer::{
    Aliasing, AliasingKind, Analysis, Exact, Layer, Real, ReceptiveField, Totals, ValueInfo,
};

use super::{byte_count, count, count_cell, sizes};
use crate::output::{Block, Cell, Chart, ChartKind, Column, Point, Report, Table, Tone};
use crate::units;

const COLUMNS: &[Column] = &[
    Column::names("layer", "node"),
    Column::words("op", "op"),
    Column::words("kernel", "kernel"),
    Column::words("stride", "stride").optional(2),
    Column::words("dilation", "dilation").optional(6),
    Column::numbers("groups", "groups").optional(5),
    Column::words("output", "shape").optional(1),
    Column::numbers("params", "parameters"),
    Column::numbers("MACs", "macs"),
    Column::numbers("FLOPs", "flops").optional(4),
    Column::words("field", "receptive_field"),
    Column::words("σ", "effective_sigma").optional(3),
    Column::words("aliasing", "aliasing_white"),
    Column::words("gap", "gap").optional(7),
];

/// The report on these models; the JSON is an object for one, an array for several.
pub fn report(analyses: &[Analysis]) -> Report {
    let title = match analyses {
        [one] => one.model.path.clone(),
        many => format!("{} models", many.len()),
    };
    let data = match analyses {
        [one] => serde_json::to_value(one),
        many => serde_json::to_value(many),
    };
    Report {
        title,
        blocks: analyses.iter().flat_map(blocks).collect(),
        data: data.unwrap_or_default(),
    }
}

fn blocks(analysis: &Analysis) -> Vec<Block> {
    let mut facts = model(analysis);
    facts.extend(totals(&analysis.totals));
    let mut blocks = vec![
        Block::Heading(analysis.model.path.clone()),
        Block::Facts(facts),
        Block::Table(table(analysis)),
    ];
    blocks.extend(notes(analysis));
    blocks.extend(charts(analysis));
    blocks
}

fn model(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let model = &analysis.model;
    let opsets = model
        .opset
        .iter()
        .map(|(domain, version)| match domain.as_str() {
            "" => format!("opset {version}"),
            domain => format!("{domain} {version}"),
        });
    let mut format: Vec<String> = vec![format!("IR {}", model.ir_version)];
    format.extend(opsets);
    if !model.producer.trim().is_empty() {
        format.push(format!("by {}", model.producer));
    }
    let values = |values: &[ValueInfo]| {
        let shown: Vec<String> = values.iter().take(SHOWN).map(value).collect();
        match values.len().saturating_sub(SHOWN) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    };
    vec![
        ("format", format.join(", ")),
        ("input", values(&model.inputs)),
        ("output", values(&model.outputs)),
    ]
}

/// Inputs and outputs beyond so many are counted.
const SHOWN: usize = 4;

fn value(value: &ValueInfo) -> String {
    let shape = value
        .shape
        .as_ref()
        .map_or("of unknown rank".into(), |s| sizes(s));
    format!("{} {} {shape}", value.name, value.dtype.unwrap_or("?"))
}

/// The totals, named.
pub fn totals(totals: &Totals) -> Vec<(&'static str, String)> {
    let mut parameters = units::si(totals.parameters as f64);
    if totals.buffers > 0 {
        parameters += &format!(" and {} buffers", units::si(totals.buffers as f64));
    }
    parameters += &format!(" ({})", units::bytes(totals.weight_bytes as f64));
    let mut work = format!(
        "{} MACs, {} FLOPs",
        count(&totals.macs),
        count(&totals.flops)
    );
    if let Some(intensity) = totals.intensity {
        work += &format!(", {} FLOPs a byte moved", units::small(intensity.0));
    }
    let mut peak = byte_count(&totals.peak_activation_bytes);
    if let Some(node) = &totals.peak_activation_node {
        peak += &format!(" at {node}");
    }
    let layers = format!(
        "{}, {} of them with a window of weights{}",
        totals.layers,
        totals.convolutions,
        match totals.gaps {
            0 => String::new(),
            n => format!(", {n} not fully known"),
        }
    );
    vec![
        ("parameters", parameters),
        ("work", work),
        ("peak activations", peak),
        ("layers", layers),
        ("receptive field", total_field(totals)),
        ("worst aliasing", worst_aliasing(totals)),
    ]
}

/// The field in the totals: `68x68`.
pub fn total_field(totals: &Totals) -> String {
    totals
        .receptive_field
        .size
        .as_deref()
        .map_or("the whole input".into(), extents)
}

/// The worst aliasing in the totals.
pub fn worst_aliasing(totals: &Totals) -> String {
    match &totals.aliasing {
        Some(worst) => format!("{} at {}", units::small(worst.worst.0), worst.node),
        None => "no layer downsamples".into(),
    }
}

fn table(analysis: &Analysis) -> Table {
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
        layer
            .gap
            .as_deref()
            .map_or(Cell::default(), |g| Cell::new(g).toned(Tone::Warning)),
    ]
}

fn field_cell(field: &ReceptiveField) -> Cell {
    let mut text = field.size.as_deref().map_or("all".into(), extents);
    if field.global_context {
        text.push('+');
    }
    text.into()
}

/// `14x14`; `all` for an axis that is seen as a whole.
fn extents(sizes: &[Option<i64>]) -> String {
    let axis = |s: &Option<i64>| s.map_or("all".to_owned(), |v| v.to_string());
    super::sizes(&sizes.iter().map(axis).collect::<Vec<_>>())
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
    Some(Cell::with_raw(text, super::sizes(&axes)))
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

fn notes(analysis: &Analysis) -> Vec<Block> {
    let constant = analysis.layers.iter().filter(|l| l.constant).count();
    let context = analysis
        .layers
        .iter()
        .any(|l| l.receptive_field.as_ref().is_some_and(|f| f.global_context));
    let unread = analysis
        .layers
        .iter()
        .filter(|l| l.aliasing_unknown.is_some())
        .count();
    let mut notes = Vec::new();
    let mut note = |tone, text| notes.push(Block::Note(tone, text));
    if constant > 0 {
        let text = match constant {
            1 => "1 node that depends on no input is not listed.".into(),
            n => format!("{n} nodes that depend on no input are not listed."),
        };
        note(Tone::Plain, text);
    }
    if context {
        note(
            Tone::Plain,
            "+ statistics of the whole plane flow in beside the field.".into(),
        );
    }
    if unread > 0 {
        note(
            Tone::Plain,
            format!(
                "The aliasing of {unread} layers needs their weights; with the weight files \
                 beside the model, --weights reads them."
            ),
        );
    }
    for layer in analysis
        .layers
        .iter()
        .filter(|l| l.gap.is_some())
        .take(GAPS)
    {
        let reason = layer.gap.as_deref().unwrap_or_default();
        note(
            Tone::Warning,
            format!("{} ({}): {reason}", layer.node, layer.op),
        );
    }
    notes
}

/// So many gaps are told one by one.
const GAPS: usize = 10;

fn charts(analysis: &Analysis) -> Vec<Block> {
    let path = &analysis.model.path;
    let macs = analysis.layers.iter().filter_map(|l| {
        let macs = l.macs.as_ref()?;
        let value = macs.approximate().filter(|&v| v > 0.0)?;
        Some(Point {
            label: l.node.clone(),
            value,
            shown: count(macs),
        })
    });
    let fields = analysis
        .layers
        .iter()
        .filter(|l| !l.constant)
        .filter_map(|l| {
            let field = l.receptive_field.as_ref()?;
            let sizes = field.size.as_ref()?;
            let value = sizes.iter().flatten().max().copied()? as f64;
            let jump = field.jump.as_deref().map(jumps).unwrap_or_default();
            Some(Point {
                label: l.node.clone(),
                value,
                shown: format!("{}{jump}", extents(sizes)),
            })
        });
    let chart = |title: String, kind, points: Vec<Point>| {
        (!points.is_empty()).then_some(Block::Chart(Chart {
            title,
            kind,
            points,
        }))
    };
    [
        chart(
            format!("MACs by layer, {path}"),
            ChartKind::Bars,
            macs.collect(),
        ),
        chart(
            format!("Growth of the receptive field in pixels, layer by layer, {path}"),
            ChartKind::Steps,
            fields.collect(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn jumps(jump: &[Option<Exact>]) -> String {
    let axes: Vec<String> = jump.iter().flatten().map(Exact::to_string).collect();
    format!(", jump {}", axes.join("x"))
}
