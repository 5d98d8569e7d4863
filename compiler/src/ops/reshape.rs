//! `Reshape` (the shape an attribute in opset 1 to 4, an input from 5 on),
//! `Flatten`, `Squeeze`, `Unsqueeze` (axes an attribute before 13).

use super::moves::sizes;
use super::regroup::regroup;
use super::{Cost, Cx, Gap, Operator, Reach, Role, axis, output_shape, same_type};
use crate::facts::{Constant, Fact};
use crate::ir::{Attr, Attrs, Expr, Node, Shape, Tensor};

/// Gives the elements another shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reshape {
    /// To a given shape.
    To {
        /// The shape, where an attribute gives it.
        shape: Option<Vec<i64>>,
        /// A 0 is a size, not the input's size.
        zero: bool,
    },
    /// To two axes: those before `axis`, those from it on.
    Flatten(i64),
    /// Without some axes of size 1; all of them where no axes are given.
    Squeeze(Option<Vec<i64>>),
    /// With additional axes of size 1.
    Unsqueeze(Option<Vec<i64>>),
}

/// Reads the node.
///
/// # Errors
/// Another operator.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let list = |name: &str| attrs.ints(name).map(<[i64]>::to_vec);
    Ok(Box::new(match node.op.as_str() {
        "Reshape" => Reshape::To {
            shape: list("shape"),
            zero: attrs.int("allowzero").unwrap_or(0) != 0,
        },
        "Flatten" => Reshape::Flatten(attrs.int("axis").unwrap_or(1)),
        "Squeeze" => Reshape::Squeeze(list("axes")),
        "Unsqueeze" => Reshape::Unsqueeze(list("axes")),
        other => return Err(Gap::new(format!("{other} is no reshape"))),
    }))
}

/// The axes of Squeeze and Unsqueeze, unsorted and as given.
fn axes(attribute: Option<&Vec<i64>>, cx: &Cx) -> Result<Option<Vec<i64>>, Gap> {
    if let Some(axes) = attribute {
        return Ok(Some(axes.clone()));
    }
    let Some(axes) = cx.ints(1)? else {
        return Ok(None);
    };
    let axes: Option<Vec<i64>> = axes.iter().map(Expr::as_i64).collect();
    axes.map(Some)
        .ok_or_else(|| Gap::new("the axes are not numbers"))
}

/// The shape that a reshape asks for: 0 is the input's size, -1 what remains.
fn resolve(cx: &Cx, input: &[Expr], wanted: &[Expr], zero: bool) -> Result<Shape, Gap> {
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (i, size) in wanted.iter().enumerate() {
        shape.push(match size.as_const() {
            Some(0) if !zero => input
                .get(i)
                .cloned()
                .ok_or_else(|| Gap::new(format!("size {i} is 0, but the input has no axis {i}")))?,
            Some(-1) if open.replace(i).is_some() => {
                return Err(Gap::new("two sizes are -1"));
            }
            Some(v) if v < -1 => return Err(Gap::new(format!("a size is {v}"))),
            _ => size.clone(),
        });
    }
    let Some(open) = open else {
        let (have, want): (Expr, Expr) = (input.iter().product(), shape.iter().product());
        return match (have.as_const(), want.as_const()) {
            (Some(have), Some(want)) if have != want => {
                Err(Gap::new(format!("{have} elements into a shape of {want}")))
            }
            _ => Ok(shape),
        };
    };
    // Sizes that stand on both sides cancel before the division.
    let mut left: Vec<Expr> = input.to_vec();
    let mut by = Expr::from(1);
    for (i, size) in shape.iter().enumerate() {
        if i == open {
            continue;
        }
        match left.iter().position(|s| s == size) {
            Some(same) if size.as_const() != Some(0) => {
                left.remove(same);
            }
            _ => by = by * size.clone(),
        }
    }
    let all: Expr = left.iter().product();
    let rest = match (all.as_const(), by.as_const()) {
        (_, Some(0)) => Expr::default(),
        (Some(all), Some(by)) if all % by != 0 => {
            return Err(Gap::new(format!("{all} elements into rows of {by}")));
        }
        _ => all.exact_div(&by).unwrap_or_else(|| cx.unknown(open)),
    };
    shape[open] = rest;
    Ok(shape)
}

