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

use super::autocorrelation::{Autocorrelation, unravel};

/// Points of the grid along each axis.
const GRID: usize = 64;

/// Shares of the energy beyond the Nyquist limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// For white input.
    pub white: f64,
    /// For natural images.
    pub natural: f64,
}

impl Autocorrelation {
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
    }
}
