//! What an analysis says beyond single layers: information for a designer,
//! never an error by itself.

mod filters;
mod growth;
mod one_sided;
mod pairs;
mod reach;
mod tensors;

use serde::Serialize;

use crate::aliasing::Compound;
use crate::number::{Exact, Real};
use crate::report::Layer;
use crate::study::Study;

pub use filters::FilterReport;
pub use one_sided::OneSided;
pub use tensors::WeightReport;
pub(crate) use tensors::weight_reports;

/// What goes beyond single layers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Information {
    /// Channels against downsampling and receptive field, along the depth.
    pub growth: Vec<Stage>,
    /// Layers whose window steps over positions or never overlaps.
    pub without_overlap: Vec<NoOverlap>,
    /// Windows whose padding is one-sided, with the shift added up along the
    /// path.
    pub one_sided: Vec<OneSided>,
    /// Windows over an input whose units see more than the image already
    /// (Richter et al. 2021): they cannot learn anything spatial any more.
    pub unproductive: Vec<Extent>,
    /// Last local layers, before a global one or an output, whose units see
    /// less than the image.
    pub blind: Vec<Extent>,
    /// Convolutions in a row without a rectifier between.
    pub linear_pairs: Vec<LinearPair>,
    /// Downsampling layers that follow each other directly, and what they let
    /// through together.
    pub compound_aliasing: Vec<Compound>,
    /// The weights themselves, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<WeightReport>>,
}

impl Information {
    /// All but the compound aliasing and the weights. Of subgraphs only what
    /// the layers say.
    pub(crate) fn of(study: &Study, layers: &[Layer]) -> Self {
        let (graph, facts, fields) = (study.graph, &study.facts, &study.fields);
        Self {
            growth: growth::stages(layers),
            without_overlap: layers.iter().filter_map(NoOverlap::of).collect(),
            one_sided: layers.iter().filter_map(OneSided::of).collect(),
            unproductive: reach::unproductive(graph, facts, fields, &study.layout),
            blind: reach::blind(graph, facts, fields, &study.layout),
            linear_pairs: pairs::linear_pairs(graph, facts),
            ..Self::default()
        }
    }
}

impl NoOverlap {
    #[allow(clippy::cast_precision_loss)]
    fn of(layer: &Layer) -> Option<Self> {
        let axes = || layer.kernel.iter().zip(&layer.stride);
        // A transposed window's stride moves the output; it has no overlap.
        if layer.overlap.is_empty() || !axes().any(|(k, s)| *s > 1 && s >= k) {
            return None;
        }
        let read: f64 = axes()
            .map(|(&k, &s)| (k as f64 / s as f64).min(1.0))
            .product();
        Some(Self {
            node: layer.node.clone(),
            kernel: layer.kernel.clone(),
            stride: layer.stride.clone(),
            unread: Real(1.0 - read),
        })
    }
}

/// Convolutions in a row, in the model's order, with one jump.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its first convolution.
    pub first: String,
    /// Its last.
    pub last: String,
    /// How many there are.
    pub convolutions: usize,
    /// Input pixels from one unit to the next.
    pub jump: Vec<Exact>,
    /// Channels after the last.
    pub channels: i64,
    /// Field after the last.
    pub field: Option<Vec<Option<i64>>>,
    /// Values a pixel of the input: channels / ∏ jump.
    pub density: Real,
    /// Channels against the stage before.
    pub channel_growth: Option<Real>,
    /// Positions against the stage before: a stride of 2 gives 1/4.
    pub position_growth: Option<Real>,
    /// Area of the field against the stage before.
    pub field_growth: Option<Real>,
}

/// A window whose steps are as large as itself, or larger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoOverlap {
    /// The layer.
    pub node: String,
    /// Taps an axis.
    pub kernel: Vec<i64>,
    /// Steps.
    pub stride: Vec<i64>,
    /// Share of the input that no unit reads: 1 − ∏ min(1, kernel/stride).
    pub unread: Real,
}

/// A layer's field against the image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extent {
    /// The layer.
    pub node: String,
    /// Pixels that its units see (of an unproductive layer: those of its input).
    pub field: Vec<Option<i64>>,
    /// Pixels of the image.
    pub image: Vec<i64>,
    /// Who reads it as a whole: a node or an output of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_by: Option<String>,
}

/// Two convolutions that are one linear map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinearPair {
    /// The first convolution.
    pub first: String,
    /// The second.
    pub second: String,
    /// Kernel of the one convolution that equals both.
    pub kernel: Vec<i64>,
    /// Multiply-accumulates an output position of the two.
    pub macs_apart: Real,
    /// Those of the one.
    pub macs_together: Real,
    /// Whether the two equal the one at the borders too.
    pub exact_at_borders: bool,
    /// Why a fold leaves the two though the one may be cheaper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<&'static str>,
}
