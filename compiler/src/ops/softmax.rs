//! `Softmax`, `LogSoftmax`, `Hardmax`: over one axis (opset 13 on), over all
//! axes from one on (before).

use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, axis, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// Normalizes along axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis, or the first of them.
    pub axis: i64,
    /// All axes from `axis` on are normalized together.
    pub flat: bool,
    /// Operations an element: exponential, sum and division; one comparison
    /// for `Hardmax`.
    operations: i64,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let flat = opset < 13;
    Ok(Box::new(Softmax {
        axis: node.attrs.int("axis").unwrap_or(if flat { 1 } else { -1 }),
        flat,
        operations: if node.op == "Hardmax" { 1 } else { 3 },
    }))
}

impl Operator for Softmax {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::new(same_type(cx), cx.shape(0)?.to_vec())])
    }

    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(output_shape(out, 0)?, self.operations))
    }

    /// The axes that are normalized are read as a whole. Of a map whose planes
    /// are normalized (axes after the channels, more than the last, which may
    /// hold the channels), the local path stays and the planes are context.
    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let shape = cx.shape(0)?;
        let rank = shape.len();
        let first = match usize::try_from(self.axis) {
            Ok(a) if self.flat && a == rank => rank,
            _ => axis(self.axis, rank)?,
        };
        let last = if self.flat { rank } else { first + 1 };
        let mut path = Path::pointwise(rank);
        for i in (first..last).filter(|&i| shape[i].as_const() != Some(1)) {
            if i >= 2 && first + 1 < rank {
                path.context = true;
            } else {
                path.axes[i] = AxisReach::Free;
            }
        }
        Ok(Reach::first(path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, fact};

    #[test]
    fn what_is_normalized_is_read_as_a_whole() {
        let x = fact("N 10 8 8");
        let path = |opset, axis| {
            let case = Case::new("Softmax", opset).int("axis", axis).on(&[&x]);
            let path = case.reach().unwrap().0[0].clone().unwrap();
            (
                path.follower(1).is_some(),
                path.follower(2).is_some(),
                path.context,
            )
        };
        assert_eq!(path(13, 1), (false, true, false));
        assert_eq!(
            path(11, 1),
            (false, true, true),
            "the planes are normalized too"
        );
        assert_eq!(path(13, 2), (true, true, true));
        assert_eq!(path(13, -1), (true, true, false));
        assert_eq!(Case::new("Softmax", 13).on(&[&x]).work().1, "1920*N");
    }
}
