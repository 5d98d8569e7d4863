//! The time that each way to write a layer takes, measured on its own shapes:
//! MACs mislead where maps are small or chains long.

use std::path::Path;

use super::super::calibrate::encode;
use super::offer::{Layer, Offer};
use super::{Clock, PlanError, Search};
use crate::ir::{Attrs, DataType, NewNode, Patch, Ref, Tensor};
use crate::model::{Model, float};
use crate::onnx::schema::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use crate::ops::{Conv, Operator};

/// Operator set of the models that are timed; convolutions are the same in all.
const OPSET: i64 = 13;
/// Weights of the models that are timed: time does not depend on them, but for
/// subnormal numbers.
const WEIGHT: f64 = 0.01;

impl Search<'_, '_> {
    /// Times every offer of every layer, all of a layer's in turns.
    pub(super) fn measure_time(&mut self, clock: Option<&dyn Clock>) -> Result<(), PlanError> {
        let failed = |node: &str, reason: &str| PlanError::Timing {
            node: node.to_owned(),
            reason: reason.to_owned(),
        };
        let total = self.layers.len();
        for l in 0..total {
            self.compilation.stop_if_cancelled()?;
            let layer = &self.layers[l];
            (self.compilation.options.progress)(l, total, &layer.node);
            let clock = clock.ok_or_else(|| failed(&layer.node, "there is no clock"))?;
            let sample = self.sample(layer).ok_or_else(|| {
                failed(
                    &layer.node,
                    "the size of its input is open; give --input-shape",
                )
            })?;
            let models: Vec<Vec<u8>> = layer
                .offers
                .iter()
                .map(|offer| alone(layer, offer, &sample))
                .collect::<Option<_>>()
                .ok_or_else(|| failed(&layer.node, "it cannot be run on its own"))?;
            let seconds = clock
                .seconds(&models, &sample[1..])
                .map_err(|reason| failed(&layer.node, &reason))?;
            let layer = &mut self.layers[l];
            for (offer, seconds) in layer.offers.iter_mut().zip(seconds) {
                offer.seconds = Some(seconds);
            }
        }
        Ok(())
    }

    /// Shape of what the layer reads, for a batch of one.
    fn sample(&self, layer: &Layer) -> Option<Vec<usize>> {
        let chain = &self.prepared[layer.chain];
        let graph = &self.compilation.original.graph;
        let node = graph.node(chain.segment.nodes[layer.site as usize]);
        let input = node.inputs.first().copied().flatten()?;
        let shape = self.facts.value(input).shape.as_ref()?;
        let rest: Vec<usize> = shape
            .get(1..)?
            .iter()
            .map(|s| s.as_usize())
            .collect::<Option<_>>()?;
        Some([vec![1], rest].concat())
    }
}

/// A model of these convolutions alone; `None` where sizes contradict.
fn alone(layer: &Layer, offer: &Offer, sample: &[usize]) -> Option<Vec<u8>> {
    let mut model = Model::from_proto(empty(sample)?, Path::new("timing")).ok()?;
    let graph = &model.graph;
    let mut patch = Patch::default();
    let placeholder = *graph.order().first()?;
    patch.remove(placeholder);
    patch.at(placeholder);
    let mut flow = Ref::Existing(graph.find_value("x")?);
    let end = Ref::Existing(graph.find_value("y")?);
    let widths: Vec<usize> = match &offer.chain {
        Some(chain) => chain.form.factors.iter().map(|f| f.width).collect(),
        None => vec![layer.kernel.out],
    };
    let mut channels = *sample.get(1)?;
    for (i, (conv, width)) in offer.convs.iter().zip(&widths).enumerate() {
        let kernel = conv.window.kernel.as_ref()?;
        let groups = usize::try_from(conv.groups).ok()?;
        let mut shape = vec![*width, channels / groups.max(1)];
        for k in kernel {
            shape.push(usize::try_from(*k).ok()?);
        }
        let weights = vec![WEIGHT; shape.iter().product()];
        let tensor = Tensor::from_f64(DataType::Float, shape, &weights)?;
        let weights = patch.tensor(format!("w{i}"), tensor);
        let output = if i + 1 == offer.convs.len() {
            end.clone()
        } else {
            patch.value(format!("m{i}"))
        };
        patch.node(node(
            "Conv",
            conv.emit(),
            vec![flow, weights],
            output.clone(),
        ));
        flow = output;
        channels = *width;
    }
    patch.apply(&mut model.graph).ok()?;
    Some(encode(&model))
}

fn node(op: &str, attrs: Attrs, inputs: Vec<Ref>, output: Ref) -> NewNode {
    NewNode {
        name: String::new(),
        domain: String::new(),
        op: op.into(),
        opset: OPSET,
        attrs,
        inputs: inputs.into_iter().map(Some).collect(),
        outputs: vec![output],
    }
}

/// A model that passes its input on.
fn empty(sample: &[usize]) -> Option<ModelProto> {
    Some(ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(OPSET),
        }],
        graph: Some(GraphProto {
            name: Some("layer".into()),
            input: vec![float("x", Some(sample))?],
            output: vec![float("y", None)?],
            node: vec![NodeProto {
                op_type: Some("Identity".into()),
                input: vec!["x".into()],
                output: vec!["y".into()],
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    })
}

/// The convolution of a site as it is.
pub(super) fn as_it_is(site: &super::super::ConvSite) -> Option<Conv> {
    let size =
        |v: &[usize]| -> Option<Vec<i64>> { v.iter().map(|&n| i64::try_from(n).ok()).collect() };
    Some(Conv {
        window: crate::ops::window::WindowAttrs {
            kernel: Some(size(&site.kernel)?),
            strides: Some(size(&site.stride)?),
            dilations: Some(size(&site.dilation)?),
            pads: Some(site.pads.clone()),
            auto_pad: crate::ops::window::AutoPad::NotSet,
            ceil: false,
        },
        groups: i64::try_from(site.groups).ok()?,
    })
}
