//! Random numbers that stay the same for ever: PCG, whose stream is a published
//! definition, and conversions of our own that no library update can change.

use rand_pcg::{Pcg64, rand_core::Rng};

/// A stream of random numbers.
pub struct Random(Pcg64);

impl Random {
    /// The stream for sample `index` of a set. The state is scrambled first:
    /// neighbouring PCG states start alike.
    pub fn new(set: u64, index: u64) -> Self {
        let state = u128::from(scramble(index)) << 64 | u128::from(scramble(!index));
        Self(Pcg64::new(state, u128::from(set)))
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `[-reach, reach)`.
    pub fn about(&mut self, reach: f64) -> f64 {
        self.within(-reach, reach)
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Nearly normal, mean 0, variance 1: the sum of four uniform numbers, scaled
    /// (Irwin-Hall; variance of one is 1/12).
    pub fn bell(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3f64.sqrt()
    }
}

/// SplitMix64's finalizer (Steele, Lea, Flood 2014) of its first step from `seed`.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bell_has_mean_zero_and_variance_one() {
        let mut random = Random::new(9, 9);
        let drawn: Vec<f64> = (0..20_000).map(|_| random.bell()).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    /// First output of SplitMix64 seeded with 0, as its authors' code gives it.
    #[test]
    fn scramble_is_splitmix64() {
        assert_eq!(scramble(0), 0xe220_a839_7b1d_cdaf);
    }
}
