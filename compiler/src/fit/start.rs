//! Where a descent begins.

use super::FitError;
use super::linalg::{Matrix, dot, eigen, mul};
use super::rng::Rng;
use super::tangent::{Chain, Link};

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
pub(super) enum Guess {
    Principal,
    Random(u64),
}

pub(super) fn first_guess(
    guess: &Guess,
    chain: &Chain,
    last: &Link,
    columns: &[Vec<usize>],
    target: &Matrix,
    metric: Option<&Matrix>,
) -> Result<Vec<f64>, FitError> {
    let link = &chain.links[0];
    let taps = link.offsets.len();
    let out = last.width / last.groups;
    let average = metric.map(|m| {
        let mut sum = Matrix::zeros(columns[0].len(), columns[0].len());
        for columns in columns {
            let part = m.gather(columns, columns);
            sum.data
                .iter_mut()
                .zip(&part.data)
                .for_each(|(s, p)| *s += p);
        }
        sum
    });
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
        let metric = average.as_ref().map(|m| m.gather(&part, &part));
        let filters = match guess {
            Guess::Principal => principal(&views, metric.as_ref(), count)?,
            Guess::Random(seed) => random(&views, *seed ^ done as u64, count),
        };
        theta[done * row..(done + count) * row].copy_from_slice(&filters.data);
        done += count;
    }
    Ok(theta)
}

/// The `count` directions of the row space of `views` that carry most energy:
/// with `S = metric^½`, eigenvectors `v` of `S·viewsᵀ·views·S`, as `S⁻¹v`.
fn principal(views: &Matrix, metric: Option<&Matrix>, count: usize) -> Result<Matrix, FitError> {
    let n = views.cols;
    let (root, inverse) = match metric {
        Some(m) => roots(m)?,
        None => {
            let mut one = Matrix::zeros(n, n);
            one.add_to_diagonal(1.0);
            (one.clone(), one)
        }
    };
    let seen = mul(views.view(), root.view());
    let (_, vectors) = eigen(&mul(seen.t(), seen.view()))?;
    let directions = mul(vectors.t(), inverse.view());
    let mut filters = Matrix::zeros(count, n);
    for k in 0..count {
        // Beyond a full basis there is nothing new: start over.
        filters
            .row_mut(k)
            .copy_from_slice(directions.row(n - 1 - k % n));
    }
    Ok(filters)
}

/// `m^½` and `m^-½` of a positive semidefinite matrix, small eigenvalues raised.
fn roots(m: &Matrix) -> Result<(Matrix, Matrix), FitError> {
    let (values, vectors) = eigen(m)?;
    let floor = values.last().copied().unwrap_or(0.0).max(f64::MIN_POSITIVE) * 1e-9;
    let scaled = |power: f64| {
        let mut columns = vectors.clone();
        for row in columns.data.chunks_exact_mut(m.cols) {
            row.iter_mut()
                .zip(&values)
                .for_each(|(v, e)| *v *= e.max(floor).powf(power));
        }
        mul(columns.view(), vectors.t())
    };
    Ok((scaled(0.5), scaled(-0.5)))
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
