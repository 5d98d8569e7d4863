//! Quantized pools of onnxruntime's own set: `QLinearAveragePool`,
//! `QLinearGlobalAveragePool`, `NhwcMaxPool`.

use super::pool::pool_cost;
use super::quant_conv::{channels_last_path, channels_to_end};
use super::window::WindowAttrs;
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, Window, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// A pool over (N, C, *spatial*), or with the channels last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ContribPool {
    /// `None` for a global pool.
    window: Option<WindowAttrs>,
    channels_last: bool,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let window = match node.op.as_str() {
        "QLinearGlobalAveragePool" => None,
        _ => Some(WindowAttrs::parse(&node.attrs)?),
    };
    Ok(Box::new(ContribPool {
        window,
        channels_last: node.op == "NhwcMaxPool"
            || node.attrs.int("channels_last").unwrap_or(0) != 0,
    }))
}

impl ContribPool {
    fn spatial<'a>(&self, cx: &Cx<'a>) -> Result<&'a [Expr], Gap> {
        let shape = cx.shape(0)?;
        match shape.len() {
            rank @ ..3 => Err(Gap::new(format!("an input of rank {rank}"))),
            rank if self.channels_last => Ok(&shape[1..rank - 1]),
            _ => Ok(&shape[2..]),
        }
    }

    fn window_of(&self, cx: &Cx) -> Result<Option<Window>, Gap> {
        let spatial = self.spatial(cx)?;
        let window = self.window.as_ref();
        window.map(|w| w.gather(spatial, None)).transpose()
    }
}

impl Operator for ContribPool {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let input = cx.shape(0)?;
        let rank = self.spatial(cx)?.len();
        let channels = &input[if self.channels_last { rank + 1 } else { 1 }];
        let mut shape = vec![input[0].clone(), channels.clone()];
        match self.window_of(cx)? {
            Some(window) => shape.extend(window.axes.into_iter().map(|a| a.output)),
            None => shape.resize(rank + 2, 1.into()),
        }
        if self.channels_last {
            shape = channels_to_end(shape);
        }
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// One operation for each element of each window.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(match self.window_of(cx)? {
            Some(window) => pool_cost(&window, out[0].known_shape()?),
            None => Cost::pointwise(cx.shape(0)?, 1),
        })
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = if let Some(window) = self.window_of(cx)? {
            Path::window(&window, false)?
        } else {
            let mut path = Path::pointwise(cx.shape(0)?.len());
            path.axes[2..].fill(AxisReach::Free);
            path
        };
        if self.channels_last {
            path = channels_last_path(path);
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        self.window_of(cx).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, typed};

    #[test]
    fn channels_last() {
        let x = typed(DataType::Uint8, "N 8 6 16");
        let case = Case::new("com.microsoft::QLinearGlobalAveragePool", 1)
            .int("channels_last", 1)
            .on(&[&x]);
        assert_eq!(case.shapes(), ["N 1 1 16"]);
        let reach = case.reach().unwrap();
        assert_eq!(reach.0[0].as_ref().unwrap().follower(3).unwrap().0, 3);
        let case = Case::new("com.microsoft::QLinearAveragePool", 1)
            .int("channels_last", 1)
            .ints("kernel_shape", &[2, 3])
            .ints("strides", &[2, 3])
            .on(&[&x]);
        assert_eq!(case.shapes(), ["N 4 2 16"]);
        assert_eq!(case.work().1, format!("{}*N", 4 * 2 * 16 * 6));
    }
}
