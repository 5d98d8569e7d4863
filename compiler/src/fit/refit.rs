//! A kernel that stays, fitted anew to patches that have changed.

use super::linalg::{Matrix, dot};
use super::moments::Moments;
use super::regression::{Judgement, regress};
use super::sums::Sums;
use super::{FitError, Kernel};

/// Drawn to the kernel as it was by this multiple of the mean eigenvalue of the
/// patches' covariance: samples are few beside the weights.
const RIDGE: f64 = 10.0;
/// Share of the outputs' variance below which nothing is lost.
const NOTHING: f64 = 1e-10;

/// Share of the loss that may stay for a refit to be worth touching a layer.
const WORTH: f64 = 0.98;

/// A kernel for the patches as they have become.
#[derive(Debug, Clone)]
pub struct Refit {
    /// The kernel; the old one where a new one would not do better on samples
    /// that it was not fitted to.
    pub kernel: Kernel,
    /// What to add to the bias, a channel.
    pub bias: Vec<f64>,
    /// Root of the share of the output's variance that was lost before.
    pub before: f64,
    /// The same after.
    pub after: f64,
}

/// Fits `kernel` (of one group) and its bias to paired moments: the patches that
/// it reads now, the outputs that it gave before. The samples come in two halves,
/// each of which judges what the other one gives.
///
/// `None` where nothing was lost, or hardly anything of it can be made good.
///
/// # Errors
/// [`FitError::Shape`] where the moments are not those of the kernel.
pub fn refit(kernel: &Kernel, halves: [&Moments; 2]) -> Result<Option<Refit>, FitError> {
    if kernel.groups != 1 || halves.iter().any(|m| !m.fits(kernel) || !m.is_paired()) {
        return Err(FitError::Shape(
            "a kernel of one group wants moments with its outputs".into(),
        ));
    }
    let mut all = halves[0].clone();
    all.merge(halves[1])?;
    let old = Matrix::from_vec(kernel.out, kernel.inp * kernel.taps(), kernel.data.clone());
    let all = Side::new(&all);
    let was = all.judge(&old, &old);
    let share = |lost: f64| (lost / was.all).max(0.0);
    let before = share(was.lost + dot(&was.bias, &was.bias));
    if was.all <= 0.0 || before <= NOTHING {
        return Ok(None);
    }
    let mut new = old.clone();
    if halves.iter().all(|m| m.samples() > 1.0) {
        let [first, second] = halves.map(Side::new);
        let (mut kept, mut fitted) = (0.0, 0.0);
        for (seen, other) in [(&first, &second), (&second, &first)] {
            kept += held_out(seen, other, &old, &old);
            fitted += held_out(seen, other, &old, &seen.drawn(&old)?);
        }
        if fitted < kept {
            new = all.drawn(&old)?;
        }
    }
    let is = all.judge(&old, &new);
    if share(is.lost) > WORTH * before {
        return Ok(None);
    }
    Ok(Some(Refit {
        kernel: Kernel {
            data: new.data,
            ..kernel.clone()
        },
        bias: is.bias,
        before: before.sqrt(),
        after: share(is.lost).sqrt(),
    }))
}

/// Samples, and the covariance of what is read there.
struct Side<'a> {
    sums: &'a Sums,
    covariance: Matrix,
}

impl<'a> Side<'a> {
    fn new(moments: &'a Moments) -> Self {
        let sums = moments.all(0);
        Self {
            covariance: sums.covariance(),
            sums,
        }
    }

    /// The best kernel here, drawn to the old one.
    fn drawn(&self, old: &Matrix) -> Result<Matrix, FitError> {
        let mut damped = self.covariance.clone();
        let mean = damped.trace() / damped.rows as f64;
        damped.add_to_diagonal(RIDGE * mean.max(f64::MIN_POSITIVE));
        regress(&self.sums.cross(), old, &self.covariance, &damped)
    }

    fn judge(&self, old: &Matrix, made: &Matrix) -> Judgement {
        let mut judged = Judgement::default();
        judged.add(self.sums, &self.covariance, 1.0, old, made);
        judged
    }
}

/// What a kernel loses on other samples, with the bias that suits those that
/// were seen.
fn held_out(seen: &Side<'_>, other: &Side<'_>, old: &Matrix, made: &Matrix) -> f64 {
    let (own, judged) = (seen.judge(old, made), other.judge(old, made));
    let shift = own
        .bias
        .iter()
        .zip(&judged.bias)
        .map(|(a, b)| (a - b) * (a - b));
    judged.lost + shift.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::super::{Seen, Window};
    use super::*;

    const FLAT: Window = Window {
        pads_begin: Vec::new(),
        pads_end: Vec::new(),
        stride: Vec::new(),
        dilation: Vec::new(),
    };

    fn normal(rng: &mut Rng, count: usize) -> Vec<f64> {
        (0..count).map(|_| rng.normal()).collect()
    }

    /// Inputs that lost a share of themselves, and whose mean moved: half of the
    /// loss can be made good, and is, on samples that nobody has seen.
    #[test]
    fn what_can_be_made_good_is() {
        let (out, inp, samples) = (3, 6, 400);
        let mut rng = Rng::seeded(1, &[]);
        let kernel = Kernel::new(out, inp, vec![], 1, normal(&mut rng, out * inp)).unwrap();
        let outputs = |x: &[f64]| -> Vec<f32> {
            kernel
                .data
                .chunks_exact(inp)
                .map(|w| dot(w, x) as f32)
                .collect()
        };
        let damaged =
            |x: &[f64]| -> Vec<f32> { x.iter().map(|v| (0.8 * v + 0.5) as f32).collect() };
        let mut halves = [Moments::paired(&kernel), Moments::paired(&kernel)];
        for s in 0..samples {
            let x = normal(&mut rng, inp);
            let (input, output) = (damaged(&x), outputs(&x));
            halves[s % 2]
                .accumulate(&FLAT, &[Seen::new(&[1, inp], &input).paired(&output)])
                .unwrap();
        }
        let refit = refit(&kernel, [&halves[0], &halves[1]]).unwrap().unwrap();
        let lost = |weights: &[f64], bias: &[f64]| -> f64 {
            let mut rng = Rng::seeded(2, &[]);
            (0..200)
                .map(|_| {
                    let x = normal(&mut rng, inp);
                    let (input, wanted) = (damaged(&x), outputs(&x));
                    let rows = weights.chunks_exact(inp).zip(bias).zip(&wanted);
                    rows.map(|((w, b), y)| {
                        let sum: f64 = w.iter().zip(&input).map(|(w, x)| w * f64::from(*x)).sum();
                        (sum + b - f64::from(*y)).powi(2)
                    })
                    .sum::<f64>()
                })
                .sum()
        };
        let none = vec![0.0; out];
        let (before, mean) = (lost(&kernel.data, &none), lost(&kernel.data, &refit.bias));
        let after = lost(&refit.kernel.data, &refit.bias);
        assert!(
            mean < 0.9 * before,
            "the mean is put right: {mean} {before}"
        );
        assert!(
            after < 0.9 * mean,
            "and a part of the scale: {after} {mean}"
        );
        assert!(refit.after < refit.before);
        let whole = [Moments::paired(&kernel), Moments::paired(&kernel)];
        assert!(
            super::refit(&kernel, [&whole[0], &whole[1]])
                .unwrap()
                .is_none()
        );
    }
}
