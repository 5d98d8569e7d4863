//! Autocorrelation of the kernels of a layer.

use rayon::prelude::*;

/// Kernels that one task sums, so that the sum does not depend on the threads.
const CHUNK: usize = 4096;

/// Autocorrelation of a bank of kernels, summed over the bank.
#[derive(Clone, Debug, PartialEq)]
pub struct Autocorrelation {
    /// Lags run from −(e − 1) to e − 1 along each axis.
    pub(super) extent: Vec<usize>,
    /// One value a lag, row-major.
    pub(super) values: Vec<f64>,
}

impl Autocorrelation {
    /// That of `bank`, kernels of size `kernel` (row-major) one after the
    /// other; `None` if the bank does not consist of whole kernels.
    pub fn of(bank: &[f64], kernel: &[usize]) -> Option<Self> {
        let taps: usize = kernel.iter().product();
        if taps == 0 || bank.is_empty() || !bank.len().is_multiple_of(taps) {
            return None;
        }
        // Places of the taps in an array that is wide enough for every lag.
        let places = places(kernel);
        let size = places.last()? + 1;
        let partial: Vec<Vec<f64>> = bank
            .par_chunks(taps * CHUNK)
            .map(|part| {
                let mut sum = vec![0.0; size];
                for h in part.chunks_exact(taps) {
                    for (a, &x) in h.iter().enumerate() {
                        for (b, &y) in h.iter().enumerate().skip(a) {
                            sum[places[b] - places[a]] += x * y;
                        }
                    }
                }
                sum
            })
            .collect();
        let mut half = vec![0.0; size];
        for part in partial {
            for (total, v) in half.iter_mut().zip(part) {
                *total += v;
            }
        }
        Some(Self::mirrored(kernel, &half))
    }

    /// All lags from those that come after zero.
    fn mirrored(kernel: &[usize], half: &[f64]) -> Self {
        let middle = half.len() - 1;
        let mut values = vec![0.0; 2 * middle + 1];
        for (lag, &v) in half.iter().enumerate() {
            values[middle + lag] = v;
            values[middle - lag] = v;
        }
        Self {
            extent: kernel.to_vec(),
            values,
        }
    }

    /// That of one tap.
    pub fn delta(rank: usize) -> Self {
        Self {
            extent: vec![1; rank],
            values: vec![1.0],
        }
    }

    /// That of a window of equal weights; `None` for windows of no use.
    #[allow(clippy::cast_precision_loss)]
    pub fn uniform(kernel: &[usize]) -> Option<Self> {
        if kernel.contains(&0) {
            return None;
        }
        let lengths: Vec<usize> = kernel.iter().map(|k| k.saturating_mul(2) - 1).collect();
        let values = (0..lags(kernel)?)
            .map(|i| {
                let at = unravel(i, &lengths);
                let overlap = |(&x, &k): (&usize, &usize)| k - (k - 1).abs_diff(x);
                at.iter().zip(kernel).map(overlap).product::<usize>() as f64
            })
            .collect();
        Some(Self {
            extent: kernel.to_vec(),
            values,
        })
    }

    /// That of linear interpolation over a shrinking axis: triangles of half
    /// width `radius` an axis.
    #[allow(clippy::cast_precision_loss)]
    pub fn triangle(radius: &[usize]) -> Option<Self> {
        let kernel: Vec<usize> = radius
            .iter()
            .map(|&r| r.saturating_mul(2).saturating_sub(1).max(1))
            .collect();
        if kernel.iter().any(|&k| k > 64) {
            return None;
        }
        let taps: usize = kernel.iter().product();
        let bank: Vec<f64> = (0..taps)
            .map(|t| {
                let at = unravel(t, &kernel);
                let weight = |(&x, &r): (&usize, &usize)| r.max(1) - (r.max(1) - 1).abs_diff(x);
                at.iter().zip(radius).map(weight).product::<usize>() as f64
            })
            .collect();
        Self::of(&bank, &kernel)
    }

