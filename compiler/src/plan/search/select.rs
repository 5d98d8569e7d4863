//! One candidate a layer, by integer programming: the multiple-choice knapsack.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, SolveOptions, Variable};

use super::front::unbeaten;
use super::offer::Layer;
use super::{Bound, Goal, Selection};

/// Nodes of the branch and bound after which the best so far is taken; bounded
/// by count, so that a search is the same on every machine.
const NODES: u64 = 20_000;
/// Smallest share of the bound that counts: the solver wants coefficients of
/// one constraint within six orders of magnitude.
const SMALLEST: f64 = 1e-5;

/// What a candidate costs, as a share of all layers as they are, and what it
/// loses.
type Figures = (f64, f64);

/// The cheapest selection within a loss, or the least lossy one within a cost.
pub(super) fn select(layers: &[Layer], goal: Goal, bound: Bound) -> Option<Selection> {
    let now: f64 = layers.iter().map(|l| l.offers[0].cost(goal)).sum();
    let fronts: Vec<Vec<usize>> = layers.iter().map(|l| unbeaten(&l.offers, goal)).collect();
    let figures: Vec<Vec<Figures>> = layers
        .iter()
        .zip(&fronts)
        .map(|(l, front)| {
            let offers = front.iter().map(|&o| &l.offers[o]);
            offers.map(|o| (o.cost(goal) / now, l.loss(o))).collect()
        })
        .collect();
    let places = choose(&figures, bound)?;
    let picked = || figures.iter().zip(&places).map(|(own, &i)| own[i]);
    let picks = fronts
        .iter()
        .zip(&places)
        .map(|(front, &i)| front[i])
        .collect();
    Some(Selection {
        cost: picked().map(|(cost, _)| cost).sum(),
        loss: picked().map(|(_, loss)| loss).sum(),
        picks,
    })
}

/// The place of the chosen candidate of each layer.
fn choose(figures: &[Vec<Figures>], bound: Bound) -> Option<Vec<usize>> {
    let greatest = figures.iter().flatten().map(|(_, loss)| *loss);
    let greatest = greatest.fold(f64::MIN_POSITIVE, f64::max);
    // What is bounded, in units of the bound, and what is made small.
    let terms = |(cost, loss): Figures| match bound {
        Bound::Cost(limit) => (cost / limit, loss / greatest),
        Bound::Loss(limit) => (loss / limit, cost),
    };
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let mut within = LinearExpr::empty();
    let mut variables: Vec<Vec<(usize, Variable)>> = Vec::with_capacity(figures.len());
    for layer in figures {
        let mut one = LinearExpr::empty();
        let mut own = Vec::new();
        for (i, &candidate) in layer.iter().enumerate() {
            let (bounded, objective) = terms(candidate);
            if !bounded.is_finite() || bounded > 1.0 {
                continue;
            }
            let variable = problem.add_binary_var(objective);
            one.add(variable, 1.0);
            if bounded > SMALLEST {
                within.add(variable, bounded);
            }
            own.push((i, variable));
        }
        if own.is_empty() {
            return None;
        }
        problem.add_constraint(one, ComparisonOp::Eq, 1.0);
        variables.push(own);
    }
    problem.add_constraint(within, ComparisonOp::Le, 1.0);
    let mut options = SolveOptions::default();
    options.node_limit = Some(NODES);
    let solution = problem.solve_with(options).ok()?.into_solution().ok()?;
    let set = |own: &Vec<(usize, Variable)>| {
        let set = own.iter().find(|(_, v)| solution.var_value(*v) > 0.5);
        set.map(|(i, _)| *i)
    };
    variables.iter().map(set).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All selections, one after the other.
    fn all(figures: &[Vec<Figures>]) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new()];
        for layer in figures {
            found = found
                .iter()
                .flat_map(|head| (0..layer.len()).map(|i| [head.clone(), vec![i]].concat()))
                .collect();
        }
        found
    }

    fn sums(figures: &[Vec<Figures>], picks: &[usize]) -> Figures {
        let picked = figures.iter().zip(picks).map(|(own, &i)| own[i]);
        picked.fold((0.0, 0.0), |(a, b), (cost, loss)| (a + cost, b + loss))
    }

    proptest! {
        /// No other selection within the bound is better.
        #[test]
        fn nothing_beats_the_choice(
            layers in prop::collection::vec(
                prop::collection::vec((0.01f64..0.3, 0.001f64..0.2), 1..5), 1..5),
            limit in 0.05f64..1.0,
            by_cost in any::<bool>(),
        ) {
            let bound = if by_cost { Bound::Cost(limit) } else { Bound::Loss(limit) };
            let turned = |(cost, loss): Figures| if by_cost { (cost, loss) } else { (loss, cost) };
            let best = all(&layers)
                .iter()
                .map(|picks| turned(sums(&layers, picks)))
                .filter(|(bounded, _)| *bounded <= limit)
                .map(|(_, free)| free)
                .fold(f64::INFINITY, f64::min);
            match choose(&layers, bound) {
                None => prop_assert!(best.is_infinite()),
                Some(picks) => {
                    let (bounded, free) = turned(sums(&layers, &picks));
                    prop_assert!(bounded <= limit * (1.0 + 1e-6));
                    prop_assert!(free <= best * (1.0 + 1e-6), "{free} {best}");
                }
            }
        }
    }
}
