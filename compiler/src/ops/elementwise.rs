//! What element-wise operators share: broadcasting, and their arithmetic on
//! constants and on symbolic sizes.

use super::moves::{count, sizes, spread};
use super::reach::broadcast_path;
use super::{AxisReach, Cx, Gap, Path};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Ratio, Shape, Tensor, TensorData};

/// The size of an axis that two tensors share: the number if one is known,
/// else the size that does not stand for something unknown.
///
/// # Errors
/// Two different numbers.
pub(super) fn agree(a: &Expr, b: &Expr) -> Result<Expr, Gap> {
    match (a.as_const(), b.as_const()) {
        (Some(x), Some(y)) if x != y => Err(Gap::new(format!("sizes {a} and {b} differ"))),
        (None, Some(_)) => Ok(b.clone()),
        (None, None) if is_unknown(a) && !is_unknown(b) => Ok(b.clone()),
        _ => Ok(a.clone()),
    }
}

/// Whether a size depends on what is not known.
pub(super) fn is_unknown(size: &Expr) -> bool {
    size.symbols().iter().any(|s| s.starts_with('?'))
}

/// The shape of tensors broadcast to each other (axes aligned at the end).
/// Two different symbolic sizes are taken to be equal when the model runs.
///
/// # Errors
/// Sizes that are numbers, differ, and are not 1.
pub(super) fn broadcast(shapes: &[&[Expr]]) -> Result<Shape, Gap> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![Expr::from(1); rank];
    for shape in shapes {
        let skip = rank - shape.len();
        for (o, size) in out[skip..].iter_mut().zip(*shape) {
            if size.as_const() == Some(1) {
                continue;
            }
            *o = if o.as_const() == Some(1) {
                size.clone()
            } else {
                agree(o, size)?
            };
        }
    }
    Ok(out)
}

/// The shape of all inputs broadcast to each other.
///
/// # Errors
/// One is missing or its rank unknown, or they do not fit.
pub(super) fn broadcast_inputs(cx: &Cx) -> Result<Shape, Gap> {
    let shapes = (0..cx.inputs.len())
        .map(|i| cx.shape(i))
        .collect::<Result<Vec<_>, _>>()?;
    if shapes.is_empty() {
        return Err(Gap::new("there is no input"));
    }
    broadcast(&shapes)
}

/// The path of an operand of which `shape` is the shape, filled up at the end
/// with ones to where its axes stand (the old `axis` attribute).
pub(super) fn aligned_path(shape: &[Expr], rank: usize, output: &[Expr]) -> Path {
    let mut path = broadcast_path(shape, output);
    for reach in &mut path.axes {
        if matches!(reach, AxisReach::Follow { axis, .. } if *axis >= rank) {
            *reach = AxisReach::Free;
        }
    }
    path
}

/// Arithmetic of an operator on integers and on floats.
pub(super) struct Arithmetic<I, F> {
    /// On integers, where no operand is a float.
    pub ints: I,
    /// On floats.
    pub floats: F,
}

/// The output of an element-wise operator as a constant; an operand's axes are
/// aligned with the output's at the end, or as `shapes` says.
pub(super) fn fold<I, F>(
    operands: &[(std::sync::Arc<Tensor>, Vec<usize>)],
    out: &Fact,
    on: &Arithmetic<I, F>,
) -> Option<Tensor>
where
    I: Fn(&[i64]) -> Option<i64>,
    F: Fn(&[f64]) -> Option<f64>,
{
    let (dtype, sizes) = (out.dtype?, sizes(out.shape.as_ref()?)?);
    let floats = operands.iter().any(|(t, _)| t.is_float());
    let fills: Option<Vec<f64>> = operands
        .iter()
        .map(|(t, _)| match t.data {
            TensorData::Fill(v) => Some(v),
            _ => None,
        })
        .collect();
    if let Some(fills) = fills {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let value = if floats {
            (on.floats)(&fills)?
        } else {
            let ints: Vec<i64> = fills.iter().map(|&v| v as i64).collect();
            (on.ints)(&ints)? as f64
        };
        let rounded = Tensor::from_f64(dtype, vec![1], &[value])?.to_f64()?;
        return Some(Tensor {
            dtype,
            shape: sizes,
            data: TensorData::Fill(*rounded.first()?),
        });
    }
    let n = count(&sizes)?;
    if operands.iter().any(|(t, _)| t.data == TensorData::Absent) {
        return None;
    }
    let places: Vec<Vec<usize>> = operands.iter().map(|(_, s)| spread(s, &sizes)).collect();
    if floats {
        let values = operands
            .iter()
            .map(|(t, _)| t.to_f64())
            .collect::<Option<Vec<_>>>()?;
        Tensor::from_f64(dtype, sizes, &zip(n, &places, &values, &on.floats)?)
    } else {
        let values = operands
            .iter()
            .map(|(t, _)| t.to_i64())
            .collect::<Option<Vec<_>>>()?;
        from_ints(dtype, sizes, &zip(n, &places, &values, &on.ints)?)
    }
}

