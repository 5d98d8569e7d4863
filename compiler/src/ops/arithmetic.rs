//! Operators of two inputs that work element by element with broadcasting:
//! arithmetic, comparison, logic, bits, and `PRelu`.

use super::elementwise::{self, Arithmetic, aligned_path, broadcast};
use super::{Cost, Cx, Gap, Gate, Operator, Reach, Role, axis, output_shape};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Ratio, Tensor};

/// One row of the table.
#[derive(Debug)]
struct Row {
    name: &'static str,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
    sizes: fn(&Ratio, &Ratio) -> Option<Ratio>,
    /// The output is boolean.
    predicate: bool,
}

const NO_SIZES: fn(&Ratio, &Ratio) -> Option<Ratio> = |_, _| None;

const fn row(
    name: &'static str,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
    sizes: fn(&Ratio, &Ratio) -> Option<Ratio>,
) -> Row {
    Row {
        name,
        ints,
        floats,
        sizes,
        predicate: false,
    }
}

/// A comparison or logical operator, from its truth on integers, floats, sizes.
const fn predicate(
    name: &'static str,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
    sizes: fn(&Ratio, &Ratio) -> Option<Ratio>,
) -> Row {
    Row {
        predicate: true,
        ..row(name, ints, floats, sizes)
    }
}

fn truth(v: bool) -> f64 {
    f64::from(u8::from(v))
}

fn whole(v: bool) -> Option<i64> {
    Some(i64::from(v))
}

fn known(v: Option<bool>) -> Option<Ratio> {
    v.map(|b| Expr::from(u32::from(b)).into())
}

/// By the width or more, all bits go: what stays is 0, or the sign to the right.
fn shift(a: i64, b: i64, left: bool) -> Option<i64> {
    let by = u32::try_from(b).ok()?;
    Some(if left {
        a.checked_shl(by).unwrap_or(0)
    } else {
        a >> by.min(63)
    })
}

/// a mod b with the sign of b.
fn modulo(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) {
        r + b
    } else {
        r
    }
}

static TABLE: &[Row] = &[
    row(
        "Add",
        |a, b| Some(a.wrapping_add(b)),
        |a, b| a + b,
        |a, b| a + b,
    ),
    row(
        "Sub",
        |a, b| Some(a.wrapping_sub(b)),
        |a, b| a - b,
        |a, b| a - b,
    ),
    row(
        "Mul",
        |a, b| Some(a.wrapping_mul(b)),
        |a, b| a * b,
        Ratio::times,
    ),
    row("Div", i64::checked_div, |a, b| a / b, Ratio::over),
    row(
        "Pow",
        |a, b| Some(a.wrapping_pow(u32::try_from(b).ok()?)),
        f64::powf,
        |a, b| {
            #[allow(clippy::cast_possible_truncation)]
            let times = b
                .as_f64()
                .filter(|b| (0.0..=8.0).contains(b) && b.fract() == 0.0)?
                as i32;
            (0..times).try_fold(Expr::from(1).into(), |p: Ratio, _| p.times(a))
        },
    ),
    // Python's sign rule: that of the divisor.
    row(
        "Mod",
        |a, b| {
            let r = a.checked_rem(b)?;
            Some(if r != 0 && (r < 0) != (b < 0) {
                r + b
            } else {
                r
            })
        },
        modulo,
        |a, b| {
            let quotient: Ratio = a.over(b)?.floor().into();
            a - &quotient.times(b)?
        },
    ),
    // C's sign rule: that of the dividend.
    row("Fmod", i64::checked_rem, |a, b| a % b, NO_SIZES),
    row(
        "PRelu",
        |a, b| Some(if a < 0 { a.wrapping_mul(b) } else { a }),
        |a, b| if a < 0.0 { a * b } else { a },
        NO_SIZES,
    ),
    row(
        "ShiftLeft",
        |a, b| shift(a, b, true),
        |_, _| f64::NAN,
        NO_SIZES,
    ),
    row(
        "ShiftRight",
        |a, b| shift(a, b, false),
        |_, _| f64::NAN,
        NO_SIZES,
    ),
    row("BitwiseAnd", |a, b| Some(a & b), |_, _| f64::NAN, NO_SIZES),
    row("BitwiseOr", |a, b| Some(a | b), |_, _| f64::NAN, NO_SIZES),
    row("BitwiseXor", |a, b| Some(a ^ b), |_, _| f64::NAN, NO_SIZES),
    predicate(
        "And",
        |a, b| whole(a != 0 && b != 0),
        |a, b| truth(a != 0.0 && b != 0.0),
        Ratio::times,
    ),
    predicate(
        "Or",
        |a, b| whole(a != 0 || b != 0),
        |a, b| truth(a != 0.0 || b != 0.0),
        |a, b| &(a + b)? - &a.times(b)?,
    ),
    predicate(
        "Xor",
        |a, b| whole((a != 0) != (b != 0)),
        |a, b| truth((a != 0.0) != (b != 0.0)),
        |a, b| &(a + b)? - &a.times(b)?.times(&Expr::from(2).into())?,
    ),
    predicate(
        "Equal",
        |a, b| whole(a == b),
        |a, b| truth(a == b),
        |a, b| known(a.same(b)),
    ),
    predicate(
        "Less",
        |a, b| whole(a < b),
        |a, b| truth(a < b),
        |a, b| known(a.less(b)),
    ),
    predicate(
        "Greater",
        |a, b| whole(a > b),
        |a, b| truth(a > b),
        |a, b| known(b.less(a)),
    ),
    predicate(
        "LessOrEqual",
        |a, b| whole(a <= b),
        |a, b| truth(a <= b),
        |a, b| known(b.less(a).map(|v| !v)),
    ),
    predicate(
        "GreaterOrEqual",
        |a, b| whole(a >= b),
        |a, b| truth(a >= b),
        |a, b| known(a.less(b).map(|v| !v)),
    ),
];

