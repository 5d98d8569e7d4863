//! A tensor as a bank of filters: those that do nothing or the same, and the
//! effective rank.

use faer::{MatRef, Side};
use serde::Serialize;

use crate::number::Real;

/// A filter whose norm is below this share of the layer's largest is dead.
const DEAD: f64 = 1e-6;
/// Filters that, scaled to length 1, are closer than this are twins.
const TWIN: f64 = 1e-2;
/// Ranks that take more multiplications than this are not computed.
const MAX_WORK: usize = 20_000_000_000;
/// At most this many twins are listed.
const MAX_TWINS: usize = 64;

/// A tensor as a bank of filters, one an output channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterReport {
    /// Filters.
    pub count: usize,
    /// Weights of each.
    pub length: usize,
    /// Those with a norm below a millionth of the largest.
    pub dead: Vec<usize>,
    /// Pairs that are multiples of each other, to one part in a hundred (of
    /// one group, and of more than one weight).
    pub twins: Vec<[usize; 2]>,
    /// exp of the entropy of the normalized singular values of the matrix of
    /// filters (Roy, Vetterli, "The Effective Rank", 2007); `None` where that
    /// takes too long.
    pub effective_rank: Option<Real>,
    /// The largest rank that the matrix can have.
    pub full_rank: usize,
}

/// How a tensor holds its filters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    /// No filters.
    Plain,
    /// The first axis counts them, `groups` of them apart.
    First { groups: usize },
    /// The last axis counts them (MatMul, Gemm).
    Last,
}

/// Looks at a bank of finite weights.
pub(super) fn filters(values: &[f64], shape: &[usize], layout: Layout) -> Option<FilterReport> {
    let (count, groups) = match layout {
        Layout::Plain => return None,
        Layout::First { groups } => (*shape.first()?, groups.max(1)),
        Layout::Last => (*shape.last()?, 1),
    };
    if count == 0 || values.is_empty() {
        return None;
    }
    let length = values.len() / count;
    // One filter a row.
    let rows: Vec<f64> = match layout {
        Layout::Last => (0..count)
            .flat_map(|o| values.iter().skip(o).step_by(count).copied())
            .collect(),
        _ => values.to_vec(),
    };
    let norms: Vec<f64> = rows
        .chunks_exact(length)
        .map(|f| f.iter().map(|v| v * v).sum::<f64>().sqrt())
        .collect();
    let largest = norms.iter().copied().fold(0.0, f64::max);
    let dead = |n: f64| n <= DEAD * largest;
    Some(FilterReport {
        count,
        length,
        dead: (0..count).filter(|&i| dead(norms[i])).collect(),
        twins: twins(&rows, length, &norms, groups, &dead),
        effective_rank: effective_rank(&rows, count, length).map(Real),
        full_rank: count.min(length),
    })
}

/// Pairs of filters that are multiples of each other. Filters of length 1
/// that lie close also lie close on any line: only neighbours on one line are
/// compared.
fn twins(
    rows: &[f64],
    length: usize,
    norms: &[f64],
    groups: usize,
    dead: &dyn Fn(f64) -> bool,
) -> Vec<[usize; 2]> {
    if length < 2 {
        return Vec::new();
    }
    let line = direction(length);
    let mut places: Vec<(f64, usize, f64)> = Vec::new();
    for (i, filter) in rows.chunks_exact(length).enumerate() {
        if !dead(norms[i]) {
            let place: f64 = filter.iter().zip(&line).map(|(a, b)| a * b).sum();
            // A filter and its negative are multiples of each other too.
            places.push((place / norms[i], i, 1.0 / norms[i]));
            places.push((-place / norms[i], i, -1.0 / norms[i]));
        }
    }
    places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let group_size = norms.len().div_ceil(groups);
    let mut found: Vec<[usize; 2]> = Vec::new();
    for (at, &(place, i, scale)) in places.iter().enumerate() {
        for &(other, j, other_scale) in places[at + 1..].iter().take_while(|p| p.0 - place <= TWIN)
        {
            debug_assert!(other >= place);
            if i == j || i / group_size != j / group_size || found.len() >= MAX_TWINS {
                continue;
            }
            let (a, b) = (&rows[i * length..][..length], &rows[j * length..][..length]);
            let apart: f64 = a
                .iter()
                .zip(b)
                .map(|(x, y)| (x * scale - y * other_scale).powi(2))
                .sum();
            let pair = [i.min(j), i.max(j)];
            if apart <= TWIN * TWIN && !found.contains(&pair) {
                found.push(pair);
            }
        }
    }
    found.sort_unstable();
    found
}

/// A fixed direction of length 1 that no structure of weights has.
#[allow(clippy::cast_precision_loss)]
fn direction(length: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut line: Vec<f64> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .collect();
    let norm = line.iter().map(|v| v * v).sum::<f64>().sqrt();
    line.iter_mut().for_each(|v| *v /= norm);
    line
}

/// exp of the entropy of the normalized singular values.
fn effective_rank(rows: &[f64], count: usize, length: usize) -> Option<f64> {
    let (small, large) = (count.min(length), count.max(length));
    if small.checked_mul(small)?.checked_mul(large)? > MAX_WORK {
        return None;
    }
    let matrix = MatRef::from_row_major_slice(rows, count, length);
    // The smaller of the two products has the same non-zero eigenvalues.
    let gram = if count <= length {
        matrix * matrix.transpose()
    } else {
        matrix.transpose() * matrix
    };
    let squares = gram.self_adjoint_eigenvalues(Side::Lower).ok()?;
    let values: Vec<f64> = squares.iter().map(|v| v.max(0.0).sqrt()).collect();
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 {
        return Some(0.0);
    }
    let entropy: f64 = values
        .iter()
        .map(|v| v / sum)
        .filter(|p| *p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    Some(entropy.exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], shape: &[usize]) -> FilterReport {
        filters(values, shape, Layout::First { groups: 1 }).unwrap()
    }

    #[test]
    fn multiples_are_twins_and_zeros_are_dead() {
        let report = of(
            &[
                1.0, 2.0, 3.0, // 0
                -2.0, -4.0, -6.001, // 1: -2 times 0
                1.0, 2.0, -3.0, // 2
                0.0, 0.0, 1e-9, // 3
            ],
            &[4, 3],
        );
        assert_eq!(report.twins, [[0, 1]]);
        assert_eq!(report.dead, [3]);
        assert_eq!((report.count, report.length, report.full_rank), (4, 3, 3));
    }

    #[test]
    fn effective_rank_counts_directions() {
        // Three filters of one direction, of two equal ones, of three.
        let rank = |v: &[f64]| of(v, &[3, 3]).effective_rank.unwrap().0;
        assert!((rank(&[1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0]) - 1.0).abs() < 1e-6);
        let two = rank(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((two - 2.0).abs() < 1e-9);
        let three = rank(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!((three - 3.0).abs() < 1e-9);
    }

    #[test]
    fn filters_of_a_product_are_its_columns() {
        let report = filters(&[1.0, 0.0, 2.0, 0.0], &[2, 2], Layout::Last).unwrap();
        assert_eq!(report.dead, [1]);
    }

    #[test]
    fn groups_are_apart() {
        let values = [1.0, 2.0, 1.0, 2.0, 5.0, 1.0, 5.0, 1.0];
        let twins = |groups| {
            filters(&values, &[4, 2], Layout::First { groups })
                .unwrap()
                .twins
        };
        assert_eq!(twins(1), [[0, 1], [2, 3]]);
        assert_eq!(twins(2), [[0, 1], [2, 3]]);
        assert!(twins(4).is_empty());
    }
}
