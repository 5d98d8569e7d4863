//! `Einsum` (opset 12 on): a sum of products by its index equation.

use std::collections::BTreeMap;

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Outside, Path, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// One index of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    /// An axis under the ellipsis, counted from its end.
    Dots(usize),
    /// A letter.
    Letter(char),
}

/// Indices of one operand or of the output: those before the ellipsis, and, where
/// there is an ellipsis, those after it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    before: Vec<char>,
    after: Option<Vec<char>>,
}

/// A sum of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Einsum {
    operands: Vec<Term>,
    output: Option<Term>,
}

/// Reads the equation.
///
/// # Errors
/// It is missing or no equation.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let equation = node
        .attrs
        .string("equation")
        .ok_or_else(|| Gap::new("the equation is missing"))?;
    let compact: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match compact.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (compact.as_str(), None),
    };
    let operands = left.split(',').map(|t| term(t, equation));
    Ok(Box::new(Einsum {
        operands: operands.collect::<Result<_, _>>()?,
        output: right.map(|t| term(t, equation)).transpose()?,
    }))
}

fn term(text: &str, equation: &str) -> Result<Term, Gap> {
    let letters = |s: &str| -> Result<Vec<char>, Gap> {
        s.chars()
            .map(|c| c.is_ascii_alphabetic().then_some(c))
            .collect::<Option<_>>()
            .ok_or_else(|| Gap::new(format!("the equation {equation:?} is malformed")))
    };
    Ok(match text.split_once("...") {
        Some((before, after)) => Term {
            before: letters(before)?,
            after: Some(letters(after)?),
        },
        None => Term {
            before: letters(text)?,
            after: None,
        },
    })
}

impl Term {
    /// The indices of an operand of this rank.
    fn indices(&self, rank: usize) -> Result<Vec<Index>, Gap> {
        let letters = self.before.len() + self.after.as_ref().map_or(0, Vec::len);
        let dots = match rank.checked_sub(letters) {
            Some(n) if n == 0 || self.after.is_some() => n,
            _ => {
                return Err(Gap::new(format!(
                    "an operand of rank {rank} for {letters} indices"
                )));
            }
        };
        Ok(self.with_dots(dots))
    }

    fn with_dots(&self, dots: usize) -> Vec<Index> {
        let before = self.before.iter().copied().map(Index::Letter);
        let after = self.after.iter().flatten().copied().map(Index::Letter);
        let middle = (0..dots).rev().map(Index::Dots);
        match self.after {
            Some(_) => before.chain(middle).chain(after).collect(),
            None => before.collect(),
        }
    }
}

/// The equation with the operands' shapes put in.
struct Bound {
    operands: Vec<Vec<Index>>,
    output: Vec<Index>,
    sizes: BTreeMap<Index, Expr>,
}

impl Einsum {
    fn bind(&self, cx: &Cx) -> Result<Bound, Gap> {
        if cx.inputs.len() != self.operands.len() {
            return Err(Gap::new(format!(
                "{} operands for an equation of {}",
                cx.inputs.len(),
                self.operands.len()
            )));
        }
        let mut sizes: BTreeMap<Index, Expr> = BTreeMap::new();
        let mut operands = Vec::new();
        for (slot, term) in self.operands.iter().enumerate() {
            let shape = cx.shape(slot)?;
            let indices = term.indices(shape.len())?;
            for (index, size) in indices.iter().zip(shape) {
                let known = sizes.entry(*index).or_insert_with(|| size.clone());
                // A size of 1 is broadcast; a number says more than a symbol.
                if known.as_const() == Some(1) || known.as_const().is_none() {
                    *known = match size.as_const() {
                        Some(1) => known.clone(),
                        Some(_) => size.clone(),
                        None if known.as_const() == Some(1) => size.clone(),
                        None => known.clone(),
                    };
                }
            }
            operands.push(indices);
        }
        let dots = sizes.keys().filter(|i| matches!(i, Index::Dots(_))).count();
        let output = match &self.output {
            Some(term) => term.with_dots(dots),
            None => Self::implicit(&operands, dots),
        };
        Ok(Bound {
            operands,
            output,
            sizes,
        })
    }

