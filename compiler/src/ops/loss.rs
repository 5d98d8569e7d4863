//! Losses of a classifier: `NegativeLogLikelihoodLoss` (opset 12 on) and
//! `SoftmaxCrossEntropyLoss` (opset 12 on).

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Scores (N, C, D1, D2, ...), targets (N, D1, D2, ...) and a weight a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// One number, over all samples.
    reduced: bool,
    /// Scores become logarithms of probabilities first, a second output.
    softmax: bool,
}

/// Reads the node.
///
/// # Errors
/// A reduction that the standard does not have.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let reduced = match node.attrs.string("reduction").unwrap_or("mean") {
        "none" => false,
        "mean" | "sum" => true,
        other => return Err(Gap::new(format!("reduction {other:?} is not known"))),
    };
    Ok(Box::new(Loss {
        reduced,
        softmax: node.op == "SoftmaxCrossEntropyLoss",
    }))
}

impl Operator for Loss {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (scores, targets) = (cx.shape(0)?, cx.shape(1)?);
        if scores.len() < 2 || scores.len() != targets.len() + 1 {
            let (s, t) = (scores.len(), targets.len());
            return Err(Gap::new(format!("scores of rank {s}, targets of rank {t}")));
        }
        let loss = if self.reduced {
            Vec::new()
        } else {
            targets.to_vec()
        };
        Ok(vec![
            Fact::new(same_type(cx), loss),
            Fact::new(same_type(cx), scores.to_vec()),
        ])
    }

    /// Five operations a score for its logarithm of a probability; a target
    /// takes its weight times a score, and is added.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        let scores = Cost::pointwise(cx.shape(0)?, if self.softmax { 5 } else { 0 });
        let targets = Cost::pointwise(cx.shape(1)?, 2);
        Ok(Cost {
            macs: Expr::default(),
            flops: scores.flops + targets.flops,
        })
    }

    /// A place of the loss reads all classes of that place.
    fn reach(&self, cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let rank = output_shape(out, output)?.len();
        if output == 1 {
            let mut path = Path::pointwise(rank);
            path.axes[1] = AxisReach::Free;
            return Ok(Reach::first(path));
        }
        if self.reduced {
            return Ok(Reach(vec![Some(Path::global(0)), Some(Path::global(0))]));
        }
        let classes = cx.shape(0)?.len() - 1;
        let follow = |o: usize| AxisReach::Follow {
            axis: if o == 0 { 0 } else { o + 1 },
            map: Map::IDENTITY,
        };
        let scores = Path {
            axes: (0..classes).map(follow).collect(),
            ..Path::global(0)
        };
        Ok(Reach(vec![Some(scores), Some(Path::pointwise(rank))]))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 2 { Role::Config } else { Role::Data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn places_stay_apart_unless_reduced() {
        let (scores, targets) = (fact("2 5 7 9"), typed(DataType::Int64, "2 7 9"));
        let none = Case::new("NegativeLogLikelihoodLoss", 13)
            .string("reduction", "none")
            .on(&[&scores, &targets]);
        assert_eq!(none.shapes()[0], "2 7 9");
        let path = none.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.follower(3), Some((2, Map::IDENTITY)));
        assert_eq!(path.follower(1), None);
        let mean = Case::new("SoftmaxCrossEntropyLoss", 13)
            .outputs(2)
            .on(&[&scores, &targets]);
        assert_eq!(mean.shapes(), ["", "2 5 7 9"]);
        assert_eq!(mean.work().1, (5 * 630 + 2 * 126).to_string());
        let wrong = Case::new("NegativeLogLikelihoodLoss", 13).on(&[&scores, &scores]);
        assert!(wrong.infer().is_err());
    }
}
