//! `Slice`: starts and ends as attributes (opset 1), as inputs with steps (10 on).

use super::moves::{self, offsets, sizes, strides};
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node, Tensor};

/// Cuts a range out of each of some axes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slice {
    starts: Option<Vec<i64>>,
    ends: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
}

/// What is cut along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first position; `None` where it is not a known number.
    pub start: Option<i64>,
    /// The step, not zero; `None` where it is not known.
    pub step: Option<i64>,
    /// How many positions remain.
    pub size: Expr,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let list = |name: &str| node.attrs.ints(name).map(<[i64]>::to_vec);
    Ok(Box::new(Slice {
        starts: list("starts"),
        ends: list("ends"),
        axes: list("axes"),
    }))
}

/// A position counted from the end if negative.
fn from_end(position: &Expr, size: &Expr) -> Expr {
    let negative = match position.as_const() {
        Some(v) => v < 0,
        None => (position.clone() * (-1).into())
            .at_least()
            .is_some_and(|low| low > 0),
    };
    if negative {
        position.clone() + size.clone()
    } else {
        position.clone()
    }
}

/// What a range with known step leaves of an axis. Positions that are symbolic
/// are taken to lie inside the axis.
fn cut(start: &Expr, end: &Expr, step: i64, size: &Expr) -> Option<Cut> {
    let whole = |start: i64, size: Expr| {
        Some(Cut {
            start: Some(start),
            step: Some(step),
            size,
        })
    };
    let far = |e: &Expr| e.as_const().is_some_and(|v| v >= i128::from(i32::MAX));
    let (first, last) = (from_end(start, size), from_end(end, size));
    if let (Some(first), Some(last), Some(n)) = (first.as_const(), last.as_const(), size.as_const())
    {
        // A hostile size may be at the end of the range.
        let n = n.min(i128::from(i64::MAX));
        let by = i128::from(step);
        let (first, count) = if n < 1 {
            (0, 0)
        } else if step > 0 {
            let (first, last) = (first.clamp(0, n), last.clamp(0, n));
            (first, (last - first + by - 1).div_euclid(by).max(0))
        } else {
            // The start lies inside; the end may lie before the beginning.
            let (first, last) = (first.clamp(0, n - 1), last.clamp(-1, n - 1));
            (first, (first - last - by - 1).div_euclid(-by).max(0))
        };
        return whole(i64::try_from(first).ok()?, count.into());
    }
    if step < 0 {
        // Only the whole of a symbolic axis, reversed.
        let all = (far(start) || start.as_const() == Some(-1))
            && end.as_const().is_some_and(|v| v <= -i128::from(i32::MAX));
        return all.then(|| Cut {
            start: (size.clone() - 1.into()).as_i64(),
            step: Some(step),
            size: size.ceil_div(step.checked_neg().unwrap_or(i64::MAX)),
        });
    }
    // Far before the beginning of an axis of symbolic size.
    let first = match start.as_const() {
        Some(v) if v <= -i128::from(i32::MAX) => Expr::default(),
        _ => first,
    };
    let last = if far(end) { size.clone() } else { last };
    // min(end, size) of a number and a symbol is neither.
    if last.as_const().is_some() && size.as_const().is_none() && size.at_least() < last.as_const() {
        return None;
    }
    let count = (last - first.clone()).ceil_div(step);
    Some(Cut {
        start: first.as_i64(),
        step: Some(step),
        size: match count.as_const() {
            Some(v) if v < 0 => Expr::default(),
            _ => count,
        },
    })
}

impl Slice {
    fn list(attr: Option<&Vec<i64>>, cx: &Cx, slot: usize) -> Result<Option<Vec<Expr>>, Gap> {
        match attr {
            Some(list) => Ok(Some(list.iter().map(|&v| v.into()).collect())),
            None => cx.ints(slot),
        }
    }

    /// The number of axes that are cut, where it is known.
    fn width(&self, cx: &Cx) -> Option<usize> {
        match &self.starts {
            Some(starts) => Some(starts.len()),
            None => cx.shape(1).ok()?.first()?.as_usize(),
        }
    }

