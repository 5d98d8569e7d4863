//! `MatMul` (opset 1 on) and its integer, quantized and fused forms.

use super::{Affine, AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, type_of};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Shape};

/// A product of matrices, batch axes broadcast, as numpy's `matmul`: a vector
/// counts as a row on the left and as a column on the right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatMul {
    form: Form,
    trans_a: bool,
    trans_b: bool,
}

/// Where the operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Form {
    op: &'static str,
    a: usize,
    b: usize,
    bias: Option<usize>,
    dtype: OutputType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum OutputType {
    Of(usize),
    Int32,
}

const FORMS: &[Form] = &[
    form("MatMul", 0, 1, None, OutputType::Of(0)),
    form("MatMulInteger", 0, 1, None, OutputType::Int32),
    form("QLinearMatMul", 0, 3, None, OutputType::Of(7)),
    form("FusedMatMul", 0, 1, None, OutputType::Of(0)),
    form("DynamicQuantizeMatMul", 0, 1, Some(4), OutputType::Of(0)),
    form("MatMulIntegerToFloat", 0, 1, Some(6), OutputType::Of(2)),
];

const fn form(
    op: &'static str,
    a: usize,
    b: usize,
    bias: Option<usize>,
    dtype: OutputType,
) -> Form {
    Form {
        op,
        a,
        b,
        bias,
        dtype,
    }
}

/// Reads the node.
///
/// # Errors
/// A fused form that moves batch axes.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let form = FORMS.iter().find(|f| f.op == node.op).unwrap_or(&FORMS[0]);
    let set = |name: &str| node.attrs.int(name).unwrap_or(0) != 0;
    if set("transBatchA") || set("transBatchB") {
        return Err(Gap::new("transposed batch axes are not supported"));
    }
    Ok(Box::new(MatMul {
        form: *form,
        trans_a: set("transA"),
        trans_b: set("transB"),
    }))
}

/// The axes of one operand: batch axes come first.
struct Operand<'a> {
    shape: &'a [Expr],
    batch: usize,
    /// The axis that the output keeps, unless the operand is a vector.
    outer: Option<usize>,
    /// The axis that is summed over.
    inner: usize,
}

impl<'a> Operand<'a> {
    fn new(shape: &'a [Expr], inner_last: bool) -> Result<Self, Gap> {
        let rank = shape.len();
        let (outer, inner) = match rank {
            0 => return Err(Gap::new("an operand of rank 0")),
            1 => (None, 0),
            _ if inner_last => (Some(rank - 2), rank - 1),
            _ => (Some(rank - 1), rank - 2),
        };
        Ok(Self {
            shape,
            batch: rank.saturating_sub(2),
            outer,
            inner,
        })
    }
}

impl MatMul {
    fn operands<'a>(&self, cx: &Cx<'a>) -> Result<(Operand<'a>, Operand<'a>), Gap> {
        let a = Operand::new(cx.shape(self.form.a)?, !self.trans_a)?;
        let b = Operand::new(cx.shape(self.form.b)?, self.trans_b)?;
        let (x, y) = (&a.shape[a.inner], &b.shape[b.inner]);
        if let (Some(x), Some(y)) = (x.as_const(), y.as_const())
            && x != y
        {
            return Err(Gap::new(format!("{x} columns meet {y} rows")));
        }
        Ok((a, b))
    }
}

/// The common size of two axes that are broadcast; `None` where it is not known.
pub(super) fn common(a: &Expr, b: &Expr) -> Option<Expr> {
    match (a.as_const(), b.as_const()) {
        (Some(1), _) => Some(b.clone()),
        (_, Some(1)) => Some(a.clone()),
        (Some(_), _) => Some(a.clone()),
        (_, Some(_)) => Some(b.clone()),
        _ if a == b => Some(a.clone()),
        _ => None,
    }
}

/// The batch axes of the output.
fn batch(a: &[Expr], b: &[Expr], cx: &Cx) -> Shape {
    let rank = a.len().max(b.len());
    let one = Expr::from(1);
    (0..rank)
        .map(|i| {
            let at = |s: &[Expr]| i.checked_sub(rank - s.len()).map(|j| s[j].clone());
            let (x, y) = (
                at(a).unwrap_or_else(|| one.clone()),
                at(b).unwrap_or_else(|| one.clone()),
            );
            common(&x, &y).unwrap_or_else(|| cx.unknown(i))
        })
        .collect()
}