fn zip<T: Copy>(
    n: usize,
    places: &[Vec<usize>],
    values: &[Vec<T>],
    apply: impl Fn(&[T]) -> Option<T>,
) -> Option<Vec<T>> {
    let mut operands = Vec::with_capacity(values.len());
    (0..n)
        .map(|i| {
            operands.clear();
            for (place, values) in places.iter().zip(values) {
                operands.push(*values.get(*place.get(i)?)?);
            }
            apply(&operands)
        })
        .collect()
}

/// A tensor of a given type from integers, wrapped to its width.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
pub(super) fn from_ints(dtype: DataType, shape: Vec<usize>, values: &[i64]) -> Option<Tensor> {
    if dtype == DataType::Int64 {
        return (count(&shape)? == values.len()).then(|| Tensor::from_i64(shape, values));
    }
    let wrap = |v: i64| match dtype {
        DataType::Int32 => f64::from(v as i32),
        DataType::Int16 => f64::from(v as i16),
        DataType::Int8 => f64::from(v as i8),
        DataType::Uint32 => f64::from(v as u32),
        DataType::Uint16 => f64::from(v as u16),
        DataType::Uint8 => f64::from(v as u8),
        _ => v as f64,
    };
    let values: Vec<f64> = values.iter().map(|&v| wrap(v)).collect();
    Tensor::from_f64(dtype, shape, &values)
}

/// The inputs as constants, with their own shapes.
pub(super) fn operands(cx: &Cx) -> Option<Vec<(std::sync::Arc<Tensor>, Vec<usize>)>> {
    cx.inputs
        .iter()
        .map(|fact| {
            let tensor = fact.as_ref()?.tensor()?;
            let shape = tensor.shape.clone();
            Some((tensor, shape))
        })
        .collect()
}

/// The output fact with its elements, where operands hold symbols and none
/// depends on the inputs of the model; what cannot be told gets a symbol of its own.
pub(super) fn carry(
    cx: &Cx,
    operands: &[(&Fact, Vec<Expr>)],
    out: Fact,
    apply: impl Fn(&[Ratio]) -> Option<Ratio>,
) -> Fact {
    if !operands.iter().any(|(f, _)| f.is_symbolic())
        || !operands.iter().all(|(f, _)| f.is_constant())
    {
        return out;
    }
    let elements = || {
        let sizes_out = sizes(out.shape.as_ref()?)?;
        let n = count(&sizes_out)?;
        let mut columns = Vec::new();
        for (fact, shape) in operands {
            columns.push((fact.ratios(), spread(&sizes(shape)?, &sizes_out)));
        }
        let at = |i: usize| {
            let row: Option<Vec<Ratio>> = columns
                .iter()
                .map(|(values, place)| values.as_ref()?.get(*place.get(i)?).cloned())
                .collect();
            apply(&row?)
        };
        Some(
            (0..n)
                .map(|i| at(i).unwrap_or_else(|| cx.unknown(format!("value{i}")).into()))
                .collect::<Vec<Ratio>>(),
        )
    };
    match elements() {
        Some(elements) => out.with_ratios(elements),
        None => out,
    }
}

/// The inputs as operands of [`carry`]; none where one is missing or unranked.
pub(super) fn facts<'a>(cx: &Cx<'a>) -> Vec<(&'a Fact, Vec<Expr>)> {
    let facts: Option<Vec<_>> = cx
        .inputs
        .iter()
        .map(|fact| {
            let fact = (*fact)?;
            Some((fact, fact.shape.clone()?))
        })
        .collect();
    facts.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_broadcast() {
        let (n, h): (Expr, Expr) = (Expr::symbol("N"), Expr::symbol("?x"));
        let a = [n.clone(), 1.into(), h.clone()];
        let b = [3.into(), 7.into()];
        assert_eq!(
            broadcast(&[&a, &b]).unwrap(),
            vec![n, Expr::from(3), Expr::from(7)]
        );
        assert!(broadcast(&[&[2.into()], &[3.into()]]).is_err());
        assert_eq!(
            broadcast(&[&[h], &[Expr::symbol("M")]]).unwrap()[0].to_string(),
            "M"
        );
    }

    #[test]
    fn fills_stay_fills_and_integers_wrap() {
        let fill = |v| {
            let t = Tensor {
                dtype: DataType::Int8,
                shape: vec![1 << 30],
                data: TensorData::Fill(v),
            };
            (std::sync::Arc::new(t), vec![1usize << 30])
        };
        let out = Fact::new(Some(DataType::Int8), vec![(1i64 << 30).into()]);
        let on = Arithmetic {
            ints: |v: &[i64]| Some(v[0].wrapping_add(v[1])),
            floats: |v: &[f64]| Some(v[0] + v[1]),
        };
        let sum = fold(&[fill(3.0), fill(4.0)], &out, &on).unwrap();
        assert_eq!(sum.data, TensorData::Fill(7.0));
        let wrapped = from_ints(DataType::Uint8, vec![2], &[-6, 258]).unwrap();
        assert_eq!(wrapped.to_i64().unwrap(), [250, 2]);
    }
}