    /// Without "->": the ellipsis, then the letters that occur once, sorted.
    fn implicit(operands: &[Vec<Index>], dots: usize) -> Vec<Index> {
        let mut times: BTreeMap<Index, usize> = BTreeMap::new();
        for index in operands.iter().flatten() {
            *times.entry(*index).or_default() += 1;
        }
        let once = times
            .into_iter()
            .filter(|(index, n)| *n == 1 && matches!(index, Index::Letter(_)))
            .map(|(index, _)| index);
        (0..dots).rev().map(Index::Dots).chain(once).collect()
    }
}

impl Operator for Einsum {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let bound = self.bind(cx)?;
        let shape = bound
            .output
            .iter()
            .map(|i| {
                let size = bound.sizes.get(i).cloned();
                size.ok_or_else(|| Gap::new("the output has an index that no operand has"))
            })
            .collect::<Result<_, _>>()?;
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// One loop over all indices: a product less than there are operands an
    /// iteration, each a MAC. One operand alone is only summed or moved.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        let bound = self.bind(cx)?;
        let iterations: Expr = bound.sizes.values().product();
        let summed = bound.sizes.keys().any(|i| !bound.output.contains(i));
        Ok(match bound.operands.len() {
            0 | 1 if summed => Cost {
                macs: Expr::default(),
                flops: iterations,
            },
            0 | 1 => Cost::free(),
            n => {
                let macs = iterations * (n - 1).into();
                Cost {
                    flops: macs.clone() * 2.into(),
                    macs,
                }
            }
        })
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let bound = self.bind(cx)?;
        let mut paths = Vec::new();
        for (slot, indices) in bound.operands.iter().enumerate() {
            let shape = cx.shape(slot)?;
            let follow = |index: &Index| {
                let axis = indices.iter().position(|i| i == index)?;
                let stretched = shape[axis].as_const() == Some(1)
                    && bound.sizes.get(index).and_then(Expr::as_const) != Some(1);
                (!stretched).then_some(AxisReach::Follow {
                    axis,
                    map: Map::IDENTITY,
                })
            };
            let axes = bound.output.iter();
            paths.push(Some(Path {
                axes: axes.map(|i| follow(i).unwrap_or(AxisReach::Free)).collect(),
                context: false,
                inner: Vec::new(),
                outside: Outside::Nothing,
            }));
        }
        Ok(Reach(paths))
    }

    fn role(&self, _slot: usize) -> Role {
        if self.operands.len() > 1 {
            Role::Weight
        } else {
            Role::Data
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn equations() {
        for (equation, a, b, out, macs) in [
            ("bij,bjk->bik", "2 3 4", "2 4 5", "2 3 5", 120),
            ("...ij, ...jk", "7 2 3 4", "2 4 5", "7 2 3 5", 840),
            ("nchw,oc->nohw", "1 8 6 6", "4 8", "1 4 6 6", 1152),
            ("i,j->", "3", "4", "", 12),
            ("bhqd,bhkd->bhqk", "1 2 3 4", "1 2 5 4", "1 2 3 5", 120),
            ("ij,kj", "3 4", "5 4", "3 5", 60),
        ] {
            let (a, b) = (fact(a), fact(b));
            let case = Case::new("Einsum", 12)
                .string("equation", equation)
                .on(&[&a, &b]);
            assert_eq!(case.shapes(), [out], "{equation}");
            assert_eq!(case.work().0, macs.to_string(), "{equation}");
        }
    }

    #[test]
    fn one_operand_and_nonsense() {
        let x = fact("3 3");
        let case = |e: &str| Case::new("Einsum", 12).string("equation", e).on(&[&x]);
        assert_eq!(case("ii->i").shapes(), ["3"]);
        assert_eq!(case("ij->ji").work().1, "0");
        assert!(case("ijk->i").infer().is_err());
        assert!(case("ij->k").infer().is_err());
        assert!(case("i?").operator().is_err());
    }
}
