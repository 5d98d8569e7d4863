//! Two convolutions in series as one: what that one is, what it costs, and what
//! stands in the way.

/// What decides whether a convolution is one with its neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Output channels.
    pub out: usize,
    /// Input channels of a group.
    pub inp: usize,
    /// Groups.
    pub groups: usize,
    /// Taps, an axis.
    pub kernel: Vec<usize>,
    /// Stride, an axis.
    pub stride: Vec<usize>,
    /// Dilation, an axis.
    pub dilation: Vec<usize>,
    /// Pads, begins then ends.
    pub pads: Vec<i64>,
    /// Whether a constant is added to its output.
    pub bias: bool,
}

/// The one convolution that two in series are.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// Extent, an axis: e₁ + s₁·(e₂ − 1), e being (k − 1)·d + 1.
    pub kernel: Vec<usize>,
    /// Stride, an axis.
    pub stride: Vec<usize>,
    /// Pads, begins then ends.
    pub pads: Vec<i64>,
    /// Multiply-accumulates of the two, an output position.
    pub apart: f64,
    /// Multiply-accumulates of the one, an output position.
    pub together: f64,
    /// Whether the one is the same at the borders too.
    pub exact_at_borders: bool,
    /// Why the two are left though the one may be cheaper.
    pub obstacle: Option<&'static str>,
}

impl Together {
    /// The one convolution of two; `None` if they do not fit each other, or the
    /// sizes overflow.
    pub fn of(first: &Link, second: &Link) -> Option<Self> {
        let axes = first.kernel.len();
        if second.kernel.len() != axes || first.pads.len() != second.pads.len() {
            return None;
        }
        let extent = |l: &Link, a: usize| {
            l.kernel[a]
                .checked_sub(1)?
                .checked_mul(l.dilation[a])?
                .checked_add(1)
        };
        let grouped = first.groups > 1 || second.groups > 1;
        let borders = borders(first, second);
        let mut one = Self {
            kernel: Vec::new(),
            stride: Vec::new(),
            pads: Vec::new(),
            apart: 0.0,
            together: 0.0,
            exact_at_borders: borders.is_none(),
            obstacle: grouped
                .then_some("convolutions in groups are left as they are")
                .or(borders),
        };
        for a in 0..axes {
            let reach = (extent(second, a)? - 1).checked_mul(first.stride[a])?;
            one.kernel.push(extent(first, a)?.checked_add(reach)?);
            one.stride
                .push(first.stride[a].checked_mul(second.stride[a])?);
        }
        // A position of the second's border is s₁ positions of the input.
        for (i, (a, b)) in first.pads.iter().zip(&second.pads).enumerate() {
            let step = i64::try_from(first.stride[i % axes]).ok()?;
            one.pads.push(b.checked_mul(step)?.checked_add(*a)?);
        }
        let area = |sizes: &[usize]| sizes.iter().map(|&n| real(n)).product::<f64>();
        // An output position of the second takes ∏ s₂ positions of the first.
        one.apart = area(&second.stride) * real(first.out) * real(first.inp) * area(&first.kernel)
            + real(second.out) * real(second.inp) * area(&second.kernel);
        // The first's inputs that flow into one output of the second.
        let reached =
            real(first.inp) * real(first.groups) / real(first.groups.min(second.groups).max(1));
        one.together = real(second.out) * reached * area(&one.kernel);
        Some(one)
    }

    /// Whether the one takes fewer multiply-accumulates.
    pub fn saves(&self) -> bool {
        self.together < self.apart
    }
}

/// Why the one is not the same at the borders.
fn borders(first: &Link, second: &Link) -> Option<&'static str> {
    if second.pads.iter().all(|&p| p == 0) {
        return None;
    }
    // Zeros around a map that is zero wherever its input is are zeros around
    // that input.
    let point = first.kernel.iter().chain(&first.stride).all(|&k| k == 1);
    if !point {
        return Some("padding between them makes the borders differ");
    }
    let bias = "the bias between them is not added where the second one pads, and would be if they \
                were one";
    first.bias.then_some(bias)
}

#[allow(clippy::cast_precision_loss)]
fn real(n: usize) -> f64 {
    n as f64
}
