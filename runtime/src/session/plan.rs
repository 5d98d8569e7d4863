//! From the message to tract's graphs and back to arrays.

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec};
use tract_onnx::tract_hir::internal::*;

use super::bind::Binding;
use super::{InputInfo, Model};
use crate::Array;
use crate::array::elements;
use crate::error::{Error, Stage};

/// An input, tract's element type for it, and how samples fill it.
pub(super) type Bound = (InputInfo, DatumType, Binding);

/// Elements of input that a batch may hold where the batch axis is free. A batch
/// spreads the cost of a call over small samples; on larger ones it is slower,
/// since its activations leave the cache.
const BATCH_ELEMENTS: usize = 1 << 12;

/// No batch is larger than this.
const BATCH_LIMIT: usize = 8;

/// Translates the message.
pub(super) fn parse(
    framework: &tract_onnx::Onnx,
    proto: &ModelProto,
) -> TractResult<InferenceModel> {
    let parsed = framework.parse(proto, None)?;
    ensure!(
        parsed.unresolved_inputs.is_empty(),
        "nothing computes the value {}",
        parsed.unresolved_inputs.join(", ")
    );
    Ok(parsed.model)
}

/// tract's element type of an input.
pub(super) fn datum_of(model: &Model, input: &InputInfo) -> Result<DatumType, Error> {
    let known = DataType::try_from(input.elem_type).ok();
    match known
        .and_then(|t| DatumType::try_from(t).ok())
        .filter(|d| *d != DatumType::String)
    {
        Some(datum) => Ok(datum),
        None => Err(Error::Tract {
            model: model.name.into(),
            stage: Stage::Load,
            node: None,
            operator: None,
            cause: format!("input {:?} is of type {known:?}", input.name),
            panicked: false,
        }),
    }
}

/// The model with all input shapes fixed, at a batch of `units`.
pub(super) fn at_batch(
    model: &InferenceModel,
    inputs: &[Bound],
    units: usize,
) -> TractResult<InferenceModel> {
    let mut model = model.clone();
    for (i, (_, datum, binding)) in inputs.iter().enumerate() {
        let shape: TVec<TDim> = binding.shape(units).iter().map(|d| d.to_dim()).collect();
        model.set_input_fact(i, InferenceFact::dt_shape(*datum, &*shape))?;
    }
    Ok(model)
}

/// The batch to run at where the batch axis is free.
///
/// More than one only where every output's first axis grows with the batch and
/// nothing else does: a model may say that any batch will do and have a Reshape
/// to a batch of 1 inside.
pub(super) fn free_batch(model: &InferenceModel, inputs: &[Bound]) -> TractResult<usize> {
    let length: usize = inputs
        .iter()
        .filter_map(|(_, _, b)| elements(&b.sample))
        .sum();
    let units = (BATCH_ELEMENTS / length.max(1)).clamp(1, BATCH_LIMIT);
    if units == 1 {
        return Ok(1);
    }
    let shapes = |units| -> TractResult<Vec<TVec<TDim>>> {
        let mut model = at_batch(model, inputs, units)?;
        model.analyse(false)?;
        (0..model.outputs.len())
            .map(|i| {
                model
                    .output_fact(i)?
                    .shape
                    .concretize()
                    .context("an output has no shape")
            })
            .collect()
    };
    let scales = (shapes(1)?.iter().zip(&shapes(units)?)).all(|(one, many)| {
        one.len() == many.len()
            && !one.is_empty()
            && one[0].clone() * units == many[0]
            && one[1..] == many[1..]
    });
    Ok(if scales { units } else { 1 })
}

/// Writes the SAME padding of convolutions out in numbers.
///
/// tract merges the stride of a 1x1 convolution into a convolution before it, and
/// would pad for the merged stride then: other outputs wherever the two differ.
pub(super) fn settle_padding(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes.len() {
        let node = &model.nodes[id];
        let Some(conv) = node.op_as::<Conv>() else {
            continue;
        };
        let spec = &conv.pool_spec;
        if !matches!(
            spec.padding,
            PaddingSpec::SameUpper | PaddingSpec::SameLower
        ) {
            continue;
        }
        let input = model.outlet_fact(node.inputs[0])?.shape.to_tvec();
        let input = spec.data_format.shape(input)?;
        let pads = spec.computed_padding(input.hw_dims());
        let before = pads.iter().map(|axis| Ok(axis.pad_before.to_usize()?));
        let after = pads.iter().map(|axis| Ok(axis.pad_after.to_usize()?));
        let mut conv = conv.clone();
        conv.pool_spec.padding = PaddingSpec::Explicit(
            before.collect::<TractResult<_>>()?,
            after.collect::<TractResult<_>>()?,
        );
        model.nodes[id].op = Box::new(conv);
    }
    Ok(())
}

/// A tensor of any numeric type as an array.
pub(super) fn array_of(value: &Tensor) -> TractResult<Array> {
    let tensor = match value.datum_type() {
        DatumType::TDim => value.cast_to::<i64>()?.cast_to::<f32>()?.into_owned(),
        _ => value.cast_to::<f32>()?.into_owned(),
    };
    let data = tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    Ok(Array {
        shape: value.shape().to_vec(),
        data,
    })
}
