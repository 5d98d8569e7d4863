//! `QuantizeLinear`, `DequantizeLinear` (opset 10 on), `DynamicQuantizeLinear`
//! (opset 11 on).

use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, axis, same_type, type_of};
use crate::facts::Fact;
use crate::ir::{DataType, FOLD_LIMIT, Node, Tensor, TensorData};

/// y = saturate(round(x / scale) + zero point), or its inverse; scale and zero
/// point are for the tensor, an axis, or blocks of an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quantize {
    inverse: bool,
    axis: i64,
    block: usize,
    dtype: Option<DataType>,
}

/// Scale and zero point are computed from the input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Dynamic;

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    if node.op == "DynamicQuantizeLinear" {
        return Ok(Box::new(Dynamic));
    }
    let attrs = &node.attrs;
    let dtype = attrs
        .int("output_dtype")
        .and_then(|t| DataType::try_from(i32::try_from(t).ok()?).ok())
        .filter(|&t| t != DataType::Undefined);
    Ok(Box::new(Quantize {
        inverse: node.op == "DequantizeLinear",
        axis: attrs.int("axis").unwrap_or(1),
        block: attrs
            .int("block_size")
            .and_then(|b| usize::try_from(b).ok())
            .unwrap_or(0),
        dtype,
    }))
}

impl Quantize {
    fn output_type(&self, cx: &Cx) -> Option<DataType> {
        let from = if self.inverse {
            type_of(cx, 1)
        } else {
            type_of(cx, 2).or(cx.optional(2).is_none().then_some(DataType::Uint8))
        };
        self.dtype.or(from)
    }

    /// For each element, which scale it takes; `None` where shapes do not fit.
    fn scale_of(&self, shape: &[usize], scales: &Tensor) -> Option<Box<dyn Fn(usize) -> usize>> {
        let count = scales.len()?;
        if count == 1 {
            return Some(Box::new(|_| 0));
        }
        let axis = axis(self.axis, shape.len()).ok()?;
        let size = *shape.get(axis)?;
        let inner: usize = shape[axis + 1..].iter().product();
        if size == 0 || inner == 0 {
            return Some(Box::new(|_| 0));
        }
        if scales.shape.len() == 1 && self.block == 0 {
            return (count == size)
                .then(|| -> Box<dyn Fn(usize) -> usize> { Box::new(move |i| i / inner % size) });
        }
        let block = self.block.max(1);
        let blocks = size.div_ceil(block);
        let outer: usize = shape[..axis].iter().product();
        (count == outer.checked_mul(blocks)?.checked_mul(inner)?).then(
            || -> Box<dyn Fn(usize) -> usize> {
                Box::new(move |i| {
                    (i / inner / size * blocks + i / inner % size / block) * inner + i % inner
                })
            },
        )
    }

    fn zero_points(cx: &Cx, count: usize) -> Option<Vec<f64>> {
        match cx.optional(2) {
            None => Some(vec![0.0; count]),
            Some(fact) => {
                let tensor = fact.tensor()?;
                (tensor.len() == Some(count)).then(|| tensor.to_f64())?
            }
        }
    }
}

/// Least and greatest value of an integer type.
fn limits(dtype: DataType) -> Option<(f64, f64)> {
    Some(match dtype {
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int8 => (-128.0, 127.0),
        DataType::Uint16 => (0.0, 65535.0),
        DataType::Int16 => (-32768.0, 32767.0),
        _ => return None,
    })
}

#[allow(clippy::cast_possible_truncation)]
fn quotient(value: f64, scale: f64, dtype: Option<DataType>) -> f64 {
    match dtype {
        Some(DataType::Double) => value / scale,
        _ => f64::from(value as f32 / scale as f32),
    }
}

