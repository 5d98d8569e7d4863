//! Pictures of an analysis.

use analyzer::{Analysis, Exact};

use super::layers::extents;
use crate::output::{Block, Chart, ChartKind, Point};
use crate::views::count;

/// MACs and fields, layer by layer.
pub fn charts(analysis: &Analysis) -> Vec<Block> {
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
