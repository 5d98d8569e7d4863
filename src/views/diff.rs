//! What changed between two models.

use std::collections::{HashMap, HashSet};

use analyzer::{Analysis, Count, Finding, Layer};
use serde_json::{Map, Value, json};

use super::{analysis, comparable, count, sizes};
use crate::output::{Block, Cell, Column, Report, Table, Tone};
use crate::units;

/// What a layer is compared by.
const FIELDS: [&str; 9] = [
    "op",
    "kernel",
    "stride",
    "dilation",
    "groups",
    "shape",
    "parameters",
    "macs",
    "receptive_field",
];

/// How the layers of two models go together.
#[derive(Default)]
struct Pairing<'a> {
    changed: Vec<(&'a Layer, &'a Layer, Map<String, Value>)>,
    removed: Vec<&'a Layer>,
    added: Vec<&'a Layer>,
    same: usize,
}

/// The report on two models and what the rules say of each; the JSON is
/// `convfold.diff.v1`.
pub fn report(old: &Analysis, new: &Analysis, findings: [&[Finding]; 2]) -> Report {
    let pairing = pair(old, new);
    let mut blocks = vec![
        Block::Heading(format!("{} against {}", new.model.path, old.model.path)),
        Block::Table(totals(old, new)),
    ];
    let layers = layers(&pairing);
    if layers.rows.is_empty() {
        blocks.push(Block::Note(
            Tone::Plain,
            format!("all {} layers are alike", pairing.same),
        ));
    } else {
        blocks.push(Block::Table(layers));
        blocks.push(Block::Note(
            Tone::Plain,
            format!("{} layers are alike", pairing.same),
        ));
    }
    let [before, after] = findings;
    let (fresh, gone) = (without(after, before), without(before, after));
    if !fresh.is_empty() || !gone.is_empty() {
        blocks.push(Block::Table(changes(&fresh, &gone)));
    }
    let nodes = |layers: &[&Layer]| serde_json::to_value(layers).unwrap_or_default();
    let changed: Vec<Value> = pairing
        .changed
        .iter()
        .map(|(old, new, fields)| json!({"node": new.node, "was": old.node, "fields": fields}))
        .collect();
    Report {
        title: format!("{} against {}", new.model.path, old.model.path),
        data: json!({
            "schema": "convfold.diff.v1",
            "old": {"model": old.model, "totals": old.totals},
            "new": {"model": new.model, "totals": new.totals},
            "layers": {
                "same": pairing.same,
                "changed": changed,
                "removed": nodes(&pairing.removed),
                "added": nodes(&pairing.added),
            },
            "findings": {"new": fresh, "gone": gone},
        }),
        blocks,
    }
}

/// The findings of one list of which the other has none of the same rule and
/// node.
fn without<'a>(list: &'a [Finding], other: &[Finding]) -> Vec<&'a Finding> {
    let known: HashSet<_> = other.iter().map(|f| (&f.code, &f.node)).collect();
    list.iter()
        .filter(|f| !known.contains(&(&f.code, &f.node)))
        .collect()
}

fn changes(fresh: &[&Finding], gone: &[&Finding]) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::words("", "kind"),
            Column::words("finding", "finding"),
            Column::names("layer", "node"),
            Column::names("what", "what"),
        ],
    );
    let row = |kind: &str, tone, f: &Finding| {
        vec![
            Cell::new(kind).toned(tone),
            format!("{} {}", f.code, f.name).into(),
            f.node.as_deref().unwrap_or_default().into(),
            f.message.as_str().into(),
        ]
    };
    table.rows = gone
        .iter()
        .map(|f| row("-", Tone::Good, f))
        .chain(fresh.iter().map(|f| row("+", Tone::Bad, f)))
        .collect();
    table
}

/// Layers go together by name; what is left over, by what it does, in order:
/// exporters number anew.
fn pair<'a>(old: &'a Analysis, new: &'a Analysis) -> Pairing<'a> {
    let mut pairing = Pairing::default();
    let live = |a: &'a Analysis| {
        let layers = a.layers.iter().filter(|l| !l.constant);
        layers.map(|l| (l, traits(l))).collect::<Vec<_>>()
    };
    let mut fresh: Vec<Option<_>> = live(new).into_iter().map(Some).collect();
    let place: HashMap<String, usize> = fresh
        .iter()
        .enumerate()
        .filter_map(|(i, l)| Some((l.as_ref()?.0.node.clone(), i)))
        .collect();
    let mut left = Vec::new();
    for layer in live(old) {
        match place.get(&layer.0.node).and_then(|&i| fresh[i].take()) {
            Some(other) => pairing.put(layer, other),
            None => left.push(layer),
        }
    }
    for layer in left {
        let alike = |other: &&mut Option<(&Layer, Traits)>| {
            other.as_ref().is_some_and(|(_, traits)| *traits == layer.1)
        };
        match fresh.iter_mut().find(alike).and_then(Option::take) {
            Some(other) => pairing.put(layer, other),
            None => pairing.removed.push(layer.0),
        }
    }
    pairing.added = fresh
        .into_iter()
        .flatten()
        .map(|(layer, _)| layer)
        .collect();
    pairing
}

