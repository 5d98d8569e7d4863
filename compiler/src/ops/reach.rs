//! Which input positions an output position reads, axis by axis.
//!
//! One formula covers convolution, pooling, transposed convolution, resizing,
//! padding, slicing and depth-to-space: output position `o` reads the input
//! positions from `ceil((stride·o + lo) / upsample)` to
//! `floor((stride·o + hi) / upsample)`.

use crate::ir::Expr;

use super::Window;

/// The affine interval along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// Input positions (times `upsample`) an output step moves.
    pub stride: i64,
    /// Output positions an input position feeds.
    pub upsample: i64,
    /// First position read at output 0, times `upsample`.
    pub lo: i64,
    /// Last position read at output 0, times `upsample`.
    pub hi: i64,
}

impl Map {
    /// Output `o` reads input `o`.
    pub const IDENTITY: Self = Self {
        stride: 1,
        upsample: 1,
        lo: 0,
        hi: 0,
    };

    /// Output `o` reads input `step·o + start`.
    pub fn shift(start: i64, step: i64) -> Self {
        Self {
            stride: step,
            upsample: 1,
            lo: start,
            hi: start,
        }
    }

    /// `self`, then `next` on its output: which positions of the first input an
    /// output of `next` reads. `None` where rounding between the two makes that
    /// no single interval formula (an upsampling before a window).
    pub fn then(&self, next: &Self) -> Option<Self> {
        if *self == Self::IDENTITY {
            return Some(*next);
        }
        if next.upsample != 1 || self.stride < 1 {
            return None;
        }
        Some(Self {
            stride: self.stride.checked_mul(next.stride)?,
            upsample: self.upsample,
            lo: self.stride.checked_mul(next.lo)?.checked_add(self.lo)?,
            hi: self.stride.checked_mul(next.hi)?.checked_add(self.hi)?,
        })
    }

    /// Output `o` reads input `⌊o / by⌋`: each position is repeated.
    pub fn repeat(by: i64) -> Self {
        Self {
            stride: 1,
            upsample: by,
            lo: by.saturating_neg().saturating_add(1),
            hi: 0,
        }
    }

    /// The input interval that the output interval reads, before it is clipped
    /// to the input; empty (`lo > hi`) where it reads nothing. A negative
    /// stride (a reversed slice) is allowed.
    pub fn back(&self, lo: i64, hi: i64) -> (i64, i64) {
        let wide = i128::from;
        let (a, b) = if self.stride < 0 { (hi, lo) } else { (lo, hi) };
        let up = wide(self.upsample.max(1));
        let first = wide(self.stride) * wide(a) + wide(self.lo);
        let last = wide(self.stride) * wide(b) + wide(self.hi);
        let clamp = |v: i128| i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX });
        (
            clamp(-((-first).div_euclid(up))),
            clamp(last.div_euclid(up)),
        )
    }
}

/// What one axis of the output follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisReach {
    /// No axis of this input: the axis is new, or mixes all of the input's
    /// axes that no other output axis follows.
    Free,
    /// An axis of the input, through a map.
    Follow {
        /// The input's axis.
        axis: usize,
        /// The interval.
        map: Map,
    },
}

/// How one output depends on one input. An axis of the input that no output
/// axis follows is read as a whole, unless it is an inner one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// One entry an axis of the output.
    pub axes: Vec<AxisReach>,
    /// Besides the local path, statistics of whole axes flow in (instance
    /// normalization, softmax over space).
    pub context: bool,
    /// Axes of the input that no output axis follows, but of which an output
    /// position reads one position and no more.
    pub inner: Vec<Inner>,
    /// What is read at positions before the input's first and behind its last.
    pub outside: Outside,
}

/// What is read at positions outside an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// Nothing of the input (zeros, another constant).
    #[default]
    Nothing,
    /// The first or the last position.
    Edge,
    /// The positions mirrored at the first or last, which is not repeated.
    Mirror,
    /// The positions counted on from the other end.
    Wrap,
}

