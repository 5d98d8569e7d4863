//! Operators whose output size depends on the data: `NonZero`, `Compress`,
//! `Unique`, `NonMaxSuppression`.

use super::moves::{count, strides};
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, axis, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Tensor, TensorData};

/// An operator that selects elements by their value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// The indices of elements that are not zero.
    NonZero,
    /// The slices (or, without an axis, elements) where a condition holds.
    Compress(Option<i64>),
    /// The different slices (or elements), where they were first, which is
    /// which, and how often.
    Unique(Option<i64>),
    /// The boxes that remain, as (batch, class, box).
    Boxes,
}

/// Reads the node.
///
/// # Errors
/// Another operator.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let axis = node.attrs.int("axis");
    Ok(Box::new(match node.op.as_str() {
        "NonZero" => Selection::NonZero,
        "Compress" => Selection::Compress(axis),
        "Unique" => Selection::Unique(axis),
        "NonMaxSuppression" => Selection::Boxes,
        other => return Err(Gap::new(format!("{other} selects nothing"))),
    }))
}

impl Selection {
    /// How many slices a constant condition of `Compress` keeps.
    fn kept(cx: &Cx) -> Option<Expr> {
        let condition = cx.optional(1)?.tensor()?;
        count(&condition.shape)?;
        let condition = condition.to_f64()?;
        Some(condition.iter().filter(|v| **v != 0.0).count().into())
    }
}

impl Operator for Selection {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let int64 = |shape| Fact::new(Some(DataType::Int64), shape);
        let input = || cx.shape(0);
        Ok(match self {
            Self::NonZero => {
                // A scalar counts as a vector of one element, with one index.
                let rank = input()?.len().max(1);
                vec![int64(vec![rank.into(), cx.unknown("count")])]
            }
            Self::Compress(at) => {
                let kept = Self::kept(cx).unwrap_or_else(|| cx.unknown("count"));
                let shape = match at {
                    None => vec![kept],
                    Some(at) => {
                        let mut shape = input()?.to_vec();
                        let at = axis(*at, shape.len())?;
                        shape[at] = kept;
                        shape
                    }
                };
                vec![Fact::new(same_type(cx), shape)]
            }
            Self::Unique(at) => {
                let different = cx.unknown("count");
                let mut shape = input()?.to_vec();
                let all = match at {
                    None => {
                        let all = shape.iter().product();
                        shape = vec![different.clone()];
                        all
                    }
                    Some(at) => {
                        let at = axis(*at, shape.len())?;
                        std::mem::replace(&mut shape[at], different.clone())
                    }
                };
                vec![
                    Fact::new(same_type(cx), shape),
                    int64(vec![different.clone()]),
                    int64(vec![all]),
                    int64(vec![different]),
                ]
            }
            Self::Boxes => vec![int64(vec![cx.unknown("count"), 3.into()])],
        })
    }

    /// A comparison an element read. How many boxes are compared with how many
    /// depends on the data.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        match self {
            Self::NonZero | Self::Unique(_) => Ok(Cost::pointwise(cx.shape(0)?, 1)),
            Self::Compress(_) => Ok(Cost::free()),
            Self::Boxes => Err(Gap::new("the number of comparisons depends on the data")),
        }
    }

    /// What is selected may come from anywhere along the axis.
    fn reach(&self, cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let rank = output_shape(out, output)?.len();
        let along = match self {
            Self::Compress(at) | Self::Unique(at) if output == 0 => *at,
            _ => None,
        };
        let path = match along {
            Some(at) => {
                let mut path = Path::pointwise(rank);
                path.axes[axis(at, rank)?] = AxisReach::Free;
                path
            }
            None => Path::global(rank),
        };
        // The scores of boxes and a computed condition flow in as well.
        let second = match (self, cx.optional(1)) {
            (Self::Boxes | Self::Compress(_), Some(f)) if !f.is_constant() => {
                Some(Path::global(rank))
            }
            _ => None,
        };
        Ok(Reach(vec![Some(path), second]))
    }

    fn role(&self, slot: usize) -> Role {
        match (self, slot) {
            (_, 0) | (Self::Boxes, 1) => Role::Data,
            _ => Role::Config,
        }
    }

    /// The indices of the elements of a constant that are not zero.
    fn fold(&self, cx: &Cx, _out: &[Fact]) -> Option<Vec<Tensor>> {
        let data = cx.optional(0)?.tensor()?;
        if *self != Self::NonZero || data.data == TensorData::Absent {
            return None;
        }
        count(&data.shape)?;
        let shape = if data.shape.is_empty() {
            vec![1]
        } else {
            data.shape.clone()
        };
        let values = data.to_f64()?;
        let found: Vec<usize> = (0..values.len()).filter(|&i| values[i] != 0.0).collect();
        let indices: Vec<i64> = strides(&shape)
            .iter()
            .zip(&shape)
            .flat_map(|(&stride, &size)| {
                let index = move |&i: &usize| i / stride.max(1) % size.max(1);
                found.iter().map(index).collect::<Vec<_>>()
            })
            .map(|i| i64::try_from(i).ok())
            .collect::<Option<_>>()?;
        count(&[shape.len(), found.len()])?;
        let tensor = Tensor::from_i64(vec![shape.len(), found.len()], &indices);
        Some(vec![tensor])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact};
    use super::*;

    #[test]
    fn sizes_that_depend_on_data_are_open() {
        let x = fact("N 4");
        assert_eq!(
            Case::new("NonZero", 13).on(&[&x]).shapes(),
            ["2 ?node.count"]
        );
        let unique = Case::new("Unique", 11).outputs(4).on(&[&x]);
        assert_eq!(
            unique.shapes(),
            ["?node.count", "?node.count", "4*N", "?node.count"]
        );
        let keep = constant(DataType::Bool, &[4], &[1.0, 0.0, 1.0, 1.0]);
        let compress = Case::new("Compress", 11).int("axis", 1).on(&[&x, &keep]);
        assert_eq!(compress.shapes(), ["N 3"]);
    }

    #[test]
    fn indices_of_a_constant() {
        let x = constant(DataType::Float, &[2, 3], &[0.0, 1.0, 0.0, 2.0, 0.0, 3.0]);
        let found = Case::new("NonZero", 13).on(&[&x]).fold().unwrap();
        assert_eq!(found, [0.0, 1.0, 1.0, 1.0, 0.0, 2.0]);
    }
}
