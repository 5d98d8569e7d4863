//! Pooling over the whole plane: `GlobalAveragePool`, `GlobalMaxPool`,
//! `GlobalLpPool` (opset 1 on).

use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// A pool over all spatial axes. Input (N, C, *spatial*), output (N, C, 1, …).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalPool;

/// Reads the node; what the plane is reduced to changes neither shape, cost nor reach.
///
/// # Errors
/// None.
pub fn parse(_node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(GlobalPool))
}

impl Operator for GlobalPool {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(0)?.to_vec();
        if shape.len() < 2 {
            return Err(Gap::new(format!("an input of rank {}", shape.len())));
        }
        shape[2..].fill(1.into());
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// One operation an input element.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(cx.shape(0)?, 1))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(cx.shape(0)?.len());
        path.axes[2..].fill(AxisReach::Free);
        Ok(Reach::first(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn keeps_the_rank() {
        let x = fact("N 512 7 W");
        let case = Case::new("GlobalAveragePool", 1).on(&[&x]);
        assert_eq!(case.shapes(), ["N 512 1 1"]);
        assert_eq!(case.work().1, "3584*N*W");
        assert!(
            Case::new("GlobalMaxPool", 1)
                .on(&[&fact("4")])
                .infer()
                .is_err()
        );
    }
}