impl Operator for Quantize {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::new(self.output_type(cx), cx.shape(0)?.to_vec())])
    }

    /// Two operations an element: the factor and the zero point.
    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(out[0].known_shape()?, 2))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(cx.shape(0)?.len())))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, _out: &[Fact]) -> Option<Vec<Tensor>> {
        let (x, scales) = (cx.optional(0)?.tensor()?, cx.optional(1)?.tensor()?);
        let dtype = self.output_type(cx)?;
        if x.len()? > FOLD_LIMIT && !matches!(x.data, TensorData::Fill(_)) {
            return None;
        }
        if x.is_empty() {
            return Some(vec![Tensor::from_f64(dtype, x.shape.clone(), &[])?]);
        }
        let scale = scales.to_f64()?;
        let zero = Self::zero_points(cx, scale.len())?;
        let bounds = if self.inverse {
            None
        } else {
            Some(limits(dtype)?)
        };
        let one = |v: f64, at: usize| match bounds {
            None => (v - zero[at]) * scale[at],
            Some((least, greatest)) => (quotient(v, scale[at], Some(x.dtype)).round_ties_even()
                + zero[at])
                .clamp(least, greatest),
        };
        if let (TensorData::Fill(v), [_]) = (&x.data, scale.as_slice()) {
            return Some(vec![Tensor {
                dtype,
                shape: x.shape.clone(),
                data: TensorData::Fill(one(*v, 0)),
            }]);
        }
        let which = self.scale_of(&x.shape, &scales)?;
        let values: Vec<f64> = x
            .to_f64()?
            .into_iter()
            .enumerate()
            .map(|(i, v)| one(v, which(i)))
            .collect();
        Some(vec![Tensor::from_f64(dtype, x.shape.clone(), &values)?])
    }
}

impl Operator for Dynamic {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let input = cx.input(0)?;
        let mut y = Fact::unranked(Some(DataType::Uint8));
        y.shape.clone_from(&input.shape);
        Ok(vec![
            y,
            Fact::new(same_type(cx).or(Some(DataType::Float)), Vec::new()),
            Fact::new(Some(DataType::Uint8), Vec::new()),
        ])
    }

    /// Four operations an element: minimum, maximum, factor, zero point.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(cx.shape(0)?, 4))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let rank = cx.shape(0)?.len();
        Ok(Reach::first(if output == 0 {
            Path {
                context: true,
                inner: Vec::new(),
                ..Path::pointwise(rank)
            }
        } else {
            Path::global(0)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, constant, fact, floats, typed};

    #[test]
    fn types() {
        let (x, s, z) = (fact("N 3"), floats(&[0.5]), typed(DataType::Int8, ""));
        let dtype = |case: Case| case.infer().unwrap()[0].dtype;
        let q = || Case::new("QuantizeLinear", 21).on(&[&x, &s]);
        assert_eq!(dtype(q()), Some(DataType::Uint8));
        assert_eq!(dtype(q().on(&[&z])), Some(DataType::Int8));
        assert_eq!(dtype(q().int("output_dtype", 5)), Some(DataType::Int16));
        let d = Case::new("DequantizeLinear", 13).on(&[&z, &s]);
        assert_eq!(dtype(d), Some(DataType::Float));
    }

    #[test]
    fn weights_unfold_along_their_axis() {
        let w = constant(DataType::Int8, &[2, 3], &[1.0, 2.0, 3.0, -4.0, 5.0, 6.0]);
        let (s, z) = (
            floats(&[0.5, 2.0]),
            constant(DataType::Int8, &[2], &[0.0, 1.0]),
        );
        let case = Case::new("DequantizeLinear", 13)
            .int("axis", 0)
            .on(&[&w, &s, &z]);
        assert_eq!(case.fold().unwrap(), [0.5, 1.0, 1.5, -10.0, 8.0, 10.0]);
        let blocks = constant(DataType::Float, &[2, 2], &[1.0, 10.0, 2.0, 20.0]);
        let case = Case::new("DequantizeLinear", 21)
            .int("axis", 1)
            .int("block_size", 2)
            .on(&[&w, &blocks]);
        assert_eq!(case.fold().unwrap(), [1.0, 2.0, 30.0, -8.0, 10.0, 120.0]);
    }

    #[test]
    fn rounds_half_to_even_and_saturates() {
        let x = floats(&[0.25, 0.75, -500.0, 1.25]);
        let (s, z) = (floats(&[0.5]), constant(DataType::Int8, &[], &[1.0]));
        let case = Case::new("QuantizeLinear", 10).on(&[&x, &s, &z]);
        assert_eq!(case.fold().unwrap(), [1.0, 3.0, -128.0, 3.0]);
    }
}
