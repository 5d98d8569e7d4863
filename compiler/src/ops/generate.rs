//! Tensors made from a shape, a range or chance: `ConstantOfShape`, `Range`,
//! `EyeLike`, `RandomNormal`, `RandomUniform`, their `Like` forms, `Bernoulli`,
//! `Multinomial`.

use super::identity::data_type;
use super::moves::sizes;
use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Ratio, Shape, Tensor, TensorData};

/// A tensor that no data flow into.
#[derive(Clone, Debug, PartialEq)]
pub enum Generate {
    /// One value, in a shape that the input gives.
    Fill {
        /// The value.
        value: f64,
        /// Its type.
        dtype: DataType,
    },
    /// From a start to before a limit.
    Range,
    /// Elements by chance or by position, of the shape of the input.
    Like(Option<DataType>),
    /// Elements by chance, of the shape of an attribute.
    Random(Vec<i64>, DataType),
    /// Samples drawn from each row of the input.
    Samples(i64, DataType),
    /// Zero or one by chance, with the probabilities of the input.
    Bernoulli(Option<DataType>),
}

/// Reads the node.
///
/// # Errors
/// An element type that is none, a value that is no number, no shape.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let dtype = data_type(node, "dtype")?;
    Ok(Box::new(match node.op.as_str() {
        "ConstantOfShape" => match attrs.tensor("value") {
            None => Generate::Fill {
                value: 0.0,
                dtype: DataType::Float,
            },
            Some(tensor) => Generate::Fill {
                value: super::moves::scalar(&Fact::of(tensor.clone()))
                    .ok_or_else(|| Gap::new("the value is no number"))?,
                dtype: tensor.dtype,
            },
        },
        "Range" => Generate::Range,
        "EyeLike" | "RandomNormalLike" | "RandomUniformLike" => Generate::Like(dtype),
        "RandomNormal" | "RandomUniform" => Generate::Random(
            attrs
                .ints("shape")
                .ok_or_else(|| Gap::new("the attribute shape is missing"))?
                .to_vec(),
            dtype.unwrap_or(DataType::Float),
        ),
        "Multinomial" => Generate::Samples(
            attrs.int("sample_size").unwrap_or(1),
            dtype.unwrap_or(DataType::Int32),
        ),
        "Bernoulli" => Generate::Bernoulli(dtype),
        other => return Err(Gap::new(format!("{other} makes no tensor"))),
    }))
}

/// The one element of a scalar, or of a tensor of one.
fn scalar(cx: &Cx, slot: usize) -> Option<Ratio> {
    cx.optional(slot)?.ratios()?.into_iter().next()
}

fn number(cx: &Cx, slot: usize) -> Option<f64> {
    super::moves::scalar(cx.optional(slot)?)
}

/// How many numbers a range holds: ⌈(limit − start) / step⌉.
fn range_len(cx: &Cx) -> Option<Expr> {
    if let [Some(start), Some(limit), Some(step)] = [0, 1, 2].map(|slot| number(cx, slot)) {
        let len = ((limit - start) / step).ceil().max(0.0);
        #[allow(clippy::cast_possible_truncation)]
        return len.is_finite().then(|| Expr::from(len as i64));
    }
    let (start, limit, step) = (scalar(cx, 0)?, scalar(cx, 1)?, scalar(cx, 2)?);
    let len = (&limit - &start)?.over(&step)?.ceil();
    Some(match len.as_const() {
        Some(n) if n < 0 => Expr::default(),
        _ => len,
    })
}

fn fill(cx: &Cx, value: f64, dtype: DataType) -> Result<Fact, Gap> {
    let shape: Shape = match cx.ints(0) {
        Ok(sizes) => sizes.ok_or_else(|| Gap::new("the shape is missing"))?,
        Err(gap) => {
            let rank = cx.shape(0)?.first().and_then(Expr::as_usize);
            let rank = rank.filter(|&r| r <= 64).ok_or(gap)?;
            (0..rank).map(|i| cx.unknown(i)).collect()
        }
    };
    if let Some(size) = shape.iter().find(|s| s.as_const().is_some_and(|v| v < 0)) {
        return Err(Gap::new(format!("a size is {size}")));
    }
    Ok(match sizes(&shape) {
        Some(shape) => Fact::of(Tensor {
            dtype,
            shape,
            data: TensorData::Fill(value),
        }),
        None => Fact::new(Some(dtype), shape),
    })
}

