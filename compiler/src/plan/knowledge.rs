//! What is known of a class of terms: the e-class analysis.
//!
//! It calls each operator's own `infer` and `reach`, so every term of a class has
//! the same shape, and their fields contain one another. In a search it also
//! keeps the [`Ways`] that are worth a fit.

use egg::{Analysis, DidMerge, Id};

use super::lang::{Chain, OpKey, Term};
use super::search::Goal;
use super::ways::{self, Spent, Ways};
use crate::facts::Fact;
use crate::ir::{DataType, Expr};
use crate::ops::{Cx, Map};

/// What the analysis knows of a class.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Type and shape.
    pub fact: Fact,
    /// Whether the value depends on the chain's source.
    pub flows: bool,
    /// Whether these are weights of a factorization: not to be factorized again.
    pub factored: bool,
    /// For each axis of the source: the axis that follows it, and which source
    /// positions one position of it reads; `None` where that is no interval.
    pub field: Vec<Option<(usize, Map)>>,
    /// In a search: what the factors of a chain take up to here.
    pub spent: Spent,
    /// In a search: the convolutions and chains that compute the value.
    pub ways: Ways,
}

/// The e-class analysis: facts of the chain's source and constants.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The value that enters.
    pub source: Fact,
    /// The chain's constants.
    pub constants: Vec<Fact>,
    /// What a search is to make less: a convolution may then stay as it is, and
    /// beats chains that cost as much.
    pub goal: Option<Goal>,
}

/// The e-graph of one chain.
pub type EGraph = egg::EGraph<Term, Knowledge>;

impl Analysis<Term> for Knowledge {
    type Data = Data;

    fn make(egraph: &mut EGraph, term: &Term, _id: Id) -> Data {
        let of = |id: &Id| &egraph[*id].data;
        let weights = |fact: Fact| Data {
            fact,
            ..Data::default()
        };
        match term {
            Term::Source => {
                let fact = egraph.analysis.source.clone();
                let rank = fact.shape.as_ref().map_or(0, Vec::len);
                Data {
                    field: (0..rank).map(|a| Some((a, Map::IDENTITY))).collect(),
                    fact,
                    flows: true,
                    ..Data::default()
                }
            }
            Term::Constant(i) => weights(egraph.analysis.constants[*i as usize].clone()),
            Term::Missing => Data::default(),
            Term::Op(key, children) => {
                let data: Vec<Option<&Data>> = children
                    .iter()
                    .map(|c| (!is_missing(egraph, *c)).then(|| of(c)))
                    .collect();
                let applied = apply(key, &data);
                let searched = egraph.analysis.goal.is_some();
                let weighed = searched.then(|| ways::weighed(egraph, key, children));
                let (spent, ways) = weighed.flatten().unwrap_or_default();
                Data {
                    spent,
                    ways,
                    ..applied
                }
            }
            Term::Scaled(_, [w, ..]) => Data {
                fact: bare(&of(w).fact),
                factored: of(w).factored,
                ..Data::default()
            },
            Term::Shifted(_, [_, scale, ..]) => weights(bare(&of(scale).fact)),
            Term::Sum([_, _, w]) => weights(channels(&of(w).fact)),
            Term::Corrected(_, [_, w]) => weights(channels(&of(w).fact)),
            Term::Carried([_, w, _]) => weights(channels(&of(w).fact)),
            Term::Factor(chain, part, [w]) => Data {
                fact: factor(chain, *part, &of(w).fact),
                factored: true,
                ..Data::default()
            },
            Term::Embedded(border, [w]) => Data {
                fact: embedded(border, &of(w).fact),
                factored: of(w).factored,
                ..Data::default()
            },
            Term::Composed(steps, parts) => Data {
                fact: composed(
                    steps,
                    &parts.iter().map(|p| &of(p).fact).collect::<Vec<_>>(),
                ),
                factored: parts.iter().any(|p| of(p).factored),
                ..Data::default()
            },
        }
    }

    fn merge(&mut self, a: &mut Data, b: Data) -> DidMerge {
        if let (Some(x), Some(y)) = (&a.fact.shape, &b.fact.shape) {
            assert_eq!(x, y, "terms of one class differ in shape");
        }
        let mut merged = DidMerge(false, false);
        if a.fact.shape.is_none() && b.fact.shape.is_some() {
            a.fact = b.fact;
            merged.0 = true;
        }
        for (x, y) in a.field.iter_mut().zip(&b.field) {
            if let (Some((_, p)), Some((_, q))) = (x.as_ref(), y) {
                assert!(
                    contains(p, q) || contains(q, p),
                    "terms of one class see different fields: {p:?} and {q:?}"
                );
                if !contains(p, q) {
                    *x = *y;
                    merged.0 = true;
                } else if !contains(q, p) {
                    merged.1 = true;
                }
            }
        }
        match self.goal {
            Some(goal) => merged | a.ways.join(b.ways, goal),
            None => merged,
        }
    }
}

