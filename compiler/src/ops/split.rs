//! `Split`: sizes as an attribute (opset 2 to 12), as an input (1, 13 on), or a
//! number of equal parts (18 on).

use super::moves::{self, offsets, sizes, strides};
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node, Tensor};

/// Cuts a tensor along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// The axis.
    pub axis: i64,
    /// The parts' sizes, where an attribute gives them.
    pub sizes: Option<Vec<i64>>,
    /// The number of parts, all but the last of equal size.
    pub parts: Option<i64>,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    Ok(Box::new(Split {
        axis: attrs.int("axis").unwrap_or(0),
        sizes: attrs.ints("split").map(<[i64]>::to_vec),
        parts: attrs.int("num_outputs"),
    }))
}

impl Split {
    /// The parts' sizes along the axis.
    fn parts(&self, cx: &Cx) -> Result<Vec<Expr>, Gap> {
        let shape = cx.shape(0)?;
        let whole = &shape[axis(self.axis, shape.len())?];
        let given = match &self.sizes {
            Some(sizes) => Some(sizes.iter().map(|&s| Expr::from(s)).collect()),
            None => match cx.ints(1) {
                Ok(given) => given,
                // The parts are there, only their sizes are not known.
                Err(_) => Some((0..cx.outputs).map(|i| cx.unknown(i)).collect()),
            },
        };
        if let Some(parts) = given {
            if parts.len() < cx.outputs {
                return Err(Gap::new(format!(
                    "{} sizes for {} outputs",
                    parts.len(),
                    cx.outputs
                )));
            }
            return Ok(parts);
        }
        let outputs = i64::try_from(cx.outputs).unwrap_or(i64::MAX);
        let n = self.parts.unwrap_or(outputs);
        if n < outputs || n < 1 {
            return Err(Gap::new(format!("{n} parts for {outputs} outputs")));
        }
        let even = whole.exact_div(&n.into());
        let part = even.unwrap_or_else(|| whole.ceil_div(n));
        let last = whole.clone() - part.clone() * (n - 1).into();
        if last.as_const().is_some_and(|v| v < 0) {
            return Err(Gap::new(format!("{n} parts of an axis of {whole}")));
        }
        Ok((0..outputs)
            .map(|i| {
                if i + 1 < n {
                    part.clone()
                } else {
                    last.clone()
                }
            })
            .collect())
    }

    fn plan(&self, cx: &Cx, output: usize, out: &[usize]) -> Option<Vec<usize>> {
        let input = sizes(cx.shape(0).ok()?)?;
        let at = axis(self.axis, input.len()).ok()?;
        let start: Expr = self.parts(cx).ok()?.into_iter().take(output).sum();
        let (start, strides) = (start.as_usize()?, strides(&input));
        let tables: Vec<Vec<usize>> = out
            .iter()
            .enumerate()
            .map(|(i, &size)| {
                let first = if i == at { start } else { 0 };
                (0..size)
                    .map(|p| p.saturating_add(first).saturating_mul(strides[i]))
                    .collect()
            })
            .collect();
        Some(offsets(&tables))
    }
}

impl Operator for Split {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        let at = axis(self.axis, shape.len())?;
        let parts = self.parts(cx)?.into_iter().take(cx.outputs);
        Ok(parts
            .enumerate()
            .map(|(output, part)| {
                let mut shape = shape.to_vec();
                shape[at] = part;
                moves::carry(cx, &[0], Fact::new(same_type(cx), shape), |sizes| {
                    self.plan(cx, output, sizes)
                })
            })
            .collect())
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let rank = cx.shape(0)?.len();
        let at = axis(self.axis, rank)?;
        let start: Expr = self.parts(cx)?.into_iter().take(output).sum();
        let mut path = Path::pointwise(rank);
        path.axes[at] = match start.as_i64() {
            Some(start) => AxisReach::Follow {
                axis: at,
                map: Map::shift(start, 1),
            },
            None => AxisReach::Free,
        };
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        out.iter()
            .enumerate()
            .map(|(i, fact)| moves::fold(cx, &[0], fact, |sizes| self.plan(cx, i, sizes)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use super::*;
    use crate::ir::DataType;

    #[test]
    fn sizes_of_every_version() {
        let (x, parts) = (fact("N 7 8"), ints(&[3, 4]));
        let two = |opset| Case::new("Split", opset).int("axis", 1).outputs(2);
        assert_eq!(
            two(2).ints("split", &[3, 4]).on(&[&x]).shapes(),
            ["N 3 8", "N 4 8"]
        );
        assert_eq!(two(13).on(&[&x, &parts]).shapes(), ["N 3 8", "N 4 8"]);
        assert_eq!(
            two(18).int("num_outputs", 2).on(&[&x]).shapes(),
            ["N 4 8", "N 3 8"]
        );
        let even = Case::new("Split", 11).int("axis", -1).outputs(2).on(&[&x]);
        assert_eq!(even.shapes(), ["N 7 4", "N 7 4"]);
        let open = fact("2");
        assert_eq!(
            two(13).on(&[&x, &open]).shapes(),
            ["N ?node.0 8", "N ?node.1 8"]
        );
        assert!(two(2).ints("split", &[7]).on(&[&x]).infer().is_err());
    }

    #[test]
    fn parts_keep_their_places() {
        let x = constant(DataType::Float, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let case = Case::new("Split", 2)
            .int("axis", 1)
            .ints("split", &[1, 2])
            .outputs(2)
            .on(&[&x]);
        let operator = case.operator().unwrap();
        let tensors = operator.fold(&case.cx(), &case.infer().unwrap()).unwrap();
        assert_eq!(tensors[1].to_f64().unwrap(), [2.0, 3.0, 5.0, 6.0]);
        let reach = operator
            .reach(&case.cx(), &case.infer().unwrap(), 1)
            .unwrap();
        let path = reach.0[0].clone().unwrap();
        assert_eq!(path.follower(1), Some((1, Map::shift(1, 1))));
    }
}
