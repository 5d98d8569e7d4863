//! `QLinearConcat` of onnxruntime's own set.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, type_of};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// The output's scale and zero point, then for each operand the data, scale and
/// zero point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct QuantConcat {
    axis: i64,
}

/// Position of the first operand; the others follow at every third.
const FIRST: usize = 2;

/// Reads the node.
///
/// # Errors
/// No `axis`.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let axis = node.attrs.int("axis");
    let axis = axis.ok_or_else(|| Gap::new("axis is missing"))?;
    Ok(Box::new(QuantConcat { axis }))
}

impl Operator for QuantConcat {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(FIRST)?.to_vec();
        let axis = axis(self.axis, shape.len())?;
        for slot in (FIRST + 3..cx.inputs.len()).step_by(3) {
            let other = cx.shape(slot)?;
            if other.len() != shape.len() {
                return Err(Gap::new("operands of different rank"));
            }
            for (i, size) in other.iter().enumerate() {
                if i == axis {
                    shape[i] += size.clone();
                } else if shape[i].as_const().is_none() {
                    shape[i] = size.clone();
                }
            }
        }
        Ok(vec![Fact::new(type_of(cx, 1), shape)])
    }

    /// Each element is quantized anew: a factor and a zero point.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(out[0].known_shape()?, 2))
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = out[0].known_shape()?.len();
        let axis = axis(self.axis, rank)?;
        let mut paths = vec![None; cx.inputs.len()];
        let mut start = Expr::default();
        for slot in (FIRST..cx.inputs.len()).step_by(3) {
            let mut path = Path::pointwise(rank);
            path.axes[axis] = match start.as_i64() {
                Some(start) => AxisReach::Follow {
                    axis,
                    map: Map::shift(start.saturating_neg(), 1),
                },
                None => AxisReach::Free,
            };
            paths[slot] = Some(path);
            start += cx.shape(slot)?[axis].clone();
        }
        Ok(Reach(paths))
    }

    fn role(&self, slot: usize) -> Role {
        if slot >= FIRST && (slot - FIRST).is_multiple_of(3) {
            Role::Data
        } else {
            Role::Config
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn operands_are_every_third() {
        let (a, b) = (
            typed(DataType::Uint8, "N 8 4 4"),
            typed(DataType::Uint8, "N 3 4 4"),
        );
        let (s, z) = (fact(""), typed(DataType::Uint8, ""));
        let case = Case::new("com.microsoft::QLinearConcat", 1)
            .int("axis", 1)
            .on(&[&s, &z, &a, &s, &z, &b, &s, &z]);
        assert_eq!(case.shapes(), ["N 11 4 4"]);
        let reach = case.reach().unwrap();
        let (_, map) = reach.0[5].as_ref().unwrap().follower(1).unwrap();
        assert_eq!(map.back(8, 8), (0, 0));
    }
}