    /// For each axis of the input what is cut; `None` where it stays whole.
    ///
    /// # Errors
    /// Axes out of range, or a step of zero.
    pub fn cuts(&self, cx: &Cx) -> Result<Vec<Option<Cut>>, Gap> {
        let shape = cx.shape(0)?;
        let unknown = |i: usize| Cut {
            start: None,
            step: None,
            size: cx.unknown(i),
        };
        let mut cuts: Vec<Option<Cut>> = vec![None; shape.len()];
        let Ok(axes) = Self::list(self.axes.as_ref(), cx, 3) else {
            return Ok((0..shape.len()).map(|i| Some(unknown(i))).collect());
        };
        let axes: Vec<Expr> = match (axes, self.width(cx)) {
            (Some(axes), _) => axes,
            (None, Some(width)) if width <= shape.len() => (0..width).map(Expr::from).collect(),
            (None, Some(_)) => return Err(Gap::new("more starts than axes")),
            (None, None) => (0..shape.len()).map(Expr::from).collect(),
        };
        let starts = Self::list(self.starts.as_ref(), cx, 1).unwrap_or_default();
        let ends = Self::list(self.ends.as_ref(), cx, 2).unwrap_or_default();
        let steps = match cx.ints(4) {
            Ok(None) => Some(vec![Expr::from(1); axes.len()]),
            given => given.unwrap_or_default(),
        };
        for (i, which) in axes.iter().enumerate() {
            let at = which
                .as_i64()
                .ok_or_else(|| Gap::new("an axis is not a number"))?;
            let at = axis(at, shape.len())?;
            let entry = |list: &Option<Vec<Expr>>| list.as_ref()?.get(i).cloned();
            let step = entry(&steps).and_then(|s| s.as_i64());
            if step == Some(0) {
                return Err(Gap::new("a step is 0"));
            }
            let known = entry(&starts)
                .zip(entry(&ends))
                .zip(step)
                .and_then(|((start, end), step)| cut(&start, &end, step, &shape[at]));
            cuts[at] = Some(known.unwrap_or_else(|| Cut {
                step,
                ..unknown(at)
            }));
        }
        Ok(cuts)
    }

    fn plan(&self, cx: &Cx, out: &[usize]) -> Option<Vec<usize>> {
        let strides = strides(&sizes(cx.shape(0).ok()?)?);
        let cuts = self.cuts(cx).ok()?;
        let mut tables = Vec::with_capacity(out.len());
        for ((cut, &size), &stride) in cuts.iter().zip(out).zip(&strides) {
            let (start, step) = match cut {
                Some(cut) => (cut.start?, cut.step?),
                None => (0, 1),
            };
            let position = |p: usize| {
                let p = i64::try_from(p)
                    .ok()?
                    .checked_mul(step)?
                    .checked_add(start)?;
                usize::try_from(p).ok()?.checked_mul(stride)
            };
            tables.push((0..size).map(position).collect::<Option<Vec<_>>>()?);
        }
        Some(offsets(&tables))
    }
}

impl Operator for Slice {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let cuts = self.cuts(cx)?;
        let shape = cx
            .shape(0)?
            .iter()
            .zip(cuts)
            .map(|(size, cut)| cut.map_or_else(|| size.clone(), |c| c.size))
            .collect();
        let out = Fact::new(same_type(cx), shape);
        Ok(vec![moves::carry(cx, &[0], out, |s| self.plan(cx, s))])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let cuts = self.cuts(cx)?;
        let mut path = Path::pointwise(cuts.len());
        for (axis, cut) in cuts.into_iter().enumerate() {
            let Some(cut) = cut else { continue };
            let (Some(start), Some(step)) = (cut.start, cut.step) else {
                return Err(Gap::new(format!(
                    "where the slice of axis {axis} starts is known only at run time; \
                     give --input-shape"
                )));
            };
            path.axes[axis] = AxisReach::Follow {
                axis,
                map: Map::shift(start, step),
            };
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let folded = moves::fold(cx, &[0], &out[0], |sizes| self.plan(cx, sizes))?;
        Some(vec![folded])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(start: i64, end: i64, step: i64, size: &Expr) -> Option<String> {
        cut(&start.into(), &end.into(), step, size).map(|c| c.size.to_string())
    }

    #[test]
    fn sizes_of_numbers() {
        let ten = Expr::from(10);
        for (start, end, step, expected) in [
            (0, i64::MAX, 1, "10"),
            (2, -1, 3, "3"),
            (-100, 100, 4, "3"),
            (9, 0, -1, "9"),
            (-1, i64::MIN, -3, "4"),
            (20, -20, -2, "5"),
            (-20, i64::MIN, -2, "1"),
            (5, 5, 1, "0"),
            (7, 3, 1, "0"),
        ] {
            assert_eq!(
                size(start, end, step, &ten).as_deref(),
                Some(expected),
                "{start}:{end}:{step}"
            );
        }
    }

    #[test]
    fn sizes_of_symbols() {
        let h = Expr::symbol("H");
        assert_eq!(size(0, i64::MAX, 2, &h).unwrap(), h.ceil_div(2).to_string());
        assert_eq!(size(1, i64::MAX, 1, &h).unwrap(), "H - 1");
        assert_eq!(size(1, -2, 1, &h).unwrap(), "H - 3");
        assert_eq!(size(-1, i64::MIN, -1, &h).unwrap(), "H");
        assert_eq!(size(0, 5, 1, &h), None, "H may be smaller");
        assert_eq!(size(0, 1, 1, &h).unwrap(), "1");
        assert_eq!(size(3, 1, 1, &h).unwrap(), "0");
    }
}
