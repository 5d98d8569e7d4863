//! `BatchNormalization` (opset 1 on). Inference, which passes fold into
//! convolutions, is a type of its own; the batch's own statistics are another.

use super::{AxisReach, Cost, Cx, Gap, Gate, Operator, Path, Reach, Role, same_type, type_of};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Node};

/// (x − mean) / √(variance + epsilon) · scale + bias, a channel each, with kept
/// statistics. Input (N, C, *spatial*), then scale, bias, mean and variance (C).
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f32,
}

/// The batch's own statistics (training), or statistics of each position
/// (`spatial` 0 before opset 9).
#[derive(Clone, Debug, PartialEq)]
struct Other {
    training: bool,
    spatial: bool,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let several = node.outputs.len() > 1 && node.outputs[1..].iter().any(Option::is_some);
    let training = match opset {
        ..=6 => attrs.int("is_test").unwrap_or(0) == 0 && several,
        7..=13 => several,
        _ => attrs.int("training_mode").unwrap_or(0) != 0,
    };
    let spatial = opset >= 9 || attrs.int("spatial").unwrap_or(1) != 0;
    if training || !spatial {
        return Ok(Box::new(Other { training, spatial }));
    }
    Ok(Box::new(BatchNormalization {
        epsilon: attrs.float("epsilon").unwrap_or(1e-5),
    }))
}

fn output(cx: &Cx) -> Result<Fact, Gap> {
    let shape = cx.shape(0)?.to_vec();
    if shape.is_empty() {
        return Err(Gap::new("an input of rank 0"));
    }
    Ok(Fact::new(same_type(cx), shape))
}

fn statistics_role(slot: usize) -> Role {
    match slot {
        0 => Role::Data,
        1 => Role::Weight,
        2 => Role::Bias,
        _ => Role::Buffer,
    }
}

impl Operator for BatchNormalization {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![output(cx)?])
    }

    /// A multiplication and an addition an element: the rest is constant.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(out[0].known_shape()?, 2))
    }

    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(out[0].known_shape()?.len())))
    }

    fn role(&self, slot: usize) -> Role {
        statistics_role(slot)
    }

    fn gate(&self, _cx: &Cx) -> Option<Gate> {
        Some(Gate::Linear)
    }

    fn emit(&self) -> Attrs {
        Attrs::default().with("epsilon", Attr::Float(self.epsilon))
    }
}

impl Operator for Other {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let out = output(cx)?;
        let shape = cx.shape(0)?;
        let one_axis = shape.get(1).cloned().into_iter().collect();
        let kept = if self.spatial {
            one_axis
        } else {
            shape[1..].to_vec()
        };
        let statistics = Fact::new(type_of(cx, 3).or(out.dtype), kept);
        let mut facts = vec![out];
        facts.resize(cx.outputs.max(1), statistics);
        Ok(facts)
    }

    /// Mean (1), variance (3), scale and shift (2) an element; without
    /// training the last two.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        let each = if self.training { 6 } else { 2 };
        Ok(Cost::pointwise(cx.shape(0)?, each))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(cx.shape(0)?.len());
        path.context = self.training;
        if output > 0 {
            path.axes.remove(0);
            if self.spatial {
                path.axes.truncate(1);
            }
            path.context = false;
        } else if self.training
            && let Some(batch) = path.axes.first_mut()
        {
            *batch = AxisReach::Free;
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        statistics_role(slot)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::BatchNormalization;
    use crate::ops::testing::{Case, fact};

    #[test]
    fn only_inference_is_the_type_that_passes_look_for() {
        let (x, c) = (fact("N 16 H W"), fact("16"));
        let is_inference = |case: &Case| {
            let operator = case.operator().unwrap();
            operator.downcast::<BatchNormalization>().is_some()
        };
        let case = |opset| Case::new("BatchNormalization", opset).on(&[&x, &c, &c, &c, &c]);
        assert!(is_inference(&case(7)));
        assert!(is_inference(&case(6).int("is_test", 1)));
        assert!(!is_inference(&case(7).int("spatial", 0)));
        assert!(!is_inference(&case(15).int("training_mode", 1)));
        assert_eq!(case(15).shapes(), ["N 16 H W"]);
        assert_eq!(case(15).work(), ("0".into(), "32*H*N*W".into()));
    }
}
