//! A convolution that is to be fitted on data: what it reads, what it ought to
//! put out, and where that matters.

use super::Compilation;
use super::calibrate::Values;
use super::lang::Term;
use super::passage::{self, Passed};
use super::prepare::Prepared;
use super::readout::transposed;
use super::site::ConvSite;
use crate::facts::Facts;
use crate::fit::{self, FitError, Kernel, Moments, Seen};
use crate::ir::{Graph, NodeId};
use crate::ops::Affine;

/// Errors of a fit that is worth making, relative to a channel's deviation: so
/// far from its threshold an output still matters.
const NOISE: f32 = 0.1;
/// Patches that are gathered for each of a filter's weights, and the products
/// for all filters' moments that this is weighed against.
const FEWEST: usize = 30;
const MOST: usize = 200;
const WORK: usize = 80_000_000_000;
/// Largest metric a channel (`out · (in · taps)²` numbers) that is held.
const LARGEST: usize = 1 << 23;

/// A convolution with the names of the values around it.
pub(super) struct Subject {
    pub node: NodeId,
    pub kernel: Kernel,
    pub window: fit::Window,
    /// Name of the value that it reads.
    pub input: String,
    /// Name of the value that it puts out.
    output: String,
    target: Target,
    passed: Option<Passed>,
}

/// What a convolution ought to put out for one batch, and how much each element
/// matters.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub output: Vec<f32>,
    pub importance: Option<Vec<f32>>,
}

impl Wanted {
    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        4 * (self.output.len() + self.importance.as_ref().map_or(0, Vec::len))
    }
}

impl Subject {
    /// A layer that is linear in its input; `None` where its shape or its
    /// weights are not known.
    pub fn affine(graph: &Graph, facts: &Facts, id: NodeId, how: Affine) -> Option<Self> {
        let node = graph.node(id);
        let value = |slot: usize| node.inputs.get(slot).copied().flatten();
        let weights = facts.value(value(1)?).tensor()?;
        let data = weights.to_f64()?;
        let (&first, rest) = weights.shape.split_first()?;
        let (&second, spatial) = rest.split_first()?;
        let (out, inp, data) = if how.inputs_first {
            (second, first, transposed(&data, first))
        } else {
            (first, second, data)
        };
        let kernel = Kernel::new(out, inp, spatial.to_vec(), 1, data).ok()?;
        let bias = match value(2) {
            None => vec![0.0; out],
            Some(bias) => match facts.value(bias).tensor()?.to_f64()? {
                one if one.len() == 1 => vec![one[0]; out],
                all if all.len() == out => all,
                _ => return None,
            },
        };
        let name = graph.node_name(id);
        let axes = match facts.operator(id)?.window(&facts.cx(graph, id, &name)) {
            Some(window) => window.axes,
            None if spatial.is_empty() => Vec::new(),
            None => return None,
        };
        let mut window = fit::Window {
            pads_begin: Vec::new(),
            pads_end: Vec::new(),
            stride: Vec::new(),
            dilation: Vec::new(),
        };
        let size = |v: i64| usize::try_from(v).ok();
        for axis in axes {
            let (begin, end) = axis.pads?;
            window.pads_begin.push(size(begin)?);
            window.pads_end.push(size(end)?);
            window.stride.push(size(axis.stride)?);
            window.dilation.push(size(axis.dilation)?);
        }
        let name = |v: Option<_>| v.map(|v| graph.value(v).name.clone());
        Some(Self {
            node: id,
            window,
            input: name(value(0))?,
            output: name(node.outputs.first().copied().flatten())?,
            target: Target {
                scale: vec![1.0; kernel.out],
                bias,
            },
            kernel,
            passed: None,
        })
    }

    /// The layer's own bias.
    pub fn bias(&self) -> &[f64] {
        &self.target.bias
    }

    /// Names of the values that say what is wanted.
    pub fn values(&self) -> Vec<String> {
        let mut values = vec![self.output.clone()];
        values.extend(self.passed.iter().map(|p| p.value.clone()));
        values.dedup();
        values
    }

    /// The memory that so many outputs and what is known of them take.
    pub fn bytes(&self, outputs: usize) -> usize {
        let each = if self.passed.is_some() { 8 } else { 4 };
        outputs.saturating_mul(each)
    }

    /// What is wanted, from the values that [`Self::values`] names.
    pub fn wanted(&self, shape: &[usize], values: &[&[f32]]) -> Result<Wanted, FitError> {
        let importance = match (&self.passed, values.last()) {
            (Some(passed), Some(values)) => {
                Some(fit::importance(values, shape, NOISE, &passed.passage)?)
            }
            _ => None,
        };
        Ok(Wanted {
            output: self.target.apply(shape, values[0]),
            importance,
        })
    }

    /// What the convolution reads and ought to put out in one batch.
    pub fn seen<'a>(&self, input: &'a Values, wanted: &'a Wanted) -> Seen<'a> {
        Seen {
            importance: wanted.importance.as_deref(),
            ..Seen::new(&input.0, &input.1).paired(&wanted.output)
        }
    }

