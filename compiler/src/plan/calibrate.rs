//! The fit of one edit, in the metric of what the rewritten layers before it
//! really put out.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use super::edit::Edit;
use super::lang::Term;
use super::options::{Calibration, Options};
use super::weights::{FitKey, Weights, key};
use super::{Chosen, Compilation, ConvSite, PlanError};
use crate::facts::Facts;
use crate::fit::{self, Fit, Kernel, Metric, Moments};
use crate::model::Model;

/// Options of a fit, in the metric of the data where there are moments.
pub fn fit_options<'a>(options: &Options<'a>, moments: Option<&'a Moments>) -> fit::Options<'a> {
    fit::Options {
        metric: moments.map_or(Metric::Weight, Metric::Data),
        cancel: Some(options.cancel),
        ..fit::Options::default()
    }
}

impl Compilation<'_> {
    /// Computes the fits that an edit needs and that are not known yet.
    pub(super) fn fit(
        &mut self,
        chain: &Chosen,
        edit: &Edit,
        facts: &Facts,
        rewritten: &Model,
        known: &mut HashMap<FitKey, Arc<Fit>>,
        history: &str,
    ) -> Result<(), PlanError> {
        for &id in &edit.inserted {
            let Term::Op(op, children) = &chain.after[id] else {
                continue;
            };
            let Some(Term::Factor(form, 0, [w])) = children.get(1).map(|&c| &chain.after[c]) else {
                continue;
            };
            let node = chain.names[op.site as usize].clone();
            let fail = |reason: String| PlanError::Fit {
                node: node.clone(),
                reason,
            };
            let weights = Weights {
                expr: &chain.after,
                facts,
                constants: &chain.segment.constants,
                fits: known,
            };
            let kernel = weights.kernel(*w, form.groups).map_err(fail)?;
            let name = (key(&chain.after, *w), form.clone());
            let content = format!("{node} {name:?} after {history}");
            let fitted = match self.cache.get(&content) {
                Some(fit) => fit.clone(),
                None => {
                    let moments = self.moments(chain, op.site, &kernel, rewritten, facts)?;
                    let options = fit_options(&self.options, moments.as_ref());
                    let fit =
                        fit::factorize(&kernel, &form.form, &options).map_err(|e| match e {
                            fit::FitError::Cancelled => PlanError::Cancelled,
                            other => fail(other.to_string()),
                        })?;
                    let fit = Arc::new(fit);
                    self.cache.insert(content, fit.clone());
                    fit
                }
            };
            known.insert(name, fitted);
        }
        Ok(())
    }

    /// Moments of the patches that the convolution sees in the rewritten
    /// model, paired with what it puts out in the original.
    fn moments(
        &self,
        chain: &Chosen,
        site: u32,
        kernel: &Kernel,
        rewritten: &Model,
        facts: &Facts,
    ) -> Result<Option<Moments>, PlanError> {
        let Some(calibration) = self.options.calibration else {
            return Ok(None);
        };
        let graph = &self.original.graph;
        let node = graph.node(chain.segment.nodes[site as usize]);
        let (Some(Some(input)), Some(Some(output))) = (node.inputs.first(), node.outputs.first())
        else {
            return Ok(None);
        };
        let Some(window) = geometry(chain, site) else {
            return Ok(None);
        };
        let failed = PlanError::Calibration;
        let (input, output) = (&graph.value(*input).name, &graph.value(*output).name);
        let target = self.target(chain, site, kernel, facts);
        let wanted = stream(calibration, &self.original, output)?;
        let mut moments = Moments::paired(kernel);
        let mut batch = 0;
        let mut trouble = None;
        let mut take = |_: usize, shape: &[usize], data: &[f32]| {
            let Some(out) = wanted.get(batch) else {
                trouble = Some("the two models gave different numbers of samples".to_owned());
                return;
            };
            batch += 1;
            let out = target.apply(out);
            if let Err(error) = moments.accumulate(data, shape, &window, Some(&out)) {
                trouble.get_or_insert_with(|| error.to_string());
            }
        };
        calibration
            .activations(&encode(rewritten), std::slice::from_ref(input), &mut take)
            .map_err(failed)?;
        match trouble {
            Some(reason) => Err(failed(reason)),
            None => Ok(Some(moments)),
        }
    }

    /// How the original node's output becomes that of the kernel to fit: its
    /// bias goes, and its channels are scaled as a folded BatchNormalization does.
    fn target(&self, chain: &Chosen, site: u32, kernel: &Kernel, facts: &Facts) -> Target {
        let graph = &self.original.graph;
        let node = graph.node(chain.segment.nodes[site as usize]);
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

/// Activations of one batch: shape, elements.
type Batch = (Vec<usize>, Vec<f32>);

/// All activations of one value.
fn stream(
    calibration: &dyn Calibration,
    model: &Model,
    value: &str,
) -> Result<Vec<Batch>, PlanError> {
    let mut batches = Vec::new();
    calibration
        .activations(
            &encode(model),
            &[value.to_owned()],
            &mut |_, shape, data| {
                batches.push((shape.to_vec(), data.to_vec()));
            },
        )
        .map_err(PlanError::Calibration)?;
    Ok(batches)
}

fn encode(model: &Model) -> Vec<u8> {
    model.to_proto().encode_to_vec()
}

/// The window of the convolution at a site, as the fit wants it.
fn geometry(chain: &Chosen, site: u32) -> Option<fit::Window> {
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
    fn apply(&self, (shape, data): &Batch) -> Vec<f32> {
        let channels = self.scale.len().max(1);
        let plane: usize = shape.iter().skip(2).product();
        let value = |(i, v): (usize, &f32)| {
            let c = i / plane.max(1) % channels;
            ((f64::from(*v) - self.bias[c]) * self.scale[c]) as f32
        };
        data.iter().enumerate().map(value).collect()
    }
}
