//! Transposed convolution: `ConvTranspose` (opset 1 on).

use super::conv::{extent, groups};
use super::window::WindowAttrs;
use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, Window, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Expr, Node};

/// A transposed convolution. Input (N, Cin, *spatial*), weights (Cin,
/// Cout/groups, *kernel*), optional bias (Cout).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvTranspose {
    /// Kernel, stride, dilation and padding.
    pub window: WindowAttrs,
    /// Groups.
    pub groups: i64,
    /// Positions added at the end of each spatial axis.
    pub output_padding: Option<Vec<i64>>,
    /// The spatial output size; the pads follow from it.
    pub output_shape: Option<Vec<i64>>,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let list = |name: &str| node.attrs.ints(name).map(<[i64]>::to_vec);
    Ok(Box::new(ConvTranspose {
        window: WindowAttrs::parse(&node.attrs)?,
        groups: groups(&node.attrs)?,
        output_padding: list("output_padding"),
        output_shape: list("output_shape").filter(|s| !s.is_empty()),
    }))
}

impl ConvTranspose {
    fn window_of(&self, cx: &Cx) -> Result<Window, Gap> {
        let input = cx.shape(0)?;
        let extent = extent(input, cx.shape(1)?)?;
        self.window.scatter(
            &input[2..],
            extent.as_deref(),
            self.output_padding.as_deref(),
            self.output_shape.as_deref(),
        )
    }
}

impl Operator for ConvTranspose {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let window = self.window_of(cx)?;
        let channels = cx.shape(1)?[1].clone() * self.groups.into();
        let mut shape = vec![cx.shape(0)?[0].clone(), channels];
        shape.extend(window.axes.into_iter().map(|a| a.output));
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// N·Cin·∏in·(Cout/groups)·∏k MACs: each input element meets each weight
    /// of its channel once, whatever the pads cut off.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let inputs: Expr = cx.shape(0)?.iter().product();
        let macs = inputs * cx.shape(1)?[1..].iter().product();
        let mut flops = macs.clone() * 2.into();
        if cx.optional(2).is_some() {
            flops += out[0].known_shape()?.iter().product();
        }
        Ok(Cost { macs, flops })
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::window(&self.window_of(cx)?, true)?))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            1 => Role::Weight,
            _ => Role::Bias,
        }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        self.window_of(cx).ok()
    }

    fn emit(&self) -> Attrs {
        let mut attrs = self.window.emit();
        if self.groups != 1 {
            attrs = attrs.with("group", Attr::Int(self.groups));
        }
        for (name, list) in [
            ("output_padding", &self.output_padding),
            ("output_shape", &self.output_shape),
        ] {
            if let Some(list) = list {
                attrs = attrs.with(name, Attr::Ints(list.clone()));
            }
        }
        attrs
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn doubles_a_symbolic_map() {
        let (x, w, b) = (fact("N 64 H 20"), fact("64 8 3 3"), fact("16"));
        let case = Case::new("ConvTranspose", 11)
            .int("group", 2)
            .ints("strides", &[2, 2])
            .ints("pads", &[1, 1, 1, 1])
            .ints("output_padding", &[1, 1])
            .on(&[&x, &w, &b]);
        assert_eq!(case.shapes(), ["N 16 2*H 40"]);
        let (macs, flops) = case.work();
        assert_eq!(macs, format!("{}*H*N", 64 * 20 * 8 * 9));
        assert_eq!(flops, format!("{}*H*N", 2 * 64 * 20 * 8 * 9 + 16 * 2 * 40));
    }

    #[test]
    fn the_output_shape_sets_the_pads() {
        let (x, w) = (fact("1 3 10 10"), fact("3 2 3 3"));
        let case = Case::new("ConvTranspose", 1)
            .ints("strides", &[3, 2])
            .ints("output_shape", &[32, 20])
            .on(&[&x, &w]);
        assert_eq!(case.shapes(), ["1 2 32 20"]);
        let window = case.operator().unwrap().window(&case.cx()).unwrap();
        assert_eq!(window.axes[1].pads, Some((1, 0)));
    }
}
