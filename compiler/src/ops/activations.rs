//! Operators of one input that work element by element: activations,
//! mathematical functions, predicates.

use super::elementwise::{self, Arithmetic};
use super::{Cost, Cx, Gap, Gate, Operator, Path, Reach, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Ratio, Tensor};

/// One row of the table.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// Attributes with their defaults, in the order that `floats` gets them.
    attrs: &'static [(&'static str, f32)],
    floats: Option<fn(f64, &[f64]) -> f64>,
    ints: Option<fn(i64) -> i64>,
    sizes: Option<fn(&Ratio) -> Option<Ratio>>,
    predicate: bool,
}

const fn row(name: &'static str, attrs: &'static [(&'static str, f32)]) -> Row {
    Row {
        name,
        attrs,
        floats: None,
        ints: None,
        sizes: None,
        predicate: false,
    }
}

impl Row {
    const fn floats(mut self, f: fn(f64, &[f64]) -> f64) -> Self {
        self.floats = Some(f);
        self
    }
    const fn ints(mut self, f: fn(i64) -> i64) -> Self {
        self.ints = Some(f);
        self
    }
    const fn sizes(mut self, f: fn(&Ratio) -> Option<Ratio>) -> Self {
        self.sizes = Some(f);
        self
    }
    const fn predicate(mut self) -> Self {
        self.predicate = true;
        self
    }
}

fn zero() -> Ratio {
    Expr::from(0).into()
}

fn nonnegative(v: &Ratio) -> Option<bool> {
    v.less(&zero()).map(|b| !b)
}

static TABLE: &[Row] = &[
    row("Relu", &[])
        .floats(|x, _| x.max(0.0))
        .ints(|x| x.max(0))
        .sizes(|x| nonnegative(x).map(|p| if p { x.clone() } else { zero() })),
    row("LeakyRelu", &[("alpha", 0.01)]).floats(|x, a| if x < 0.0 { a[0] * x } else { x }),
    row("ThresholdedRelu", &[("alpha", 1.0)]).floats(|x, a| if x > a[0] { x } else { 0.0 }),
    row("Sigmoid", &[]).floats(|x, _| sigmoid(x)),
    row("Tanh", &[]).floats(|x, _| x.tanh()),
    row("ScaledTanh", &[("alpha", 1.0), ("beta", 1.0)]).floats(|x, a| a[0] * (a[1] * x).tanh()),
    row("Elu", &[("alpha", 1.0)]).floats(|x, a| if x < 0.0 { a[0] * x.exp_m1() } else { x }),
    row("Selu", &[("alpha", 1.673_263_2), ("gamma", 1.050_701)])
        .floats(|x, a| a[1] * if x < 0.0 { a[0] * x.exp_m1() } else { x }),
    row("Celu", &[("alpha", 1.0)])
        .floats(|x, a| x.max(0.0) + (a[0] * (x / a[0]).exp_m1()).min(0.0)),
    row("Gelu", &[]),
    row("Erf", &[]),
    row("HardSigmoid", &[("alpha", 0.2), ("beta", 0.5)])
        .floats(|x, a| (a[0] * x + a[1]).clamp(0.0, 1.0)),
    row("HardSwish", &[]).floats(|x, _| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    row("Mish", &[]).floats(|x, _| x * softplus(x).tanh()),
    row("Swish", &[("alpha", 1.0)]).floats(|x, a| x * sigmoid(a[0] * x)),
    row("Softplus", &[]).floats(|x, _| softplus(x)),
    row("ParametricSoftplus", &[("alpha", 1.0), ("beta", 1.0)])
        .floats(|x, a| a[0] * softplus(a[1] * x)),
    row("Softsign", &[]).floats(|x, _| x / (1.0 + x.abs())),
    row("Shrink", &[("lambd", 0.5), ("bias", 0.0)]).floats(|x, a| {
        if x < -a[0] {
            x + a[1]
        } else if x > a[0] {
            x - a[1]
        } else {
            0.0
        }
    }),
    row("Exp", &[]).floats(|x, _| x.exp()),
    row("Log", &[]).floats(|x, _| x.ln()),
    row("Sqrt", &[]).floats(|x, _| x.sqrt()),
    row("Reciprocal", &[]).floats(|x, _| x.recip()),
    row("Abs", &[])
        .floats(|x, _| x.abs())
        .ints(i64::wrapping_abs)
        .sizes(|x| nonnegative(x).map(|p| if p { x.clone() } else { -x.clone() })),
    row("Neg", &[])
        .floats(|x, _| -x)
        .ints(i64::wrapping_neg)
        .sizes(|x| Some(-x.clone())),
    row("Floor", &[])
        .floats(|x, _| x.floor())
        .sizes(|x| Some(x.floor().into())),
    row("Ceil", &[])
        .floats(|x, _| x.ceil())
        .sizes(|x| Some(x.ceil().into())),
    row("Round", &[])
        .floats(|x, _| x.round_ties_even())
        .sizes(|x| x.as_expr().cloned().map(Ratio::from)),
    row("Sign", &[])
        .floats(|x, _| if x == 0.0 { 0.0 } else { x.signum() })
        .ints(i64::signum)
        .sizes(|x| zero().less(x)?.then(|| Expr::from(1).into())),
    row("Sin", &[]).floats(|x, _| x.sin()),
    row("Cos", &[]).floats(|x, _| x.cos()),
    row("Tan", &[]).floats(|x, _| x.tan()),
    row("Asin", &[]).floats(|x, _| x.asin()),
    row("Acos", &[]).floats(|x, _| x.acos()),
    row("Atan", &[]).floats(|x, _| x.atan()),
    row("Sinh", &[]).floats(|x, _| x.sinh()),
    row("Cosh", &[]).floats(|x, _| x.cosh()),
    row("Asinh", &[]).floats(|x, _| x.asinh()),
    row("Acosh", &[]).floats(|x, _| x.acosh()),
    row("Atanh", &[]).floats(|x, _| x.atanh()),
    row("Not", &[])
        .ints(|x| i64::from(x == 0))
        .sizes(|x| &Ratio::from(Expr::from(1)) - x),
    row("BitwiseNot", &[]).ints(|x| !x),
    row("IsNaN", &[])
        .floats(|x, _| f64::from(u8::from(x.is_nan())))
        .predicate(),
    row(
        "IsInf",
        &[("detect_negative", 1.0), ("detect_positive", 1.0)],
    )
    .floats(|x, a| {
        let hit = (x == f64::INFINITY && a[1] != 0.0) || (x == f64::NEG_INFINITY && a[0] != 0.0);
        f64::from(u8::from(hit))
    })
    .predicate(),
];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// An element-wise operator of one input.
#[derive(Debug)]
pub struct Unary {
    row: &'static Row,
    params: Vec<f64>,
}

/// Reads the node.
///
/// # Errors
/// The operator is not in the table.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let row = TABLE
        .iter()
        .find(|r| r.name == node.op)
        .ok_or_else(|| Gap::new(format!("{} is not in the table", node.op)))?;
    #[allow(clippy::cast_precision_loss)]
    let read = |&(name, default): &(&str, f32)| {
        let int = node.attrs.int(name).map(|v| v as f32);
        f64::from(node.attrs.float(name).or(int).unwrap_or(default))
    };
    Ok(Box::new(Unary {
        row,
        params: row.attrs.iter().map(read).collect(),
    }))
}

impl Operator for Unary {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let dtype = if self.row.predicate {
            Some(DataType::Bool)
        } else {
            same_type(cx)
        };
        let out = Fact::new(dtype, cx.shape(0)?.to_vec());
        Ok(vec![match self.row.sizes {
            Some(sizes) => elementwise::carry(cx, &elementwise::facts(cx), out, |v| sizes(&v[0])),
            None => out,
        }])
    }

    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(output_shape(out, 0)?, 1))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(cx.shape(0)?.len())))
    }

    fn gate(&self, _cx: &Cx) -> Option<Gate> {
        let slope = match self.row.name {
            "Relu" => 0.0,
            "LeakyRelu" => *self.params.first()?,
            _ => return None,
        };
        Some(Gate::Range {
            low: 0.0,
            high: f64::INFINITY,
            slope,
        })
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let on = Arithmetic {
            ints: |v: &[i64]| Some((self.row.ints?)(v[0])),
            floats: |v: &[f64]| Some((self.row.floats?)(v[0], &self.params)),
        };
        Some(vec![elementwise::fold(
            &elementwise::operands(cx)?,
            &out[0],
            &on,
        )?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, floats};
    use super::*;

    #[test]
    fn values() {
        let x = floats(&[-2.0, -0.25, 0.0, 3.0]);
        for (op, expected) in [
            ("Relu", [0.0, 0.0, 0.0, 3.0]),
            ("LeakyRelu", [-0.02, -0.0025, 0.0, 3.0]),
            ("HardSigmoid", [0.1, 0.45, 0.5, 1.0]),
            ("HardSwish", [-1.0 / 3.0, -0.114_583_33, 0.0, 3.0]),
            ("Softsign", [-2.0 / 3.0, -0.2, 0.0, 0.75]),
            ("Shrink", [-2.0, 0.0, 0.0, 3.0]),
            ("Round", [-2.0, 0.0, 0.0, 3.0]),
            (
                "Softplus",
                [0.126_928, 0.575_939, std::f64::consts::LN_2, 3.048_587],
            ),
        ] {
            let folded = Case::new(op, 13).on(&[&x]).fold().unwrap();
            for (got, want) in folded.iter().zip(expected) {
                assert!((got - want).abs() < 1e-5, "{op}: {folded:?}");
            }
        }
        assert_eq!(Case::new("Erf", 13).on(&[&x]).fold(), None);
    }

    #[test]
    fn types_and_work() {
        let x = fact("N 3 8 8");
        let out = &Case::new("IsNaN", 13).on(&[&x]).infer().unwrap()[0];
        assert_eq!(out.dtype, Some(DataType::Bool));
        assert_eq!(Case::new("Relu", 6).on(&[&x]).work().1, "192*N");
        let bytes = constant(DataType::Uint8, &[1], &[5.0]);
        assert_eq!(
            Case::new("BitwiseNot", 18).on(&[&bytes]).fold(),
            Some(vec![250.0])
        );
    }
}
