//! `DepthToSpace` (opset 1 on) and `SpaceToDepth` (opset 1 on): channels become
//! blocks of pixels and back.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// (N, C·b², H, W) to (N, C, b·H, b·W), or the reverse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DepthSpace {
    block: i64,
    to_space: bool,
}

/// Reads the node; the order of the channels (`mode`) changes no shape and no reach.
///
/// # Errors
/// No positive `blocksize`.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    match node.attrs.int("blocksize") {
        Some(block) if (1..=1 << 20).contains(&block) => Ok(Box::new(DepthSpace {
            block,
            to_space: node.op == "DepthToSpace",
        })),
        _ => Err(Gap::new("blocksize is missing or out of range")),
    }
}

impl Operator for DepthSpace {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let [n, c, h, w] = cx.shape(0)? else {
            return Err(Gap::new("an input that is not of rank 4"));
        };
        let (b, square) = (self.block, self.block * self.block);
        let shape = if self.to_space {
            let channels = c.floor_div(square);
            vec![
                n.clone(),
                channels,
                h.clone() * b.into(),
                w.clone() * b.into(),
            ]
        } else {
            let channels = c.clone() * square.into();
            vec![n.clone(), channels, h.floor_div(b), w.floor_div(b)]
        };
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    /// To depth, the hull over the channels: each of them takes one pixel of the block.
    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let map = if self.to_space {
            Map::repeat(self.block)
        } else {
            Map {
                stride: self.block,
                upsample: 1,
                lo: 0,
                hi: self.block - 1,
            }
        };
        let mut path = Path::pointwise(4);
        path.axes[1] = AxisReach::Free;
        for axis in 2..4 {
            path.axes[axis] = AxisReach::Follow { axis, map };
        }
        Ok(Reach::first(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn there_and_back() {
        let (x, y) = (fact("N 36 H 5"), fact("N 4 3*H 15"));
        let case = Case::new("DepthToSpace", 11).int("blocksize", 3).on(&[&x]);
        assert_eq!(case.shapes(), ["N 4 3*H 15"]);
        let reach = case.reach().unwrap();
        let map = reach.0[0].as_ref().unwrap().follower(3).unwrap().1;
        assert_eq!([map.back(5, 5), map.back(6, 6)], [(1, 1), (2, 2)]);
        let case = Case::new("SpaceToDepth", 1).int("blocksize", 3).on(&[&y]);
        assert_eq!(case.shapes()[0].split(' ').nth(1), Some("36"));
        assert!(Case::new("SpaceToDepth", 1).operator().is_err());
    }
}
