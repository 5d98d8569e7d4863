//! Convolution: `Conv` (opset 1 on).

use super::window::WindowAttrs;
use super::{Affine, Cost, Cx, Gap, Operator, Path, Reach, Role, Window, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Expr, Node};

/// A convolution. Input (N, Cin, *spatial*), weights (Cout, Cin/groups,
/// *kernel*), optional bias (Cout).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Kernel, stride, dilation and padding.
    pub window: WindowAttrs,
    /// Groups.
    pub groups: i64,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(Conv {
        window: WindowAttrs::parse(&node.attrs)?,
        groups: groups(&node.attrs)?,
    }))
}

/// The groups of a convolution-like operator.
pub(super) fn groups(attrs: &Attrs) -> Result<i64, Gap> {
    match attrs.int("group").unwrap_or(1) {
        groups if groups < 1 => Err(Gap::new(format!("group is {groups}; it must be positive"))),
        groups => Ok(groups),
    }
}

/// The kernel's extent, where it is known, of weights that fit the input's rank.
pub(super) fn extent(input: &[Expr], weights: &[Expr]) -> Result<Option<Vec<i64>>, Gap> {
    if input.len() < 3 || input.len() != weights.len() {
        return Err(Gap::new(format!(
            "an input of rank {} with weights of rank {}",
            input.len(),
            weights.len()
        )));
    }
    Ok(weights[2..].iter().map(Expr::as_i64).collect())
}

/// The window of a convolution-like operator whose data and weights are at
/// these input positions.
pub(super) fn window_of(
    attrs: &WindowAttrs,
    cx: &Cx,
    data: usize,
    weights: usize,
) -> Result<Window, Gap> {
    let input = cx.shape(data)?;
    let extent = extent(input, cx.shape(weights)?)?;
    attrs.gather(&input[2..], extent.as_deref())
}

/// The output of a convolution: input 0 by the weights of input 1.
pub(super) fn convolved(attrs: &WindowAttrs, cx: &Cx) -> Result<Vec<Fact>, Gap> {
    let window = window_of(attrs, cx, 0, 1)?;
    let mut shape = vec![cx.shape(0)?[0].clone(), cx.shape(1)?[0].clone()];
    shape.extend(window.axes.into_iter().map(|a| a.output));
    Ok(vec![Fact::new(same_type(cx), shape)])
}

/// N·Cout·∏out·(Cin/groups)·∏k MACs, and an addition an output for a bias.
pub(super) fn conv_cost(weights: &[Expr], output: &[Expr], bias: bool) -> Cost {
    let outputs: Expr = output.iter().product();
    let macs = outputs.clone() * weights[1..].iter().product();
    let bias = if bias { outputs } else { Expr::default() };
    Cost {
        flops: macs.clone() * 2.into() + bias,
        macs,
    }
}

impl Operator for Conv {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        convolved(&self.window, cx)
    }

    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(conv_cost(
            cx.shape(1)?,
            out[0].known_shape()?,
            cx.optional(2).is_some(),
        ))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::window(
            &window_of(&self.window, cx, 0, 1)?,
            true,
        )?))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            1 => Role::Weight,
            _ => Role::Bias,
        }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        window_of(&self.window, cx, 0, 1).ok()
    }

    fn affine(&self, _cx: &Cx) -> Option<Affine> {
        (self.groups == 1).then_some(Affine {
            inputs_first: false,
            biased: "Conv",
        })
    }

    fn emit(&self) -> Attrs {
        let mut attrs = self.window.emit();
        if self.groups != 1 {
            attrs = attrs.with("group", Attr::Int(self.groups));
        }
        attrs
    }
}
