//! `LRN` (opset 1 on): local response normalization, a window over channels.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// x / (bias + alpha / size · Σ x²)^beta, the sum over `size` channels around.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lrn {
    size: i64,
}

/// Reads the node.
///
/// # Errors
/// No positive `size`.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    match node.attrs.int("size") {
        Some(size) if size > 0 => Ok(Box::new(Lrn { size })),
        _ => Err(Gap::new("size is missing or not positive")),
    }
}

impl Operator for Lrn {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?.to_vec();
        if shape.len() < 2 {
            return Err(Gap::new(format!("an input of rank {}", shape.len())));
        }
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// An element: its square 1, the sum `size`, scale, bias, power and division 4.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(
            out[0].known_shape()?,
            self.size.saturating_add(5),
        ))
    }

    /// Channels c − ⌊(size − 1)/2⌋ to c + ⌈(size − 1)/2⌉, the same place.
    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(cx.shape(0)?.len());
        let before = (self.size - 1) / 2;
        path.axes[1] = AxisReach::Follow {
            axis: 1,
            map: Map {
                lo: -before,
                hi: self.size - 1 - before,
                ..Map::IDENTITY
            },
        };
        Ok(Reach::first(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn is_pointwise_in_space() {
        let x = fact("1 96 55 55");
        let case = Case::new("LRN", 1).int("size", 4).on(&[&x]);
        let path = case.reach().unwrap().0[0].clone().unwrap();
        let (_, map) = path.follower(1).unwrap();
        assert_eq!(map.back(10, 10), (9, 12));
        assert_eq!(path.follower(3).unwrap().1.back(10, 10), (10, 10));
        assert_eq!(case.work().1, (96 * 55 * 55 * 9).to_string());
        assert!(
            Case::new("LRN", 1)
                .int("size", 0)
                .on(&[&x])
                .operator()
                .is_err()
        );
    }
}
