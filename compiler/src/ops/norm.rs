//! Normalization by the input's own statistics: over space
//! (`InstanceNormalization`, `GroupNormalization`, `MeanVarianceNormalization`),
//! over trailing axes (`LayerNormalization`, `RMSNormalization`), or by a norm
//! along one axis (`LpNormalization`).

use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Attrs, DataType, Expr, Node, Shape};

/// Which axes the statistics run over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Over {
    /// From the third axis on.
    Space,
    /// The channels of a group and all of space; channels are the last axis
    /// where the flag is set.
    Groups { channels_last: bool },
    /// From this axis on.
    Trailing(i64),
    /// These.
    Axes(Vec<i64>),
}

/// A normalization; output 0 has the shape of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Norm {
    over: Over,
    /// FLOPs an element for statistics and division.
    statistics: i64,
    /// Position of the scale, after which the bias comes.
    scale: usize,
    /// Position of a second summand of the input, and the output that holds the sum.
    skip: Option<(usize, usize)>,
    /// Type of the statistics that further outputs hold.
    stash: DataType,
    /// Position of the output that holds the inverse deviation.
    inverse: usize,
    activation: bool,
}

/// FLOPs an element: mean 1, centring 1, square and sum 2, division 1. Scale
/// and bias are one more each.
const CENTRED: i64 = 5;
/// Square and sum 2, division 1.
const UNCENTRED: i64 = 3;

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let stash = attrs.int("stash_type").map_or(DataType::Float, |t| {
        i32::try_from(t)
            .ok()
            .and_then(|t| DataType::try_from(t).ok())
            .unwrap_or(DataType::Float)
    });
    let mut norm = Norm {
        over: Over::Space,
        statistics: CENTRED,
        scale: 1,
        skip: None,
        stash,
        inverse: 2,
        activation: false,
    };
    match node.op.as_str() {
        "InstanceNormalization" => {}
        "GroupNormalization" => {
            norm.over = Over::Groups {
                channels_last: false,
            }
        }
        "GroupNorm" => {
            norm.over = Over::Groups {
                channels_last: attrs.int("channels_last").unwrap_or(1) != 0,
            };
            norm.activation = attrs.int("activation").unwrap_or(0) != 0;
        }
        "LayerNormalization" => norm.over = Over::Trailing(attrs.int("axis").unwrap_or(-1)),
        "RMSNormalization" | "SimplifiedLayerNormalization" => {
            norm.over = Over::Trailing(attrs.int("axis").unwrap_or(-1));
            norm.statistics = UNCENTRED;
            norm.inverse = 1;
        }
        "SkipLayerNormalization" => {
            norm.over = Over::Trailing(-1);
            norm.scale = 2;
            norm.skip = Some((1, 3));
        }
        "SkipSimplifiedLayerNormalization" => {
            norm.over = Over::Trailing(-1);
            norm.statistics = UNCENTRED;
            norm.scale = 2;
            norm.skip = Some((1, 3));
        }
        "LpNormalization" => {
            norm.over = Over::Axes(vec![attrs.int("axis").unwrap_or(-1)]);
            norm.statistics = UNCENTRED;
        }
        "MeanVarianceNormalization" => norm.over = Over::Axes(mean_variance_axes(attrs)),
        other => return Err(Gap::new(format!("{other} is not a normalization"))),
    }
    Ok(Box::new(norm))
}

/// `axes` (opset 9 on), or `across_channels` (the experimental first version).
fn mean_variance_axes(attrs: &Attrs) -> Vec<i64> {
    match (attrs.ints("axes"), attrs.int("across_channels")) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(0)) => vec![2, 3],
        (None, Some(_)) => vec![1, 2, 3],
        (None, None) => vec![0, 2, 3],
    }
}

impl Norm {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, Gap> {
        Ok(match &self.over {
            Over::Space => (2.min(rank)..rank).collect(),
            Over::Groups { .. } => (1.min(rank)..rank).collect(),
            Over::Trailing(first) => (axis(*first, rank)?..rank).collect(),
            Over::Axes(axes) => axes
                .iter()
                .map(|&a| axis(a, rank))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Shape of the statistics: 1 where they run.
    fn reduced(&self, shape: &[Expr]) -> Result<Shape, Gap> {
        let mut reduced = shape.to_vec();
        for axis in self.axes(shape.len())? {
            reduced[axis] = 1.into();
        }
        Ok(reduced)
    }
}

impl Operator for Norm {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?.to_vec();
        let reduced = self.reduced(&shape)?;
        let dtype = same_type(cx);
        let mut out = vec![Fact::new(dtype, shape.clone())];
        for output in 1..cx.outputs {
            out.push(match self.skip {
                Some((_, sum)) if sum == output => Fact::new(dtype, shape.clone()),
                _ => Fact::new(Some(self.stash), reduced.clone()),
            });
        }
        Ok(out)
    }

    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let given = |slot| i64::from(cx.optional(slot).is_some());
        let mut each = self.statistics;
        if !matches!(self.over, Over::Axes(_)) {
            each += given(self.scale) + given(self.scale + 1);
        }
        if let Some((slot, _)) = self.skip {
            each += given(slot) + given(self.scale + 2);
        }
        each += i64::from(self.activation) * 2;
        Ok(Cost::pointwise(out[0].known_shape()?, each))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let shape = cx.shape(0)?;
        let axes = self.axes(shape.len())?;
        let mut path = Path::normalized(shape.len(), &axes);
        if let Some((skip, sum)) = self.skip {
            if sum == output {
                path = Path::pointwise(shape.len());
            }
            let mut paths = vec![Some(path.clone())];
            paths.resize(skip, None);
            paths.push(Some(path));
            return Ok(Reach(paths));
        }
        if output > 0 {
            path = Path::pointwise(shape.len());
            for axis in axes {
                path.axes[axis] = super::AxisReach::Free;
            }
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            _ if self.skip.is_some_and(|(skip, _)| skip == slot) => Role::Data,
            _ if slot == self.scale => Role::Weight,
            _ => Role::Bias,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::AxisReach;
    use crate::ops::testing::{Case, fact};

    #[test]
    fn statistics_over_channels_alone_leave_the_place_be() {
        let (x, c) = (fact("1 56 56 96"), fact("96"));
        let case = Case::new("LayerNormalization", 17)
            .outputs(3)
            .on(&[&x, &c, &c]);
        assert_eq!(case.shapes(), ["1 56 56 96", "1 56 56 1", "1 56 56 1"]);
        let path = case.reach().unwrap().0[0].clone().unwrap();
        assert!(!path.context);
        assert_eq!(path.axes[3], AxisReach::Free);
        assert_eq!(case.work().1, (56 * 56 * 96 * 7).to_string());
    }

    #[test]
    fn statistics_over_space_are_context() {
        let (x, c) = (fact("1 32 8 8"), fact("32"));
        for case in [
            Case::new("InstanceNormalization", 6).on(&[&x, &c, &c]),
            Case::new("GroupNormalization", 21)
                .int("num_groups", 4)
                .on(&[&x, &c, &c]),
            Case::new("MeanVarianceNormalization", 9).on(&[&x]),
        ] {
            let path = case.reach().unwrap().0[0].clone().unwrap();
            assert!(path.context && path.follower(2).is_some());
        }
    }

    #[test]
    fn an_axis_out_of_range_is_a_gap() {
        let x = fact("2 3");
        assert!(
            Case::new("LpNormalization", 1)
                .int("axis", 5)
                .on(&[&x])
                .infer()
                .is_err()
        );
    }
}
