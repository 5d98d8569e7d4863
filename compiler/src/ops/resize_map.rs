//! Where a resized axis reads its input: the coordinate transformations of
//! `Resize`, exact in integers.

use super::{Gap, Map};
use crate::ir::Expr;

/// Output length over input length, num / den.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Numerator.
    pub num: i64,
    /// Denominator, positive.
    pub den: i64,
}

impl Scale {
    /// As it is.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// num / den in lowest terms; `None` unless both are positive.
    pub fn new(num: i64, den: i64) -> Option<Self> {
        let (mut a, mut b) = (num, den);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (num > 0 && den > 0).then(|| Self {
            num: num / a,
            den: den / a,
        })
    }

    /// Output over input, where that is a number.
    pub fn between(output: &Expr, input: &Expr) -> Option<Self> {
        if let (Some(o), Some(i)) = (output.as_i64(), input.as_i64()) {
            return Self::new(o, i);
        }
        let up = output.exact_div(input).and_then(|e| e.as_i64());
        let down = || input.exact_div(output).and_then(|e| e.as_i64());
        up.and_then(|n| Self::new(n, 1))
            .or_else(|| down().and_then(|d| Self::new(1, d)))
    }

    /// The simplest fraction that the float is the nearest one to: 0.6 is 3/5.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub fn of(scale: f32) -> Option<Self> {
        if !scale.is_finite() || scale <= 0.0 {
            return None;
        }
        let (mut h, mut k) = ([0i64, 1], [1i64, 0]);
        let mut rest = f64::from(scale);
        for _ in 0..64 {
            let whole = rest.floor();
            if whole > 1e15 {
                return None;
            }
            let next = |p: [i64; 2]| (whole as i64).checked_mul(p[1])?.checked_add(p[0]);
            (h, k) = ([h[1], next(h)?], [k[1], next(k)?]);
            #[allow(clippy::float_cmp)]
            if (h[1] as f64 / k[1] as f64) as f32 == scale {
                return Self::new(h[1], k[1]);
            }
            rest = 1.0 / (rest - whole);
        }
        None
    }
}

/// How an output position becomes an input position
/// (`coordinate_transformation_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// (o + ½) / scale − ½.
    HalfPixel,
    /// The same about the centre of the axis, whatever was rounded away.
    HalfPixelSymmetric,
    /// The same, but 0 for an output of length 1.
    PytorchHalfPixel,
    /// o · (in − 1) / (out − 1).
    AlignCorners,
    /// o / scale.
    Asymmetric,
    /// (o + ½) / scale.
    TfHalfPixelForNn,
    /// Within a region of interest.
    TfCropAndResize,
}

impl Coordinates {
    /// By the standard's name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "half_pixel" => Self::HalfPixel,
            "half_pixel_symmetric" => Self::HalfPixelSymmetric,
            "pytorch_half_pixel" => Self::PytorchHalfPixel,
            "align_corners" => Self::AlignCorners,
            "asymmetric" => Self::Asymmetric,
            "tf_half_pixel_for_nn" => Self::TfHalfPixelForNn,
            "tf_crop_and_resize" => Self::TfCropAndResize,
            _ => return None,
        })
    }
}

/// How a position between elements is rounded (`nearest_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nearest {
    /// To nearest, half down.
    RoundPreferFloor,
    /// To nearest, half up.
    RoundPreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
    /// Down, but up where the axis shrinks: before opset 11.
    Simple,
}

impl Nearest {
    /// By the standard's name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "round_prefer_floor" => Self::RoundPreferFloor,
            "round_prefer_ceil" => Self::RoundPreferCeil,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            _ => return None,
        })
    }
}

/// What is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One element.
    Nearest(Nearest),
    /// Two an axis.
    Linear,
    /// Four an axis.
    Cubic,
}