impl Reshape {
    fn shape(&self, cx: &Cx) -> Result<Shape, Gap> {
        let input = match cx.shape(0) {
            Ok(input) => input,
            Err(gap) => return self.unranked(cx).ok_or(gap),
        };
        match self {
            Self::To { shape, zero } => {
                let wanted = match shape {
                    Some(shape) => Ok(shape.iter().map(|&s| s.into()).collect()),
                    None => cx
                        .ints(1)
                        .and_then(|s| s.ok_or_else(|| Gap::new("the shape is missing"))),
                };
                match wanted {
                    Ok(wanted) => resolve(cx, input, &wanted, *zero),
                    Err(gap) => unknown_shape(cx).ok_or(gap),
                }
            }
            Self::Flatten(at) => {
                let rank = input.len();
                let at = if usize::try_from(*at).is_ok_and(|a| a == rank) {
                    rank
                } else {
                    axis(*at, rank)?
                };
                let (rows, columns) = input.split_at(at);
                Ok(vec![rows.iter().product(), columns.iter().product()])
            }
            Self::Squeeze(None) | Self::Unsqueeze(None) if cx.ints(1).is_err() => {
                // Which axes is not known, but how many.
                let axes = cx.shape(1)?.first().and_then(Expr::as_usize);
                let axes = axes.filter(|&a| a <= 64);
                let axes = axes.ok_or_else(|| Gap::new("the number of axes is not known"))?;
                let rank = match self {
                    Self::Squeeze(_) => input.len().saturating_sub(axes),
                    _ => input.len().saturating_add(axes),
                };
                Ok((0..rank).map(|i| cx.unknown(i)).collect())
            }
            Self::Squeeze(given) => {
                let drop = match axes(given.as_ref(), cx)? {
                    Some(axes) => axes
                        .iter()
                        .map(|&a| axis(a, input.len()))
                        .collect::<Result<Vec<_>, _>>()?,
                    None => (0..input.len())
                        .filter(|&i| input[i].as_const() == Some(1))
                        .collect(),
                };
                if let Some(&i) = drop
                    .iter()
                    .find(|&&i| input[i].as_const().is_some_and(|v| v != 1))
                {
                    return Err(Gap::new(format!("axis {i} has size {}, not 1", input[i])));
                }
                let kept = (0..input.len()).filter(|i| !drop.contains(i));
                Ok(kept.map(|i| input[i].clone()).collect())
            }
            Self::Unsqueeze(given) => {
                let given =
                    axes(given.as_ref(), cx)?.ok_or_else(|| Gap::new("the axes are missing"))?;
                let rank = input.len() + given.len();
                let added = given
                    .iter()
                    .map(|&a| axis(a, rank))
                    .collect::<Result<std::collections::BTreeSet<_>, _>>()?;
                if added.len() != given.len() {
                    return Err(Gap::new("an axis is given twice"));
                }
                let mut rest = input.iter();
                Ok((0..rank)
                    .map(|i| match added.contains(&i) {
                        true => 1.into(),
                        false => rest.next().cloned().unwrap_or_default(),
                    })
                    .collect())
            }
        }
    }

    /// What can be told of the shape where not even the input's rank is known.
    fn unranked(&self, cx: &Cx) -> Option<Shape> {
        match self {
            Self::To { shape, .. } => {
                let wanted = match shape {
                    Some(shape) => shape.iter().map(|&s| s.into()).collect(),
                    None => match cx.ints(1) {
                        Ok(wanted) => wanted?,
                        Err(_) => return unknown_shape(cx),
                    },
                };
                let size = |(i, s): (usize, &Expr)| match s.as_const() {
                    Some(v) if v <= 0 => cx.unknown(i),
                    _ => s.clone(),
                };
                Some(wanted.iter().enumerate().map(size).collect())
            }
            Self::Flatten(_) => Some(vec![cx.unknown(0), cx.unknown(1)]),
            Self::Squeeze(_) | Self::Unsqueeze(_) => None,
        }
    }
}

/// As many unknown sizes as the shape input has elements.
fn unknown_shape(cx: &Cx) -> Option<Shape> {
    let rank = cx.shape(1).ok()?.first()?.as_usize()?;
    (rank <= 64).then(|| (0..rank).map(|i| cx.unknown(i)).collect())
}

