//! Offers that no other one beats.

use super::refine::NEAR;
use super::{Goal, Offer};

/// Keeps the first offer (the layer as it is) and those of the others that cost
/// less than it and that no other one beats in cost and, by far, in loss.
pub(super) fn reduce(offers: &mut Vec<Offer>, goal: Goal) {
    let keep = offers[0].cost(goal);
    let near = near(offers, goal).into_iter();
    let rest: Vec<Offer> = near
        .filter(|&o| o > 0 && offers[o].cost(goal) < keep)
        .map(|o| offers[o].clone())
        .collect();
    offers.truncate(1);
    offers.extend(rest);
}

/// The offers that no other one beats in cost and, by far, in loss, by their
/// places, cheapest first.
pub(super) fn near(offers: &[Offer], goal: Goal) -> Vec<usize> {
    falling(offers, goal, |error, least| error <= NEAR * least)
}

/// The offers that no other one beats in cost and loss, by their places.
pub(super) fn unbeaten(offers: &[Offer], goal: Goal) -> Vec<usize> {
    let mut places = falling(offers, goal, |error, least| error < least);
    places.sort_unstable();
    places
}

/// The offers, cheapest first, whose error may stand beside the least of those
/// before them.
fn falling(offers: &[Offer], goal: Goal, may: impl Fn(f64, f64) -> bool) -> Vec<usize> {
    let mut places: Vec<usize> = (0..offers.len()).collect();
    let (cost, error) = (|o: usize| offers[o].cost(goal), |o: usize| offers[o].error);
    places.sort_by(|&a, &b| {
        cost(a)
            .total_cmp(&cost(b))
            .then(error(a).total_cmp(&error(b)))
    });
    let mut least = f64::INFINITY;
    places.retain(|&o| {
        let stays = may(error(o), least);
        least = least.min(error(o));
        stays
    });
    places
}

/// Both fronts, each offer once.
pub(super) fn merged(mut a: Vec<Offer>, b: Vec<Offer>) -> Vec<Offer> {
    for offer in b {
        if a.iter().all(|o| o.chain != offer.chain) {
            a.push(offer);
        }
    }
    a
}
