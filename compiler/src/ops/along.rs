//! Operators that keep all axes but work along one: `CumSum`, `CumProd`,
//! `TopK`, `ArgMax`, `ArgMin`, `ReverseSequence`, `OneHot`, `Trilu`, `BitCast`.

use super::identity::data_type;
use super::{
    AxisReach, Cost, Cx, Gap, Map, Operator, Outside, Path, Reach, Role, axis, output_shape,
    same_type,
};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node};
use crate::onnx::bit_width;

/// An operator along one axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Along {
    /// Running sum or product; the axis is an input.
    Cumulative,
    /// The largest or smallest, in order, and where they are. Their number is
    /// an attribute before opset 10.
    Top {
        /// The axis.
        axis: i64,
        /// How many, where the attribute says so.
        k: Option<i64>,
    },
    /// Where the largest or smallest is.
    Arg {
        /// The axis.
        axis: i64,
        /// The axis stays, with size 1.
        keep: bool,
    },
    /// Reverses the beginning of each sequence.
    Reverse {
        /// The axis along which is reversed.
        time: i64,
    },
    /// A new axis with one element set.
    OneHot {
        /// Where the new axis stands.
        axis: i64,
    },
    /// Zeros above or below a diagonal.
    Triangle,
    /// The same bits as another type.
    BitCast(DataType),
}

/// Reads the node.
///
/// # Errors
/// Another operator, or no type to read bits as.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let int = |name: &str, default| node.attrs.int(name).unwrap_or(default);
    Ok(Box::new(match node.op.as_str() {
        "CumSum" | "CumProd" => Along::Cumulative,
        "TopK" => Along::Top {
            axis: int("axis", -1),
            k: node.attrs.int("k"),
        },
        "ArgMax" | "ArgMin" => Along::Arg {
            axis: int("axis", 0),
            keep: int("keepdims", 1) != 0,
        },
        "ReverseSequence" => Along::Reverse {
            time: int("time_axis", 0),
        },
        "OneHot" => Along::OneHot {
            axis: int("axis", -1),
        },
        "Trilu" => Along::Triangle,
        "BitCast" => Along::BitCast(
            data_type(node, "to")?.ok_or_else(|| Gap::new("the attribute to is missing"))?,
        ),
        other => return Err(Gap::new(format!("{other} does not work along an axis"))),
    }))
}

impl Along {
    /// The axis along which the operator works, of the input (of the output
    /// for `OneHot`); `None` where it is known only at run time.
    fn axis(&self, cx: &Cx) -> Result<Option<usize>, Gap> {
        let rank = cx.shape(0)?.len();
        match self {
            Self::Top { axis: at, .. }
            | Self::Arg { axis: at, .. }
            | Self::Reverse { time: at } => axis(*at, rank).map(Some),
            Self::OneHot { axis: at } => axis(*at, rank + 1).map(Some),
            Self::Cumulative => match cx.ints(1) {
                Ok(Some(v)) => match v.first().and_then(Expr::as_i64) {
                    Some(at) => axis(at, rank).map(Some),
                    None => Ok(None),
                },
                _ => Ok(None),
            },
            Self::Triangle | Self::BitCast(_) => Ok(None),
        }
    }
}