impl Operator for Reshape {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut fact = Fact::new(same_type(cx), self.shape(cx)?);
        // The elements stay; those of a tensor take its new shape in `fold`.
        match cx.input(0)?.constant.as_ref() {
            Some(Constant::Tensor(_)) | None => {}
            symbolic => fact.constant = symbolic.cloned(),
        }
        Ok(vec![fact])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let (input, output) = (cx.shape(0)?, output_shape(out, 0)?);
        Ok(Reach::first(regroup(input, output)))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let data = cx.optional(0)?.tensor()?;
        Some(vec![data.reshaped(sizes(out[0].shape.as_ref()?)?)?])
    }

    fn emit(&self) -> Attrs {
        let none = Attrs::default();
        match self {
            Self::Flatten(axis) => none.with("axis", Attr::Int(*axis)),
            Self::Squeeze(Some(axes)) | Self::Unsqueeze(Some(axes)) => {
                none.with("axes", Attr::Ints(axes.clone()))
            }
            Self::To {
                shape: Some(shape), ..
            } => none.with("shape", Attr::Ints(shape.clone())),
            Self::To { zero: true, .. } => none.with("allowzero", Attr::Int(1)),
            _ => none,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, fact, ints};

    #[test]
    fn shapes_resolve() {
        let x = fact("N 64 7 7");
        let reshape = |to: &[i64]| {
            let to = ints(to);
            Case::new("Reshape", 13)
                .on(&[&x, &to])
                .infer()
                .map(|f| super::super::testing::shape(&f[0]))
        };
        assert_eq!(reshape(&[0, -1]).unwrap(), "N 3136");
        assert_eq!(reshape(&[-1, 3136]).unwrap(), "N 3136");
        assert_eq!(reshape(&[0, 32, 2, 0, -1]).unwrap(), "N 32 2 7 7");
        assert_eq!(reshape(&[2, -1, 7]).unwrap(), "2 224*N 7");
        assert!(reshape(&[-1, -1]).is_err());
        assert!(reshape(&[-3]).is_err());
        let old = Case::new("Reshape", 1).ints("shape", &[0, -1]).on(&[&x]);
        assert_eq!(old.shapes(), ["N 3136"]);
        let (fixed, three) = (fact("4 6"), ints(&[5, -1]));
        assert!(
            Case::new("Reshape", 5)
                .on(&[&fixed, &three])
                .infer()
                .is_err()
        );
        let open = fact("3");
        assert_eq!(
            Case::new("Reshape", 5).on(&[&x, &open]).shapes(),
            ["?node.0 ?node.1 ?node.2"]
        );
    }

    #[test]
    fn axes_of_one_come_and_go() {
        let (x, axes) = (fact("N 1 H 1"), ints(&[-1, 0]));
        assert_eq!(
            Case::new("Squeeze", 1)
                .ints("axes", &[-1])
                .on(&[&x])
                .shapes(),
            ["N 1 H"]
        );
        assert_eq!(Case::new("Squeeze", 13).on(&[&x]).shapes(), ["N H"]);
        assert!(
            Case::new("Squeeze", 1)
                .ints("axes", &[4])
                .on(&[&x])
                .infer()
                .is_err()
        );
        assert_eq!(
            Case::new("Unsqueeze", 13).on(&[&x, &axes]).shapes(),
            ["1 N 1 H 1 1"]
        );
        assert!(
            Case::new("Unsqueeze", 1)
                .ints("axes", &[0, 0])
                .on(&[&x])
                .infer()
                .is_err()
        );
        let open = fact("2");
        let rank = |op| {
            Case::new(op, 13).on(&[&x, &open]).infer().unwrap()[0]
                .known_shape()
                .unwrap()
                .len()
        };
        assert_eq!((rank("Squeeze"), rank("Unsqueeze")), (2, 6));
        let y = fact("N 3 4");
        for (axis, expected) in [(0, "1 12*N"), (1, "N 12"), (-1, "3*N 4"), (3, "12*N 1")] {
            assert_eq!(
                Case::new("Flatten", 11)
                    .int("axis", axis)
                    .on(&[&y])
                    .shapes(),
                [expected]
            );
        }
    }
}
