//! Reductions: axes as an attribute, or as an input (`ReduceSum` from opset 13
//! on, the others from 18 on).

use super::elementwise::from_ints;
use super::moves::{self, count, offsets, sizes, strides};
use super::{
    AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, output_shape, same_type,
};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Ratio, Shape, Tensor, TensorData};

/// One row of the table: how elements enter, how two combine, what the result
/// then goes through (with the number of elements), operations an element read.
#[derive(Debug)]
struct Row {
    name: &'static str,
    start: f64,
    enter: fn(f64) -> f64,
    combine: fn(f64, f64) -> f64,
    leave: fn(f64, f64) -> f64,
    operations: i64,
}

const fn row(name: &'static str, combine: fn(f64, f64) -> f64, start: f64) -> Row {
    Row {
        name,
        start,
        enter: |v| v,
        combine,
        leave: |v, _| v,
        operations: 1,
    }
}

const fn plus(a: f64, b: f64) -> f64 {
    a + b
}

static TABLE: &[Row] = &[
    row("ReduceSum", plus, 0.0),
    Row {
        leave: |v, n| v / n,
        ..row("ReduceMean", plus, 0.0)
    },
    row("ReduceProd", |a, b| a * b, 1.0),
    row("ReduceMax", f64::max, f64::NEG_INFINITY),
    row("ReduceMin", f64::min, f64::INFINITY),
    Row {
        enter: f64::abs,
        operations: 2,
        ..row("ReduceL1", plus, 0.0)
    },
    Row {
        enter: |v| v * v,
        leave: |v, _| v.sqrt(),
        operations: 2,
        ..row("ReduceL2", plus, 0.0)
    },
    Row {
        enter: |v| v * v,
        operations: 2,
        ..row("ReduceSumSquare", plus, 0.0)
    },
    Row {
        leave: |v, _| v.ln(),
        ..row("ReduceLogSum", plus, 0.0)
    },
    Row {
        enter: f64::exp,
        leave: |v, _| v.ln(),
        operations: 2,
        ..row("ReduceLogSumExp", plus, 0.0)
    },
];

/// Combines the elements along axes.
#[derive(Debug)]
pub struct Reduce {
    row: &'static Row,
    axes: Option<Vec<i64>>,
    keep: bool,
    /// Without axes nothing is reduced.
    noop: bool,
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
    let flag = |name, default| node.attrs.int(name).unwrap_or(default) != 0;
    Ok(Box::new(Reduce {
        row,
        axes: node.attrs.ints("axes").map(<[i64]>::to_vec),
        keep: flag("keepdims", 1),
        noop: flag("noop_with_empty_axes", 0),
    }))
}

impl Reduce {
    /// For each axis of the input whether it is reduced.
    ///
    /// # Errors
    /// An axis out of range, or the axes are computed at run time.
    pub fn reduced(&self, cx: &Cx) -> Result<Vec<bool>, Gap> {
        let rank = cx.shape(0)?.len();
        let axes: Vec<i64> = match &self.axes {
            Some(axes) => axes.clone(),
            None => cx
                .ints(1)?
                .unwrap_or_default()
                .iter()
                .map(Expr::as_i64)
                .collect::<Option<_>>()
                .ok_or_else(|| Gap::new("the axes are not numbers"))?,
        };
        if axes.is_empty() {
            return Ok(vec![!self.noop; rank]);
        }
        let mut reduced = vec![false; rank];
        for a in axes {
            reduced[axis(a, rank)?] = true;
        }
        Ok(reduced)
    }

