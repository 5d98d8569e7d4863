//! What `analyze` says of a model: the types behind `convfold.analysis.v1`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::information::Information;
use crate::number::{Count, Exact, Real};

/// Name of the JSON schema.
pub const SCHEMA: &str = "convfold.analysis.v1";

/// The analysis of one model.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the file says of itself.
    pub model: ModelInfo,
    /// Sums and extremes over the layers.
    pub totals: Totals,
    /// One entry a node, in the model's order; those of a called function in
    /// its place, those of a subgraph after the node that holds it.
    pub layers: Vec<Layer>,
    /// What goes beyond single layers.
    pub information: Information,
}

/// What the file says of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelInfo {
    /// Where it was read from.
    pub path: String,
    /// Version of the file format.
    pub ir_version: i64,
    /// Name and version of the exporter.
    pub producer: String,
    /// Versions of the operator sets by domain, the standard's under "".
    pub opset: BTreeMap<String, i64>,
    /// What the caller provides.
    pub inputs: Vec<ValueInfo>,
    /// What the caller gets.
    pub outputs: Vec<ValueInfo>,
}

/// A graph input or output.
#[derive(Clone, Debug, Serialize)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// Element type by its numpy name; `None` where it is not known.
    pub dtype: Option<&'static str>,
    /// Sizes; `None` where not even the rank is known.
    pub shape: Option<Vec<Count>>,
}

/// Sums and extremes over the layers.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Elements of trained weights, each shared tensor once.
    pub parameters: u64,
    /// Elements of kept statistics (BatchNormalization's mean and variance).
    pub buffers: u64,
    /// Multiply-accumulates of one execution, the sum over the layers (each
    /// branch of an `If` counts: an upper bound).
    pub macs: Count,
    /// Floating-point operations of one execution.
    pub flops: Count,
    /// Bytes of parameters and buffers as the model holds them.
    pub weight_bytes: u64,
    /// Bytes read and written by one execution, each layer on its own.
    pub traffic_bytes: Count,
    /// FLOPs a byte of traffic; `None` where symbols do not cancel.
    pub intensity: Option<Real>,
    /// The most that values which depend on the input take at one time: run in
    /// the model's order, nothing in place, freed after the last use.
    pub peak_activation_bytes: Count,
    /// The layer that runs at that time.
    pub peak_activation_node: Option<String>,
    /// Entries of [`Analysis::layers`].
    pub layers: usize,
    /// Layers that slide a window of trained weights.
    pub convolutions: usize,
    /// Layers of which something is not known.
    pub gaps: usize,
    /// The largest field of a layer that does not see the whole input by way
    /// of a global layer, axis by axis.
    pub receptive_field: TotalField,
    /// The layer with the largest `white`; `None` where no layer downsamples.
    pub aliasing: Option<WorstAliasing>,
}

/// The receptive field in the totals.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TotalField {
    /// Pixels along each spatial axis of the input; `None` where the input
    /// has no spatial axis or every layer sees the whole of it.
    pub size: Option<Vec<Option<i64>>>,
    /// The field of each output of the model.
    pub outputs: Vec<OutputField>,
}

/// The field of one output of the model.
#[derive(Clone, Debug, Serialize)]
pub struct OutputField {
    /// The output.
    pub name: String,
    /// What one of its elements sees.
    pub receptive_field: Option<ReceptiveField>,
}

