//! What it takes to compute a value by one convolution or by a chain that stands
//! for one, and which of these ways are worth a fit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Add;

use egg::{DidMerge, Id};

use super::extract;
use super::knowledge::{EGraph, inputs};
use super::lang::{Chain, OpKey, Term};
use super::search::Goal;

/// Weights, biases aside, and multiply-accumulates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Weights.
    pub parameters: f64,
    /// Multiply-accumulates.
    pub macs: f64,
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            parameters: self.parameters + other.parameters,
            macs: self.macs + other.macs,
        }
    }
}

impl Spent {
    /// Whether this costs no more than the other, whatever a run measures.
    fn within(self, other: Self, goal: Goal) -> bool {
        let (fewer, less) = (self.parameters <= other.parameters, self.macs <= other.macs);
        match goal {
            Goal::Parameters => fewer,
            Goal::Macs => less,
            // Times are not known yet.
            Goal::Latency => fewer && less,
        }
    }
}

/// The ways to compute a class's value, but those that another one beats
/// whatever the weights are: nothing is lost by a convolution that stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ways(BTreeMap<Way, Spent>);

/// The weights that a convolution has or a chain stands for, and the chain.
type Way = (Id, Option<Chain>);

impl Ways {
    /// One way.
    pub fn one(weights: Id, chain: Option<Chain>, spent: Spent) -> Self {
        Self(BTreeMap::from([((weights, chain), spent)]))
    }

    /// What a way takes; `None` where there is no such way, or it is beaten.
    pub fn spent(&self, weights: Id, chain: Option<&Chain>) -> Option<Spent> {
        self.0.get(&(weights, chain.cloned())).copied()
    }

    /// Ways of both, but those that are beaten.
    pub fn join(&mut self, other: Self, goal: Goal) -> DidMerge {
        let both = self.0.iter().chain(&other.0);
        let stay: Vec<(Id, Spent)> = both
            .filter(|((_, chain), _)| chain.is_none())
            .map(|((weights, _), spent)| (*weights, *spent))
            .collect();
        let stands = |(weights, chain): &Way, spent: &Spent| {
            let beaten = |(own, kept): &(Id, Spent)| own == weights && kept.within(*spent, goal);
            chain.is_none() || !stay.iter().any(beaten)
        };
        let (ours, theirs) = (self.0.len(), other.0.len());
        self.0.retain(|way, spent| stands(way, spent));
        let mut changed = self.0.len() < ours;
        let mut fallen = false;
        for (way, spent) in other.0 {
            if !stands(&way, &spent) {
                fallen = true;
            } else if let Entry::Vacant(entry) = self.0.entry(way) {
                entry.insert(spent);
                changed = true;
            }
        }
        DidMerge(changed, fallen || self.0.len() != theirs)
    }
}

/// What a convolution adds to the ways: its own cost, or, of a factor, that of its
/// chain up to it. `None` for another operator.
pub fn weighed(egraph: &EGraph, key: &OpKey, children: &[Id]) -> Option<(Spent, Ways)> {
    let (Some(_), &[x, weights, ..]) = (key.conv(), children) else {
        return None;
    };
    let own = Spent {
        parameters: extract::elements(egraph, weights),
        macs: extract::macs(egraph, key, children),
    };
    let Some((chain, part, whole)) = factor_of(egraph, weights) else {
        return Some((Spent::default(), Ways::one(weights, None, own)));
    };
    let spent = match part {
        0 => own,
        _ => egraph[x].data.spent + own,
    };
    let channels = inputs(&egraph[whole].data.fact) * chain.groups;
    let is_last = part as usize + 1 == chain.form.factors.len();
    let ways = if is_last && !chain.form.is_contained(channels) {
        Ways::one(unembedded(egraph, whole), Some(chain.clone()), spent)
    } else {
        Ways::default()
    };
    Some((spent, ways))
}

/// The chain and part of it that weights are a factor of, and what it factorizes.
fn factor_of(egraph: &EGraph, weights: Id) -> Option<(&Chain, u32, Id)> {
    egraph[weights].nodes.iter().find_map(|term| match term {
        Term::Factor(chain, part, [whole]) => Some((chain, *part, *whole)),
        _ => None,
    })
}