    /// That of this filter followed by another whose input is sampled at
    /// `strides`; the channels between are taken as incoherent. `dilation` is
    /// this filter's, the result's is 1; `None` where the result is too large.
    pub fn then(
        &self,
        dilation: &[usize],
        next: &Self,
        strides: &[usize],
        next_dilation: &[usize],
    ) -> Option<Self> {
        let rank = self.extent.len();
        let spread: Vec<usize> = (0..rank)
            .map(|i| strides[i].checked_mul(next_dilation[i]))
            .collect::<Option<_>>()?;
        let (a, b) = (self.dilated(dilation)?, next.dilated(&spread)?);
        let extent: Vec<usize> = (0..rank).map(|i| a.extent[i] + b.extent[i] - 1).collect();
        let mut out = Self {
            values: vec![0.0; lags(&extent)?],
            extent,
        };
        let (pa, pb) = (a.positions(&out), b.positions(&out));
        for (&i, &x) in pa.iter().zip(&a.values) {
            for (&j, &y) in pb.iter().zip(&b.values) {
                if x != 0.0 && y != 0.0 {
                    out.values[i + j] += x * y;
                }
            }
        }
        Some(out)
    }

    /// With zeros between the taps.
    fn dilated(&self, by: &[usize]) -> Option<Self> {
        let extent: Vec<usize> = self
            .extent
            .iter()
            .zip(by)
            .map(|(&e, &d)| (e - 1).checked_mul(d)?.checked_add(1))
            .collect::<Option<_>>()?;
        let mut out = Self {
            values: vec![0.0; lags(&extent)?],
            extent,
        };
        let lengths: Vec<usize> = self.extent.iter().map(|e| 2 * e - 1).collect();
        let wide: Vec<usize> = out.extent.iter().map(|e| 2 * e - 1).collect();
        for (i, &v) in self.values.iter().enumerate() {
            let at = unravel(i, &lengths);
            let place = at
                .iter()
                .zip(by)
                .zip(&wide)
                .fold(0, |p, ((&x, &d), &w)| p * w + x * d);
            out.values[place] = v;
        }
        Some(out)
    }

    /// Where this one's lags are in a larger array, counted from its corner.
    fn positions(&self, within: &Self) -> Vec<usize> {
        let lengths: Vec<usize> = self.extent.iter().map(|e| 2 * e - 1).collect();
        let wide: Vec<usize> = within.extent.iter().map(|e| 2 * e - 1).collect();
        (0..self.values.len())
            .map(|i| {
                unravel(i, &lengths)
                    .iter()
                    .zip(&wide)
                    .fold(0, |p, (&x, &w)| p * w + x)
            })
            .collect()
    }

    /// Energy of the kernels.
    pub fn energy(&self) -> f64 {
        self.values[self.values.len() / 2]
    }
}

/// Row-major places of a kernel's taps in an array with room for every lag.
fn places(kernel: &[usize]) -> Vec<usize> {
    let taps: usize = kernel.iter().product();
    let wide: Vec<usize> = kernel.iter().map(|k| 2 * k - 1).collect();
    (0..taps)
        .map(|t| {
            let at = unravel(t, kernel);
            at.iter().zip(&wide).fold(0, |p, (&x, &w)| p * w + x)
        })
        .collect()
}

/// How many lags an extent has; `None` above a million, which no kernel has.
fn lags(extent: &[usize]) -> Option<usize> {
    extent
        .iter()
        .try_fold(1usize, |n, &e| n.checked_mul(e.checked_mul(2)? - 1))
        .filter(|&n| n <= 1 << 20)
}

pub(super) fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (x, &size) in at.iter_mut().zip(shape).rev() {
        *x = index % size;
        index /= size;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two filters in a row have the autocorrelation of their composition.
        #[test]
        fn filters_in_a_row(
            a in prop::collection::vec(-1.0f64..1.0, 3),
            b in prop::collection::vec(-1.0f64..1.0, 2),
            s in 1usize..4,
        ) {
            let mut both = vec![0.0; 3 + s];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in b.iter().enumerate() {
                    both[i + j * s] += x * y;
                }
            }
            let (a, b) = (Autocorrelation::of(&a, &[3]).unwrap(), Autocorrelation::of(&b, &[2]).unwrap());
            let found = a.then(&[1], &b, &[s], &[1]).unwrap();
            let expected = Autocorrelation::of(&both, &[3 + s]).unwrap();
            for (x, y) in found.values.iter().zip(&expected.values) {
                prop_assert!((x - y).abs() < 1e-12);
            }
        }
    }
}
