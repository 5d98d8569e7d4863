//! The analysis of a model.

mod charts;
mod information;
mod layers;
mod unit;
mod weights;

use analyzer::{Analysis, Totals, Unit, ValueInfo};
use serde::Serialize;

use super::{byte_count, count, sizes};
use crate::output::{Block, Report, Tone};
use crate::units;
use layers::extents;

/// What was found of one model.
#[derive(Serialize)]
pub struct Findings {
    /// From the file alone.
    #[serde(flatten)]
    pub analysis: Analysis,
    /// What the units that were asked for see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitFindings>,
    /// From running it, where data were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// What one unit sees.
#[derive(Serialize)]
pub struct UnitFindings {
    /// By the model.
    #[serde(flatten)]
    pub unit: Unit,
    /// The file that its part of an image was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<String>,
}

/// What running a model has shown.
#[derive(Serialize)]
pub struct Measured {
    /// The data.
    pub data: String,
    /// How many samples it ran on.
    pub samples: usize,
    /// The share of samples whose class stays when the input shifts by one
    /// pixel (Zhang 2019); `None` where the model is no classifier of images.
    pub shift_consistency: Option<f64>,
}

/// The report on these models; the JSON is an object for one, an array for several.
pub fn report(models: &[Findings]) -> Report {
    let title = match models {
        [one] => one.analysis.model.path.clone(),
        many => format!("{} models", many.len()),
    };
    let data = match models {
        [one] => serde_json::to_value(one),
        many => serde_json::to_value(many),
    };
    Report {
        title,
        blocks: models.iter().flat_map(blocks).collect(),
        data: data.unwrap_or_default(),
    }
}

fn blocks(findings: &Findings) -> Vec<Block> {
    let analysis = &findings.analysis;
    let mut facts = model(analysis);
    facts.extend(totals(&analysis.totals));
    facts.extend(findings.measured.as_ref().map(measured));
    let mut blocks = vec![
        Block::Heading(analysis.model.path.clone()),
        Block::Facts(facts),
        Block::Table(layers::table(analysis)),
    ];
    blocks.extend(notes(analysis));
    blocks.extend(information::blocks(analysis));
    if let Some(reports) = &analysis.information.weights {
        blocks.extend(weights::blocks(reports));
    }
    blocks.extend(findings.units.iter().flat_map(unit::blocks));
    blocks.extend(charts::charts(analysis));
    blocks
}

fn measured(measured: &Measured) -> (&'static str, String) {
    let shown = measured.shift_consistency.map_or(
        "not measured, no classifier of images".into(),
        units::percent,
    );
    let Measured { data, samples, .. } = measured;
    (
        "same class after a shift",
        format!("{shown} (by one pixel, {samples} samples of {data})"),
    )
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
    if analysis
        .layers
        .iter()
        .any(|l| l.receptive_field.as_ref().is_some_and(|f| f.hull))
    {
        note(
            Tone::Plain,
            "≤ before a field: branches with units that see nothing have met, and the units of a \
             row or column see this together; --unit tells what one sees."
                .into(),
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