fn range(cx: &Cx) -> Result<Fact, Gap> {
    let dtype = cx.input(0)?.dtype.or(cx.input(1)?.dtype);
    let len = range_len(cx).unwrap_or_else(|| cx.unknown(0));
    let out = Fact::new(dtype, vec![len.clone()]);
    let steps = || {
        let (start, step) = (scalar(cx, 0)?, scalar(cx, 2)?);
        let n = len.as_i64().filter(|&n| n <= 4096)?;
        (0..n)
            .map(|i| &start + &step.times(&Expr::from(i).into())?)
            .collect::<Option<Vec<Ratio>>>()
    };
    let symbolic = cx.inputs.iter().flatten().any(|f| f.is_symbolic());
    Ok(match symbolic.then(steps).flatten() {
        Some(steps) => out.with_ratios(steps),
        None => out,
    })
}

impl Operator for Generate {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let size = |&d: &i64| match d {
            0.. => Ok(Expr::from(d)),
            _ => Err(Gap::new(format!("a size is {d}"))),
        };
        Ok(vec![match self {
            Self::Fill { value, dtype } => fill(cx, *value, *dtype)?,
            Self::Range => range(cx)?,
            Self::Like(dtype) | Self::Bernoulli(dtype) => {
                Fact::new(dtype.or(same_type(cx)), cx.shape(0)?.to_vec())
            }
            Self::Random(shape, dtype) => Fact::new(
                Some(*dtype),
                shape.iter().map(size).collect::<Result<_, _>>()?,
            ),
            Self::Samples(samples, dtype) => {
                let rows = cx.shape(0)?.first().cloned();
                let rows = rows.ok_or_else(|| Gap::new("the input is a scalar"))?;
                Fact::new(Some(*dtype), vec![rows, size(samples)?])
            }
        }])
    }

    /// An operation an element that is drawn; none for what is laid out.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(match self {
            Self::Fill { .. } | Self::Range | Self::Like(_) => Cost::free(),
            Self::Random(..) | Self::Samples(..) | Self::Bernoulli(_) => {
                Cost::pointwise(super::output_shape(out, 0)?, 1)
            }
        })
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(match self {
            Self::Bernoulli(_) => Reach::first(Path::pointwise(cx.shape(0)?.len())),
            Self::Samples(..) => {
                let mut path = Path::pointwise(2);
                path.axes[1] = super::AxisReach::Free;
                Reach::first(path)
            }
            _ => Reach::none(),
        })
    }

    fn role(&self, _slot: usize) -> Role {
        Role::Config
    }

    #[allow(clippy::cast_precision_loss)]
    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        if *self != Self::Range {
            return None;
        }
        let n = out[0].shape.as_ref()?.first()?.as_usize()?;
        super::moves::count(&[n])?;
        let (start, step) = (number(cx, 0)?, number(cx, 2)?);
        let values: Vec<f64> = (0..n).map(|i| start + step * i as f64).collect();
        Some(vec![Tensor::from_f64(out[0].dtype?, vec![n], &values)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use super::*;

    #[test]
    fn a_fill_takes_no_memory() {
        let huge = ints(&[1 << 20, 1 << 20]);
        let out = &Case::new("ConstantOfShape", 9)
            .on(&[&huge])
            .infer()
            .unwrap()[0];
        assert_eq!(out.tensor().unwrap().data, TensorData::Fill(0.0));
        let negative = ints(&[-1]);
        assert!(
            Case::new("ConstantOfShape", 9)
                .on(&[&negative])
                .infer()
                .is_err()
        );
        let open = fact("2");
        let case = Case::new("ConstantOfShape", 9).on(&[&open]);
        assert_eq!(case.shapes(), ["?node.0 ?node.1"]);
    }

    #[test]
    fn a_range_rounds_its_length_up() {
        let scalar = |v: f64| constant(DataType::Float, &[], &[v]);
        let (start, limit, step) = (scalar(0.0), scalar(0.5), scalar(0.2));
        let case = Case::new("Range", 11).on(&[&start, &limit, &step]);
        assert_eq!(case.shapes(), ["3"]);
        let none = Case::new("Range", 11).on(&[&limit, &start, &step]);
        assert_eq!(none.shapes(), ["0"]);
    }

    #[test]
    fn types() {
        let x = fact("N 4");
        let dtype = |case: Case| case.infer().unwrap()[0].dtype;
        assert_eq!(
            dtype(Case::new("EyeLike", 9).int("dtype", 11).on(&[&x])),
            Some(DataType::Double)
        );
        let samples = Case::new("Multinomial", 7).int("sample_size", 5).on(&[&x]);
        assert_eq!(samples.shapes(), ["N 5"]);
        assert_eq!(dtype(samples), Some(DataType::Int32));
    }
}