impl<'a> Pairing<'a> {
    fn put(&mut self, (old, a): (&'a Layer, Traits), (new, b): (&'a Layer, Traits)) {
        let both = FIELDS.iter().zip(a.into_iter().zip(b));
        let fields: Map<String, Value> = both
            .filter(|(_, (x, y))| x != y)
            .map(|(&field, (x, y))| (field.to_owned(), json!([x, y])))
            .collect();
        if fields.is_empty() {
            self.same += 1;
        } else {
            self.changed.push((old, new, fields));
        }
    }
}

/// A layer's values of [`FIELDS`].
type Traits = [Value; FIELDS.len()];

fn traits(layer: &Layer) -> Traits {
    let mut all = serde_json::to_value(layer).unwrap_or_default();
    FIELDS.map(|field| match field {
        "receptive_field" => all[field]["size"].take(),
        field => all[field].take(),
    })
}

fn totals(old: &Analysis, new: &Analysis) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::words("", "figure"),
            Column::numbers("old", "old"),
            Column::numbers("new", "new"),
            Column::numbers("change", "change"),
        ],
    );
    let (a, b) = (&old.totals, &new.totals);
    let counts = |name: &str, x: &Count, y: &Count| {
        let change = comparable(x, y).map_or(String::new(), |(x, y)| units::change(x, y));
        vec![
            name.into(),
            Cell::with_raw(count(x), x),
            Cell::with_raw(count(y), y),
            change.into(),
        ]
    };
    let words = |name: &str, x: String, y: String| {
        let change = if x == y { "" } else { "differs" };
        vec![name.into(), x.into(), y.into(), change.into()]
    };
    let number = |name: &str, x: u64, y: u64| counts(name, &x.into(), &y.into());
    table.rows = vec![
        number("parameters", a.parameters, b.parameters),
        counts("MACs", &a.macs, &b.macs),
        counts("FLOPs", &a.flops, &b.flops),
        number("weight bytes", a.weight_bytes, b.weight_bytes),
        counts(
            "peak activation bytes",
            &a.peak_activation_bytes,
            &b.peak_activation_bytes,
        ),
        number("layers", a.layers as u64, b.layers as u64),
        number("gaps", a.gaps as u64, b.gaps as u64),
        words(
            "receptive field",
            analysis::total_field(a),
            analysis::total_field(b),
        ),
        words(
            "worst aliasing",
            analysis::worst_aliasing(a),
            analysis::worst_aliasing(b),
        ),
    ];
    table
}

fn layers(pairing: &Pairing) -> Table {
    let mut table = Table::new(
        "",
        &[
            Column::words("", "kind"),
            Column::names("layer", "node"),
            Column::words("op", "op"),
            Column::names("what", "what"),
        ],
    );
    let row = |kind: &str, tone, layer: &Layer, what: String| {
        vec![
            Cell::new(kind).toned(tone),
            layer.node.as_str().into(),
            layer.op.as_str().into(),
            what.into(),
        ]
    };
    let whole = |layer: &Layer| {
        let shape = layer.shape.as_ref().map_or_else(String::new, |s| sizes(s));
        let macs = layer.macs.as_ref().filter(|m| m.known() != Some(0));
        let parts = [
            sizes(&layer.kernel),
            shape,
            macs.map_or_else(String::new, |m| format!("{} MACs", count(m))),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        parts.join(", ")
    };
    for layer in &pairing.removed {
        table.rows.push(row("-", Tone::Bad, layer, whole(layer)));
    }
    for layer in &pairing.added {
        table.rows.push(row("+", Tone::Good, layer, whole(layer)));
    }
    for (_, new, fields) in &pairing.changed {
        let parts: Vec<String> = fields
            .iter()
            .map(|(name, both)| change(name, both))
            .collect();
        table
            .rows
            .push(row("~", Tone::Warning, new, parts.join(", ")));
    }
    table
}

fn change(name: &str, both: &Value) -> String {
    let shown = |value: &Value| match value {
        Value::Array(axes) => {
            let axes: Vec<String> = axes
                .iter()
                .map(|a| a.to_string().replace('"', ""))
                .collect();
            sizes(&axes)
        }
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "{} {} to {}",
        name.replace('_', " "),
        shown(&both[0]),
        shown(&both[1])
    )
}
