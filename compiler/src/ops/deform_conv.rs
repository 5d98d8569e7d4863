//! `DeformConv` (opset 19 on): a convolution whose taps are moved by offsets
//! that the network computes.

use super::conv::{conv_cost, convolved, groups, window_of};
use super::window::WindowAttrs;
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, Window};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Input (N, Cin, *spatial*), weights (Cout, Cin/groups, *kernel*), offsets
/// (N, offset groups · ∏k · spatial rank, *output*), bias, mask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeformConv {
    window: WindowAttrs,
    groups: i64,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(DeformConv {
        window: WindowAttrs::parse(&node.attrs)?,
        groups: groups(&node.attrs)?,
    }))
}

impl Operator for DeformConv {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        convolved(&self.window, cx)
    }

    /// The convolution's MACs; besides, each tap of each input channel is
    /// interpolated among 2 elements an axis, 2 FLOPs each, and masked.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let (weights, output) = (cx.shape(1)?, out[0].known_shape()?);
        let mut cost = conv_cost(weights, output, cx.optional(3).is_some());
        let corners = 1i64 << output.len().saturating_sub(2).min(8);
        let mask = i64::from(cx.optional(4).is_some());
        let places: Expr = output[..1].iter().chain(&output[2..]).product();
        let taps: Expr = weights[1..].iter().product();
        cost.flops += places * taps * (self.groups.saturating_mul(2 * corners + mask)).into();
        Ok(cost)
    }

    /// Offsets have no limit: a tap may be anywhere.
    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut image = Path::pointwise(out[0].known_shape()?.len());
        let mut offsets = image.clone();
        image.axes[1..].fill(AxisReach::Free);
        offsets.axes[1] = AxisReach::Free;
        Ok(Reach(vec![
            Some(image),
            None,
            Some(offsets.clone()),
            None,
            Some(offsets),
        ]))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            1 => Role::Weight,
            3 => Role::Bias,
            _ => Role::Data,
        }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        window_of(&self.window, cx, 0, 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn counts_the_convolution() {
        let (x, w, o) = (fact("1 4 9 9"), fact("6 4 3 3"), fact("1 18 7 7"));
        let case = Case::new("DeformConv", 19).on(&[&x, &w, &o]);
        assert_eq!(case.shapes(), ["1 6 7 7"]);
        assert_eq!(case.work().0, (6 * 49 * 36).to_string());
        assert_eq!(
            case.reach().unwrap().0[0].as_ref().unwrap().follower(2),
            None
        );
    }
}
