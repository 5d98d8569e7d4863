//! `Expand` (broadcast to a shape) and `Tile` (repeat along axes).

use super::elementwise::broadcast;
use super::moves::{self, offsets, sizes, spread, strides};
use super::reach::broadcast_path;
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, axis, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node, Shape, Tensor};

/// Repeats a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expand {
    /// Axes of size 1 are stretched to a shape.
    Broadcast,
    /// Axes are repeated, each a number of times (opset 6 on).
    Tile,
    /// One axis is repeated (`tiles` and `axis` as inputs, opset 1).
    TileAxis,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "Tile" if opset < 6 => Expand::TileAxis,
        "Tile" => Expand::Tile,
        _ => Expand::Broadcast,
    }))
}

impl Expand {
    fn shape(self, cx: &Cx) -> Result<Shape, Gap> {
        let input = cx.shape(0)?;
        let unknown = |rank: usize| (0..rank).map(|i| cx.unknown(i)).collect::<Shape>();
        match self {
            Self::Broadcast => match cx.ints(1) {
                Ok(wanted) => {
                    let wanted = wanted.ok_or_else(|| Gap::new("the shape is missing"))?;
                    broadcast(&[input, &wanted])
                }
                Err(gap) => {
                    let rank = cx.shape(1)?.first().and_then(Expr::as_usize);
                    let rank = rank.filter(|&r| r <= 64).ok_or(gap)?;
                    Ok(unknown(rank.max(input.len())))
                }
            },
            Self::Tile => {
                let Ok(repeats) = cx.ints(1) else {
                    return Ok(unknown(input.len()));
                };
                let repeats = repeats.ok_or_else(|| Gap::new("the repeats are missing"))?;
                if repeats.len() != input.len() {
                    return Err(Gap::new(format!(
                        "{} repeats for {} axes",
                        repeats.len(),
                        input.len()
                    )));
                }
                let times = input.iter().zip(repeats);
                Ok(times.map(|(size, n)| size.clone() * n).collect())
            }
            Self::TileAxis => {
                let number = |slot| -> Result<Option<Expr>, Gap> {
                    Ok(cx.ints(slot)?.and_then(|v| v.into_iter().next()))
                };
                let mut shape = input.to_vec();
                let (Ok(Some(tiles)), Ok(Some(at))) = (number(1), number(2)) else {
                    return Ok(unknown(input.len()));
                };
                let at = at
                    .as_i64()
                    .ok_or_else(|| Gap::new("the axis is no number"))?;
                let at = axis(at, shape.len())?;
                shape[at] = shape[at].clone() * tiles;
                Ok(shape)
            }
        }
    }

    fn plan(self, cx: &Cx, out: &[usize]) -> Option<Vec<usize>> {
        let input = sizes(cx.shape(0).ok()?)?;
        if self == Self::Broadcast {
            return Some(spread(&input, out));
        }
        let strides = strides(&input);
        let tables: Vec<Vec<usize>> = out
            .iter()
            .enumerate()
            .map(|(i, &size)| {
                (0..size)
                    .map(|p| (p % input[i].max(1)).saturating_mul(strides[i]))
                    .collect()
            })
            .collect();
        Some(offsets(&tables))
    }
}

impl Operator for Expand {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let out = Fact::new(same_type(cx), self.shape(cx)?);
        Ok(vec![moves::carry(cx, &[0], out, |s| self.plan(cx, s))])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let (input, output) = (cx.shape(0)?, output_shape(out, 0)?);
        if *self == Self::Broadcast {
            return Ok(Reach::first(broadcast_path(input, output)));
        }
        let mut path = Path::pointwise(output.len());
        for (reach, (old, new)) in path.axes.iter_mut().zip(input.iter().zip(output)) {
            if old != new {
                *reach = AxisReach::Free;
            }
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let folded = moves::fold(cx, &[0], &out[0], |sizes| self.plan(cx, sizes))?;
        Some(vec![folded])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use super::*;
    use crate::ir::DataType;

    #[test]
    fn stretched_axes_follow_nothing() {
        let (x, to, times) = (fact("N 3 1 8"), ints(&[1, 4, 1]), ints(&[1, 2, 1, 1]));
        let case = Case::new("Expand", 13).on(&[&x, &to]);
        assert_eq!(case.shapes(), ["N 3 4 8"]);
        let path = case.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.axes[2], AxisReach::Free);
        let tile = Case::new("Tile", 6).on(&[&x, &times]);
        assert_eq!(tile.shapes(), ["N 6 1 8"]);
        let unknown = fact("3");
        assert_eq!(
            Case::new("Expand", 13).on(&[&x, &unknown]).shapes(),
            ["?node.0 ?node.1 ?node.2 ?node.3"]
        );
    }

    #[test]
    fn constants_repeat() {
        let x = constant(DataType::Int32, &[2, 1], &[1.0, 2.0]);
        let (to, times) = (ints(&[2, 2]), ints(&[2, 2]));
        let expand = Case::new("Expand", 8).on(&[&x, &to]);
        assert_eq!(expand.fold().unwrap(), [1.0, 1.0, 2.0, 2.0]);
        let tile = Case::new("Tile", 6).on(&[&x, &times]);
        assert_eq!(
            tile.fold().unwrap(),
            [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]
        );
    }
}
