//! `RNN`, `GRU`, `LSTM` (opset 1 on).

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// A recurrent layer. Input (length, batch, size), or batch first with `layout`
/// 1; weights (directions, gates·hidden, size), recurrence (directions,
/// gates·hidden, hidden). Outputs: every state, the last one, and an LSTM's last cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrent {
    gates: i64,
    directions: i64,
    hidden: Option<i64>,
    batch_first: bool,
}

/// Reads the node.
///
/// # Errors
/// An unknown `direction` or a `hidden_size` that is not positive.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let hidden = attrs.int("hidden_size");
    if hidden.is_some_and(|h| h < 1) {
        return Err(Gap::new("hidden_size must be positive"));
    }
    let direction = attrs.string("direction").unwrap_or("forward");
    Ok(Box::new(Recurrent {
        gates: match node.op.as_str() {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        },
        directions: match direction.to_ascii_lowercase().as_str() {
            "forward" | "reverse" => 1,
            "bidirectional" => 2,
            other => return Err(Gap::new(format!("direction {other:?} is not known"))),
        },
        hidden,
        batch_first: attrs.int("layout").unwrap_or(0) != 0,
    }))
}

impl Recurrent {
    /// Length, batch, input size, hidden size.
    fn sizes(&self, cx: &Cx) -> Result<[Expr; 4], Gap> {
        let [first, second, size] = cx.shape(0)? else {
            return Err(Gap::new("an input that is not of rank 3"));
        };
        let (length, batch) = if self.batch_first {
            (second, first)
        } else {
            (first, second)
        };
        let hidden = match self.hidden {
            Some(hidden) => hidden.into(),
            None => cx
                .shape(2)?
                .last()
                .cloned()
                .ok_or_else(|| Gap::new("a recurrence of rank 0"))?,
        };
        Ok([length.clone(), batch.clone(), size.clone(), hidden])
    }
}

impl Operator for Recurrent {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let [length, batch, _, hidden] = self.sizes(cx)?;
        let directions = Expr::from(self.directions);
        let (all, last) = if self.batch_first {
            (
                vec![batch.clone(), length, directions.clone(), hidden.clone()],
                vec![batch, directions, hidden],
            )
        } else {
            (
                vec![length, directions.clone(), batch.clone(), hidden.clone()],
                vec![directions, batch, hidden],
            )
        };
        let dtype = same_type(cx);
        let mut out = vec![Fact::new(dtype, all), Fact::new(dtype, last.clone())];
        if self.gates == 4 {
            out.push(Fact::new(dtype, last));
        }
        Ok(out)
    }

    /// length·batch·directions·gates·hidden·(size + hidden) MACs; besides, a
    /// step costs 4 FLOPs a gate and unit: biases, activation, combination.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        let [length, batch, size, hidden] = self.sizes(cx)?;
        let units = length * batch * (self.directions * self.gates).into() * hidden.clone();
        let macs = units.clone() * (size + hidden);
        Ok(Cost {
            flops: macs.clone() * 2.into() + units * 4.into(),
            macs,
        })
    }

    /// A state reads all of the sequence before it: the axis as a whole.
    fn reach(&self, _cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let rank = out
            .get(output)
            .ok_or_else(|| Gap::new("no such output"))?
            .known_shape()?
            .len();
        let (from, to) = match (self.batch_first, output) {
            (true, _) => (0, 0),
            (false, 0) => (1, 2),
            (false, _) => (1, 1),
        };
        let mut path = Path::global(rank);
        // The shape may be the model's claim.
        let batch = path.axes.get_mut(to);
        *batch.ok_or_else(|| Gap::new(format!("output {output} has the rank {rank}")))? =
            AxisReach::Follow {
                axis: from,
                map: Map::IDENTITY,
            };
        Ok(Reach::first(path))
    }

    /// Input, weights, recurrence, bias, lengths, first state, first cell, peepholes.
    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            1 | 2 | 7 => Role::Weight,
            3 => Role::Bias,
            _ => Role::Config,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn every_state_and_the_last() {
        let (x, w, r) = (fact("L N 32"), fact("2 64 32"), fact("2 64 16"));
        let case = Case::new("LSTM", 14)
            .string("direction", "bidirectional")
            .int("hidden_size", 16)
            .on(&[&x, &w, &r]);
        assert_eq!(case.shapes(), ["L 2 N 16", "2 N 16", "2 N 16"]);
        assert_eq!(case.work().0, format!("{}*L*N", 2 * 64 * 48));
        let case = Case::new("GRU", 14).int("layout", 1).on(&[&x, &w, &r]);
        assert_eq!(case.shapes(), ["L N 1 16", "L 1 16"]);
    }
}
