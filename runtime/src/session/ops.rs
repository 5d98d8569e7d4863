//! Operators that tract lacks and convolutional networks still carry: the
//! experimental ones that ONNX dropped (ImageScaler, Affine, Crop), and
//! Upsample, which Resize replaced.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::math;

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// tract's ONNX reader with the operators of this file.
pub(super) fn framework() -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let register = &mut onnx.op_register;
    register.insert("Affine", affine);
    register.insert("Crop", crop);
    register.insert("ImageScaler", image_scaler);
    register.insert("Upsample", upsample);
    onnx
}

/// Affine-1: y = alpha·x + beta.
fn affine(_: &ParsingContext, node: &NodeProto) -> Built {
    let scale = node.get_attr_opt("alpha")?.unwrap_or(1.0);
    let shift = vec![node.get_attr_opt("beta")?.unwrap_or(0.0)];
    Ok((expand(ScaleShift { scale, shift }), vec![]))
}

/// ImageScaler-1: y = scale·x + bias, one bias a channel (axis 1 of NCHW).
fn image_scaler(_: &ParsingContext, node: &NodeProto) -> Built {
    let scale = node.get_attr_opt("scale")?.unwrap_or(1.0);
    let shift = node.get_attr_opt_vec("bias")?.unwrap_or_else(|| vec![0.0]);
    Ok((expand(ScaleShift { scale, shift }), vec![]))
}

/// Crop-1: removes `border` = (left, top, right, bottom) of NCHW; with `scale`
/// = (height, width) that size is kept from the left and top border on.
fn crop(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let border: Vec<i64> = node.get_attr_vec("border")?;
    let &[left, top, right, bottom] = border.as_slice() else {
        bail!("Crop takes four borders, not {}", border.len())
    };
    ensure!(
        border.iter().all(|b| (0..i64::from(u32::MAX)).contains(b)),
        "borders {border:?}"
    );
    let end = |b: i64| if b == 0 { i64::MAX } else { -b };
    let ends = match node.get_attr_opt_vec::<i64>("scale")?.as_deref() {
        Some(&[height, width]) => vec![top.saturating_add(height), left.saturating_add(width)],
        Some(other) => bail!("Crop's scale takes height and width, not {other:?}"),
        None => vec![end(bottom), end(right)],
    };
    let mut slice = node.clone();
    slice.op_type = "Slice".into();
    slice.attribute = vec![
        ints("axes", vec![2, 3]),
        ints("starts", vec![top, left]),
        ints("ends", ends),
    ];
    delegate(ctx, &slice, 9)
}

/// Upsample-7 and -9: Resize with asymmetric coordinates, rounded down.
///
/// The scales are an input here; `graph.rs` makes them one where they are the
/// attribute of Upsample-7.
fn upsample(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let [x, scales] = node.input.as_slice() else {
        bail!("Upsample takes two inputs, not {}", node.input.len())
    };
    let mut resize = node.clone();
    resize.op_type = "Resize".into();
    resize.input = vec![x.clone(), String::new(), scales.clone()];
    resize
        .attribute
        .push(string("coordinate_transformation_mode", "asymmetric"));
    resize.attribute.push(string("nearest_mode", "floor"));
    delegate(ctx, &resize, 13)
}

/// Builds `node` as tract's own reader would in a model of operator set `opset`.
fn delegate(ctx: &ParsingContext, node: &NodeProto, opset: i64) -> Built {
    let build = ctx
        .framework
        .op_register
        .0
        .get(&node.op_type)
        .with_context(|| format!("no operator {}", node.op_type))?;
    build(
        &ParsingContext {
            onnx_operator_set_version: opset,
            ..ctx.clone()
        },
        node,
    )
}

/// An integer list attribute.
fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints,
        ..<_>::default()
    }
}

/// A string attribute.
fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..<_>::default()
    }
}

/// y = scale·x + shift, `shift` one number or one a channel (axis 1).
#[derive(Debug, Clone)]
struct ScaleShift {
    scale: f32,
    shift: Vec<f32>,
}

impl Expansion for ScaleShift {
    fn name(&self) -> StaticName {
        "ScaleShift".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?.clone();
        let rank = fact.rank();
        let mut shape = vec![1; rank];
        if self.shift.len() != 1 {
            ensure!(rank > 1, "a bias a channel needs a channel axis");
            shape[1] = self.shift.len();
        }
        let constant = |shape: &[usize], data: &[f32]| -> TractResult<Arc<Tensor>> {
            let tensor = Tensor::from_shape(shape, data)?;
            Ok(tensor
                .cast_to_dt(fact.datum_type)?
                .into_owned()
                .into_arc_tensor())
        };
        let scale = model.add_const(
            format!("{prefix}.scale"),
            constant(&vec![1; rank], &[self.scale])?,
        )?;
        let shift = model.add_const(format!("{prefix}.shift"), constant(&shape, &self.shift)?)?;
        let scaled =
            model.wire_node(format!("{prefix}.scaled"), math::mul(), &[inputs[0], scale])?;
        model.wire_node(prefix, math::add(), &[scaled[0], shift])
    }
}
