//! Which positions along one axis an output position reads, exactly: the
//! interval of a [`Map`] and, where the operator slides a window, only the
//! taps inside it.

use compiler::ops::window::Direction;
use compiler::ops::{Map, WindowAxis};

/// Phases of a transposed window beyond this are not walked through.
const MAX_PHASES: i64 = 1 << 12;

/// Positions `first`, `first + step`, ..., `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progression {
    /// The lowest.
    pub first: i64,
    /// From one to the next.
    pub step: i64,
    /// How many.
    pub count: i64,
}

impl Progression {
    /// The last.
    pub(crate) fn last(&self) -> i64 {
        self.first + (self.count - 1) * self.step
    }

    /// Those of the positions that are from 0 to below `size`.
    pub(crate) fn within(&self, size: i64) -> Option<Self> {
        let step = self.step.max(1);
        // -(-a).div_euclid(b) is the quotient rounded up.
        let from = self.first.checked_neg()?.max(0);
        let from = -(-from).div_euclid(step);
        let to = size.checked_sub(1)?.checked_sub(self.first)?;
        let to = to.div_euclid(step).min(self.count - 1);
        let first = self.first.checked_add(from.checked_mul(step)?)?;
        (from <= to).then_some(Self {
            first,
            step,
            count: to - from + 1,
        })
    }

    /// Variance of a uniform choice among the positions.
    #[allow(clippy::cast_precision_loss)]
    fn variance(&self) -> f64 {
        let (n, step) = (self.count as f64, self.step as f64);
        step * step * (n * n - 1.0) / 12.0
    }
}

/// The reading along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// The interval formula.
    pub map: Map,
    /// Kernel, dilation and direction where a window is known.
    window: Option<(i64, i64, Direction)>,
}

impl Taps {
    /// The taps of a map; `window` is the operator's along that axis, if any.
    pub fn new(map: Map, window: Option<&WindowAxis>) -> Self {
        let window = window
            .filter(|w| w.map().is_ok_and(|m| m == map))
            .map(|w| (w.kernel, w.dilation, w.direction));
        Self { map, window }
    }

    /// How many output positions it takes until the pattern repeats.
    pub fn period(&self) -> i64 {
        self.map.upsample.max(1)
    }

    /// The positions that output `o` reads, in rising order; `None` where it
    /// reads none or they are beyond 64 bits.
    pub fn at(&self, o: i64) -> Option<Progression> {
        let base = self.map.stride.checked_mul(o)?;
        let found = match self.window {
            Some((kernel, dilation, Direction::Gather)) => Progression {
                first: base.checked_add(self.map.lo)?,
                step: dilation,
                count: kernel,
            },
            // Tap t reads position (o + begin − t·dilation) / stride where
            // that is whole; `hi` is the padding at the beginning.
            Some((kernel, dilation, Direction::Scatter)) => {
                let (up, origin) = (self.map.upsample, base.checked_add(self.map.hi)?);
                let common = gcd(dilation, up);
                let turn = up / common;
                let hit = (0..turn.min(kernel)).find(|t| {
                    t.checked_mul(dilation)
                        .and_then(|reach| origin.checked_sub(reach))
                        .is_some_and(|v| v.rem_euclid(up) == 0)
                })?;
                let count = (kernel - hit + turn - 1) / turn;
                let step = dilation / common;
                let highest = (origin - hit * dilation) / up;
                Progression {
                    first: highest.checked_sub((count - 1).checked_mul(step)?)?,
                    step,
                    count,
                }
            }
            None => {
                let (first, last) = self.map.back(o, o);
                Progression {
                    first,
                    step: 1,
                    count: last.checked_sub(first)?.checked_add(1)?,
                }
            }
        };
        (found.count > 0).then_some(found)
    }

    /// Whether every output position reads one position at most.
    pub fn single(&self) -> bool {
        match self.window {
            Some((1, ..)) => true,
            Some((_, _, Direction::Gather)) => false,
            _ => {
                let phases = 0..self.period().min(MAX_PHASES);
                phases.filter_map(|o| self.at(o)).all(|p| p.count == 1)
            }
        }
    }

    /// Variance of the taps under uniform weights, in input positions squared,
    /// the mean over the phases of an upsampling (Luo et al. 2016).
    #[allow(clippy::cast_precision_loss)]
    pub fn variance(&self) -> f64 {
        let phases = 0..self.period().min(MAX_PHASES);
        let (mut sum, mut count) = (0.0, 0.0);
        for taps in phases.filter_map(|o| self.at(o)) {
            sum += taps.variance();
            count += 1.0;
        }
        if count == 0.0 { 0.0 } else { sum / count }
    }
}

pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 {
        a.abs().max(1)
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use compiler::ir::Expr;
    use compiler::ops::window::WindowAttrs;

    use super::*;

    fn axes(transposed: bool, k: i64, s: i64, d: i64, pads: [i64; 2], size: i64) -> WindowAxis {
        let attrs = WindowAttrs {
            kernel: Some(vec![k]),
            strides: Some(vec![s]),
            dilations: Some(vec![d]),
            pads: Some(pads.to_vec()),
            ..WindowAttrs::default()
        };
        let input = [Expr::from(size)];
        let window = if transposed {
            attrs.scatter(&input, None, None, None)
        } else {
            attrs.gather(&input, None)
        };
        window.unwrap().axes.remove(0)
    }

    /// What a loop over the taps reads.
    fn naive(axis: &WindowAxis, o: i64) -> Vec<i64> {
        let (begin, _) = axis.pads.unwrap();
        let mut found: Vec<i64> = (0..axis.kernel)
            .filter_map(|t| match axis.direction {
                Direction::Gather => Some(o * axis.stride - begin + t * axis.dilation),
                Direction::Scatter => {
                    let v = o + begin - t * axis.dilation;
                    (v.rem_euclid(axis.stride) == 0).then(|| v / axis.stride)
                }
            })
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn taps_are_those_of_a_loop() {
        for transposed in [false, true] {
            for (k, s, d) in [1, 2, 3, 4, 5]
                .iter()
                .flat_map(|&k| [1, 2, 3, 4].map(|s| (k, s)))
                .flat_map(|(k, s)| [1, 2, 3, 4].map(|d| (k, s, d)))
            {
                let axis = axes(transposed, k, s, d, [1, 0], 40);
                let taps = Taps::new(axis.map().unwrap(), Some(&axis));
                for o in 20..40 {
                    let expected = naive(&axis, o);
                    let found: Vec<i64> = taps
                        .at(o)
                        .map(|p| (0..p.count).map(|i| p.first + i * p.step).collect())
                        .unwrap_or_default();
                    assert_eq!(found, expected, "k {k} s {s} d {d} {transposed}");
                    let inside = expected.iter().copied().filter(|p| (0..30).contains(p));
                    let found = taps.at(o).and_then(|p| p.within(30));
                    let found = found.map(|p| (p.first, p.last(), p.count));
                    let count = i64::try_from(inside.clone().count()).unwrap();
                    let ends = inside.clone().min().zip(inside.max());
                    assert_eq!(found, ends.map(|(a, b)| (a, b, count)));
                }
            }
        }
    }

    #[test]
    fn variance_is_that_of_the_window() {
        let axis = axes(false, 5, 1, 2, [0, 0], 40);
        let taps = Taps::new(axis.map().unwrap(), Some(&axis));
        assert!((taps.variance() - 8.0).abs() < 1e-12);
    }
}
