//! The one spatial formula: kernel, stride, dilation and pads of a sliding
//! operator, with `auto_pad`, `ceil_mode` and `output_padding` resolved.

use super::{Gap, Map};
use crate::ir::{Attr, Attrs, Expr};

/// Where a window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Convolution and pooling: many inputs to one output.
    Gather,
    /// Transposed convolution: one input to many outputs.
    Scatter,
}

/// The window along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowAxis {
    /// Taps.
    pub kernel: i64,
    /// Input steps an output step (output steps an input step when scattering).
    pub stride: i64,
    /// Distance between taps.
    pub dilation: i64,
    /// Padding before and after; `None` where `auto_pad` makes it depend on an
    /// input size that is symbolic.
    pub pads: Option<(i64, i64)>,
    /// Output size.
    pub output: Expr,
    /// Gather or scatter.
    pub direction: Direction,
}

impl WindowAxis {
    /// Positions from the first tap to the last: (k − 1)·d + 1.
    pub fn extent(&self) -> i64 {
        (self.kernel - 1)
            .saturating_mul(self.dilation)
            .saturating_add(1)
    }

    /// Which input positions an output position reads.
    ///
    /// # Errors
    /// The pads are not known.
    pub fn map(&self) -> Result<Map, Gap> {
        let (begin, _) = self.pads.ok_or_else(|| {
            Gap::new("auto_pad depends on a symbolic input size; give --input-shape")
        })?;
        let reach = self.extent() - 1;
        Ok(match self.direction {
            Direction::Gather => Map {
                stride: self.stride,
                upsample: 1,
                lo: begin.saturating_neg(),
                hi: reach.saturating_sub(begin),
            },
            Direction::Scatter => Map {
                stride: 1,
                upsample: self.stride,
                lo: begin.saturating_sub(reach),
                hi: begin,
            },
        })
    }
}

/// The window along all spatial axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// One entry a spatial axis, in the model's order.
    pub axes: Vec<WindowAxis>,
}

/// `auto_pad`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoPad {
    /// Pads are given.
    #[default]
    NotSet,
    /// No padding.
    Valid,
    /// Output ⌈in / stride⌉, the odd pad at the end.
    SameUpper,
    /// Output ⌈in / stride⌉, the odd pad at the beginning.
    SameLower,
}

/// The attributes that every sliding operator shares, as the node gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowAttrs {
    /// `kernel_shape`; taken from the weights where it is absent.
    pub kernel: Option<Vec<i64>>,
    /// `strides`, default 1.
    pub strides: Option<Vec<i64>>,
    /// `dilations`, default 1.
    pub dilations: Option<Vec<i64>>,
    /// `pads`: all begins, then all ends; default 0.
    pub pads: Option<Vec<i64>>,
    /// `auto_pad`.
    pub auto_pad: AutoPad,
    /// `ceil_mode` of pools: round the output size up.
    pub ceil: bool,
}

impl WindowAttrs {
    /// Reads the attributes.
    ///
    /// # Errors
    /// `auto_pad` is not one of the four.
    pub fn parse(attrs: &Attrs) -> Result<Self, Gap> {
        let list = |name: &str| attrs.ints(name).map(<[i64]>::to_vec);
        Ok(Self {
            kernel: list("kernel_shape"),
            strides: list("strides"),
            dilations: list("dilations"),
            pads: list("pads"),
            auto_pad: match attrs.string("auto_pad").unwrap_or("NOTSET") {
                "NOTSET" | "" => AutoPad::NotSet,
                "VALID" => AutoPad::Valid,
                "SAME_UPPER" => AutoPad::SameUpper,
                "SAME_LOWER" => AutoPad::SameLower,
                other => return Err(Gap::new(format!("auto_pad {other:?} is not known"))),
            },
            ceil: attrs.int("ceil_mode").unwrap_or(0) != 0,
        })
    }

    /// The attributes to write; what is absent or default stays absent.
    pub fn emit(&self) -> Attrs {
        let mut attrs = Attrs::default();
        for (name, list) in [
            ("kernel_shape", &self.kernel),
            ("strides", &self.strides),
            ("dilations", &self.dilations),
            ("pads", &self.pads),
        ] {
            if let Some(list) = list {
                attrs = attrs.with(name, Attr::Ints(list.clone()));
            }
        }
        let auto_pad = match self.auto_pad {
            AutoPad::NotSet => None,
            AutoPad::Valid => Some("VALID"),
            AutoPad::SameUpper => Some("SAME_UPPER"),
            AutoPad::SameLower => Some("SAME_LOWER"),
        };
        if let Some(name) = auto_pad {
            attrs = attrs.with("auto_pad", Attr::String(name.into()));
        }
        if self.ceil {
            attrs = attrs.with("ceil_mode", Attr::Int(1));
        }
        attrs
    }

