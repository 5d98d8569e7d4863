//! Convolutions whose operands carry scales and zero points, or that were fused
//! with what follows: `QLinearConv` (opset 10 on), `ConvInteger` (opset 10 on),
//! and `FusedConv` of onnxruntime.

use super::conv::{conv_cost, extent, groups};
use super::window::WindowAttrs;
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, Window, type_of};
use crate::facts::Fact;
use crate::ir::{DataType, Node, Shape};

/// A convolution in a form of its own. Data (N, Cin, *spatial*), or with the
/// channels last; weights (Cout, Cin/groups, *kernel*).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuantConv {
    window: WindowAttrs,
    form: Form,
    channels_last: bool,
    activation: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// x, scale, zero point, w, scale, zero point, y scale, zero point, bias.
    Linear,
    /// x, w, zero points.
    Integer,
    /// x, w, bias, and a summand of the output.
    Fused,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let form = match node.op.as_str() {
        "QLinearConv" => Form::Linear,
        "ConvInteger" => Form::Integer,
        _ => Form::Fused,
    };
    groups(attrs)?;
    Ok(Box::new(QuantConv {
        window: WindowAttrs::parse(attrs)?,
        form,
        channels_last: attrs.int("channels_last").unwrap_or(0) != 0,
        activation: attrs.string("activation").is_some_and(|a| !a.is_empty()),
    }))
}

impl QuantConv {
    fn weights(&self) -> usize {
        if self.form == Form::Linear { 3 } else { 1 }
    }

    fn bias(&self) -> Option<usize> {
        match self.form {
            Form::Linear => Some(8),
            Form::Integer => None,
            Form::Fused => Some(2),
        }
    }

    fn window_of(&self, cx: &Cx) -> Result<Window, Gap> {
        let input = cx.shape(0)?;
        let rank = input.len();
        let extent = extent(input, cx.shape(self.weights())?)?;
        let spatial = if self.channels_last {
            &input[1..rank - 1]
        } else {
            &input[2..]
        };
        self.window.gather(spatial, extent.as_deref())
    }
}

/// Moves the channels, the second axis, to the end.
pub(super) fn channels_to_end<T>(mut axes: Vec<T>) -> Vec<T> {
    if axes.len() > 1 {
        axes[1..].rotate_left(1);
    }
    axes
}

/// A window's path for an input with the channels last.
pub(super) fn channels_last_path(path: Path) -> Path {
    let end = path.axes.len() - 1;
    let axes = channels_to_end(path.axes).into_iter();
    Path {
        axes: axes
            .map(|reach| match reach {
                AxisReach::Follow { axis: 1, map } => AxisReach::Follow { axis: end, map },
                AxisReach::Follow { axis, map } if axis > 1 => AxisReach::Follow {
                    axis: axis - 1,
                    map,
                },
                other => other,
            })
            .collect(),
        context: path.context,
        inner: Vec::new(),
        outside: path.outside,
    }
}

impl Operator for QuantConv {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let window = self.window_of(cx)?;
        let channels = cx.shape(self.weights())?[0].clone();
        let mut shape: Shape = vec![cx.shape(0)?[0].clone(), channels];
        shape.extend(window.axes.into_iter().map(|a| a.output));
        if self.channels_last {
            shape = channels_to_end(shape);
        }
        let dtype = match self.form {
            Form::Linear => type_of(cx, 7),
            Form::Integer => Some(DataType::Int32),
            Form::Fused => type_of(cx, 0),
        };
        Ok(vec![Fact::new(dtype, shape)])
    }

    /// As a convolution's; an activation and a summand are one more an output.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let output = out[0].known_shape()?;
        let bias = self.bias().is_some_and(|b| cx.optional(b).is_some());
        let mut cost = conv_cost(cx.shape(self.weights())?, output, bias);
        let summand = self.form == Form::Fused && cx.optional(3).is_some();
        cost.flops +=
            Cost::pointwise(output, i64::from(self.activation) + i64::from(summand)).flops;
        Ok(cost)
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::window(&self.window_of(cx)?, true)?;
        if self.channels_last {
            path = channels_last_path(path);
        }
        let mut paths = vec![Some(path)];
        if self.form == Form::Fused && cx.optional(3).is_some() {
            paths.resize(3, None);
            paths.push(Some(Path::pointwise(out[0].known_shape()?.len())));
        }
        Ok(Reach(paths))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            s if s == self.weights() => Role::Weight,
            s if Some(s) == self.bias() => Role::Bias,
            3 if self.form == Form::Fused => Role::Data,
            _ => Role::Config,
        }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        self.window_of(cx).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn the_zero_point_names_the_type() {
        let (x, w) = (
            typed(DataType::Uint8, "N 3 32 32"),
            typed(DataType::Int8, "8 3 3 3"),
        );
        let (s, z, b) = (
            fact(""),
            typed(DataType::Uint8, ""),
            typed(DataType::Int32, "8"),
        );
        let case = Case::new("QLinearConv", 10).on(&[&x, &s, &z, &w, &s, &z, &s, &z, &b]);
        let out = case.infer().unwrap();
        assert_eq!(out[0].dtype, Some(DataType::Uint8));
        assert_eq!(case.shapes(), ["N 8 30 30"]);
        assert_eq!(case.work().0, format!("{}*N", 8 * 30 * 30 * 27));
        let case = Case::new("ConvInteger", 10).on(&[&x, &w]);
        assert_eq!(case.infer().unwrap()[0].dtype, Some(DataType::Int32));
    }

    #[test]
    fn channels_last() {
        let (x, w) = (
            typed(DataType::Uint8, "1 32 30 3"),
            typed(DataType::Int8, "8 3 5 3"),
        );
        let (s, z) = (fact(""), typed(DataType::Uint8, ""));
        let case = Case::new("com.microsoft::QLinearConv", 1)
            .int("channels_last", 1)
            .on(&[&x, &s, &z, &w, &s, &z, &s, &z]);
        assert_eq!(case.shapes(), ["1 28 28 8"]);
        let reach = case.reach().unwrap();
        let path = reach.0[0].as_ref().unwrap();
        assert_eq!(path.follower(1).unwrap().1.back(0, 0), (0, 4));
        assert_eq!(path.follower(2).unwrap().1.back(0, 0), (0, 2));
        assert_eq!(path.follower(3), None);
    }

    #[test]
    fn a_fused_summand_flows() {
        let (x, w) = (fact("1 4 8 8"), fact("4 4 1 1"));
        let case = Case::new("com.microsoft::FusedConv", 1)
            .string("activation", "Relu")
            .on(&[&x, &w])
            .skip()
            .on(&[&x]);
        assert_eq!(case.reach().unwrap().0.len(), 4);
        assert_eq!(case.work().1, (2 * 256 * 4 + 2 * 256).to_string());
    }
}