/// An element-wise operator of two inputs.
#[derive(Debug)]
pub struct Binary {
    row: &'static Row,
    /// Where the second operand's first axis stands in the first's, and
    /// whether the second is broadcast at all (before opset 7).
    old_axis: Option<Option<i64>>,
}

/// Reads the node.
///
/// # Errors
/// An operator that is not in the table, or a shift without a direction.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let key = match node.op.as_str() {
        "Mod" if attrs.int("fmod").unwrap_or(0) != 0 => "Fmod",
        "BitShift" => match attrs.string("direction") {
            Some("LEFT") => "ShiftLeft",
            Some("RIGHT") => "ShiftRight",
            _ => return Err(Gap::new("direction must be LEFT or RIGHT")),
        },
        name => name,
    };
    let row = TABLE
        .iter()
        .find(|r| r.name == key)
        .ok_or_else(|| Gap::new(format!("{} is not in the table", node.op)))?;
    // Before opset 7 a slope of one axis belongs to the channels.
    let old_axis = match key {
        "PRelu" => (opset < 7).then_some(Some(1)),
        _ => (opset < 7 && attrs.int("broadcast").unwrap_or(0) != 0).then(|| attrs.int("axis")),
    };
    Ok(Box::new(Binary { row, old_axis }))
}

impl Binary {
    /// The shape of the second operand, filled up with ones so that its axes
    /// stand where the old `axis` attribute puts them.
    fn second(&self, cx: &Cx) -> Result<Vec<Expr>, Gap> {
        let (first, second) = (cx.shape(0)?, cx.shape(1)?);
        let mut shape = second.to_vec();
        if let Some(Some(at)) = self.old_axis
            && (self.row.name != "PRelu" || second.len() == 1)
            && first.len() > second.len()
        {
            let at = axis(at, first.len())?;
            let after = first.len().saturating_sub(at + second.len());
            shape.extend(std::iter::repeat_n(Expr::from(1), after));
        }
        Ok(shape)
    }

    fn operands<'a>(&self, cx: &Cx<'a>) -> Result<Vec<(&'a Fact, Vec<Expr>)>, Gap> {
        Ok(vec![
            (cx.input(0)?, cx.shape(0)?.to_vec()),
            (cx.input(1)?, self.second(cx)?),
        ])
    }
}

