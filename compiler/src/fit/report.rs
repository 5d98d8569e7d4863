//! What comes out of a fit.

use super::compose::compose;
use super::factorize::{EXACT, Fit, Metric};
use super::linalg::{Matrix, dot};
use super::regression::judge;
use super::{FitError, Kernel};

/// Gives neighbouring factors the same root mean square a middle channel, so
/// that neither leaves the range of a half-precision float.
pub(super) fn even_out(factors: &mut [Kernel]) {
    for f in 1..factors.len() {
        let (head, tail) = factors.split_at_mut(f);
        let (first, next) = (&mut head[f - 1], &mut tail[0]);
        let row = first.data.len() / first.out;
        let taps = next.taps();
        let per_group = next.out / next.groups;
        for m in 0..first.out {
            let b = &mut first.data[m * row..(m + 1) * row];
            let outputs = m / next.inp * per_group..(m / next.inp + 1) * per_group;
            let at = |o: usize| (o * next.inp + m % next.inp) * taps;
            let mean = |square: f64, count: usize| (square / count as f64).sqrt();
            let b_size = mean(dot(b, b), row);
            let a_square: f64 = outputs
                .clone()
                .map(|o| {
                    let a = &next.data[at(o)..at(o) + taps];
                    dot(a, a)
                })
                .sum();
            let a_size = mean(a_square, outputs.len() * taps);
            if b_size > 0.0 && a_size > 0.0 {
                let scale = (a_size / b_size).sqrt();
                b.iter_mut().for_each(|v| *v *= scale);
                for o in outputs {
                    next.data[at(o)..at(o) + taps]
                        .iter_mut()
                        .for_each(|v| *v /= scale);
                }
            }
        }
    }
}

/// What the chain loses, measured on the kernel that it really composes to.
pub(super) fn report(
    kernel: &Kernel,
    factors: Vec<Kernel>,
    steps: &[Vec<usize>],
    iterations: usize,
    metric: Metric<'_>,
) -> Result<Fit, FitError> {
    let whole = compose(&factors, steps)?;
    let magnitudes: Vec<Kernel> = factors
        .iter()
        .map(|f| Kernel {
            data: f.data.iter().map(|w| w.abs()).collect(),
            ..f.clone()
        })
        .collect();
    let size = whole.norm();
    let amplification = if size > 0.0 {
        compose(&magnitudes, steps)?.norm() / size
    } else {
        1.0
    };
    let (out, n) = (kernel.out / kernel.groups, kernel.inp * kernel.taps());
    let mut bias = Vec::new();
    let (mut weight_lost, mut lost, mut all) = (0.0, 0.0, 0.0);
    for g in 0..kernel.groups {
        let weights = Matrix::from_vec(out, n, kernel.group(g).to_vec());
        let made = Matrix::from_vec(out, n, group_of(&whole, kernel, g));
        let rest: Vec<f64> = weights
            .data
            .iter()
            .zip(&made.data)
            .map(|(w, m)| w - m)
            .collect();
        weight_lost += dot(&rest, &rest);
        if let Metric::Data(moments) = metric {
            let judged = judge(moments, g, &weights, &made);
            lost += judged.lost;
            all += judged.all;
            bias.extend(judged.bias);
        }
    }
    let norm = kernel.norm();
    let relative = |lost: f64, all: f64| {
        if all > 0.0 {
            (lost.max(0.0) / all).sqrt()
        } else {
            0.0
        }
    };
    let weight_error = relative(weight_lost, norm * norm);
    let data = matches!(metric, Metric::Data(_));
    Ok(Fit {
        factors,
        bias_correction: data.then_some(bias),
        weight_error,
        output_error: data.then(|| relative(lost, all)),
        amplification,
        exact: weight_error <= EXACT,
        iterations,
    })
}

/// The weights of one group of `kernel`'s grouping in a chain that composed to
/// `whole`, which may have more groups.
fn group_of(whole: &Kernel, kernel: &Kernel, g: usize) -> Vec<f64> {
    if whole.groups == kernel.groups {
        return whole.group(g).to_vec();
    }
    let (out, taps) = (kernel.out / kernel.groups, kernel.taps());
    let mut dense = vec![0.0; out * kernel.inp * taps];
    let row = whole.inp * taps;
    for o in 0..out {
        let from = g * out + o;
        let first = from / (whole.out / whole.groups) * whole.inp - g * kernel.inp;
        dense[(o * kernel.inp + first) * taps..][..row]
            .copy_from_slice(&whole.data[from * row..(from + 1) * row]);
    }
    dense
}
