//! What turns or gates the elements of a token: `RotaryEmbedding` (opset 23
//! on) and `SwiGLU` (opset 28 on).

use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gated {
    /// Pairs of elements turned by an angle that grows with the position.
    Rotary,
    /// a · σ(α · a) · b.
    SwiGlu,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "SwiGLU" => Gated::SwiGlu,
        _ => Gated::Rotary,
    }))
}

impl Operator for Gated {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::new(same_type(cx), cx.shape(0)?.to_vec())])
    }

    /// Two products and a sum to turn; a scale, a sigmoid (4) and two products
    /// to gate.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let each = match self {
            Self::Rotary => 3,
            Self::SwiGlu => 7,
        };
        Ok(Cost::pointwise(output_shape(out, 0)?, each))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut path = Path::pointwise(cx.shape(0)?.len());
        Ok(match self {
            Self::SwiGlu => Reach(vec![Some(path.clone()), Some(path)]),
            Self::Rotary => {
                if let Some(last) = path.axes.last_mut() {
                    *last = AxisReach::Free;
                }
                Reach::first(path)
            }
        })
    }

    fn role(&self, slot: usize) -> Role {
        match (self, slot) {
            (Self::Rotary, 1..) => Role::Config,
            _ => Role::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn shapes_stay() {
        let (x, cache) = (fact("2 3 4 8"), fact("50 4"));
        let rotary = Case::new("RotaryEmbedding", 23).on(&[&x, &cache, &cache]);
        assert_eq!(rotary.shapes(), ["2 3 4 8"]);
        let path = rotary.reach().unwrap().0[0].clone().unwrap();
        assert!(path.follower(2).is_some() && path.follower(3).is_none());
        let gated = Case::new("SwiGLU", 28).on(&[&x, &x]);
        assert_eq!(gated.shapes(), ["2 3 4 8"]);
        assert_eq!(gated.work().1, (192 * 7).to_string());
        assert_eq!(gated.reach().unwrap().0.len(), 2);
    }
}
