//! Operators that move elements without computing: the output as positions in
//! the inputs, from which both constants and symbolic sizes are carried along.

use bytes::Bytes;

use super::Cx;
use crate::facts::Fact;
use crate::ir::{Expr, FOLD_LIMIT, Tensor, TensorData};
use crate::onnx::bit_width;

/// The sizes of a shape, where all are numbers.
pub(super) fn sizes(shape: &[Expr]) -> Option<Vec<usize>> {
    shape.iter().map(Expr::as_usize).collect()
}

/// Elements of a tensor, where they and every axis are few enough to be
/// computed with (beside an axis of size 0 another may be of any size).
pub(super) fn count(sizes: &[usize]) -> Option<usize> {
    sizes
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))
        .filter(|&n| n <= FOLD_LIMIT)?;
    Some(sizes.iter().product())
}

/// The one number of a constant, where it is one.
pub(super) fn scalar(fact: &Fact) -> Option<f64> {
    let tensor = fact.tensor()?;
    if tensor.len()? != 1 {
        return None;
    }
    tensor.to_f64()?.first().copied()
}

/// Elements between neighbours along each axis, row-major.
pub(super) fn strides(sizes: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; sizes.len()];
    for i in (1..sizes.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(sizes[i]);
    }
    strides
}

/// The positions of the elements of an output, each the sum of one entry of
/// every axis' table.
pub(super) fn offsets(tables: &[Vec<usize>]) -> Vec<usize> {
    tables.iter().fold(vec![0], |outer, table| {
        outer
            .iter()
            .flat_map(|&base| table.iter().map(move |&step| base.saturating_add(step)))
            .collect()
    })
}

/// The positions of every element of an input broadcast to an output (axes
/// aligned at the end).
pub(super) fn spread(input: &[usize], output: &[usize]) -> Vec<usize> {
    let strides = strides(input);
    let skip = output.len().saturating_sub(input.len());
    let tables: Vec<Vec<usize>> = output
        .iter()
        .enumerate()
        .map(|(o, &size)| match o.checked_sub(skip) {
            Some(i) if input[i] != 1 => (0..size).map(|p| p.saturating_mul(strides[i])).collect(),
            _ => vec![0; size],
        })
        .collect();
    offsets(&tables)
}

/// The output fact with its elements, where an input of `slots` holds symbols
/// and all of them are known. `plan` gives, for the output's sizes, the
/// position of each element in the inputs of `slots` laid end to end.
pub(super) fn carry(
    cx: &Cx,
    slots: &[usize],
    out: Fact,
    plan: impl FnOnce(&[usize]) -> Option<Vec<usize>>,
) -> Fact {
    let inputs = || slots.iter().map(|&s| cx.optional(s));
    if !inputs().flatten().any(Fact::is_symbolic) {
        return out;
    }
    let elements = || {
        let mut pool = Vec::new();
        for fact in inputs() {
            pool.extend(fact?.ratios()?);
        }
        let sizes = sizes(out.shape.as_ref()?)?;
        count(&sizes)?;
        plan(&sizes)?
            .into_iter()
            .map(|i| pool.get(i).cloned())
            .collect::<Option<Vec<_>>>()
    };
    match elements() {
        Some(elements) => out.with_ratios(elements),
        None => out,
    }
}

/// The output as a constant; arguments as in [`carry`].
pub(super) fn fold(
    cx: &Cx,
    slots: &[usize],
    out: &Fact,
    plan: impl FnOnce(&[usize]) -> Option<Vec<usize>>,
) -> Option<Tensor> {
    let sizes = sizes(out.shape.as_ref()?)?;
    let inputs: Vec<_> = slots
        .iter()
        .map(|&s| cx.optional(s)?.tensor())
        .collect::<Option<_>>()?;
    let first = inputs.first()?;
    if matches!(first.data, TensorData::Fill(_)) && inputs.iter().all(|t| t.data == first.data) {
        return Some(Tensor {
            dtype: first.dtype,
            shape: sizes,
            data: first.data.clone(),
        });
    }
    count(&sizes)?;
    if inputs.iter().any(|t| t.data == TensorData::Absent) {
        return None;
    }
    let positions = plan(&sizes)?;
    let data = match &first.data {
        TensorData::Strings(_) => {
            let mut pool = Vec::new();
            for tensor in &inputs {
                match &tensor.data {
                    TensorData::Strings(s) => pool.extend_from_slice(s),
                    _ => return None,
                }
            }
            TensorData::Strings(pick(&pool, &positions)?)
        }
        _ => {
            let width = usize::try_from(bit_width(first.dtype)?).ok()?;
            if width % 8 != 0 || inputs.iter().any(|t| t.dtype != first.dtype) {
                return None;
            }
            let mut pool: Vec<Bytes> = Vec::new();
            for tensor in &inputs {
                pool.push(packed(tensor)?);
            }
            TensorData::Bytes(gather(&pool, width / 8, &positions)?)
        }
    };
    Some(Tensor {
        dtype: first.dtype,
        shape: sizes,
        data,
    })
}

fn pick<T: Clone>(pool: &[T], positions: &[usize]) -> Option<Vec<T>> {
    positions.iter().map(|&i| pool.get(i).cloned()).collect()
}

fn gather(pool: &[Bytes], width: usize, positions: &[usize]) -> Option<Bytes> {
    let mut starts = vec![0];
    for bytes in pool {
        starts.push(starts.last()? + bytes.len() / width);
    }
    let mut out = Vec::with_capacity(positions.len() * width);
    for &i in positions {
        let which = starts.partition_point(|&s| s <= i).checked_sub(1)?;
        let at = (i - starts[which]).checked_mul(width)?;
        out.extend_from_slice(pool.get(which)?.get(at..at.checked_add(width)?)?);
    }
    Some(out.into())
}

fn packed(tensor: &Tensor) -> Option<Bytes> {
    match &tensor.data {
        TensorData::Bytes(b) => Some(b.clone()),
        TensorData::Fill(_) => {
            let spelled = Tensor::from_f64(tensor.dtype, tensor.shape.clone(), &tensor.to_f64()?)?;
            match spelled.data {
                TensorData::Bytes(b) => Some(b),
                _ => None,
            }
        }
        _ => None,
    }
}
