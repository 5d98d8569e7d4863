//! The energy of a filter's output beyond the Nyquist limit of its stride,
//! from the filter's autocorrelation.
//!
//! For white input the share that aliases is
//! A = 1 − Σ ρ\[m\]·∏ sinc(d·m/s) / (∏s · ρ\[0\]), with ρ the autocorrelation
//! summed over all kernels of the layer, s the strides and d the dilations:
//! the integral of the spectrum over |ω| < π/s in closed form.
//!
//! For natural images the spectrum is weighed by 1/|ω|². That integral
//! diverges at ω = 0, so it is defined as a sum: over the 64-point discrete
//! Fourier grid of each axis, without ω = 0, with |ω| < π/s passing. Both are
//! held against a brute-force sum of the spectrum in the tests.

use std::f64::consts::PI;

use rayon::prelude::*;

/// Points of the grid along each axis.
const GRID: usize = 64;
/// Kernels that one task sums, so that the sum does not depend on the threads.
const CHUNK: usize = 4096;

/// Autocorrelation of a bank of kernels, summed over the bank.
#[derive(Clone, Debug, PartialEq)]
pub struct Autocorrelation {
    /// Lags run from −(e − 1) to e − 1 along each axis.
    extent: Vec<usize>,
    /// One value a lag, row-major.
    values: Vec<f64>,
}

/// Shares of the energy beyond the Nyquist limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// For white input.
    pub white: f64,
    /// For natural images.
    pub natural: f64,
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

    /// The shares of the energy that a stride along each axis lets alias;
    /// `None` where there is no energy, or it is not finite. A stride may be
    /// fractional (resizing).
    pub fn shares(&self, strides: &[f64], dilations: &[usize]) -> Option<Shares> {
        let energy = self.energy();
        if !energy.is_finite() || energy <= 0.0 || strides.len() != self.extent.len() {
            return None;
        }
        let natural = self.natural(strides, dilations)?;
        let white = 1.0 - self.passing(strides, dilations) / energy;
        Some(Shares {
            white: white.clamp(0.0, 1.0),
            natural: natural.clamp(0.0, 1.0),
        })
    }

    /// White energy below the Nyquist limit.
    #[allow(clippy::cast_precision_loss)]
    fn passing(&self, strides: &[f64], dilations: &[usize]) -> f64 {
        let mut values = self.values.clone();
        // Contract one axis after the other, the last first.
        for axis in (0..self.extent.len()).rev() {
            let e = self.extent[axis];
            let weights: Vec<f64> = (0..2 * e - 1)
                .map(|i| {
                    let lag = (i as f64 - (e as f64 - 1.0)) * dilations[axis] as f64;
                    sinc(lag / strides[axis]) / strides[axis]
                })
                .collect();
            values = values
                .chunks_exact(2 * e - 1)
                .map(|row| row.iter().zip(&weights).map(|(v, w)| v * w).sum())
                .collect();
        }
        values[0]
    }

    /// Share of the natural energy beyond the Nyquist limit.
    #[allow(clippy::cast_precision_loss)]
    fn natural(&self, strides: &[f64], dilations: &[usize]) -> Option<f64> {
        let rank = self.extent.len();
        let spectrum = self.spectrum(dilations)?;
        // Signed frequency of a grid point, in units of 2π/64.
        let signed = |i: usize| i as f64 - if i >= GRID / 2 { GRID as f64 } else { 0.0 };
        let (mut all, mut passed) = (0.0, 0.0);
        for (i, &energy) in spectrum.iter().enumerate().skip(1) {
            let at = unravel(i, &vec![GRID; rank]);
            let square: f64 = at.iter().map(|&k| signed(k) * signed(k)).sum();
            let weighed = energy.max(0.0) / square;
            all += weighed;
            // |ω| < π/s; without a stride all pass.
            let passes = at
                .iter()
                .zip(strides)
                .all(|(&k, &s)| s <= 1.0 || signed(k).abs() * 2.0 * s < GRID as f64);
            if passes {
                passed += weighed;
            }
        }
        (all > 0.0).then(|| 1.0 - passed / all)
    }

    /// |H(ω)|² on the grid: the Fourier transform of the autocorrelation.
    #[allow(clippy::cast_precision_loss)]
    fn spectrum(&self, dilations: &[usize]) -> Option<Vec<f64>> {
        if self.extent.len() > 3 {
            return None;
        }
        let turns: Vec<(f64, f64)> = (0..GRID)
            .map(|i| (2.0 * PI * i as f64 / GRID as f64).sin_cos())
            .collect();
        // Real and imaginary part; transformed axes move to the front.
        let mut values: Vec<(f64, f64)> = self.values.iter().map(|&v| (v, 0.0)).collect();
        for axis in (0..self.extent.len()).rev() {
            let e = self.extent[axis];
            let length = 2 * e - 1;
            let rows = values.len() / length;
            let mut next = vec![(0.0, 0.0); GRID * rows];
            for k in 0..GRID {
                for (row, out) in values.chunks_exact(length).zip(&mut next[k * rows..]) {
                    for (i, &(re, im)) in row.iter().enumerate() {
                        // The angle −ω·lag in grid turns, lag = (i − e + 1)·d.
                        let lag = dilations[axis] % GRID * ((e - 1 + GRID * e - i) % GRID);
                        let (sin, cos) = turns[k * lag % GRID];
                        out.0 += re * cos - im * sin;
                        out.1 += re * sin + im * cos;
                    }
                }
            }
            values = next;
        }
        Some(values.into_iter().map(|(re, _)| re).collect())
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

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (x, &size) in at.iter_mut().zip(shape).rev() {
        *x = index % size;
        index /= size;
    }
    at
}

