//! `Resize` (opset 10, 11, 13, 18, 19) and `Upsample` (opset 1, 7, 9).

use super::resize_map::{Axis, Coordinates, Mode, Nearest, Scale};
use super::{AxisReach, Cost, Cx, Gap, Operator, Outside, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Attrs, Expr, Node, Shape};

/// Interpolation to another size; any axis may change.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    mode: Mode,
    coordinates: Coordinates,
    antialias: bool,
    /// Axes that sizes, scales and regions speak of; all where absent.
    axes: Option<Vec<i64>>,
    policy: Policy,
    source: Source,
}

/// `keep_aspect_ratio_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Stretch,
    NotLarger,
    NotSmaller,
}

/// Where the scales are.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Attribute(Vec<f32>),
    Inputs {
        roi: Option<usize>,
        scales: usize,
        sizes: Option<usize>,
    },
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let upsample = node.op == "Upsample";
    let first = upsample || opset <= 10;
    let word = |name: &str, default: &'static str| {
        let word = if first { None } else { attrs.string(name) };
        word.unwrap_or(default).to_owned()
    };
    Ok(Box::new(Resize {
        mode: mode(attrs, first)?,
        coordinates: match word("coordinate_transformation_mode", "half_pixel").as_str() {
            _ if first => Coordinates::Asymmetric,
            name => Coordinates::named(name)
                .ok_or_else(|| unknown("coordinate_transformation_mode", name))?,
        },
        antialias: attrs.int("antialias").unwrap_or(0) != 0,
        axes: attrs.ints("axes").map(<[i64]>::to_vec),
        policy: match word("keep_aspect_ratio_policy", "stretch").as_str() {
            "stretch" => Policy::Stretch,
            "not_larger" => Policy::NotLarger,
            "not_smaller" => Policy::NotSmaller,
            other => return Err(unknown("keep_aspect_ratio_policy", other)),
        },
        source: match (upsample, opset) {
            (true, ..=6) => {
                let scale = |name| attrs.float(name).unwrap_or(1.0);
                Source::Attribute(vec![1.0, 1.0, scale("height_scale"), scale("width_scale")])
            }
            (true, 7 | 8) => Source::Attribute(
                attrs
                    .floats("scales")
                    .ok_or_else(|| Gap::new("scales are missing"))?
                    .to_vec(),
            ),
            (true, _) | (false, ..=10) => Source::Inputs {
                roi: None,
                scales: 1,
                sizes: None,
            },
            _ => Source::Inputs {
                roi: Some(1),
                scales: 2,
                sizes: Some(3),
            },
        },
    }))
}

fn unknown(name: &str, value: &str) -> Gap {
    Gap::new(format!("{name} {value:?} is not known"))
}

fn mode(attrs: &Attrs, first: bool) -> Result<Mode, Gap> {
    let nearest = match attrs.string("nearest_mode").unwrap_or("round_prefer_floor") {
        _ if first => Nearest::Simple,
        name => Nearest::named(name).ok_or_else(|| unknown("nearest_mode", name))?,
    };
    match attrs.string("mode") {
        None | Some("nearest") => Ok(Mode::Nearest(nearest)),
        // "bilinear" is a name of the first version.
        Some("linear" | "bilinear") => Ok(Mode::Linear),
        Some("cubic") => Ok(Mode::Cubic),
        Some(other) => Err(unknown("mode", other)),
    }
}

/// What becomes of one axis.
#[derive(Clone, Debug)]
struct Target {
    output: Expr,
    /// `None` where it is not known.
    scale: Option<Scale>,
}