    fn shape(&self, cx: &Cx) -> Result<Shape, Gap> {
        let input = cx.shape(0)?;
        let reduced = match self.reduced(cx) {
            Ok(reduced) => reduced,
            Err(gap) if self.axes.is_some() || cx.ints(1).is_ok() => return Err(gap),
            // Which axes is not known, but how many.
            Err(gap) => {
                let gone = cx.shape(1)?.first().and_then(Expr::as_usize);
                let rank = match (self.keep, gone) {
                    (true, _) => input.len(),
                    (false, Some(gone)) if gone > 0 => input.len().saturating_sub(gone),
                    (false, _) => return Err(gap),
                };
                return Ok((0..rank).map(|i| cx.unknown(i)).collect());
            }
        };
        Ok(input
            .iter()
            .zip(reduced)
            .filter_map(|(size, gone)| match (gone, self.keep) {
                (false, _) => Some(size.clone()),
                (true, true) => Some(1.into()),
                (true, false) => None,
            })
            .collect())
    }

    /// For each element of the input its position in the output.
    fn places(&self, cx: &Cx) -> Option<(Vec<usize>, usize, usize)> {
        let input = sizes(cx.shape(0).ok()?)?;
        count(&input)?;
        let reduced = self.reduced(cx).ok()?;
        let kept: Vec<usize> = input
            .iter()
            .zip(&reduced)
            .map(|(&size, &gone)| if gone { 1 } else { size })
            .collect();
        let strides = strides(&kept);
        let tables: Vec<Vec<usize>> = (0..input.len())
            .map(|i| {
                let step = if reduced[i] { 0 } else { strides[i] };
                (0..input[i]).map(|p| p.saturating_mul(step)).collect()
            })
            .collect();
        let outputs = count(&kept)?;
        let group = input
            .iter()
            .zip(&reduced)
            .filter(|&(_, &gone)| gone)
            .map(|(&size, _)| size)
            .product();
        Some((offsets(&tables), outputs, group))
    }

    /// Sums, products and extremes of symbolic sizes.
    fn symbolic(&self, cx: &Cx) -> Option<Vec<Ratio>> {
        let values = cx.optional(0)?.ratios()?;
        let combine: fn(&Ratio, &Ratio) -> Option<Ratio> = match self.row.name {
            "ReduceSum" | "ReduceMean" => |a, b| a + b,
            "ReduceProd" => Ratio::times,
            "ReduceMax" => |a, b| Some(if a.less(b)? { b.clone() } else { a.clone() }),
            "ReduceMin" => |a, b| Some(if a.less(b)? { a.clone() } else { b.clone() }),
            _ => return None,
        };
        let (places, outputs, group) = self.places(cx)?;
        let mut results: Vec<Option<Ratio>> = vec![None; outputs];
        for (place, value) in places.iter().zip(&values) {
            let result = results.get_mut(*place)?;
            *result = match result.take() {
                None => Some(value.clone()),
                Some(so_far) => Some(combine(&so_far, value)?),
            };
        }
        results
            .into_iter()
            .map(|r| match self.row.name {
                "ReduceMean" => r?.over(&Expr::from(group).into()),
                _ => r,
            })
            .collect()
    }
}