/// sin(πx)/(πx).
fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn separable(taps: &[f64]) -> Autocorrelation {
        let n = taps.len();
        let bank: Vec<f64> = taps
            .iter()
            .flat_map(|a| taps.iter().map(move |b| a * b))
            .collect();
        Autocorrelation::of(&bank, &[n, n]).unwrap()
    }

    fn shares(taps: &[f64], stride: f64) -> (f64, f64) {
        let s = separable(taps).shares(&[stride; 2], &[1; 2]).unwrap();
        (s.white, s.natural)
    }

    #[test]
    fn reference_values() {
        for (taps, white, natural) in [
            (vec![1.0], 0.750, 0.182),
            (vec![1.0, 1.0], 0.330, 0.042),
            (vec![1.0, 1.0, 1.0], 0.145, 0.007),
            (vec![1.0, 2.0, 1.0], 0.145, 0.014),
            (vec![1.0, 3.0, 3.0, 1.0], 0.065, 0.0055),
            (vec![1.0, 4.0, 6.0, 4.0, 1.0], 0.030, 0.0022),
        ] {
            let (w, n) = shares(&taps, 2.0);
            assert!((w - white).abs() < 6e-4, "{taps:?}: {w} for {white}");
            assert!((n - natural).abs() < 6e-4, "{taps:?}: {n} for {natural}");
        }
        assert!((shares(&[1.0], 4.0).0 - 0.9375).abs() < 1e-12);
        assert!((shares(&[1.0; 4], 4.0).0 - 0.385).abs() < 6e-4);
        assert_eq!(
            Autocorrelation::uniform(&[2, 3]),
            Autocorrelation::of(&[1.0; 6], &[2, 3])
        );
        assert_eq!(
            Autocorrelation::triangle(&[2, 2]),
            Some(separable(&[1.0, 2.0, 1.0]))
        );
        assert_eq!(
            Autocorrelation::delta(2)
                .shares(&[1.0; 2], &[1; 2])
                .unwrap()
                .white,
            0.0
        );
    }

    #[test]
    fn dead_and_broken_filters_have_no_share() {
        assert_eq!(separable(&[0.0, 0.0]).shares(&[2.0; 2], &[1; 2]), None);
        assert_eq!(separable(&[f64::NAN]).shares(&[2.0; 2], &[1; 2]), None);
        assert_eq!(Autocorrelation::of(&[1.0; 5], &[2, 2]), None);
    }

    /// |H(ω)|² of one tap set, by the definition of the Fourier transform.
    fn energy(bank: &[f64], k: [usize; 2], d: [usize; 2], w: [f64; 2]) -> f64 {
        bank.chunks_exact(k[0] * k[1])
            .map(|h| {
                let (mut re, mut im) = (0.0, 0.0);
                for (t, &v) in h.iter().enumerate() {
                    let phase = w[0] * (t / k[1] * d[0]) as f64 + w[1] * (t % k[1] * d[1]) as f64;
                    re += v * phase.cos();
                    im -= v * phase.sin();
                }
                re * re + im * im
            })
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Against midpoint sums of the spectrum (white) and the defining sum
        /// (natural).
        #[test]
        fn closed_form_is_the_integral(
            k in [1usize..5, 1usize..5],
            s in [1usize..4, 1usize..4],
            d in [1usize..4, 1usize..3],
            seed in prop::collection::vec(-1.0f64..1.0, 32),
        ) {
            let bank: Vec<f64> = seed[..2 * k[0] * k[1]].to_vec();
            let rho = Autocorrelation::of(&bank, &k).unwrap();
            prop_assume!(rho.energy() > 1e-3);
            let stride = [s[0] as f64, s[1] as f64];
            let found = rho.shares(&stride, &d).unwrap();
            let n = 96;
            let place = |i: usize| -PI + 2.0 * PI * (i as f64 + 0.5) / n as f64;
            let (mut all, mut pass) = (0.0, 0.0);
            for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let w = [place(i), place(j)];
                let e = energy(&bank, k, d, w);
                all += e;
                if (0..2).all(|a| w[a].abs() < PI / stride[a]) {
                    pass += e;
                }
            }
            prop_assert!((found.white - (1.0 - pass / all)).abs() < 4e-3);
            let (mut all, mut pass) = (0.0, 0.0);
            for (i, j) in (-32i32..32).flat_map(|i| (-32i32..32).map(move |j| (i, j))) {
                if (i, j) != (0, 0) {
                    let w = [i, j].map(|v| 2.0 * PI * f64::from(v) / 64.0);
                    let e = energy(&bank, k, d, w) / (w[0] * w[0] + w[1] * w[1]);
                    all += e;
                    let inside = |a: usize, v: i32| s[a] == 1 || f64::from(v.abs()) < 32.0 / stride[a];
                    if inside(0, i) && inside(1, j) {
                        pass += e;
                    }
                }
            }
            prop_assert!((found.natural - (1.0 - pass / all)).abs() < 1e-9);
        }

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
