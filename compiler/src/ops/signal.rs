//! Spectra: `DFT` (opset 17 on), `STFT` (opset 17 on), `HannWindow`,
//! `HammingWindow`, `BlackmanWindow` and `MelWeightMatrix`.

use super::same_type;
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, output_shape};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node};

/// One of the family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Signals along an axis, real or complex in the last axis.
    Dft {
        /// Half of a real signal's spectrum; an inverse to a real signal.
        onesided: bool,
        /// From spectrum to signal.
        inverse: bool,
        /// The attribute of opset 17; an input later.
        axis: Option<i64>,
    },
    /// Spectra of pieces of (batch, length, 1 or 2).
    Stft {
        /// Half of the spectrum.
        onesided: bool,
    },
    /// A window of as many elements as the input says.
    Window(DataType),
    /// Triangles in the mel scale: bins of a spectrum to mel bins.
    Mel(DataType),
}

/// Reads the node.
///
/// # Errors
/// An element type that is not the standard's.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let flag = |name: &str, none: i64| node.attrs.int(name).unwrap_or(none) != 0;
    let dtype = || {
        let code = node.attrs.int("output_datatype").unwrap_or(1);
        let code = i32::try_from(code).ok().map(DataType::try_from);
        match code {
            Some(Ok(dtype)) => Ok(dtype),
            _ => Err(Gap::new("output_datatype is no element type")),
        }
    };
    Ok(Box::new(match node.op.as_str() {
        "DFT" => Signal::Dft {
            onesided: flag("onesided", 0),
            inverse: flag("inverse", 0),
            axis: (opset < 20).then(|| node.attrs.int("axis").unwrap_or(1)),
        },
        "STFT" => Signal::Stft {
            onesided: flag("onesided", 1),
        },
        "MelWeightMatrix" => Signal::Mel(dtype()?),
        _ => Signal::Window(dtype()?),
    }))
}

/// The only number of an input.
fn number(cx: &Cx, slot: usize) -> Result<Option<Expr>, Gap> {
    Ok(cx.ints(slot)?.and_then(|v| v.first().cloned()))
}

fn half(length: &Expr) -> Expr {
    length.floor_div(2) + 1.into()
}

/// Length of a piece and distance to the next.
struct Pieces {
    length: Expr,
    step: Expr,
}

impl Signal {
    /// The axis of a DFT and its length.
    fn transform(&self, cx: &Cx) -> Result<(usize, Expr), Gap> {
        let shape = cx.shape(0)?;
        let Self::Dft {
            axis: given,
            onesided,
            inverse,
        } = self
        else {
            return Err(Gap::new("this is no DFT"));
        };
        let along = match given {
            Some(axis) => *axis,
            None => match number(cx, 2)? {
                Some(axis) => axis
                    .as_i64()
                    .ok_or_else(|| Gap::new("the axis is symbolic"))?,
                None => -2,
            },
        };
        let along = axis(along, shape.len())?;
        let own = shape[along].clone();
        let length = match number(cx, 1)? {
            Some(length) => length,
            None if *onesided && *inverse => (own - 1.into()) * 2.into(),
            None => own,
        };
        Ok((along, length))
    }

    fn pieces(cx: &Cx) -> Result<Pieces, Gap> {
        let signal = cx.shape(0)?;
        let whole = || signal.get(1).cloned();
        let length = match (number(cx, 3)?, cx.optional(2)) {
            (Some(length), _) => Some(length),
            (None, Some(_)) => cx.shape(2)?.first().cloned(),
            (None, None) => whole(),
        };
        let missing = || Gap::new("the signal has no length");
        Ok(Pieces {
            length: length.ok_or_else(missing)?,
            step: number(cx, 1)?.ok_or_else(|| Gap::new("frame_step is missing"))?,
        })
    }
}

