//! `CausalConvWithState` (opset 27 on): a depthwise convolution over time that
//! reads the past alone, carried from call to call.

use super::conv::conv_cost;
use super::window::WindowAttrs;
use super::{
    AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, Window, same_type, type_of,
};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Input (N, C, length), weights (C, 1, k), bias (C) and the last k − 1
/// positions before the input (N, C, k − 1); the new ones are the second output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CausalConv {
    activation: bool,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let activation = node.attrs.string("activation").unwrap_or("none");
    Ok(Box::new(CausalConv {
        activation: activation != "none",
    }))
}

impl CausalConv {
    fn kernel(cx: &Cx) -> Result<i64, Gap> {
        let kernel = cx.shape(1)?.get(2).and_then(Expr::as_i64);
        kernel
            .filter(|&k| k > 0)
            .ok_or_else(|| Gap::new("the kernel's length is not known"))
    }

    /// All padding before: the place of the past.
    fn window_of(cx: &Cx) -> Result<Window, Gap> {
        let input = cx.shape(0)?;
        if input.len() != 3 || cx.shape(1)?.len() != 3 {
            return Err(Gap::new("input and weights must be of rank 3"));
        }
        let kernel = Self::kernel(cx)?;
        let attrs = WindowAttrs {
            kernel: Some(vec![kernel]),
            pads: Some(vec![kernel - 1, 0]),
            ..WindowAttrs::default()
        };
        attrs.gather(&input[2..], None)
    }
}

impl Operator for CausalConv {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Self::window_of(cx)?;
        let shape = cx.shape(0)?.to_vec();
        let mut state = shape.clone();
        state[2] = (Self::kernel(cx)? - 1).into();
        let kept = type_of(cx, 3).or(same_type(cx));
        Ok(vec![
            Fact::new(same_type(cx), shape),
            Fact::new(kept, state),
        ])
    }

    /// As a depthwise convolution; an activation is 2 FLOPs an element.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let output = out[0].known_shape()?;
        let mut cost = conv_cost(cx.shape(1)?, output, cx.optional(2).is_some());
        cost.flops += Cost::pointwise(output, 2 * i64::from(self.activation)).flops;
        Ok(cost)
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let (mut input, mut past) = (Path::window(&Self::window_of(cx)?, false)?, None);
        if output > 0 {
            input.axes[2] = AxisReach::Free;
        }
        if cx.optional(3).is_some() {
            let mut path = Path::pointwise(3);
            path.axes[2] = if output > 0 {
                AxisReach::Free
            } else {
                // Position p of the past is position p − (k − 1) of the input.
                AxisReach::Follow {
                    axis: 2,
                    map: Map {
                        hi: Self::kernel(cx)? - 1,
                        ..Map::IDENTITY
                    },
                }
            };
            past = Some(path);
        }
        Ok(Reach(vec![Some(input), None, None, past]))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            1 => Role::Weight,
            2 => Role::Bias,
            _ => Role::Config,
        }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        Self::window_of(cx).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn reads_the_past_alone() {
        let (x, w, past) = (fact("N 8 L"), fact("8 1 4"), fact("N 8 3"));
        let case = Case::new("CausalConvWithState", 27)
            .outputs(2)
            .on(&[&x, &w])
            .skip()
            .on(&[&past]);
        assert_eq!(case.shapes(), ["N 8 L", "N 8 3"]);
        assert_eq!(case.work().0, "32*L*N");
        let reach = case.reach().unwrap();
        let back = |slot: usize| {
            let path = reach.0[slot].as_ref().unwrap();
            path.follower(2).unwrap().1.back(5, 5)
        };
        assert_eq!((back(0), back(3)), ((2, 5), (5, 8)));
    }
}
