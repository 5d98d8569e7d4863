//! `Col2Im` (opset 18 on): columns of blocks summed into an image.

use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Columns (N, C·∏block, blocks), image shape and block shape give (N, C, *image*).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Col2Im;

/// Reads the node; strides, pads and dilations change no shape.
///
/// # Errors
/// None.
pub fn parse(_node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(Col2Im))
}

impl Operator for Col2Im {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let columns = cx.shape(0)?;
        if columns.len() != 3 {
            return Err(Gap::new(format!("columns of rank {}", columns.len())));
        }
        let block = cx.ints(2).ok().flatten();
        let taps = block.and_then(|b| b.iter().product::<Expr>().as_i64());
        let channels = match taps {
            Some(taps) if taps > 0 => columns[1].floor_div(taps),
            _ => cx.unknown(1),
        };
        let image = match cx.ints(1).ok().flatten() {
            Some(image) => image,
            None => {
                let rank = cx.shape(1)?.first().and_then(Expr::as_usize);
                let rank = rank
                    .filter(|&r| r <= 16)
                    .ok_or_else(|| Gap::new("the image's rank is not known"))?;
                (0..rank).map(|i| cx.unknown(i + 2)).collect()
            }
        };
        let mut shape = vec![columns[0].clone(), channels];
        shape.extend(image);
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// An addition for each element of the columns.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(cx.shape(0)?, 1))
    }

    /// The axis of the blocks holds all places: it is read as a whole.
    fn reach(&self, _cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(out[0].known_shape()?.len());
        path.axes[1..].fill(AxisReach::Free);
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact, ints};

    #[test]
    fn blocks_become_an_image() {
        let (x, image, block) = (fact("N 18 25"), ints(&[5, 5]), ints(&[3, 3]));
        let case = Case::new("Col2Im", 18).on(&[&x, &image, &block]);
        assert_eq!(case.shapes(), ["N 2 5 5"]);
        assert_eq!(case.work().1, "450*N");
    }
}
