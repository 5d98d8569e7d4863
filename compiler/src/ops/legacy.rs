//! Operators that the standard dropped and that runtimes still read:
//! `ImageScaler`, `Affine`, `Scale` (pre-processing of old Core ML and Caffe2
//! exports) and `Crop`.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// x · scale + bias: `ImageScaler` with a bias a channel, `Affine` with one for
/// all, `Scale` without.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Linear {
    operations: i64,
}

/// (N, C, H, W) without its borders.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Crop {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
    /// Height and width of what is kept, in place of the right and bottom border.
    size: Option<(i64, i64)>,
}

/// Reads the node.
///
/// # Errors
/// A `border` that is not four non-negative numbers.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    match node.op.as_str() {
        "Crop" => match node.attrs.ints("border") {
            Some(&[left, top, right, bottom]) if left.min(top).min(right).min(bottom) >= 0 => {
                Ok(Box::new(Crop {
                    left,
                    top,
                    right,
                    bottom,
                    size: match node.attrs.ints("scale") {
                        Some(&[height, width]) => Some((height, width)),
                        _ => None,
                    },
                }))
            }
            _ => Err(Gap::new("border must be four non-negative numbers")),
        },
        "Scale" => Ok(Box::new(Linear { operations: 1 })),
        _ => Ok(Box::new(Linear { operations: 2 })),
    }
}

impl Operator for Linear {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut out = Fact::unranked(same_type(cx));
        out.shape.clone_from(&cx.input(0)?.shape);
        Ok(vec![out])
    }

    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(cx.shape(0)?, self.operations))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(cx.shape(0)?.len())))
    }
}

impl Operator for Crop {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let [n, c, h, w] = cx.shape(0)? else {
            return Err(Gap::new("an input that is not of rank 4"));
        };
        let (height, width): (Expr, Expr) = match self.size {
            Some((height, width)) => (height.into(), width.into()),
            None => (
                h.clone() - self.top.saturating_add(self.bottom).into(),
                w.clone() - self.left.saturating_add(self.right).into(),
            ),
        };
        if [&height, &width]
            .iter()
            .any(|e| e.as_const().is_some_and(|v| v < 0))
        {
            return Err(Gap::new("the border is larger than the input"));
        }
        let shape = vec![n.clone(), c.clone(), height, width];
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(4);
        for (axis, start) in [(2, self.top), (3, self.left)] {
            path.axes[axis] = AxisReach::Follow {
                axis,
                map: Map::shift(start, 1),
            };
        }
        Ok(Reach::first(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn crops_by_border_or_size() {
        let x = fact("N 3 H 20");
        let case = Case::new("Crop", 1).ints("border", &[1, 2, 3, 4]).on(&[&x]);
        assert_eq!(case.shapes(), ["N 3 H - 6 16"]);
        let reach = case.reach().unwrap();
        let start = |axis| reach.0[0].as_ref().unwrap().follower(axis).unwrap().1.lo;
        assert_eq!((start(2), start(3)), (2, 1));
        let case = case.ints("scale", &[5, 6]);
        assert_eq!(case.shapes(), ["N 3 5 6"]);
        assert!(
            Case::new("Crop", 1)
                .ints("border", &[1, -2, 3, 4])
                .operator()
                .is_err()
        );
    }

    #[test]
    fn scales_keep_the_shape() {
        let x = fact("1 3 4 4");
        let case = Case::new("ImageScaler", 1).on(&[&x]);
        assert_eq!(case.shapes(), ["1 3 4 4"]);
        assert_eq!(case.work().1, "96");
    }
}
