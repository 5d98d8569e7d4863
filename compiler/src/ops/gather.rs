//! `Gather`, `GatherElements`, `GatherND`.

use super::moves::{self, count, offsets, sizes, strides};
use super::{
    AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, output_shape, same_type,
};
use crate::facts::Fact;
use crate::ir::{Expr, Node, Shape, Tensor};

/// Takes elements by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gather {
    /// Whole slices along an axis.
    Slices(i64),
    /// Single elements, indices along an axis.
    Elements(i64),
    /// Slices by index tuples, after this many batch axes.
    Tuples(i64),
}

/// Reads the node.
///
/// # Errors
/// Another operator.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let int = |name: &str| node.attrs.int(name).unwrap_or(0);
    Ok(Box::new(match node.op.as_str() {
        "Gather" => Gather::Slices(int("axis")),
        "GatherElements" => Gather::Elements(int("axis")),
        "GatherND" => Gather::Tuples(int("batch_dims")),
        other => return Err(Gap::new(format!("{other} does not gather"))),
    }))
}

/// Batch axes and tuple length of `GatherND`, checked.
fn tuples(batch: i64, data: &[Expr], indices: &[Expr]) -> Result<(usize, usize), Gap> {
    let batch = usize::try_from(batch).map_err(|_| Gap::new("batch_dims is negative"))?;
    let tuple = indices
        .last()
        .ok_or_else(|| Gap::new("the indices are a scalar"))?
        .as_usize()
        .ok_or_else(|| Gap::new("the length of the index tuples is not known"))?;
    let used = batch.checked_add(tuple).filter(|&u| u <= data.len());
    if used.is_none() || batch >= indices.len() {
        return Err(Gap::new(format!(
            "tuples of {tuple} after {batch} batch axes for a rank of {}",
            data.len()
        )));
    }
    Ok((batch, tuple))
}

/// The numbers that make an arithmetic progression, as (first, step).
fn progression(indices: &[i64]) -> Option<(i64, i64)> {
    let first = *indices.first()?;
    let step = match indices.get(1) {
        Some(second) => second.checked_sub(first)?,
        None => 1,
    };
    let even = indices
        .windows(2)
        .all(|w| w[1].checked_sub(w[0]) == Some(step));
    even.then_some((first, step))
}

impl Gather {
    fn shape(self, cx: &Cx) -> Result<Shape, Gap> {
        let (data, indices) = (cx.shape(0)?, cx.shape(1)?);
        Ok(match self {
            Self::Slices(at) => {
                let at = axis(at, data.len())?;
                [&data[..at], indices, &data[at + 1..]].concat()
            }
            Self::Elements(at) => {
                axis(at, data.len())?;
                if indices.len() != data.len() {
                    return Err(Gap::new("data and indices differ in rank"));
                }
                indices.to_vec()
            }
            Self::Tuples(batch) => {
                let (batch, tuple) = tuples(batch, data, indices)?;
                [&indices[..indices.len() - 1], &data[batch + tuple..]].concat()
            }
        })
    }

    /// The indices along the gathered axis, from its beginning.
    fn indices(cx: &Cx, size: &Expr) -> Option<Vec<i64>> {
        let wrap = |i: i64| match (i < 0, size.as_i64()) {
            (false, _) => Some(i),
            (true, size) => i.checked_add(size?),
        };
        let tensor = cx.optional(1)?.tensor()?;
        count(&tensor.shape)?;
        tensor.to_i64()?.into_iter().map(wrap).collect()
    }

    fn plan(self, cx: &Cx, out: &[usize]) -> Option<Vec<usize>> {
        let data = sizes(cx.shape(0).ok()?)?;
        let steps = strides(&data);
        let (Self::Slices(at) | Self::Elements(at)) = self else {
            return None;
        };
        let at = axis(at, data.len()).ok()?;
        let indices: Vec<usize> = Self::indices(cx, &data[at].into())?
            .into_iter()
            .map(|i| usize::try_from(i).ok().filter(|&i| i < data[at]))
            .collect::<Option<_>>()?;
        let along = |i: usize| (0..data[i]).map(|p| p * steps[i]).collect::<Vec<usize>>();
        if let Self::Elements(_) = self {
            // The position of each index, its own axis left out.
            let tables: Vec<Vec<usize>> = (0..data.len())
                .map(|i| match i == at {
                    true => vec![0; out[i]],
                    false => (0..out[i]).map(|p| p.saturating_mul(steps[i])).collect(),
                })
                .collect();
            let bases = offsets(&tables).into_iter().zip(indices);
            return Some(
                bases
                    .map(|(base, i)| base.saturating_add(i * steps[at]))
                    .collect(),
            );
        }
        let mut tables: Vec<Vec<usize>> = (0..at).map(along).collect();
        tables.push(indices.into_iter().map(|i| i * steps[at]).collect());
        tables.extend((at + 1..data.len()).map(along));
        Some(offsets(&tables))
    }

    /// Paths from data and indices to the output.
    fn paths(self, cx: &Cx, rank: usize) -> Result<[Path; 2], Gap> {
        let (data, indices) = (cx.shape(0)?, cx.shape(1)?);
        let (mut from_data, mut from_indices) = (Path::global(rank), Path::global(rank));
        let follow = |axis| AxisReach::Follow {
            axis,
            map: Map::IDENTITY,
        };
        match self {
            Self::Slices(at) => {
                let at = axis(at, data.len())?;
                let after = at + indices.len();
                for o in 0..rank {
                    if o < at {
                        from_data.axes[o] = follow(o);
                    } else if o < after {
                        from_indices.axes[o] = follow(o - at);
                    } else {
                        from_data.axes[o] = follow(o + 1 - indices.len());
                    }
                }
                if indices.len() == 1
                    && let Some(known) = Self::indices(cx, &data[at])
                    && let Some((start, step)) = progression(&known)
                {
                    from_data.axes[at] = AxisReach::Follow {
                        axis: at,
                        map: Map::shift(start, step),
                    };
                }
            }
            Self::Elements(at) => {
                from_indices = Path::pointwise(rank);
                from_data = Path::pointwise(rank);
                from_data.axes[axis(at, rank)?] = AxisReach::Free;
            }
            Self::Tuples(batch) => {
                let (batch, tuple) = tuples(batch, data, indices)?;
                for o in 0..rank {
                    if o < batch {
                        from_data.axes[o] = follow(o);
                    }
                    if o + 1 < indices.len() {
                        from_indices.axes[o] = follow(o);
                    } else {
                        from_data.axes[o] = follow(o + 1 + batch + tuple - indices.len());
                    }
                }
            }
        }
        Ok([from_data, from_indices])
    }
}

impl Operator for Gather {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let out = Fact::new(same_type(cx), self.shape(cx)?);
        Ok(vec![moves::carry(cx, &[0], out, |s| self.plan(cx, s))])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let [data, indices] = self.paths(cx, output_shape(out, 0)?.len())?;
        let known = cx.input(1)?.is_constant();
        Ok(Reach(vec![Some(data), (!known).then_some(indices)]))
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

    #[test]
    fn even_indices_are_a_slice() {
        assert_eq!(progression(&[3]), Some((3, 1)));
        assert_eq!(progression(&[4, 2, 0]), Some((4, -2)));
        assert_eq!(progression(&[0, 1, 3]), None);
        assert_eq!(progression(&[]), None);
    }
}
