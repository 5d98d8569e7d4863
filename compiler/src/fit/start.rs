//! Where a descent begins.

use super::FitError;
use super::linalg::{Cholesky, Matrix, dot, eigen, mul, transposed};
use super::rng::Rng;
use super::tangent::{Chain, Link};

/// Added to the metric, relative to its mean eigenvalue.
const FLOOR: f64 = 1e-9;

/// Views of the target that the rows of `B` have to serve: the part of `W` under
/// the window of `B` at each shift of the last factor, `(o · y) × (i · t)`, for
/// the output channels of one group of the last factor.
fn windows(target: &Matrix, outputs: std::ops::Range<usize>, columns: &[Vec<usize>]) -> Matrix {
    let width = columns[0].len();
    let mut data = Vec::with_capacity(outputs.len() * columns.len() * width);
    for o in outputs {
        let row = target.row(o);
        for columns in columns {
            data.extend(columns.iter().map(|c| row[*c]));
        }
    }
    Matrix::from_vec(data.len() / width, width, data)
}

/// First rows for `B`, one group of the last factor and one of the first at a
/// time: the principal directions of the windows, in the metric's average over
/// the shifts (`Principal`), or random mixtures of the windows.
///
/// `Corners` is lossless where the width allows it: every output channel keeps
/// its windows at a few shifts that together cover the whole, or every input
/// channel is passed on at a few taps from which the last factor covers it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guess {
    Principal,
    Corners,
    Random(u64),
}

pub(super) fn first_guess(
    guess: &Guess,
    chain: &Chain,
    last: &Link,
    columns: &[Vec<usize>],
    target: &Matrix,
    average: Option<&Matrix>,
) -> Result<Vec<f64>, FitError> {
    let link = &chain.links[0];
    let taps = link.offsets.len();
    let out = last.width / last.groups;
    let mut theta = vec![0.0; link.len()];
    let row = link.inp * taps;
    // Channels of B that share both their inputs and their outputs.
    let mut done = 0;
    while done < link.width {
        let (first, s) = (link.first_input(done), done / last.inp);
        let count = (done..link.width)
            .take_while(|m| link.first_input(*m) == first && m / last.inp == s)
            .count();
        let part: Vec<usize> = (first * taps..(first + link.inp) * taps).collect();
        let all = windows(target, s * out..(s + 1) * out, columns);
        let rows: Vec<usize> = (0..all.rows).collect();
        let views = all.gather(&rows, &part);
        let metric = average.map(|m| m.gather(&part, &part));
        let filters = match guess {
            Guess::Corners => match corners(chain, last, columns, target, count) {
                Some(filters) => filters,
                None => principal(&views, metric.as_ref(), count)?,
            },
            Guess::Principal => principal(&views, metric.as_ref(), count)?,
            Guess::Random(seed) => random(&views, *seed ^ done as u64, count),
        };
        theta[done * row..(done + count) * row].copy_from_slice(&filters.data);
        done += count;
    }
    Ok(theta)
}

/// `None` if `count` channels do not suffice, or groups cut the channels up.
pub(super) fn corners(
    chain: &Chain,
    last: &Link,
    columns: &[Vec<usize>],
    target: &Matrix,
    count: usize,
) -> Option<Matrix> {
    let (inputs, out, width) = (chain.inputs(), target.rows, columns[0].len());
    if chain.links[0].groups > 1 || last.groups > 1 {
        return None;
    }
    let window = target.cols / inputs;
    let reach = |from: usize, over: &[usize]| over.iter().map(|t| t + from).collect();
    let shifts: Vec<Vec<usize>> = last
        .offsets
        .iter()
        .map(|y| reach(*y, chain.offsets()))
        .collect();
    let starts: Vec<Vec<usize>> = chain
        .offsets()
        .iter()
        .map(|x| reach(*x, &last.offsets))
        .collect();
    let (by_shift, by_tap) = (cover(&shifts, window), cover(&starts, window));
    let size = |chosen: &Option<Vec<usize>>, channels: usize| {
        chosen.as_ref().map_or(usize::MAX, |c| c.len() * channels)
    };
    let (outer, inner) = (size(&by_shift, out), size(&by_tap, inputs));
    if outer.min(inner) > count {
        return None;
    }
    let mut filters = Matrix::zeros(count, width);
    if outer <= inner {
        let rows = by_shift?
            .into_iter()
            .flat_map(|y| (0..out).map(move |o| (y, o)));
        for (m, (y, o)) in rows.enumerate() {
            let row = target.row(o);
            for (to, c) in filters.row_mut(m).iter_mut().zip(&columns[y]) {
                *to = row[*c];
            }
        }
    } else {
        let taps = chain.offsets().len();
        let rows = by_tap?
            .into_iter()
            .flat_map(|x| (0..inputs).map(move |i| i * taps + x));
        for (m, element) in rows.enumerate() {
            filters.row_mut(m)[element] = 1.0;
        }
    }
    Some(filters)
}