impl Operator for Along {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(0)?.to_vec();
        let at = self.axis(cx)?;
        let count = |slot: usize| {
            let number = super::moves::scalar(cx.optional(slot)?)?;
            #[allow(clippy::cast_possible_truncation)]
            Some(Expr::from(number as i64))
        };
        Ok(match (self, at) {
            (Self::Top { k, .. }, Some(at)) => {
                let symbolic = || cx.ints(1).ok().flatten()?.into_iter().next();
                shape[at] = k
                    .map(Expr::from)
                    .or_else(symbolic)
                    .unwrap_or_else(|| cx.unknown(at));
                vec![
                    Fact::new(same_type(cx), shape.clone()),
                    Fact::new(Some(DataType::Int64), shape),
                ]
            }
            (Self::Arg { keep, .. }, Some(at)) => {
                if *keep {
                    shape[at] = 1.into();
                } else {
                    shape.remove(at);
                }
                vec![Fact::new(Some(DataType::Int64), shape)]
            }
            (Self::OneHot { .. }, Some(at)) => {
                shape.insert(at, count(1).unwrap_or_else(|| cx.unknown(at)));
                vec![Fact::new(cx.input(2)?.dtype, shape)]
            }
            (Self::BitCast(to), _) => {
                let widths = same_type(cx).map(|from| (bit_width(from), bit_width(*to)));
                if widths.is_some_and(|(from, to)| from != to) {
                    return Err(Gap::new("a bit cast between types of different width"));
                }
                vec![Fact::new(Some(*to), shape)]
            }
            _ => vec![Fact::new(same_type(cx), shape)],
        })
    }

    /// An operation an element read, where elements are compared or combined.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        match self {
            Self::Cumulative | Self::Top { .. } | Self::Arg { .. } => {
                Ok(Cost::pointwise(cx.shape(0)?, 1))
            }
            _ => Ok(Cost::free()),
        }
    }

    /// Along the axis the whole is read, elsewhere position by position.
    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = cx.shape(0)?.len();
        let at = self.axis(cx)?;
        let follow = |axis| AxisReach::Follow {
            axis,
            map: Map::IDENTITY,
        };
        let path = match (self, at) {
            (Self::Cumulative, None) => Path::global(rank),
            (Self::Triangle | Self::BitCast(_), _) | (_, None) => Path::pointwise(rank),
            (Self::OneHot { .. }, Some(at)) => {
                let mut axes: Vec<_> = (0..rank).map(follow).collect();
                axes.insert(at, AxisReach::Free);
                Path {
                    axes,
                    context: false,
                    inner: Vec::new(),
                    outside: Outside::Nothing,
                }
            }
            (_, Some(at)) => {
                let mut axes: Vec<_> = (0..rank).map(follow).collect();
                axes[at] = AxisReach::Free;
                if output_shape(out, 0)?.len() < rank {
                    axes.remove(at);
                }
                Path {
                    axes,
                    context: false,
                    inner: Vec::new(),
                    outside: Outside::Nothing,
                }
            }
        };
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, fact, floats, ints, shape};
    use super::*;

    #[test]
    fn sizes_along_the_axis() {
        let (x, k, axis) = (fact("N 3 8"), ints(&[5]), ints(&[-1]));
        assert_eq!(
            Case::new("TopK", 11).on(&[&x, &k]).shapes(),
            ["N 3 5", "N 3 5"]
        );
        assert_eq!(
            Case::new("TopK", 1)
                .int("k", 2)
                .int("axis", 1)
                .on(&[&x])
                .shapes()[0],
            "N 2 8"
        );
        assert_eq!(
            Case::new("ArgMax", 13).int("axis", 1).on(&[&x]).shapes(),
            ["N 1 8"]
        );
        let gone = Case::new("ArgMin", 1)
            .int("axis", 1)
            .int("keepdims", 0)
            .on(&[&x]);
        assert_eq!(gone.shapes(), ["N 8"]);
        assert_eq!(Case::new("CumSum", 14).on(&[&x, &axis]).shapes(), ["N 3 8"]);
        let (depth, values) = (ints(&[10]), floats(&[0.0, 1.0]));
        let hot = Case::new("OneHot", 11)
            .int("axis", 1)
            .on(&[&x, &depth, &values]);
        assert_eq!(shape(&hot.infer().unwrap()[0]), "N 10 3 8");
    }

    #[test]
    fn the_axis_is_read_as_a_whole() {
        let x = fact("N 3 8");
        let gone = Case::new("ArgMax", 13)
            .int("axis", 1)
            .int("keepdims", 0)
            .on(&[&x]);
        let path = gone.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.follower(1), None);
        assert_eq!(path.follower(2), Some((1, Map::IDENTITY)));
    }
}