/// The weights themselves, where these have zeros around them.
pub fn unembedded(egraph: &EGraph, weights: Id) -> Id {
    let inner = egraph[weights].nodes.iter().find_map(|term| match term {
        Term::Embedded(_, [inner]) => Some(*inner),
        _ => None,
    });
    inner.unwrap_or(weights)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::facts::Fact;
    use crate::fit::{FactorShape, Form};
    use crate::ir::{DataType, Expr};
    use crate::ops::Conv;
    use crate::ops::window::{AutoPad, WindowAttrs};
    use crate::plan::knowledge::Knowledge;
    use crate::plan::options::{Options, Shaping, StridePlace, Width};
    use crate::plan::passes::PASSES;
    use crate::plan::saturate::{Context, saturate};

    fn conv() -> OpKey {
        let window = WindowAttrs {
            kernel: Some(vec![5, 5]),
            strides: None,
            dilations: None,
            pads: Some(vec![2; 4]),
            auto_pad: AutoPad::NotSet,
            ceil: false,
        };
        OpKey::new("Conv", 0, Arc::new(Conv { window, groups: 1 }))
    }

    /// Of all chains that a search offers, those stand that save what is asked
    /// for, and that no smaller chain contains.
    #[test]
    fn a_saturated_graph_knows_what_is_worth_a_fit() {
        let (inp, out) = (4, 6);
        let shape = |sizes: &[usize]| {
            let sizes = sizes.iter().map(|&n| Expr::from(n)).collect();
            Fact::new(Some(DataType::Float), sizes)
        };
        for goal in [Goal::Parameters, Goal::Macs, Goal::Latency] {
            let mut egraph = EGraph::new(Knowledge {
                source: shape(&[1, inp, 10, 12]),
                constants: vec![shape(&[out, inp, 5, 5])],
                goal: Some(goal),
            });
            let (x, w) = (egraph.add(Term::Source), egraph.add(Term::Constant(0)));
            let root = egraph.add(Term::Op(conv(), [x, w].into()));
            let cancel = AtomicBool::new(false);
            let context = Context {
                options: &Options::new(&cancel),
                shaping: Shaping {
                    width: Width::Ladder,
                    stride: StridePlace::Auto,
                },
                names: &["conv".into()],
                at_hand: &[true],
                kernels: HashMap::new(),
            };
            let passes: Vec<_> = PASSES.iter().filter(|p| !p.retrain).collect();
            let saturated = saturate(egraph, root, &passes, &context);
            let [mut standing, mut fallen] = [0, 0];
            for offered in &saturated.notes.offered {
                let mut inputs = inp;
                let (mut parameters, mut macs) = (0, 0);
                let last = offered.chain.form.factors.len() - 1;
                let mut map = [14, 16];
                for (i, factor) in offered.chain.form.factors.iter().enumerate() {
                    let size = factor.width * inputs * factor.taps();
                    map = [0, 1].map(|a| map[a] + 1 - factor.spatial[a]);
                    parameters += size;
                    macs += size * map[0] * map[1];
                    inputs = factor.width;
                    assert!(i < last || map == [10, 12]);
                }
                let fewer = parameters < 25 * inp * out;
                let less = macs < 25 * inp * out * 120;
                let saves = match goal {
                    Goal::Parameters => fewer,
                    Goal::Macs => less,
                    Goal::Latency => fewer || less,
                };
                let worth = saves && !offered.chain.form.is_contained(inp);
                let spent = saturated.spent(offered);
                assert_eq!(spent.is_some(), worth, "{goal:?} {:?}", offered.chain);
                if let Some(spent) = spent {
                    assert_eq!(
                        [spent.parameters, spent.macs],
                        [parameters, macs].map(|n| n as f64)
                    );
                    standing += 1;
                } else {
                    fallen += 1;
                }
            }
            assert!(standing > 50 && fallen > 0, "{goal:?}: {standing} {fallen}");
        }
    }

    fn chain(width: usize) -> Chain {
        let factor = |width| FactorShape::new(vec![3, 3], width, 1);
        Chain::new(
            Form {
                factors: vec![factor(width), factor(8)],
            },
            1,
        )
    }

    proptest! {
        /// Whatever the order in which ways come together, those stand that cost
        /// less than the convolution that they stand for.
        #[test]
        fn what_costs_no_less_falls(
            ways in prop::collection::btree_map(
                (0usize..2, 0usize..6), (0u8..4, 0u8..4), 1..9),
            order in any::<prop::sample::Index>(),
            goal in prop::sample::select(vec![Goal::Parameters, Goal::Macs, Goal::Latency]),
        ) {
            // Width 0 stands for the convolution as it is.
            let spent = |(p, m): (u8, u8)| Spent { parameters: p.into(), macs: m.into() };
            let key = |(weights, width): (usize, usize)| {
                (Id::from(weights), (width > 0).then(|| chain(width)))
            };
            let mut all: Vec<_> = ways.iter().map(|(k, v)| (key(*k), spent(*v))).collect();
            let first = order.index(all.len());
            all.rotate_left(first);
            let mut joined = Ways::default();
            for ((weights, chain), spent) in &all {
                let one = Ways::one(*weights, chain.clone(), *spent);
                let before = joined.clone();
                let DidMerge(ours, theirs) = joined.join(one.clone(), goal);
                prop_assert_eq!(ours, joined != before);
                prop_assert_eq!(theirs, joined != one);
            }
            for ((weights, width), cost) in &ways {
                let (weights, chain) = key((*weights, *width));
                let kept = ways.get(&(usize::from(weights), 0));
                let beaten = kept.is_some_and(|kept| match goal {
                    Goal::Parameters => kept.0 <= cost.0,
                    Goal::Macs => kept.1 <= cost.1,
                    Goal::Latency => kept.0 <= cost.0 && kept.1 <= cost.1,
                });
                let expected = (chain.is_none() || !beaten).then(|| spent(*cost));
                prop_assert_eq!(joined.spent(weights, chain.as_ref()), expected);
            }
        }
    }
}