impl Operator for Signal {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![match self {
            Self::Dft {
                onesided, inverse, ..
            } => {
                let (along, length) = self.transform(cx)?;
                let mut shape = cx.shape(0)?.to_vec();
                shape[along] = if *onesided && !inverse {
                    half(&length)
                } else {
                    length
                };
                if let Some(last) = shape.last_mut() {
                    *last = if *onesided && *inverse { 1 } else { 2 }.into();
                }
                Fact::new(same_type(cx), shape)
            }
            Self::Stft { onesided } => {
                let Pieces { length, step } = Self::pieces(cx)?;
                let signal = cx.shape(0)?;
                let (Some(batch), Some(whole)) = (signal.first(), signal.get(1)) else {
                    return Err(Gap::new(format!("a signal of rank {}", signal.len())));
                };
                let step = step.as_i64().filter(|&s| s > 0);
                let frames = match step {
                    Some(step) => (whole.clone() - length.clone()).floor_div(step) + 1.into(),
                    None => cx.unknown("frames"),
                };
                let bins = if *onesided { half(&length) } else { length };
                Fact::new(same_type(cx), vec![batch.clone(), frames, bins, 2.into()])
            }
            Self::Window(dtype) => {
                let size = number(cx, 0).ok().flatten();
                let size = size.unwrap_or_else(|| cx.unknown("size"));
                Fact::new(Some(*dtype), vec![size])
            }
            Self::Mel(dtype) => {
                let known = |slot| number(cx, slot).ok().flatten();
                let bins = known(1).map_or_else(|| cx.unknown("bins"), |n| half(&n));
                let mel = known(0).unwrap_or_else(|| cx.unknown("mel"));
                Fact::new(Some(*dtype), vec![bins, mel])
            }
        }])
    }

    /// 5·n·log₂ n operations for a transform of length n, the usual count of
    /// the fast algorithm, logarithms rounded up; ten an element of a window.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let (lines, length) = match self {
            Self::Window(_) | Self::Mel(_) => {
                return Ok(Cost::pointwise(output_shape(out, 0)?, 10));
            }
            Self::Dft { .. } => {
                let (along, length) = self.transform(cx)?;
                let (_, places) = cx
                    .shape(0)?
                    .split_last()
                    .ok_or_else(|| Gap::new("the input is a scalar"))?;
                let others = places.iter().enumerate().filter(|(i, _)| *i != along);
                (others.map(|(_, d)| d).product::<Expr>(), length)
            }
            Self::Stft { .. } => {
                let lines = output_shape(out, 0)?.iter().take(2).product();
                (lines, Self::pieces(cx)?.length)
            }
        };
        let n = length
            .as_i64()
            .filter(|&n| n >= 0)
            .ok_or_else(|| Gap::new("the length of the transform is not known"))?;
        let doublings = i64::from(64 - (n.max(1) - 1).leading_zeros());
        let each = n.saturating_mul(5).saturating_mul(doublings);
        Ok(Cost {
            macs: Expr::default(),
            flops: lines * each.into(),
        })
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(match self {
            Self::Dft { .. } => {
                let (along, _) = self.transform(cx)?;
                let mut path = Path::pointwise(output_shape(out, 0)?.len());
                path.axes[along] = AxisReach::Free;
                if let Some(last) = path.axes.last_mut() {
                    *last = AxisReach::Free;
                }
                Reach::first(path)
            }
            Self::Stft { .. } => {
                let Pieces { length, step } = Self::pieces(cx)?;
                let (Some(length), Some(step)) = (length.as_i64(), step.as_i64()) else {
                    return Err(Gap::new("the pieces are not known"));
                };
                let mut path = Path::pointwise(4);
                path.axes[1] = AxisReach::Follow {
                    axis: 1,
                    map: Map {
                        stride: step,
                        hi: length.saturating_sub(1),
                        ..Map::IDENTITY
                    },
                };
                path.axes[2] = AxisReach::Free;
                path.axes[3] = AxisReach::Free;
                Reach::first(path)
            }
            Self::Window(_) | Self::Mel(_) => Reach::none(),
        })
    }

    fn role(&self, slot: usize) -> Role {
        match self {
            Self::Dft { .. } | Self::Stft { .. } if slot == 0 => Role::Data,
            _ => Role::Config,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{Case, fact, ints};

    #[test]
    fn transforms_have_the_lengths_of_the_standard() {
        let real = fact("3 10 9 1");
        let case = Case::new("DFT", 17).int("axis", 2).on(&[&real]);
        assert_eq!(case.shapes(), ["3 10 9 2"]);
        // 30 lines of length 9, with four doublings.
        assert_eq!(case.work().1, (30 * 5 * 9 * 4).to_string());
        let half = Case::new("DFT", 20).int("onesided", 1).on(&[&real]);
        assert_eq!(half.shapes(), ["3 10 5 2"]);
        let back = fact("3 10 5 2");
        let back = Case::new("DFT", 20)
            .int("onesided", 1)
            .int("inverse", 1)
            .on(&[&back]);
        assert_eq!(back.shapes(), ["3 10 8 1"]);
        let path = half.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.follower(2), None);
        assert_eq!(path.follower(1), Some((1, Map::IDENTITY)));
    }

    #[test]
    fn pieces_slide() {
        let (signal, step, length) = (fact("1 128 1"), ints(&[8]), ints(&[16]));
        let case = Case::new("STFT", 17)
            .on(&[&signal, &step])
            .skip()
            .on(&[&length]);
        assert_eq!(case.shapes(), ["1 15 9 2"]);
        let (_, map) = case.reach().unwrap().0[0]
            .clone()
            .unwrap()
            .follower(1)
            .unwrap();
        assert_eq!(map.back(2, 2), (16, 31));
    }
}