impl Outside {
    /// The position of an axis of `size` that is read at `position`.
    pub fn position(self, position: i64, size: i64) -> Option<i64> {
        if size <= 0 {
            return None;
        }
        if (0..size).contains(&position) {
            return Some(position);
        }
        match self {
            Self::Nothing => None,
            Self::Edge => Some(position.clamp(0, size - 1)),
            Self::Wrap => Some(position.rem_euclid(size)),
            Self::Mirror => {
                let turn = (2 * (size - 1)).max(1);
                let folded = position.rem_euclid(turn);
                Some(folded.min(turn - folded).min(size - 1))
            }
        }
    }
}

/// An axis of the input that is inside a merged axis of the output: (h, w) to
/// (h·w). Output position o reads its position ⌊o / spread⌋ modulo its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The input's axis.
    pub axis: usize,
    /// The output's axis.
    pub output: usize,
    /// Product of the merged axes behind it; `None` where that is symbolic.
    pub spread: Option<i64>,
}

impl Path {
    /// Position by position, for tensors of equal rank.
    pub fn pointwise(rank: usize) -> Self {
        Self::broadcast(rank, rank)
    }

    /// Position by position, an input of rank `input` broadcast to `output`
    /// (axes aligned at the end). Axes of size 1 that are stretched are the
    /// caller's to mark [`AxisReach::Free`].
    pub fn broadcast(input: usize, output: usize) -> Self {
        let skip = output.saturating_sub(input);
        let axes = (0..output)
            .map(|o| match o.checked_sub(skip) {
                Some(axis) => AxisReach::Follow {
                    axis,
                    map: Map::IDENTITY,
                },
                None => AxisReach::Free,
            })
            .collect();
        Self {
            axes,
            context: false,
            inner: Vec::new(),
            outside: Outside::Nothing,
        }
    }

    /// A window over the last axes (batch kept; channels mixed where `mix`).
    pub fn window(window: &Window, mix: bool) -> Result<Self, super::Gap> {
        let rank = window.axes.len() + 2;
        let mut path = Self::pointwise(rank);
        if mix {
            path.axes[1] = AxisReach::Free;
        }
        for (i, axis) in window.axes.iter().enumerate() {
            path.axes[i + 2] = AxisReach::Follow {
                axis: i + 2,
                map: axis.map()?,
            };
        }
        Ok(path)
    }

    /// Position by position, divided by statistics over `axes`. Statistics over
    /// the channels alone (axis 1 or the last) mix the channels and leave the
    /// place be; all others are context.
    pub fn normalized(rank: usize, axes: &[usize]) -> Self {
        let mut path = Self::pointwise(rank);
        match *axes {
            [] => {}
            [axis] if axis < rank && (axis == 1 || axis + 1 == rank) => {
                path.axes[axis] = AxisReach::Free;
            }
            _ => path.context = true,
        }
        path
    }

    /// The whole of the input.
    pub fn global(output_rank: usize) -> Self {
        Self {
            axes: vec![AxisReach::Free; output_rank],
            context: false,
            inner: Vec::new(),
            outside: Outside::Nothing,
        }
    }

    /// The output axis that follows an input axis, and how.
    pub fn follower(&self, input_axis: usize) -> Option<(usize, Map)> {
        self.axes.iter().enumerate().find_map(|(o, a)| match a {
            AxisReach::Follow { axis, map } if *axis == input_axis => Some((o, *map)),
            _ => None,
        })
    }
}

/// How one output depends on each input: `None` for inputs whose elements do
/// not flow (weights, shapes, axes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach(pub Vec<Option<Path>>);

impl Reach {
    /// Only the first input flows.
    pub fn first(path: Path) -> Self {
        Self(vec![Some(path)])
    }

    /// Nothing flows: the output depends on shapes or constants alone.
    pub fn none() -> Self {
        Self::default()
    }
}

/// The path of a broadcast operand: axes that are stretched from size 1 follow nothing.
pub fn broadcast_path(input: &[Expr], output: &[Expr]) -> Path {
    let mut path = Path::broadcast(input.len(), output.len());
    for (o, reach) in path.axes.iter_mut().enumerate() {
        if let AxisReach::Follow { axis, .. } = *reach
            && input[axis].as_const() == Some(1)
            && output[o].as_const() != Some(1)
        {
            *reach = AxisReach::Free;
        }
    }
    path
}