/// Whether the first interval holds the second at every position.
fn contains(a: &Map, b: &Map) -> bool {
    a.stride == b.stride && a.upsample == b.upsample && a.lo <= b.lo && a.hi >= b.hi
}

/// Weights in execution order, and the distances of their taps an axis.
pub type Series = (Box<[Box<[u32]>]>, Box<[Id]>);

/// The series that weights are composed of, if they are.
pub fn series(egraph: &EGraph, weights: Id) -> Option<Series> {
    egraph[weights].nodes.iter().find_map(|term| match term {
        Term::Composed(steps, parts) => Some((steps.clone(), parts.clone())),
        _ => None,
    })
}

/// Whether a class stands for an input that is left out.
pub fn is_missing(egraph: &EGraph, id: Id) -> bool {
    egraph[id].nodes.iter().any(|n| matches!(n, Term::Missing))
}

/// Input channels of a group.
pub fn inputs(weights: &Fact) -> usize {
    let channels = weights.shape.as_ref().and_then(|s| s.get(1)?.as_usize());
    channels.unwrap_or(0)
}

fn apply(key: &OpKey, inputs: &[Option<&Data>]) -> Data {
    let cx = Cx {
        inputs: inputs.iter().map(|d| d.map(|d| &d.fact)).collect(),
        outputs: 1,
        name: &key.name,
        nested: Vec::new(),
    };
    let flows = inputs.iter().flatten().any(|d| d.flows);
    let Ok(facts) = key.operator.infer(&cx) else {
        return Data {
            flows,
            ..Data::default()
        };
    };
    let reach = key.operator.reach(&cx, &facts, 0).unwrap_or_default();
    let slot = inputs.iter().position(|d| d.is_some_and(|d| d.flows));
    let field = slot
        .and_then(|slot| {
            let path = reach.0.get(slot)?.as_ref()?;
            let field = inputs[slot]?.field.iter();
            Some(
                field
                    .map(|axis| {
                        let (at, map) = (*axis)?;
                        let (to, next) = path.follower(at)?;
                        Some((to, map.then(&next)?))
                    })
                    .collect(),
            )
        })
        .unwrap_or_default();
    Data {
        fact: facts.into_iter().next().unwrap_or_default(),
        flows,
        field,
        ..Data::default()
    }
}

/// Type and shape of a weight term, without what the original's fact carries.
fn bare(fact: &Fact) -> Fact {
    Fact {
        dtype: fact.dtype,
        shape: fact.shape.clone(),
        ..Fact::default()
    }
}

fn channels(weights: &Fact) -> Fact {
    let out = weights.shape.as_ref().and_then(|s| s.first().cloned());
    Fact {
        dtype: weights.dtype,
        shape: out.map(|o| vec![o]),
        ..Fact::default()
    }
}

fn sized(dtype: Option<DataType>, out: usize, inp: usize, spatial: &[usize]) -> Fact {
    let mut shape = vec![Expr::from(out), Expr::from(inp)];
    shape.extend(spatial.iter().map(|&k| Expr::from(k)));
    Fact::new(dtype, shape)
}

/// Shape of one factor: (width, channels in / groups, *kernel*).
fn factor(chain: &Chain, part: u32, weights: &Fact) -> Fact {
    let part = part as usize;
    let factors = &chain.form.factors;
    let this = &factors[part];
    let channels = match part.checked_sub(1) {
        Some(before) => factors[before].width,
        None => inputs(weights) * chain.groups,
    };
    sized(
        weights.dtype,
        this.width,
        channels / this.groups,
        &this.spatial,
    )
}

fn embedded(border: &[u32], weights: &Fact) -> Fact {
    let mut fact = bare(weights);
    let spatial = fact.shape.iter_mut().flat_map(|s| s.iter_mut().skip(2));
    for (size, b) in spatial.zip(border) {
        *size = size.clone() + Expr::from(2 * i64::from(*b));
    }
    fact
}

fn composed(steps: &[Box<[u32]>], parts: &[&Fact]) -> Fact {
    let sizes: Option<Vec<Vec<usize>>> = parts
        .iter()
        .map(|f| f.shape.as_ref()?.iter().map(Expr::as_usize).collect())
        .collect();
    let Some(sizes) = sizes else {
        return Fact::default();
    };
    let [first, .., last] = sizes.as_slice() else {
        return Fact::default();
    };
    let reach = |a: usize| -> usize {
        let taps = sizes.iter().zip(steps);
        taps.map(|(size, step)| (size[2 + a] - 1) * step[a] as usize)
            .sum()
    };
    let spatial: Vec<usize> = (0..first.len() - 2).map(|a| 1 + reach(a)).collect();
    sized(parts[0].dtype, last[0], first[1], &spatial)
}
