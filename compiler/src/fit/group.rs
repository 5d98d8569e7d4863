//! The fit of one group: from several starts, the most promising go on.

use rayon::prelude::*;

use super::FitError;
use super::linalg::Matrix;
use super::minimize::{Descent, Limits};
use super::problem::Problem;
use super::start::{Guess, corners, first_guess};
use super::tangent::{Chain, Link};

/// Steps that every start is given before the field is halved.
const HEAT: usize = 6;
/// Share of a descent's steps that those take which only say where it begins.
const NESTED: usize = 8;

/// The best descent of those from several starts; `known` takes the place of the
/// first.
pub(super) fn fit_group(
    problem: &Problem,
    known: Option<Vec<f64>>,
    starts: usize,
    seed: u64,
    noise: f64,
    limits: &Limits<'_>,
) -> Result<Descent, FitError> {
    let mut guesses = Vec::new();
    if known.is_none() {
        guesses.push(Guess::Principal);
    }
    if lossless_by_construction(problem) {
        guesses.insert(0, Guess::Corners);
    }
    guesses.extend((1..starts as u64).map(|s| Guess::Random(seed ^ s)));
    let mut field: Vec<Descent> = guesses
        .par_iter()
        .map(|guess| Descent::new(problem, begin(problem, guess, noise, limits)?, noise))
        .collect::<Result<_, _>>()?;
    if let Some(theta) = known {
        field.insert(0, Descent::new(problem, theta, noise)?);
    }
    let heat = Limits {
        iterations: HEAT,
        ..*limits
    };
    while field.len() > 1 {
        field
            .par_iter_mut()
            .try_for_each(|d| d.run(problem, &heat))?;
        field.sort_by(|a, b| a.objective().total_cmp(&b.objective()));
        field.truncate(field.len() / 2);
    }
    let Some(mut best) = field.pop() else {
        return Err(FitError::Empty);
    };
    best.run(problem, limits)?;
    Ok(best)
}

fn lossless_by_construction(problem: &Problem) -> bool {
    problem.chain.links.len() == 1
        && corners(
            &problem.chain,
            &problem.last,
            &problem.columns,
            &problem.target,
            problem.chain.width(),
        )
        .is_some()
}

/// The weights of all factors, each in its own layout `(out, inp, taps)`.
pub(super) fn weights(problem: &Problem, best: &Descent) -> Vec<Vec<f64>> {
    let mut parts: Vec<Vec<f64>> = problem
        .chain
        .split(&best.theta)
        .into_iter()
        .map(<[f64]>::to_vec)
        .collect();
    parts.push(last_factor(problem, best));
    parts
}

/// The last factor in its own layout `(out, inp, taps)`.
fn last_factor(problem: &Problem, best: &Descent) -> Vec<f64> {
    let last = &problem.last;
    let (out, taps) = (last.width / last.groups, last.offsets.len());
    let mut weights = Vec::with_capacity(last.len());
    for block in &best.solution.blocks {
        for o in 0..out {
            for m in 0..last.inp {
                weights.extend((0..taps).map(|y| block.a.row(y * out + o)[m]));
            }
        }
    }
    weights
}

/// Parameters to begin with: for a chain of more than two factors, those of the
/// first factor against all others merged, then on along the chain.
fn begin(
    problem: &Problem,
    guess: &Guess,
    noise: f64,
    limits: &Limits<'_>,
) -> Result<Vec<f64>, FitError> {
    let chain = &problem.chain;
    if chain.links.len() == 1 {
        return first_guess(
            guess,
            chain,
            &problem.last,
            &problem.columns,
            &problem.target,
            problem.weight.as_ref(),
        );
    }
    // All factors but the last as one, then that one as a chain of its own.
    let merged = Link {
        width: chain.width(),
        groups: 1,
        inp: chain.inputs(),
        offsets: chain.offsets().to_vec(),
    };
    let outer = Problem::new(
        problem.n() / chain.inputs(),
        Chain::new(chain.inputs(), vec![merged]),
        problem.last.clone(),
        problem.target.clone(),
        problem.weighing.clone(),
        problem.weighing.mean(),
    );
    let mut whole = Descent::new(&outer, begin(&outer, guess, noise, limits)?, noise)?;
    whole.run(
        &outer,
        &Limits {
            iterations: (limits.iterations / NESTED).clamp(1, HEAT),
            ..*limits
        },
    )?;
    let (last, links) = (chain.links[chain.links.len() - 1].clone(), &chain.links);
    let inner = Chain::new(chain.inputs(), links[..links.len() - 1].to_vec());
    // B lives on its own tap offsets, spread into the full window.
    let window = problem.n() / chain.inputs();
    let mut target = Matrix::zeros(chain.width(), problem.n());
    let taps = chain.offsets().len();
    for (m, row) in whole.theta.chunks_exact(chain.inputs() * taps).enumerate() {
        for (i, values) in row.chunks_exact(taps).enumerate() {
            for (v, t) in values.iter().zip(chain.offsets()) {
                target.row_mut(m)[i * window + t] = *v;
            }
        }
    }
    let nested = Problem::new(
        window,
        inner,
        last,
        target,
        problem.weighing.clone(),
        problem.weighing.mean(),
    );
    let mut part = Descent::new(&nested, begin(&nested, guess, noise, limits)?, noise)?;
    part.run(
        &nested,
        &Limits {
            iterations: (limits.iterations / NESTED).clamp(1, HEAT),
            ..*limits
        },
    )?;
    let mut theta = part.theta.clone();
    theta.extend(last_factor(&nested, &part));
    Ok(theta)
}
