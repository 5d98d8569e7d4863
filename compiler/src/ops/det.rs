//! `Det`: the determinants of the matrices in the last two axes.

use super::{Cost, Cx, Gap, Operator, Path, Reach, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Determinants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Det;

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(_node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(Det))
}

impl Operator for Det {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        let kept = shape
            .len()
            .checked_sub(2)
            .ok_or_else(|| Gap::new("the input holds no matrices"))?;
        Ok(vec![Fact::new(same_type(cx), shape[..kept].to_vec())])
    }

    /// ⌊2·m³ / 3⌋ operations a matrix of m rows, by elimination.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let rows = cx.shape(0)?.last().cloned().unwrap_or_default();
        let each = (rows.clone() * rows.clone() * rows * 2.into()).floor_div(3);
        Ok(Cost {
            macs: Expr::default(),
            flops: output_shape(out, 0)?.iter().product::<Expr>() * each,
        })
    }

    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(output_shape(out, 0)?.len())))
    }
}