impl Operator for Binary {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let dtype = if self.row.predicate {
            Some(DataType::Bool)
        } else if self.row.name == "Pow" {
            cx.input(0)?.dtype
        } else {
            cx.input(0)?.dtype.or(cx.input(1)?.dtype)
        };
        let operands = self.operands(cx)?;
        let mut shape = broadcast(&[&operands[0].1, &operands[1].1])?;
        if self.old_axis.is_some() {
            shape.clone_from(&operands[0].1);
        }
        let out = Fact::new(dtype, shape);
        let cut = self.row.name == "Div" && dtype.is_some_and(|t| !crate::ir::is_float(t));
        let zero = |v: &Ratio| v.as_f64() == Some(0.0);
        let and = self.row.name == "And";
        Ok(vec![elementwise::carry(cx, &operands, out, |v| {
            let value = (self.row.sizes)(&v[0], &v[1])?;
            Some(if cut {
                value.trunc().into()
            } else if and && v.iter().any(zero) {
                Expr::from(0).into()
            } else {
                value
            })
        })])
    }

    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(output_shape(out, 0)?, 1))
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let shape = output_shape(out, 0)?;
        let (first, rank) = (cx.shape(0)?, cx.shape(1)?.len());
        Ok(Reach(vec![
            Some(aligned_path(first, first.len(), shape)),
            Some(aligned_path(&self.second(cx)?, rank, shape)),
        ]))
    }

    fn role(&self, slot: usize) -> Role {
        match (slot, self.row.name) {
            (1, "PRelu") => Role::Weight,
            (1, "Pow" | "Mod" | "Fmod" | "ShiftLeft" | "ShiftRight") => Role::Config,
            _ => Role::Data,
        }
    }

    fn gate(&self, cx: &Cx) -> Option<Gate> {
        let linear = ["Add", "Sub", "Mul"].contains(&self.row.name);
        let constant = cx.inputs.iter().flatten().any(|f| f.constant.is_some());
        (linear && constant).then_some(Gate::Linear)
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let mut operands = elementwise::operands(cx)?;
        let [_, second] = operands.as_mut_slice() else {
            return None;
        };
        second.1 = super::moves::sizes(&self.second(cx).ok()?)?;
        let on = Arithmetic {
            ints: |v: &[i64]| (self.row.ints)(v[0], v[1]),
            floats: |v: &[f64]| Some((self.row.floats)(v[0], v[1])),
        };
        Some(vec![elementwise::fold(&operands, &out[0], &on)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, floats, ints};
    use super::*;

    #[test]
    fn integers_divide_toward_zero() {
        let (a, b) = (ints(&[7, -7, 7]), ints(&[2, 2, -2]));
        let fold = |op: &str| Case::new(op, 13).on(&[&a, &b]).fold().unwrap();
        assert_eq!(fold("Div"), [3.0, -3.0, -3.0]);
        assert_eq!(fold("Mod"), [1.0, 1.0, -1.0]);
        assert_eq!(fold("Less"), [0.0, 1.0, 0.0]);
        let none = ints(&[0]);
        assert_eq!(Case::new("Div", 13).on(&[&a, &none]).fold(), None);
        let c = Case::new("Mod", 13).int("fmod", 1).on(&[&a, &b]);
        assert_eq!(c.fold().unwrap(), [1.0, -1.0, 1.0]);
        let bits = constant(DataType::Uint8, &[2], &[200.0, 1.0]);
        let by = constant(DataType::Uint8, &[2], &[1.0, 9.0]);
        let left = Case::new("BitShift", 11).string("direction", "LEFT");
        assert_eq!(left.on(&[&bits, &by]).fold().unwrap(), [144.0, 0.0]);
    }

    #[test]
    fn a_shift_to_the_right_keeps_the_sign() {
        let (a, b) = (ints(&[-5, -5, 5]), ints(&[1, 99, 99]));
        let right = Case::new("BitShift", 28).string("direction", "RIGHT");
        assert_eq!(right.on(&[&a, &b]).fold().unwrap(), [-3.0, -1.0, 0.0]);
    }

    #[test]
    fn the_old_axis_places_the_second_operand() {
        let (x, bias) = (fact("N 3 8 9"), floats(&[1.0, 2.0, 3.0]));
        let old = Case::new("Add", 6)
            .int("broadcast", 1)
            .int("axis", 1)
            .on(&[&x, &bias]);
        assert_eq!(old.shapes(), ["N 3 8 9"]);
        let path = old.reach().unwrap().0[1].clone().unwrap();
        assert_eq!(path.follower(0).map(|(axis, _)| axis), Some(1));
        assert!(Case::new("Add", 7).on(&[&x, &bias]).infer().is_err());
        let slope = Case::new("PRelu", 6).on(&[&x, &bias]);
        assert_eq!(slope.shapes(), ["N 3 8 9"]);
        let data = constant(DataType::Float, &[1, 3, 2], &[-1.0; 6]);
        let folded = Case::new("PRelu", 1).on(&[&data, &bias]).fold().unwrap();
        assert_eq!(folded, [-1.0, -1.0, -2.0, -2.0, -3.0, -3.0]);
    }
}
