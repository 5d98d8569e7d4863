//! Local pooling: `MaxPool`, `AveragePool`, `LpPool` (opset 1 on).

use super::window::WindowAttrs;
use super::{Cost, Cx, Gap, Gate, Operator, Path, Reach, Window, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, DataType, Expr, Node};

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest element; a second output holds its index.
    Max,
    /// The mean; whether the padding counts as zeros.
    Average {
        /// `count_include_pad`.
        count_include_pad: bool,
    },
    /// The p-norm.
    Lp {
        /// `p`.
        p: i64,
    },
}

/// A pool. Input and output (N, C, *spatial*).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// What a window is reduced to.
    pub kind: PoolKind,
    /// Kernel, stride, dilation and padding.
    pub window: WindowAttrs,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let kind = match node.op.as_str() {
        "AveragePool" => PoolKind::Average {
            count_include_pad: attrs.int("count_include_pad").unwrap_or(0) != 0,
        },
        // Opset 1 has a float p.
        #[allow(clippy::cast_possible_truncation)]
        "LpPool" => PoolKind::Lp {
            p: attrs
                .int("p")
                .or_else(|| attrs.float("p").map(|p| p as i64))
                .unwrap_or(2),
        },
        _ => PoolKind::Max,
    };
    Ok(Box::new(Pool {
        kind,
        window: WindowAttrs::parse(attrs)?,
    }))
}

impl Pool {
    fn window_of(&self, cx: &Cx) -> Result<Window, Gap> {
        let shape = cx.shape(0)?;
        if shape.len() < 3 {
            return Err(Gap::new(format!("an input of rank {}", shape.len())));
        }
        self.window.gather(&shape[2..], None)
    }
}

/// One operation for each element of each window: ∏out·∏k; no MACs.
pub(super) fn pool_cost(window: &Window, output: &[Expr]) -> Cost {
    let taps: Expr = window.axes.iter().map(|a| Expr::from(a.kernel)).product();
    Cost {
        macs: Expr::default(),
        flops: output.iter().product::<Expr>() * taps,
    }
}

impl Operator for Pool {
    fn gate(&self, cx: &Cx) -> Option<Gate> {
        match self.kind {
            PoolKind::Max => self.window_of(cx).ok().map(Gate::Largest),
            _ => None,
        }
    }

    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let window = self.window_of(cx)?;
        let mut shape = cx.shape(0)?[..2].to_vec();
        shape.extend(window.axes.into_iter().map(|a| a.output));
        let mut out = vec![Fact::new(same_type(cx), shape.clone())];
        if self.kind == PoolKind::Max && cx.outputs > 1 {
            out.push(Fact::new(Some(DataType::Int64), shape));
        }
        Ok(out)
    }

    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(pool_cost(&self.window_of(cx)?, out[0].known_shape()?))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::window(&self.window_of(cx)?, false)?))
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        self.window_of(cx).ok()
    }

    fn emit(&self) -> Attrs {
        let attrs = self.window.emit();
        match self.kind {
            PoolKind::Average {
                count_include_pad: true,
            } => attrs.with("count_include_pad", Attr::Int(1)),
            PoolKind::Lp { p } => attrs.with("p", Attr::Int(p)),
            _ => attrs,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact};

    #[test]
    fn a_pool_rounds_up_but_starts_no_window_in_the_right_padding() {
        let x = fact("1 4 H 4");
        let case = |k: i64, pad: i64| {
            Case::new("MaxPool", 12)
                .ints("kernel_shape", &[k, k])
                .ints("strides", &[2, 2])
                .ints("pads", &[0, 0, pad, pad])
                .int("ceil_mode", 1)
                .on(&[&x])
                .shapes()
        };
        assert_eq!(case(3, 0), ["1 4 floor((H)/2) 2"]);
        assert_eq!(case(1, 0), ["1 4 floor((H + 1)/2) 2"]);
        assert_eq!(case(2, 1), ["1 4 floor((H + 1)/2) 2"]);
    }

    #[test]
    fn indices_and_operations() {
        let x = fact("2 3 32 32");
        let case = Case::new("MaxPool", 8)
            .ints("kernel_shape", &[2, 2])
            .ints("strides", &[2, 2])
            .outputs(2)
            .on(&[&x]);
        let out = case.infer().unwrap();
        assert_eq!(out[1].dtype, Some(DataType::Int64));
        assert_eq!(case.shapes(), ["2 3 16 16", "2 3 16 16"]);
        assert_eq!(case.work(), ("0".into(), (2 * 3 * 16 * 16 * 4).to_string()));
    }
}
