//! `Scatter`, `ScatterElements`, `ScatterND`, `TensorScatter`: a copy of the
//! data with elements replaced.

use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Replaces elements of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scatter {
    /// The slots of indices and updates.
    indices: usize,
    updates: usize,
    /// Updates are combined with what was there.
    reduction: bool,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let reduction = node.attrs.string("reduction").unwrap_or("none");
    let (indices, updates) = if node.op == "TensorScatter" {
        (2, 1)
    } else {
        (1, 2)
    };
    Ok(Box::new(Scatter {
        indices,
        updates,
        reduction: reduction != "none",
    }))
}

impl Operator for Scatter {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::new(same_type(cx), cx.shape(0)?.to_vec())])
    }

    /// An operation an update where it is combined, else none.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        if self.reduction {
            Ok(Cost::pointwise(cx.shape(self.updates)?, 1))
        } else {
            Ok(Cost::free())
        }
    }

    /// The data position by position; any update may land anywhere.
    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = output_shape(out, 0)?.len();
        let flows = |slot: usize| cx.optional(slot).is_some_and(|f| !f.is_constant());
        let mut paths = vec![Some(Path::pointwise(rank)), None, None];
        for slot in [self.indices, self.updates] {
            // Nothing is replaced by no updates.
            let none = cx
                .shape(slot)
                .is_ok_and(|s| s.iter().any(|d| *d == Expr::default()));
            paths[slot] = (flows(slot) && !none).then(|| Path::global(rank));
        }
        Ok(Reach(paths))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == self.indices {
            Role::Config
        } else {
            Role::Data
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, fact, ints};

    #[test]
    fn the_data_keep_their_place() {
        let (x, at, new) = (fact("N 8"), ints(&[1]), fact("1 8"));
        let case = Case::new("ScatterND", 18)
            .string("reduction", "add")
            .on(&[&x, &at, &new]);
        assert_eq!(case.shapes(), ["N 8"]);
        assert_eq!(case.work().1, "8");
        let paths = case.reach().unwrap().0;
        assert_eq!(paths[0].as_ref().unwrap().follower(1).map(|f| f.0), Some(1));
        assert!(paths[1].is_none(), "constant indices do not flow");
        assert_eq!(paths[2].as_ref().unwrap().follower(1), None);
    }
}