/// The layer that aliases most.
#[derive(Clone, Debug, Serialize)]
pub struct WorstAliasing {
    /// Share of white input energy beyond the Nyquist limit.
    pub worst: Real,
    /// The layer.
    pub node: String,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name, or its first output's; inside a subgraph after the names of
    /// the enclosing nodes.
    pub node: String,
    /// Operator, with its domain where that is not the standard's.
    pub op: String,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Shape of the first output; `None` where not even the rank is known.
    pub shape: Option<Vec<Count>>,
    /// Element type of the first output.
    pub dtype: Option<&'static str>,
    /// Taps a spatial axis; empty without a sliding window, as the next four.
    pub kernel: Vec<i64>,
    /// Steps of the window (of the output where it is transposed).
    pub stride: Vec<i64>,
    /// Distances between taps.
    pub dilation: Vec<i64>,
    /// All begins, then all ends, `auto_pad` resolved; empty where that
    /// depends on an unknown size.
    pub pads: Vec<i64>,
    /// max(0, 1 − stride/kernel) an axis; empty for transposed windows too.
    pub overlap: Vec<Real>,
    /// Groups of a convolution.
    pub groups: Option<i64>,
    /// Elements of trained weights, those that a former layer holds left out.
    pub parameters: u64,
    /// Elements of trained weights that a former layer counts already.
    pub shared_parameters: u64,
    /// Elements of kept statistics.
    pub buffers: u64,
    /// Multiply-accumulates; `None` where they are not known.
    pub macs: Option<Count>,
    /// Floating-point operations: 2 a MAC, 1 a bias, 1 an element of a
    /// pointwise operator.
    pub flops: Option<Count>,
    /// Bytes read and written: inputs whose elements are used, weights, outputs.
    pub bytes: Option<Count>,
    /// FLOPs a byte.
    pub intensity: Option<Real>,
    /// Cout / (∏k · Cin/groups) of a convolution.
    pub patch_ratio: Option<Real>,
    /// What a unit of the first output sees; `None` in a model whose inputs
    /// have no spatial axes.
    pub receptive_field: Option<ReceptiveField>,
    /// Energy beyond the Nyquist limit of a layer that downsamples.
    pub aliasing: Option<Aliasing>,
    /// Why the aliasing of a layer that downsamples is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliasing_unknown: Option<String>,
    /// Whether the outputs depend on no input: they cost nothing at run time.
    pub constant: bool,
    /// What is not known of this layer, and why.
    pub gap: Option<String>,
}

/// What a unit sees of the input, by axis in the model's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReceptiveField {
    /// Pixels from the first to the last that a unit depends on, padding
    /// included; where upsampling makes units differ, the largest. `None`
    /// stands for the whole axis (or, with `unknown`, for what is not known);
    /// in place of the list, for all axes.
    pub size: Option<Vec<Option<i64>>>,
    /// Input pixels from one unit to the next.
    pub jump: Option<Vec<Option<Exact>>>,
    /// Where unit 0 looks (mean of first and last pixel; where upsampling
    /// makes units differ, the mean over them).
    pub centre: Option<Vec<Option<Exact>>>,
    /// How far the grid of units is off the grid that is centred on the
    /// input, in input pixels; `None` where a size is symbolic.
    pub shift: Option<Vec<Option<Exact>>>,
    /// What one-sided padding of windows alone (even kernels, `SAME`) has
    /// shifted the centre by along the path, in input pixels.
    pub padding_shift: Option<Vec<Option<Exact>>>,
    /// Standard deviation of the field under uniform weights (Luo et al. 2016).
    pub effective_sigma: Option<Vec<Option<Real>>>,
    /// Besides the local path, statistics of the whole plane flow in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub global_context: bool,
    /// Branches of which one has units that see nothing (between the taps of a
    /// transposed convolution) have met: the sizes are those of the hulls of
    /// what the units of one row, and of one column, see together. A single
    /// unit may see less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hull: bool,
    /// How far apart the centres of the branches are that meet in this layer,
    /// in input pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misalignment: Option<Vec<Option<Exact>>>,
    /// The graph input, where the model has several with spatial axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Why a branch that flows in could not be followed: what is told is of the
    /// others, and where nothing is, it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Energy beyond the Nyquist limit that a stride lets through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aliasing {
    /// Share of the energy for white input.
    pub white: Real,
    /// Share for natural images, whose energy falls as 1/|ω|².
    pub natural: Real,
    /// Share of white energy that the downsampling layers on the worst path
    /// down to here, this one included, fold back one after the other.
    pub accumulated: Real,
    /// Whether the layer is linear (a measure) or scored by its subsampling
    /// alone (a bound).
    pub kind: AliasingKind,
}

/// How an aliasing score came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AliasingKind {
    /// From the kernel's spectrum.
    Measure,
    /// From the subsampling and the blur next to it.
    Bound,
}