/// One axis to resize.
pub struct Axis<'a> {
    /// Input length.
    pub input: &'a Expr,
    /// Output length.
    pub output: &'a Expr,
    /// Their ratio, before the output length was rounded.
    pub scale: Scale,
    /// Start and end of the region of interest, 0 to 1.
    pub roi: Option<(f32, f32)>,
    /// The filter widens where the axis shrinks.
    pub antialias: bool,
}

/// The input position (a·o + b) / c of an output position o.
struct Line {
    a: i128,
    b: i128,
    c: i128,
}

impl Axis<'_> {
    /// The interval of input positions that an output position reads.
    ///
    /// # Errors
    /// It depends on lengths that are not known, or is too long for integers.
    pub fn map(&self, coordinates: Coordinates, mode: Mode) -> Result<Map, Gap> {
        let Line { a, b, c } = self.line(coordinates)?;
        let identity = a == c && b == 0;
        let shrinks = self.scale.num < self.scale.den;
        let exact = match mode {
            Mode::Linear | Mode::Cubic if identity => Some((a, c, 0, 0)),
            Mode::Nearest(nearest) => Some(match nearest {
                Nearest::Floor => (a, c, b - c + 1, b),
                Nearest::Simple if !shrinks => (a, c, b - c + 1, b),
                Nearest::Ceil | Nearest::Simple => (a, c, b, b + c - 1),
                // ⌈x − ½⌉ and ⌊x + ½⌋.
                Nearest::RoundPreferFloor => (2 * a, 2 * c, 2 * b - c, 2 * b + c - 1),
                Nearest::RoundPreferCeil => (2 * a, 2 * c, 2 * b - c + 1, 2 * b + c),
            }),
            Mode::Linear | Mode::Cubic => None,
        };
        let (stride, upsample, lo, hi) = exact.unwrap_or_else(|| {
            // Elements nearer than the filter's radius: 1 or 2 input steps,
            // scaled up where an antialiased axis shrinks.
            let taps = if mode == Mode::Cubic { 2 } else { 1 };
            let (num, den) = (i128::from(self.scale.num), i128::from(self.scale.den));
            if self.antialias && shrinks {
                let radius = taps * den * c;
                (a * num, c * num, b * num - radius + 1, b * num + radius - 1)
            } else {
                (a, c, b - taps * c + 1, b + taps * c - 1)
            }
        });
        let fit = |v: i128| {
            i64::try_from(v).map_err(|_| Gap::new("the scale is too odd a fraction to follow"))
        };
        Ok(Map {
            stride: fit(stride)?,
            upsample: fit(upsample)?,
            lo: fit(lo)?,
            hi: fit(hi)?,
        })
    }

    fn line(&self, coordinates: Coordinates) -> Result<Line, Gap> {
        let (p, q) = (i128::from(self.scale.num), i128::from(self.scale.den));
        let lengths = || {
            let small = |e: &Expr| e.as_i64().filter(|&v| (0..=1 << 31).contains(&v));
            small(self.input)
                .zip(small(self.output))
                .map(|(i, o)| (i128::from(i), i128::from(o)))
                .ok_or_else(|| {
                    Gap::new("the coordinates depend on a symbolic size; give --input-shape")
                })
        };
        let half_pixel = Line {
            a: 2 * q,
            b: q - p,
            c: 2 * p,
        };
        let first = Line { a: 0, b: 0, c: 1 };
        Ok(match coordinates {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::PytorchHalfPixel if self.output.as_const() == Some(1) => first,
            Coordinates::PytorchHalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                if self.output.clone() * self.scale.den.into()
                    == self.input.clone() * self.scale.num.into()
                {
                    return Ok(half_pixel);
                }
                let (input, output) = lengths()?;
                Line {
                    b: input * p - output * q + q - p,
                    ..half_pixel
                }
            }
            Coordinates::Asymmetric => Line { a: q, b: 0, c: p },
            Coordinates::TfHalfPixelForNn => Line {
                a: 2 * q,
                b: q,
                c: 2 * p,
            },
            Coordinates::AlignCorners => match lengths()? {
                (_, ..=1) => first,
                (input, output) => Line {
                    a: (input - 1).max(0),
                    b: 0,
                    c: output - 1,
                },
            },
            Coordinates::TfCropAndResize => self.crop(lengths()?)?,
        })
    }

    /// start·(in − 1) + o·(end − start)·(in − 1)/(out − 1); the middle of the
    /// region for an output of length 1.
    fn crop(&self, (input, output): (i128, i128)) -> Result<Line, Gap> {
        let fraction = |v: f32| {
            if v == 0.0 {
                return Some((0, 1));
            }
            let ratio = Scale::of(v.abs())?;
            let num = i128::from(ratio.num);
            Some((if v < 0.0 { -num } else { num }, i128::from(ratio.den)))
        };
        let region = self.roi.and_then(|(s, e)| fraction(s).zip(fraction(e)));
        let ((sn, sd), (en, ed)) =
            region.ok_or_else(|| Gap::new("the region of interest is not known"))?;
        let small = [sn, sd, en, ed].iter().all(|v| v.abs() <= 1 << 24);
        if !small {
            return Err(Gap::new("the region of interest is too odd to follow"));
        }
        let span = (input - 1).max(0);
        Ok(if output > 1 {
            Line {
                a: (en * sd - sn * ed) * span,
                b: sn * ed * span * (output - 1),
                c: sd * ed * (output - 1),
            }
        } else {
            Line {
                a: 0,
                b: (sn * ed + en * sd) * span,
                c: 2 * sd * ed,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_become_the_fractions_that_were_meant() {
        for (scale, num, den) in [(2.0, 2, 1), (0.6, 3, 5), (1.5, 3, 2), (0.333_333_34, 1, 3)] {
            assert_eq!(Scale::of(scale), Scale::new(num, den), "{scale}");
        }
        assert_eq!(Scale::of(f32::NAN), None);
        assert_eq!(Scale::of(-1.0), None);
        assert_eq!(Scale::of(1e30), None);
    }

    /// Compares with the formulas of the standard in floating point.
    #[test]
    fn intervals_hold_the_taps() {
        for (input, output) in [(4, 8), (8, 4), (6, 9), (9, 6), (5, 7), (7, 5), (3, 3)] {
            let (i, o) = (Expr::from(input), Expr::from(output));
            let axis = Axis {
                input: &i,
                output: &o,
                scale: Scale::new(output, input).unwrap(),
                roi: None,
                antialias: false,
            };
            let (n, m) = (input as f64, output as f64);
            for at in 0..output {
                let x = at as f64;
                for (coordinates, place) in [
                    (Coordinates::HalfPixel, (x + 0.5) * n / m - 0.5),
                    (Coordinates::Asymmetric, x * n / m),
                    (Coordinates::AlignCorners, x * (n - 1.0) / (m - 1.0)),
                ] {
                    // Away from the grid's own rounding.
                    let place = (place * 1e9).round() / 1e9;
                    for (mode, lo, hi) in [
                        (Mode::Nearest(Nearest::Floor), place.floor(), place.floor()),
                        (Mode::Nearest(Nearest::Ceil), place.ceil(), place.ceil()),
                        (
                            Mode::Nearest(Nearest::RoundPreferFloor),
                            (place - 0.5).ceil(),
                            (place - 0.5).ceil(),
                        ),
                        (
                            Mode::Nearest(Nearest::RoundPreferCeil),
                            (place + 0.5).floor(),
                            (place + 0.5).floor(),
                        ),
                        (Mode::Linear, place.floor(), place.ceil()),
                    ] {
                        let map = axis.map(coordinates, mode).unwrap();
                        let (l, h) = map.back(at, at);
                        assert_eq!(
                            (l as f64, h as f64),
                            (lo, hi),
                            "{input}->{output} at {at}: {coordinates:?} {mode:?}"
                        );
                    }
                }
            }
        }
    }
}