impl Operator for MatMul {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (a, b) = self.operands(cx)?;
        let mut shape = batch(&a.shape[..a.batch], &b.shape[..b.batch], cx);
        shape.extend(a.outer.map(|i| a.shape[i].clone()));
        shape.extend(b.outer.map(|i| b.shape[i].clone()));
        let dtype = match self.form.dtype {
            OutputType::Of(slot) => type_of(cx, slot),
            OutputType::Int32 => Some(DataType::Int32),
        };
        Ok(vec![Fact::new(dtype, shape)])
    }

    /// ∏out·K MACs.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let (a, b) = self.operands(cx)?;
        let outputs: Expr = out[0].known_shape()?.iter().product();
        let (x, y) = (&a.shape[a.inner], &b.shape[b.inner]);
        let inner = if x.as_const().is_some() { x } else { y };
        let macs = outputs.clone() * inner.clone();
        let mut flops = macs.clone() * 2.into();
        if self.form.bias.is_some_and(|s| cx.optional(s).is_some()) {
            flops += outputs;
        }
        Ok(Cost { macs, flops })
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let (a, b) = self.operands(cx)?;
        let shape = out[0].known_shape()?;
        let (rows, columns) = (a.outer.is_some(), b.outer.is_some());
        let batch = &shape[..shape.len() - usize::from(rows) - usize::from(columns)];
        let path = |operand: &Operand, left: bool| {
            let mut path = super::reach::broadcast_path(&operand.shape[..operand.batch], batch);
            for (there, mine) in [(rows, left), (columns, !left)] {
                if there {
                    path.axes.push(match operand.outer {
                        Some(axis) if mine => AxisReach::Follow {
                            axis,
                            map: Map::IDENTITY,
                        },
                        _ => AxisReach::Free,
                    });
                }
            }
            // A range taken over the whole operand.
            path.context = left && self.form.op == "DynamicQuantizeMatMul";
            Some(path)
        };
        let mut paths: Vec<Option<Path>> = vec![None; self.form.b + 1];
        paths[self.form.a] = path(&a, true);
        paths[self.form.b] = path(&b, false);
        Ok(Reach(paths))
    }

    /// Of two matrices; `Gemm` is the same with a bias.
    fn affine(&self, cx: &Cx) -> Option<Affine> {
        let plain = self.form.op == "MatMul" && !self.trans_a && !self.trans_b;
        let matrices = [0, 1].map(|slot| cx.shape(slot).is_ok_and(|s| s.len() == 2));
        (plain && matrices == [true, true]).then_some(Affine {
            inputs_first: true,
            biased: "Gemm",
        })
    }

    /// Either operand may hold the weights.
    fn role(&self, slot: usize) -> Role {
        if slot == self.form.a || slot == self.form.b {
            Role::Weight
        } else if self.form.bias == Some(slot) {
            Role::Bias
        } else {
            Role::Config
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn follows_numpy() {
        for (a, b, out, macs) in [
            ("4 5", "5 6", "4 6", 120),
            ("5", "5 6", "6", 30),
            ("4 5", "5", "4", 20),
            ("5", "5", "", 5),
            ("5", "7 5 6", "7 6", 210),
            ("2 1 4 5", "3 5 6", "2 3 4 6", 720),
        ] {
            let (a, b) = (fact(a), fact(b));
            let case = Case::new("MatMul", 13).on(&[&a, &b]);
            assert_eq!(case.shapes(), [out]);
            assert_eq!(case.work().0, macs.to_string());
            assert_eq!(case.reach().unwrap().0.len(), 2);
        }
        assert!(
            Case::new("MatMul", 1)
                .on(&[&fact("4 5"), &fact("4 5")])
                .infer()
                .is_err()
        );
    }

    #[test]
    fn batches_of_unknown_size_stay_unknown() {
        let (a, b) = (fact("N 4 5"), fact("M 5 6"));
        assert_eq!(
            Case::new("MatMul", 9).on(&[&a, &b]).shapes(),
            ["?node.0 4 6"]
        );
    }

    #[test]
    fn integers_accumulate_in_int32() {
        let a = typed(DataType::Uint8, "4 4");
        let out = Case::new("MatMulInteger", 10)
            .on(&[&a, &a])
            .infer()
            .unwrap();
        assert_eq!(out[0].dtype, Some(DataType::Int32));
    }
}
