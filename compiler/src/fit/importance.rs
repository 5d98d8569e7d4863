//! Where the outputs of a convolution matter.

use super::FitError;

/// What stands between a convolution's output and the next layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The open range of values that the activation lets through, as `(0, ∞)`
    /// for a rectifier and `(0, 6)` for ReLU6; `None` where there is none.
    pub range: Option<(f32, f32)>,
    /// Slope of the activation outside that range (leaky rectifiers).
    pub slope: f32,
    /// A max-pool after it, or before it (the order is the same).
    pub pool: Option<Pool>,
}

/// A max-pool window, an axis each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Extent.
    pub kernel: Vec<usize>,
    /// Stride.
    pub stride: Vec<usize>,
    /// Padding before the first element.
    pub pads_begin: Vec<usize>,
    /// Windows along each axis.
    pub windows: Vec<usize>,
}

/// How much each element of a convolution's output (bias included, `(N, C,
/// spatial…)`) matters to what follows: the chance that an error of standard
/// deviation `noise` times the channel's own finds the element let through, its
/// activation open and its max-pool window won. To first order this is the
/// expected squared derivative of what follows by the element.
///
/// # Errors
/// [`FitError::Shape`] where shapes do not match, [`FitError::NotFinite`] for NaN
/// or infinite values.
pub fn importance(
    values: &[f32],
    shape: &[usize],
    noise: f32,
    passage: &Passage,
) -> Result<Vec<f32>, FitError> {
    let total = shape.iter().try_fold(1, |a: usize, b| a.checked_mul(*b));
    if shape.len() < 2 || total != Some(values.len()) {
        return Err(FitError::Shape(format!(
            "{} outputs for the shape {shape:?}",
            values.len()
        )));
    }
    if values.iter().any(|v| !v.is_finite()) {
        return Err(FitError::NotFinite("activations"));
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let (channels, spatial) = (shape[1], &shape[2..]);
    let plane: usize = spatial.iter().product();
    let scale = deviations(values, channels, plane);
    let open = |v: f32, sigma: f32| match passage.range {
        Some((low, high)) => {
            let inside = (below(v - low, sigma) - below(v - high, sigma)).max(0.0);
            let slope = passage.slope * passage.slope;
            slope + (1.0 - slope) * inside
        }
        None => 1.0,
    };
    let windows = match &passage.pool {
        Some(pool) => Some(members(pool, spatial)?),
        None => None,
    };
    let mut weights = vec![0.0; values.len()];
    for (i, (values, weights)) in values
        .chunks_exact(plane)
        .zip(weights.chunks_exact_mut(plane))
        .enumerate()
    {
        let sigma = (noise * scale[i % channels]).max(f32::MIN_POSITIVE);
        let Some(windows) = &windows else {
            weights
                .iter_mut()
                .zip(values)
                .for_each(|(w, v)| *w = open(*v, sigma));
            continue;
        };
        for window in windows {
            let (mut best, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
            for &p in window {
                let v = values[p];
                second = second.max(v.min(best));
                best = best.max(v);
            }
            for &p in window {
                let v = values[p];
                let rival = if v == best { second } else { best };
                // Two independent errors meet, hence √2.
                let wins = below(v - rival, sigma * std::f32::consts::SQRT_2);
                if wins > 0.0 {
                    weights[p] += wins * open(v, sigma);
                }
            }
        }
    }
    Ok(weights)
}

/// Logits beyond which a chance is none or certain, to single precision. Most gaps
/// are that wide, and exponentials that overflow are slow.
const CERTAIN: f32 = 17.0;

/// `P(gap + error > 0)`, the normal distribution by its logistic approximation
/// (within 0.01).
fn below(gap: f32, sigma: f32) -> f32 {
    let logit = 1.702 * gap / sigma;
    if logit > CERTAIN {
        1.0
    } else if logit < -CERTAIN {
        0.0
    } else {
        1.0 / (1.0 + (-logit).exp())
    }
}

/// Standard deviation of each channel.
fn deviations(values: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    let mut sums = vec![(0.0f64, 0.0f64); channels];
    for (i, part) in values.chunks_exact(plane).enumerate() {
        let (sum, square) = &mut sums[i % channels];
        for v in part {
            *sum += f64::from(*v);
            *square += f64::from(*v) * f64::from(*v);
        }
    }
    let count = (values.len() / channels) as f64;
    let deviation = |(s, q): &(f64, f64)| (q / count - (s / count) * (s / count)).max(0.0).sqrt();
    sums.iter().map(|s| deviation(s) as f32).collect()
}

/// Elements of the plane under each pool window.
fn members(pool: &Pool, spatial: &[usize]) -> Result<Vec<Vec<usize>>, FitError> {
    let axes = spatial.len();
    let named = [&pool.kernel, &pool.stride, &pool.pads_begin, &pool.windows];
    if named.iter().any(|v| v.len() != axes) {
        return Err(FitError::Shape(format!(
            "a pool needs {axes} numbers of each kind"
        )));
    }
    let mut windows = vec![vec![0]];
    for (a, &extent) in spatial.iter().enumerate() {
        let along = |window: usize| {
            let start = window * pool.stride[a];
            (start..start + pool.kernel[a])
                .filter_map(|p| p.checked_sub(pool.pads_begin[a]).filter(|p| *p < extent))
                .collect::<Vec<_>>()
        };
        let steps: Vec<Vec<usize>> = (0..pool.windows[a]).map(along).collect();
        windows = windows
            .iter()
            .flat_map(|base| {
                steps.iter().map(|step| {
                    base.iter()
                        .flat_map(|b| step.iter().map(move |p| b * extent + p))
                        .collect()
                })
            })
            .collect();
    }
    Ok(windows)
}