    /// Empty moments of the kind that the subject gives, for so many samples.
    pub fn moments(&self, samples: usize) -> Moments {
        let moments = if self.passed.is_some() {
            Moments::weighted(&self.kernel)
        } else {
            Moments::paired(&self.kernel)
        };
        moments.thinned(self.patches(samples))
    }

    /// Patches to take of each of so many samples.
    pub fn patches(&self, samples: usize) -> usize {
        let weights = self.kernel.inp * self.kernel.taps();
        let work = weights * weights * self.kernel.out;
        let most = (WORK / work.max(1)).clamp(FEWEST * weights, MOST * weights);
        most.div_ceil(samples.max(1))
    }
}

impl Compilation<'_> {
    /// The convolution at a site; `None` where its window or its values are not
    /// known.
    pub(super) fn subject(
        &self,
        chain: &Prepared,
        site: u32,
        kernel: &Kernel,
        facts: &Facts,
    ) -> Option<Subject> {
        let graph = &self.original.graph;
        let id = chain.segment.nodes[site as usize];
        let node = graph.node(id);
        let (input, output) = (
            node.inputs.first()?.as_ref()?,
            node.outputs.first()?.as_ref()?,
        );
        let n = kernel.inp * kernel.taps();
        let size = kernel.out.saturating_mul(n).saturating_mul(n);
        let passed = (size <= LARGEST)
            .then(|| passage::after(graph, facts, id))
            .flatten();
        Some(Subject {
            node: id,
            kernel: kernel.clone(),
            window: window(chain, site, &kernel.spatial)?,
            input: graph.value(*input).name.clone(),
            output: graph.value(*output).name.clone(),
            target: self.target(id, kernel, facts),
            passed,
        })
    }

    /// How the original node's output becomes that of the kernel to fit: its
    /// bias goes, and its channels are scaled as a folded BatchNormalization does.
    fn target(&self, id: NodeId, kernel: &Kernel, facts: &Facts) -> Target {
        let node = self.original.graph.node(id);
        let facts_of = |slot: usize| {
            let value = node.inputs.get(slot).copied().flatten()?;
            facts.value(value).tensor()?.to_f64()
        };
        let own = facts_of(1).unwrap_or_default();
        let bias = facts_of(2).unwrap_or_else(|| vec![0.0; kernel.out]);
        let block = own.len() / kernel.out.max(1);
        let scale = (0..kernel.out)
            .map(|o| {
                let range = o * block..(o + 1) * block;
                let (was, is) = (own.get(range.clone()), kernel.data.get(range));
                let (Some(was), Some(is)) = (was, is) else {
                    return 1.0;
                };
                let square: f64 = was.iter().map(|w| w * w).sum();
                let product: f64 = was.iter().zip(is).map(|(a, b)| a * b).sum();
                if square > 0.0 { product / square } else { 0.0 }
            })
            .collect();
        Target { scale, bias }
    }
}

/// The window of the convolution at a site, as the fit wants it, for a kernel of
/// its extent or one in whose middle it stands.
fn window(chain: &Prepared, site: u32, kernel: &[usize]) -> Option<fit::Window> {
    let egraph = &chain.saturated.egraph;
    let found = egraph
        .classes()
        .flat_map(|class| &class.nodes)
        .find_map(|term| match term {
            Term::Op(key, children) if key.site == site => {
                let own = ConvSite::read(egraph, key, children)?.ok()?;
                // The original's window, not that of one of its factors.
                (!egraph[own.inputs[1]].data.factored).then_some(own)
            }
            _ => None,
        })?;
    let border: Vec<usize> = kernel
        .iter()
        .zip(&found.kernel)
        .map(|(k, own)| k.saturating_sub(*own) / 2)
        .collect();
    let found = found.embedded(&border);
    let rank = found.kernel.len();
    let pad = |v: &i64| usize::try_from(*v).ok();
    Some(fit::Window {
        pads_begin: found.pads[..rank].iter().map(pad).collect::<Option<_>>()?,
        pads_end: found.pads[rank..].iter().map(pad).collect::<Option<_>>()?,
        stride: found.stride,
        dilation: found.dilation,
    })
}

/// A channel's scale and the bias to take off.
struct Target {
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Target {
    /// `data` is (N, channels, …) of one sample or a batch.
    #[allow(clippy::cast_possible_truncation)]
    fn apply(&self, shape: &[usize], data: &[f32]) -> Vec<f32> {
        let channels = self.scale.len().max(1);
        let plane: usize = shape.iter().skip(2).product();
        let value = |(i, v): (usize, &f32)| {
            let c = i / plane.max(1) % channels;
            ((f64::from(*v) - self.bias[c]) * self.scale[c]) as f32
        };
        data.iter().enumerate().map(value).collect()
    }
}
