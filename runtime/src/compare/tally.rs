//! Error of one output, summed over samples.

/// Sums over the elements of an output. Merging in a fixed order gives the same
/// bits whatever the number of threads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tally {
    count: f64,
    mean: f64,
    /// Σ (original − mean)².
    deviation: f64,
    /// Σ (rewritten − original)².
    error: f64,
    /// max |rewritten − original|.
    pub max_abs: f64,
    /// Elements that are NaN or infinite in one of the two, or differently so.
    pub non_finite: u64,
    low: f64,
    high: f64,
}

impl Tally {
    /// The sums of one sample.
    pub fn of(original: &[f32], rewritten: &[f32]) -> Self {
        let mut tally = Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            ..Self::default()
        };
        let mut sum = 0.0;
        for (&x, &y) in original.iter().zip(rewritten) {
            if !(x.is_finite() && y.is_finite()) {
                tally.non_finite += u64::from(x != y && !(x.is_nan() && y.is_nan()));
                continue;
            }
            let (x, y) = (f64::from(x), f64::from(y));
            let error = (y - x).abs();
            tally.count += 1.0;
            sum += x;
            tally.error += error * error;
            tally.max_abs = tally.max_abs.max(error);
            tally.low = tally.low.min(x);
            tally.high = tally.high.max(x);
        }
        if tally.count > 0.0 {
            tally.mean = sum / tally.count;
            let finite = original.iter().zip(rewritten);
            tally.deviation = finite
                .filter(|(x, y)| x.is_finite() && y.is_finite())
                .map(|(&x, _)| (f64::from(x) - tally.mean).powi(2))
                .sum();
        }
        tally
    }

    /// The sums of both (Chan, Golub, LeVeque 1979 for the deviation).
    pub fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        let (mean, deviation) = if count > 0.0 {
            let step = other.mean - self.mean;
            (
                self.mean + step * other.count / count,
                self.deviation + other.deviation + step * step * self.count * other.count / count,
            )
        } else {
            (0.0, 0.0)
        };
        Self {
            count,
            mean,
            deviation,
            error: self.error + other.error,
            max_abs: self.max_abs.max(other.max_abs),
            non_finite: self.non_finite + other.non_finite,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// ‖rewritten − original‖ / ‖original − its mean‖; infinite where a constant
    /// output is not met.
    pub fn relative(&self) -> f64 {
        if self.error == 0.0 {
            0.0
        } else {
            (self.error / self.deviation).sqrt()
        }
    }

    /// Peak signal-to-noise ratio in dB with its peak; `None` where both are equal.
    ///
    /// The peak is that of the customary ranges: 255 for bytes, 1 for fractions,
    /// 2 for −1 to 1, told apart by the original's extremes.
    pub fn psnr(&self) -> Option<(f64, f64)> {
        if self.error == 0.0 || self.count == 0.0 {
            return None;
        }
        let peak: f64 = match (self.low, self.high) {
            (low, high) if low.abs().max(high.abs()) > 2.0 => 255.0,
            (low, _) if low < -0.5 => 2.0,
            _ => 1.0,
        };
        Some((10.0 * (peak * peak * self.count / self.error).log10(), peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_equals_one_pass() {
        let original: Vec<f32> = (0..100).map(|i| ((i * 37) % 101) as f32 * 0.1).collect();
        let rewritten: Vec<f32> = original.iter().map(|x| x * 1.01 + 0.02).collect();
        let whole = Tally::of(&original, &rewritten);
        let parts = [0..7, 7..60, 60..100]
            .map(|r| Tally::of(&original[r.clone()], &rewritten[r]))
            .into_iter()
            .fold(Tally::of(&[], &[]), Tally::merge);
        assert!((whole.relative() - parts.relative()).abs() < 1e-12);
        assert_eq!(whole.max_abs, parts.max_abs);
        assert_eq!(whole.psnr().map(|p| p.1), Some(255.0));
    }

    #[test]
    fn relative_error_is_of_the_deviation() {
        // Deviation of (1, 3) from 2 is √2; the error (0, 1) has norm 1.
        let tally = Tally::of(&[1.0, 3.0], &[1.0, 4.0]);
        assert!((tally.relative() - 1.0 / 2f64.sqrt()).abs() < 1e-15);
        assert_eq!(Tally::of(&[5.0, 5.0], &[5.0, 5.0]).relative(), 0.0);
        assert_eq!(
            Tally::of(&[5.0, 5.0], &[5.0, 6.0]).relative(),
            f64::INFINITY
        );
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let tally = Tally::of(&[nan, nan, inf, inf, 1.0], &[nan, 1.0, inf, -inf, 2.0]);
        assert_eq!((tally.non_finite, tally.max_abs), (2, 1.0));
    }

    #[test]
    fn psnr_of_a_fraction_image() {
        let (db, peak) = Tally::of(&[0.0, 0.5, 1.0, 0.2], &[0.1, 0.6, 1.1, 0.3])
            .psnr()
            .unwrap();
        assert!((db - 20.0).abs() < 1e-5 && peak == 1.0, "{db}");
    }
}