/// Few of the sets that together hold all of `0..whole`, largest gain first.
fn cover(sets: &[Vec<usize>], whole: usize) -> Option<Vec<usize>> {
    let (mut missing, mut left, mut chosen) = (vec![true; whole], whole, Vec::new());
    while left > 0 {
        let gain = |set: &Vec<usize>| set.iter().filter(|t| missing[**t]).count();
        let gains: Vec<usize> = sets.iter().map(gain).collect();
        let best = (0..sets.len()).rev().max_by_key(|&s| gains[s])?;
        if gains[best] == 0 {
            return None;
        }
        sets[best].iter().for_each(|&t| missing[t] = false);
        left -= gains[best];
        chosen.push(best);
    }
    Some(chosen)
}

/// The `count` directions of the row space of `views` that carry most energy:
/// with `metric = L·Lᵀ`, eigenvectors `v` of `Lᵀ·viewsᵀ·views·L`, as `vᵀ·L⁻¹`.
fn principal(views: &Matrix, metric: Option<&Matrix>, count: usize) -> Result<Matrix, FitError> {
    let n = views.cols;
    let lower = metric
        .map(|m| Cholesky::new(m, FLOOR * m.trace() / n as f64))
        .transpose()?;
    let seen = lower.as_ref().map(|l| l.times_lower(views));
    let seen = seen.as_ref().unwrap_or(views);
    let directions = match few(seen, count)? {
        Some(directions) => directions,
        None => transposed(&eigen(&mul(seen.t(), seen.view()))?.1),
    };
    let basis = directions.rows;
    let mut filters = Matrix::zeros(count, n);
    for k in 0..count {
        // Beyond a full basis there is nothing new: start over.
        filters
            .row_mut(k)
            .copy_from_slice(directions.row(basis - 1 - k % basis));
    }
    if let Some(lower) = &lower {
        lower.half_solve_rows_transposed(&mut filters);
    }
    Ok(filters)
}

/// The same by `seen·seenᵀ`, where there are fewer rows than columns and they
/// have so many directions.
fn few(seen: &Matrix, count: usize) -> Result<Option<Matrix>, FitError> {
    let rows = seen.rows;
    if rows >= seen.cols || count > rows {
        return Ok(None);
    }
    let (values, vectors) = eigen(&mul(seen.view(), seen.t()))?;
    if values[rows - count] <= 1e-12 * values[rows - 1] {
        return Ok(None);
    }
    let mut directions = mul(vectors.t(), seen.view());
    for (row, value) in directions.data.chunks_exact_mut(seen.cols).zip(&values) {
        let norm = value.max(f64::MIN_POSITIVE).sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    Ok(Some(directions))
}

/// Random mixtures of the windows, with a little of every direction.
fn random(views: &Matrix, seed: u64, count: usize) -> Matrix {
    let mut rng = Rng::seeded(seed, &views.data);
    let size = (dot(&views.data, &views.data) / views.data.len() as f64).sqrt();
    let mut mixture = Matrix::zeros(count, views.rows);
    mixture.data.iter_mut().for_each(|v| *v = rng.normal());
    let mut filters = mul(mixture.view(), views.view());
    let spice = 0.1 * size * (views.rows as f64).sqrt();
    filters
        .data
        .iter_mut()
        .for_each(|v| *v += spice * rng.normal());
    filters
}
