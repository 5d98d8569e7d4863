//! Offers that no other one beats.

use super::Goal;
use super::offer::Offer;

/// Keeps the first offer (the layer as it is) and those of the others that cost
/// less than it and that no other one beats for certain.
pub(super) fn reduce(offers: &mut Vec<Offer>, goal: Goal) {
    let keep = offers[0].cost(goal);
    let rest: Vec<Offer> = falling(offers, goal, |o| o.error)
        .into_iter()
        .filter(|&o| o > 0 && offers[o].cost(goal) < keep)
        .map(|o| offers[o].clone())
        .collect();
    offers.truncate(1);
    offers.extend(rest);
}

/// The offers that no other one beats in cost and loss, by their places.
pub(super) fn unbeaten(offers: &[Offer], goal: Goal) -> Vec<usize> {
    let mut places = falling(offers, goal, Offer::hoped);
    places.sort_unstable();
    places
}

/// The offers, cheapest first, that may lose less than the least of those before them.
fn falling(offers: &[Offer], goal: Goal, loses: impl Fn(&Offer) -> f64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..offers.len()).collect();
    let (cost, hoped) = (
        |o: usize| offers[o].cost(goal),
        |o: usize| offers[o].hoped(),
    );
    places.sort_by(|&a, &b| {
        cost(a)
            .total_cmp(&cost(b))
            .then(hoped(a).total_cmp(&hoped(b)))
    });
    let mut least = f64::INFINITY;
    places.retain(|&o| {
        let stays = hoped(o) < least;
        least = least.min(loses(&offers[o]));
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