    /// The window of a convolution or pool over `input` (spatial sizes only);
    /// `weights` is the kernel's extent where the attribute is absent.
    ///
    /// # Errors
    /// Attributes that do not fit the rank, are not positive, or give an empty output.
    pub fn gather(&self, input: &[Expr], weights: Option<&[i64]>) -> Result<Window, Gap> {
        let fields = self.fields(input.len(), weights)?;
        let axes = input
            .iter()
            .zip(fields)
            .map(|(size, (kernel, stride, dilation, pads))| {
                let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
                let (pads, output) = self.gather_axis(size, extent, stride, pads);
                if output
                    .as_const()
                    .is_some_and(|o| o < 0 || (o == 0 && size.as_const() != Some(0)))
                {
                    return Err(Gap::new(format!(
                        "a kernel that spans {extent} does not fit an input of {size}"
                    )));
                }
                Ok(WindowAxis {
                    kernel,
                    stride,
                    dilation,
                    pads,
                    output,
                    direction: Direction::Gather,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Window { axes })
    }

    fn gather_axis(
        &self,
        size: &Expr,
        extent: i64,
        stride: i64,
        pads: (i64, i64),
    ) -> (Option<(i64, i64)>, Expr) {
        match self.auto_pad {
            AutoPad::NotSet | AutoPad::Valid => {
                let pads = if self.auto_pad == AutoPad::Valid {
                    (0, 0)
                } else {
                    pads
                };
                // Rounding up adds stride − 1; a last window that would then start
                // beyond the input and its left padding is dropped again.
                let spare = pads.1.saturating_sub(extent);
                let spare = match spare.saturating_add(stride - 1) {
                    up if self.ceil && up >= 0 => up.saturating_sub(stride).max(-1),
                    up if self.ceil => up,
                    _ => spare,
                };
                let room = size.clone() + pads.0.saturating_add(spare).into();
                let output = room.floor_div(stride) + 1.into();
                (Some(pads), output)
            }
            AutoPad::SameUpper | AutoPad::SameLower => {
                let output = size.ceil_div(stride);
                let total = if stride == 1 {
                    Some(extent - 1)
                } else {
                    size.as_i64().zip(output.as_i64()).map(|(n, o)| {
                        (o - 1)
                            .saturating_mul(stride)
                            .saturating_add(extent)
                            .saturating_sub(n)
                            .max(0)
                    })
                };
                (total.map(|t| self.split_same(t)), output)
            }
        }
    }

    fn split_same(&self, total: i64) -> (i64, i64) {
        let small = total / 2;
        if self.auto_pad == AutoPad::SameLower {
            (total - small, small)
        } else {
            (small, total - small)
        }
    }

    /// Here the standard gives the odd pad to the other side than for convolution.
    fn split_scattered(&self, total: i64) -> (i64, i64) {
        let half = total / 2;
        if self.auto_pad == AutoPad::SameUpper {
            (half, total - half)
        } else {
            (total - half, half)
        }
    }

    /// The window of a transposed convolution.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn scatter(
        &self,
        input: &[Expr],
        weights: Option<&[i64]>,
        output_padding: Option<&[i64]>,
        output_shape: Option<&[i64]>,
    ) -> Result<Window, Gap> {
        let rank = input.len();
        let fields = self.fields(rank, weights)?;
        let extra = filled(output_padding, rank, 0, "output_padding")?;
        // output_shape may list the batch and channels too (some exporters do).
        let fixed = output_shape.map(|s| &s[s.len().saturating_sub(rank)..]);
        if fixed.is_some_and(|s| s.len() != rank) {
            return Err(Gap::new("output_shape does not fit the rank"));
        }
        let axes = input
            .iter()
            .zip(fields)
            .enumerate()
            .map(|(i, (size, (kernel, stride, dilation, given)))| {
                let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
                let full = (size.clone() - 1.into()) * stride.into()
                    + extent.saturating_add(extra[i]).into();
                let (pads, output) = if let Some(fixed) = fixed {
                    let output = Expr::from(fixed[i]);
                    let total = (full - output.clone()).as_i64();
                    (total.map(|t| self.split_scattered(t.max(0))), output)
                } else {
                    let pads = match self.auto_pad {
                        AutoPad::NotSet => given,
                        AutoPad::Valid => (0, 0),
                        // in · stride, unless the kernel leaves gaps.
                        AutoPad::SameUpper | AutoPad::SameLower => {
                            let total = extent.saturating_add(extra[i]).saturating_sub(stride);
                            self.split_scattered(total.max(0))
                        }
                    };
                    (Some(pads), full - pads.0.saturating_add(pads.1).into())
                };
                if output.as_const().is_some_and(|o| o < 0) {
                    return Err(Gap::new("the pads are larger than the output"));
                }
                Ok(WindowAxis {
                    kernel,
                    stride,
                    dilation,
                    pads,
                    output,
                    direction: Direction::Scatter,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Window { axes })
    }

    /// Kernel, stride, dilation and given pads for each of `rank` axes, checked.
    #[allow(clippy::type_complexity)]
    fn fields(
        &self,
        rank: usize,
        weights: Option<&[i64]>,
    ) -> Result<Vec<(i64, i64, i64, (i64, i64))>, Gap> {
        let kernel = self
            .kernel
            .as_deref()
            .or(weights)
            .ok_or_else(|| Gap::new("the kernel's shape is not known"))?;
        if kernel.len() != rank {
            return Err(Gap::new(format!(
                "a kernel of {} axes over an input of {rank} spatial axes",
                kernel.len()
            )));
        }
        let strides = filled(self.strides.as_deref(), rank, 1, "strides")?;
        let dilations = filled(self.dilations.as_deref(), rank, 1, "dilations")?;
        let pads = filled(self.pads.as_deref(), 2 * rank, 0, "pads")?;
        (0..rank)
            .map(|i| {
                let (k, s, d) = (kernel[i], strides[i], dilations[i]);
                if k < 1 || s < 1 || d < 1 {
                    return Err(Gap::new(format!(
                        "kernel {k}, stride {s} and dilation {d} must be positive"
                    )));
                }
                Ok((k, s, d, (pads[i], pads[i + rank])))
            })
            .collect()
    }
}

fn filled(given: Option<&[i64]>, len: usize, default: i64, name: &str) -> Result<Vec<i64>, Gap> {
    match given {
        None | Some([]) => Ok(vec![default; len]),
        Some(v) if v.len() == len => Ok(v.to_vec()),
        Some(v) => Err(Gap::new(format!(
            "{name} has {} entries, {len} are needed",
            v.len()
        ))),
    }
}
