//! `GridSample` (opset 16 on) and `AffineGrid` (opset 20 on): sampling at
//! places that the network computes, and the places of an affine map.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// Input (N, C, *in*) and grid (N, *out*, spatial rank) give (N, C, *out*).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GridSample {
    /// Elements an axis that a sample weighs.
    taps: i64,
}

/// theta (N, d, d + 1) and size (N, C, *spatial*) give (N, *spatial*, d).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AffineGrid;

/// Reads the node.
///
/// # Errors
/// An unknown `mode`.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    if node.op == "AffineGrid" {
        return Ok(Box::new(AffineGrid));
    }
    let taps = match node.attrs.string("mode").unwrap_or("linear") {
        "nearest" => 1,
        "linear" | "bilinear" => 2,
        "cubic" | "bicubic" => 4,
        other => return Err(Gap::new(format!("mode {other:?} is not known"))),
    };
    Ok(Box::new(GridSample { taps }))
}

impl Operator for GridSample {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (x, grid) = (cx.shape(0)?, cx.shape(1)?);
        if x.len() < 3 || x.len() != grid.len() {
            return Err(Gap::new(format!(
                "an input of rank {} with a grid of rank {}",
                x.len(),
                grid.len()
            )));
        }
        let mut shape = x[..2].to_vec();
        shape.extend_from_slice(&grid[1..grid.len() - 1]);
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// A multiplication and an addition a tap; nothing for nearest.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let axes = u32::try_from(cx.shape(0)?.len() - 2).unwrap_or(u32::MAX);
        let taps = match self.taps {
            1 => 0,
            n => n.saturating_pow(axes),
        };
        Ok(Cost::pointwise(
            out[0].known_shape()?,
            taps.saturating_mul(2),
        ))
    }

    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = out[0].known_shape()?.len();
        let mut image = Path::pointwise(rank);
        image.axes[2..].fill(AxisReach::Free);
        let mut grid = Path::pointwise(rank);
        grid.axes[1] = AxisReach::Free;
        for axis in 2..rank {
            grid.axes[axis] = AxisReach::Follow {
                axis: axis - 1,
                map: Map::IDENTITY,
            };
        }
        Ok(Reach(vec![Some(image), Some(grid)]))
    }
}

impl Operator for AffineGrid {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let known = cx.ints(1).ok().flatten();
        let rank = match &known {
            Some(size) => Some(size.len()),
            None => cx.shape(1)?.first().and_then(|e| e.as_usize()),
        };
        let rank = rank
            .filter(|r| (4..=5).contains(r))
            .ok_or_else(|| Gap::new("the size's length is not 4 or 5"))?;
        let size = known.unwrap_or_else(|| (0..rank).map(|i| cx.unknown(i)).collect());
        let mut shape = vec![size[0].clone()];
        shape.extend_from_slice(&size[2..]);
        shape.push((rank - 2).into());
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// d multiplications and d additions an element.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let shape = out[0].known_shape()?;
        let axes = i64::try_from(shape.len().saturating_sub(2)).unwrap_or(0);
        Ok(Cost::pointwise(shape, 2 * axes))
    }

    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::global(out[0].known_shape()?.len());
        path.axes[0] = AxisReach::Follow {
            axis: 0,
            map: Map::IDENTITY,
        };
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 1 { Role::Config } else { Role::Data }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact, ints};

    #[test]
    fn places_and_samples() {
        let (theta, size) = (fact("2 2 3"), ints(&[2, 3, 5, 6]));
        let case = Case::new("AffineGrid", 20).on(&[&theta, &size]);
        assert_eq!(case.shapes(), ["2 5 6 2"]);
        let (x, grid) = (fact("N 3 8 8"), fact("N 5 6 2"));
        let case = Case::new("GridSample", 16)
            .string("mode", "bilinear")
            .on(&[&x, &grid]);
        assert_eq!(case.shapes(), ["N 3 5 6"]);
        assert_eq!(case.work().1, format!("{}*N", 3 * 30 * 8));
        let reach = case.reach().unwrap();
        assert_eq!(reach.0[1].as_ref().unwrap().follower(1).unwrap().0, 2);
    }
}
