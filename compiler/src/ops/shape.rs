//! `Shape` and `Size`: where symbolic sizes become elements.

use std::any::Any;

use super::{Cost, Cx, Gap, Operator, Reach, Role};
use crate::facts::Fact;
use crate::ir::{DataType, Node};

/// The sizes of a tensor as elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShapeOf {
    /// One element an axis, from `start` to before `end` (opset 15 on).
    Shape {
        /// The first axis.
        start: i64,
        /// The axis after the last.
        end: Option<i64>,
    },
    /// Their product.
    Size,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "Size" => ShapeOf::Size,
        _ => ShapeOf::Shape {
            start: node.attrs.int("start").unwrap_or(0),
            end: node.attrs.int("end"),
        },
    }))
}

/// A bound of a range of axes, counted from the end if negative, clamped.
fn clamp(bound: i64, rank: usize) -> usize {
    let rank_signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let bound = if bound < 0 {
        bound.saturating_add(rank_signed)
    } else {
        bound
    };
    usize::try_from(bound.max(0)).unwrap_or(rank).min(rank)
}

impl Operator for ShapeOf {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        Ok(vec![match self {
            Self::Size => {
                Fact::new(Some(DataType::Int64), Vec::new()).with_ints(vec![shape.iter().product()])
            }
            Self::Shape { start, end } => {
                let first = clamp(*start, shape.len());
                let last = end.map_or(shape.len(), |e| clamp(e, shape.len()));
                let sizes = shape.get(first..last).unwrap_or_default().to_vec();
                Fact::new(Some(DataType::Int64), vec![sizes.len().into()]).with_ints(sizes)
            }
        }])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::none())
    }

    fn role(&self, _slot: usize) -> Role {
        Role::Config
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
