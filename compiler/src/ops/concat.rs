//! `Concat` (opset 1: along axis 1 unless told; from 4 on the axis is required).

use super::elementwise::agree;
use super::moves::{self, sizes, strides};
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Expr, Node, Tensor};

/// Joins tensors along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

/// Reads the node.
///
/// # Errors
/// The axis is missing.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let axis = node
        .attrs
        .int("axis")
        .or((opset < 4).then_some(1))
        .ok_or_else(|| Gap::new("the attribute axis is missing"))?;
    Ok(Box::new(Concat { axis }))
}

impl Concat {
    fn slots(cx: &Cx) -> Vec<usize> {
        (0..cx.inputs.len()).collect()
    }

    /// Positions in the inputs laid end to end.
    fn plan(&self, cx: &Cx, out: &[usize]) -> Option<Vec<usize>> {
        let at = axis(self.axis, out.len()).ok()?;
        let outer: usize = moves::count(&out[..at])?;
        let mut start = 0usize;
        // For each input: where it starts in the pool, and its elements a row.
        let mut pieces = Vec::new();
        for slot in 0..cx.inputs.len() {
            let shape = sizes(cx.shape(slot).ok()?)?;
            let row = strides(&shape)[at].checked_mul(shape[at])?;
            pieces.push((start, row));
            start = start.checked_add(moves::count(&shape)?)?;
        }
        Some(
            (0..outer)
                .flat_map(|o| {
                    pieces
                        .iter()
                        .flat_map(move |&(start, row)| (0..row).map(move |i| start + o * row + i))
                })
                .collect(),
        )
    }
}

impl Operator for Concat {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(0)?.to_vec();
        let at = axis(self.axis, shape.len())?;
        for slot in 1..cx.inputs.len() {
            let next = cx.shape(slot)?;
            if next.len() != shape.len() {
                return Err(Gap::new(format!(
                    "input {slot} has rank {}, input 0 has {}",
                    next.len(),
                    shape.len()
                )));
            }
            for (i, (size, other)) in shape.iter_mut().zip(next).enumerate() {
                *size = if i == at {
                    size.clone() + other.clone()
                } else {
                    agree(size, other)?
                };
            }
        }
        let out = Fact::new(same_type(cx), shape);
        Ok(vec![moves::carry(cx, &Self::slots(cx), out, |sizes| {
            self.plan(cx, sizes)
        })])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = cx.shape(0)?.len();
        let at = axis(self.axis, rank)?;
        let mut start = Expr::default();
        let mut paths = Vec::new();
        for slot in 0..cx.inputs.len() {
            let mut path = Path::pointwise(rank);
            path.axes[at] = match start.as_i64() {
                Some(start) => AxisReach::Follow {
                    axis: at,
                    map: Map::shift(start.saturating_neg(), 1),
                },
                // After a piece of symbolic size.
                None => AxisReach::Free,
            };
            paths.push(Some(path));
            let size = cx.shape(slot)?.get(at).cloned();
            start += size.ok_or_else(|| Gap::new("the inputs' ranks differ"))?;
        }
        Ok(Reach(paths))
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        Some(vec![moves::fold(cx, &Self::slots(cx), &out[0], |sizes| {
            self.plan(cx, sizes)
        })?])
    }

    fn emit(&self) -> Attrs {
        Attrs::default().with("axis", Attr::Int(self.axis))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact};
    use super::*;
    use crate::ir::DataType;

    #[test]
    fn sizes_add_up_and_pieces_keep_their_places() {
        let (a, b) = (fact("N 3 H ?w"), fact("N 5 H W"));
        let case = Case::new("Concat", 13).int("axis", 1).on(&[&a, &b]);
        assert_eq!(case.shapes(), ["N 8 H W"]);
        let paths = case.reach().unwrap().0;
        let (_, map) = paths[1].as_ref().unwrap().follower(1).unwrap();
        assert_eq!(map, Map::shift(-3, 1));
        assert!(Case::new("Concat", 13).on(&[&a, &b]).operator().is_err());
    }

    #[test]
    fn constants_join() {
        let a = constant(DataType::Float, &[2, 1], &[1.0, 2.0]);
        let b = constant(DataType::Float, &[2, 2], &[3.0, 4.0, 5.0, 6.0]);
        let case = Case::new("Concat", 4).int("axis", -1).on(&[&a, &b]);
        assert_eq!(case.fold().unwrap(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    }
}