impl Resize {
    /// Output length and scale of every axis.
    fn targets(&self, cx: &Cx) -> Result<Vec<Target>, Gap> {
        let input = cx.shape(0)?;
        let rank = input.len();
        let axes: Vec<usize> = match &self.axes {
            Some(axes) => axes
                .iter()
                .map(|&a| axis(a, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        let kept = input.iter().map(|size| Target {
            output: size.clone(),
            scale: Some(Scale::ONE),
        });
        let mut targets: Vec<Target> = kept.collect();
        let fits = |n: usize, what: &str| {
            (n == axes.len())
                .then_some(())
                .ok_or_else(|| Gap::new(format!("{n} {what} for {} axes", axes.len())))
        };
        if let Some(sizes) = self.sizes(cx) {
            fits(sizes.len(), "sizes")?;
            for (target, axis) in self.sized(cx, input, &axes, &sizes).into_iter().zip(&axes) {
                targets[*axis] = target;
            }
        } else if let Some(scales) = self.scales(cx) {
            fits(scales.len(), "scales")?;
            for (&scale, &axis) in scales.iter().zip(&axes) {
                targets[axis] = scaled(&input[axis], scale)?;
            }
        } else {
            for &axis in &axes {
                targets[axis] = Target {
                    output: cx.unknown(axis),
                    scale: None,
                };
            }
        }
        // Images of a batch are not blended, whatever size was written for it.
        if rank > 2 {
            targets[0].scale = targets[0].scale.or(Some(Scale::ONE));
        }
        Ok(targets)
    }

    fn sizes(&self, cx: &Cx) -> Option<Shape> {
        let Source::Inputs {
            sizes: Some(slot), ..
        } = self.source
        else {
            return None;
        };
        cx.optional(slot)?.ints().filter(|s| !s.is_empty())
    }

    fn scales(&self, cx: &Cx) -> Option<Vec<f32>> {
        match &self.source {
            Source::Attribute(scales) => Some(scales.clone()),
            Source::Inputs { scales, .. } => floats(cx, *scales),
        }
    }

    /// Targets of the resized axes where sizes are given.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn sized(&self, cx: &Cx, input: &[Expr], axes: &[usize], sizes: &[Expr]) -> Vec<Target> {
        let pairs = || axes.iter().zip(sizes);
        if self.policy == Policy::Stretch {
            return pairs()
                .map(|(&axis, size)| Target {
                    output: size.clone(),
                    scale: Scale::between(size, &input[axis]),
                })
                .collect();
        }
        let scales: Option<Vec<(f32, Scale)>> = pairs()
            .map(|(&axis, size)| {
                let (n, m) = (input[axis].as_i64()?, size.as_i64()?);
                Some((m as f32 / n as f32, Scale::new(m, n)?))
            })
            .collect();
        let common = scales.and_then(|s| {
            let order = |a: &(f32, Scale), b: &(f32, Scale)| a.0.total_cmp(&b.0);
            match self.policy {
                Policy::NotLarger => s.into_iter().min_by(order),
                _ => s.into_iter().max_by(order),
            }
        });
        pairs()
            .map(|(&axis, _)| match (common, input[axis].as_i64()) {
                (Some((scale, ratio)), Some(size)) => Target {
                    output: ((scale * size as f32).round() as i64).into(),
                    scale: Some(ratio),
                },
                _ => Target {
                    output: cx.unknown(axis),
                    scale: None,
                },
            })
            .collect()
    }

    fn roi(&self, cx: &Cx, rank: usize) -> Result<Vec<Option<(f32, f32)>>, Gap> {
        let mut regions = vec![None; rank];
        let Source::Inputs {
            roi: Some(slot), ..
        } = self.source
        else {
            return Ok(regions);
        };
        let Some(values) = floats(cx, slot) else {
            return Ok(regions);
        };
        let axes: Vec<i64> = match &self.axes {
            Some(axes) => axes.clone(),
            None => (0..i64::try_from(rank).unwrap_or(0)).collect(),
        };
        if values.len() == 2 * axes.len() {
            for (i, &a) in axes.iter().enumerate() {
                regions[axis(a, rank)?] = Some((values[i], values[i + axes.len()]));
            }
        }
        Ok(regions)
    }

    /// Taps an output element weighs.
    fn taps(&self, targets: &[Target]) -> i64 {
        let each = match self.mode {
            Mode::Nearest(_) => return 0,
            Mode::Linear => 2,
            Mode::Cubic => 4,
        };
        targets
            .iter()
            .filter(|t| t.scale != Some(Scale::ONE))
            .fold(1i64, |n, t| {
                let shrink = match t.scale {
                    Some(r) if self.antialias && r.num < r.den => r.den / r.num + 1,
                    _ => 1,
                };
                n.saturating_mul(each).saturating_mul(shrink)
            })
    }
}

/// Non-empty float elements of an input.
#[allow(clippy::cast_possible_truncation)]
fn floats(cx: &Cx, slot: usize) -> Option<Vec<f32>> {
    let values = cx.optional(slot)?.tensor()?.to_f64()?;
    (!values.is_empty()).then(|| values.into_iter().map(|v| v as f32).collect())
}

/// ⌊input · scale⌋, in single precision where the length is a number, as the
/// standard computes it.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn scaled(input: &Expr, scale: f32) -> Result<Target, Gap> {
    let ratio = Scale::of(scale)
        .ok_or_else(|| Gap::new(format!("a scale of {scale}; it must be positive")))?;
    let output = match input.as_i64() {
        Some(size) => ((size as f32 * scale).floor() as i64).into(),
        None => (input.clone() * ratio.num.into()).floor_div(ratio.den),
    };
    Ok(Target {
        output,
        scale: Some(ratio),
    })
}

impl Operator for Resize {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let targets = self.targets(cx)?;
        let shape = targets.into_iter().map(|t| t.output).collect();
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// A multiplication and an addition for each tap of each output element:
    /// nothing for nearest, 2 taps a resized axis for linear, 4 for cubic.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let taps = self.taps(&self.targets(cx)?);
        Ok(Cost::pointwise(
            out[0].known_shape()?,
            taps.saturating_mul(2),
        ))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let input = cx.shape(0)?;
        let targets = self.targets(cx)?;
        let regions = self.roi(cx, input.len())?;
        let crop = self.coordinates == Coordinates::TfCropAndResize;
        let mut path = Path {
            // A crop reads a constant outside, all else the border.
            outside: if crop {
                Outside::Nothing
            } else {
                Outside::Edge
            },
            ..Path::pointwise(input.len())
        };
        for (i, target) in targets.iter().enumerate() {
            if !crop && target.scale == Some(Scale::ONE) {
                continue;
            }
            // A region that is computed at run time may be anywhere.
            if crop && regions[i].is_none() {
                path.axes[i] = AxisReach::Free;
                continue;
            }
            let scale = target
                .scale
                .or_else(|| Scale::between(&target.output, &input[i]))
                .ok_or_else(|| Gap::new("the scale is computed at run time"))?;
            let axis = Axis {
                input: &input[i],
                output: &target.output,
                scale,
                roi: regions[i],
                antialias: self.antialias,
            };
            path.axes[i] = AxisReach::Follow {
                axis: i,
                map: axis.map(self.coordinates, self.mode)?,
            };
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::Attr;
    use crate::ops::testing::{Case, fact, floats, ints, typed};

    #[test]
    fn sizes_of_every_version() {
        let (x, scales) = (fact("N 3 H 5"), floats(&[1.0, 1.0, 2.0, 1.5]));
        let sizes = ints(&[1, 3, 20, 7]);
        let (none, y) = (floats(&[]), fact("1 3 10 10"));
        for (case, shape) in [
            (Case::new("Upsample", 9).on(&[&x, &scales]), "N 3 2*H 7"),
            (
                Case::new("Upsample", 7)
                    .attr("scales", Attr::Floats(vec![1.0, 1.0, 3.0, 3.0]))
                    .on(&[&x]),
                "N 3 3*H 15",
            ),
            (
                Case::new("Upsample", 1)
                    .attr("height_scale", Attr::Float(2.0))
                    .attr("width_scale", Attr::Float(2.0))
                    .on(&[&x]),
                "N 3 2*H 10",
            ),
            (Case::new("Resize", 10).on(&[&x, &scales]), "N 3 2*H 7"),
            (
                Case::new("Resize", 11).on(&[&y, &none, &none, &sizes]),
                "1 3 20 7",
            ),
            (
                Case::new("Resize", 13).on(&[&x]).skip().on(&[&scales]),
                "N 3 2*H 7",
            ),
            (
                Case::new("Resize", 18)
                    .ints("axes", &[-1, 2])
                    .string("keep_aspect_ratio_policy", "not_larger")
                    .on(&[&y])
                    .skip()
                    .skip()
                    .on(&[&ints(&[5, 20])]),
                "1 3 5 5",
            ),
        ] {
            assert_eq!(case.shapes(), [shape]);
        }
    }

    #[test]
    fn a_batch_of_symbolic_size_is_not_resized() {
        let (x, none, sizes) = (fact("N 3 H 10"), floats(&[]), ints(&[1, 3, 20, 20]));
        let case = Case::new("Resize", 13)
            .string("mode", "linear")
            .on(&[&x, &none, &none, &sizes]);
        assert_eq!(case.shapes(), ["1 3 20 20"]);
        assert!(case.reach().is_err());
        let x = fact("N 3 10 10");
        let case = Case::new("Resize", 13)
            .string("mode", "linear")
            .on(&[&x, &none, &none, &sizes]);
        assert_eq!(case.work().1, (3 * 20 * 20 * 8).to_string());
        assert!(case.reach().is_ok());
    }

    #[test]
    fn unknown_scales_are_unknown_sizes() {
        let (x, scales) = (fact("1 3 8 8"), typed(crate::ir::DataType::Float, "4"));
        let case = Case::new("Resize", 10).on(&[&x, &scales]);
        assert_eq!(case.shapes()[0].split(' ').count(), 4);
        assert!(case.reach().is_err());
    }

    #[test]
    fn doubling_by_half_pixels() {
        let (x, scales) = (fact("1 3 8 8"), floats(&[1.0, 1.0, 2.0, 2.0]));
        let case = |mode: &str| {
            Case::new("Resize", 13)
                .string("mode", mode)
                .on(&[&x])
                .skip()
                .on(&[&scales])
        };
        let back = |mode: &str, o| {
            let reach = case(mode).reach().unwrap();
            reach.0[0]
                .as_ref()
                .unwrap()
                .follower(2)
                .unwrap()
                .1
                .back(o, o)
        };
        assert_eq!(back("nearest", 5), (2, 2));
        assert_eq!(back("linear", 5), (2, 3));
        assert_eq!(back("linear", 6), (2, 3));
        assert_eq!(back("cubic", 5), (1, 4));
        assert_eq!(case("linear").work().1, (3 * 16 * 16 * 8).to_string());
        assert_eq!(case("nearest").work().1, "0");
    }
}