impl Operator for Reduce {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let out = Fact::new(same_type(cx), self.shape(cx)?);
        if cx.input(0)?.is_symbolic()
            && let Some(values) = self.symbolic(cx)
        {
            return Ok(vec![out.with_ratios(values)]);
        }
        Ok(vec![out])
    }

    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(cx.shape(0)?, self.row.operations))
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let reduced = self.reduced(cx)?;
        let mut path = Path::global(output_shape(out, 0)?.len());
        let mut next = 0;
        for (axis, gone) in reduced.into_iter().enumerate() {
            if !gone && let Some(reach) = path.axes.get_mut(next) {
                *reach = AxisReach::Follow {
                    axis,
                    map: Map::IDENTITY,
                };
            }
            next += usize::from(!gone || self.keep);
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    #[allow(clippy::cast_precision_loss)]
    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let data = cx.optional(0)?.tensor()?;
        let shape = moves::sizes(out[0].shape.as_ref()?)?;
        if data.data == TensorData::Absent {
            return None;
        }
        let (places, outputs, group) = self.places(cx)?;
        if !data.is_float() && matches!(self.row.name, "ReduceSum" | "ReduceProd") {
            let product = self.row.name == "ReduceProd";
            let mut results = vec![i64::from(product); outputs];
            for (place, value) in places.iter().zip(data.to_i64()?) {
                let result = results.get_mut(*place)?;
                *result = if product {
                    result.wrapping_mul(value)
                } else {
                    result.wrapping_add(value)
                };
            }
            return Some(vec![from_ints(data.dtype, shape, &results)?]);
        }
        // Nothing at all is the least and the greatest truth.
        let start = match data.dtype {
            DataType::Bool => self.row.start.clamp(0.0, 1.0),
            _ => self.row.start,
        };
        let mut results = vec![start; outputs];
        for (place, value) in places.iter().zip(data.to_f64()?) {
            let result = results.get_mut(*place)?;
            *result = (self.row.combine)(*result, (self.row.enter)(value));
        }
        for result in &mut results {
            *result = (self.row.leave)(*result, group as f64);
        }
        Some(vec![Tensor::from_f64(data.dtype, shape, &results)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use super::*;

    #[test]
    fn axes_are_attributes_or_inputs() {
        let (x, axes, none) = (fact("N 3 8 8"), ints(&[-1, 2]), ints(&[]));
        let old = Case::new("ReduceMean", 13).ints("axes", &[2, 3]).on(&[&x]);
        assert_eq!(old.shapes(), ["N 3 1 1"]);
        let new = Case::new("ReduceMean", 18)
            .int("keepdims", 0)
            .on(&[&x, &axes]);
        assert_eq!(new.shapes(), ["N 3"]);
        let path = new.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(
            (path.follower(1).map(|f| f.0), path.follower(2)),
            (Some(1), None)
        );
        let all = Case::new("ReduceSum", 13)
            .int("keepdims", 0)
            .on(&[&x, &none]);
        assert_eq!(all.shapes(), [""]);
        let noop = Case::new("ReduceSum", 13)
            .int("noop_with_empty_axes", 1)
            .on(&[&x]);
        assert_eq!(noop.shapes(), ["N 3 8 8"]);
    }

    #[test]
    fn axes_that_are_not_known_leave_sizes_open() {
        let (x, axes) = (fact("N 3 8"), fact("2"));
        let case = |keep| {
            Case::new("ReduceMax", 18)
                .int("keepdims", keep)
                .on(&[&x, &axes])
        };
        assert_eq!(case(0).shapes(), ["?node.0"]);
        assert_eq!(case(1).shapes(), ["?node.0 ?node.1 ?node.2"]);
        assert!(case(0).reach().is_err());
        let none = constant(DataType::Bool, &[0, 2], &[]);
        let empty = Case::new("ReduceMax", 20).int("keepdims", 0);
        assert_eq!(empty.on(&[&none, &ints(&[0])]).fold().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn values() {
        let x = constant(DataType::Float, &[2, 2], &[3.0, -4.0, 1.0, 2.0]);
        let fold = |op| {
            Case::new(op, 11)
                .ints("axes", &[1])
                .on(&[&x])
                .fold()
                .unwrap()
        };
        assert_eq!(fold("ReduceMean"), [-0.5, 1.5]);
        assert_eq!(fold("ReduceL1"), [7.0, 3.0]);
        assert_eq!(fold("ReduceSumSquare"), [25.0, 5.0]);
        assert_eq!(fold("ReduceMax"), [3.0, 2.0]);
        let big = ints(&[i64::MAX, -1]);
        let exact = Case::new("ReduceSum", 11).on(&[&big]);
        let tensors = exact
            .operator()
            .unwrap()
            .fold(&exact.cx(), &exact.infer().unwrap());
        assert_eq!(tensors.unwrap()[0].to_i64().unwrap(), [i64::MAX - 1]);
    }
}
