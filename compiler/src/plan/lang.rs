//! The language of the e-graph: a node is an operator with its attributes and
//! its child classes, or a symbolic weight.
//!
//! No e-node holds tensor data. A weight is the name of a constant of the
//! graph or a term over such names; it is computed after extraction. The
//! e-class analysis calls each operator's own `infer` and `reach`, so every
//! term of a class has the same shape, and their fields contain one another.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use egg::{Analysis, DidMerge, Id, Language};

use crate::facts::Fact;
use crate::fit::Form;
use crate::ir::{DataType, Expr};
use crate::ops::{Conv, Cx, Map, Operator};

/// An operator as an e-node sees it: what it does, and the node of the graph
/// that it stands for or descends from.
#[derive(Clone)]
pub struct OpKey {
    /// Operator name.
    pub name: Arc<str>,
    /// Position in the chain of the node it stands for or descends from.
    pub site: u32,
    /// The operator.
    pub operator: Arc<dyn Operator>,
    label: Arc<str>,
}

impl OpKey {
    /// A key; operators with the same attributes are equal.
    pub fn new(name: &str, site: u32, operator: Arc<dyn Operator>) -> Self {
        Self {
            label: format!("{name}@{site} {operator:?}").into(),
            name: name.into(),
            site,
            operator,
        }
    }

    /// The operator as a convolution.
    pub fn conv(&self) -> Option<&Conv> {
        self.operator.downcast()
    }
}

/// A chain of small convolutions that stands for one convolution, with the
/// attributes of each; ordered and compared by its label.
#[derive(Clone)]
pub struct Chain {
    /// The shapes that are fitted.
    pub form: Arc<Form>,
    /// Groups of the convolution that it stands for.
    pub groups: usize,
    label: Arc<str>,
}

impl Chain {
    /// A chain of this form for a convolution of so many groups.
    pub fn new(form: Form, groups: usize) -> Self {
        Self {
            label: format!("{groups} {form:?}").into(),
            form: Arc::new(form),
            groups,
        }
    }
}

macro_rules! by_label {
    ($($t:ty),*) => {$(
        impl PartialEq for $t {
            fn eq(&self, other: &Self) -> bool {
                self.label == other.label
            }
        }
        impl Eq for $t {}
        impl PartialOrd for $t {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $t {
            fn cmp(&self, other: &Self) -> Ordering {
                self.label.cmp(&other.label)
            }
        }
        impl Hash for $t {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.label.hash(state);
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.label)
            }
        }
    )*};
}
by_label!(OpKey, Chain);

/// An e-node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// The value that enters the chain.
    Source,
    /// A constant of the graph, by its place in the chain's table.
    Constant(u32),
    /// An input that is left out.
    Missing,
    /// An operator; children are its inputs by position.
    Op(OpKey, Box<[Id]>),
    /// Weights `w` whose output channels are scaled as BatchNormalization does:
    /// children (w, scale, variance); epsilon in bits.
    Scaled(u32, [Id; 3]),
    /// A bias moved through BatchNormalization: children (bias or missing,
    /// scale, shift, mean, variance); epsilon in bits.
    Shifted(u32, [Id; 5]),
    /// A bias with a per-channel constant added: children (bias or missing,
    /// constant, weights).
    Sum([Id; 3]),
    /// One factor of a factorization of the weights in the child.
    Factor(Chain, u32, [Id; 1]),
    /// A bias corrected for what a factorization changes in the mean output:
    /// children (bias or missing, weights).
    Corrected(Chain, [Id; 2]),
    /// Weights with so many zeros on each side of each spatial axis.
    Embedded(Box<[u32]>, [Id; 1]),
    /// Weights in series as one, in execution order, with the distance of each
    /// one's taps an axis. Always flat: there is one term for a series, however
    /// its parts came together.
    Composed(Box<[Box<[u32]>]>, Box<[Id]>),
    /// The bias of two convolutions in series: children (first bias or
    /// missing, second weights, second bias or missing).
    Carried([Id; 3]),
}

impl Language for Term {
    type Discriminant = std::mem::Discriminant<Self>;

    fn discriminant(&self) -> Self::Discriminant {
        std::mem::discriminant(self)
    }

    fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Source, Self::Source) | (Self::Missing, Self::Missing) => true,
            (Self::Constant(a), Self::Constant(b)) => a == b,
            (Self::Op(a, x), Self::Op(b, y)) => a == b && x.len() == y.len(),
            (Self::Scaled(a, _), Self::Scaled(b, _))
            | (Self::Shifted(a, _), Self::Shifted(b, _)) => a == b,
            (Self::Sum(_), Self::Sum(_)) | (Self::Carried(_), Self::Carried(_)) => true,
            (Self::Factor(a, i, _), Self::Factor(b, j, _)) => a == b && i == j,
            (Self::Corrected(a, _), Self::Corrected(b, _)) => a == b,
            (Self::Composed(a, x), Self::Composed(b, y)) => a == b && x.len() == y.len(),
            (Self::Embedded(a, _), Self::Embedded(b, _)) => a == b,
            _ => false,
        }
    }

    fn children(&self) -> &[Id] {
        match self {
            Self::Source | Self::Constant(_) | Self::Missing => &[],
            Self::Op(_, ids) => ids,
            Self::Scaled(_, ids) | Self::Sum(ids) | Self::Carried(ids) => ids,
            Self::Shifted(_, ids) => ids,
            Self::Factor(_, _, ids) | Self::Embedded(_, ids) => ids,
            Self::Corrected(_, ids) => ids,
            Self::Composed(_, ids) => ids,
        }
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Self::Source | Self::Constant(_) | Self::Missing => &mut [],
            Self::Op(_, ids) => ids,
            Self::Scaled(_, ids) | Self::Sum(ids) | Self::Carried(ids) => ids,
            Self::Shifted(_, ids) => ids,
            Self::Factor(_, _, ids) | Self::Embedded(_, ids) => ids,
            Self::Corrected(_, ids) => ids,
            Self::Composed(_, ids) => ids,
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("x"),
            Self::Constant(i) => write!(f, "c{i}"),
            Self::Missing => f.write_str("_"),
            Self::Op(key, _) => f.write_str(&key.name),
            Self::Scaled(..) => f.write_str("Scaled"),
            Self::Shifted(..) => f.write_str("Shifted"),
            Self::Sum(_) => f.write_str("Sum"),
            Self::Factor(chain, part, _) => {
                let factor = &chain.form.factors[*part as usize];
                let extent = extents(&factor.spatial);
                write!(f, "Factor{part}[{extent}, width {}]", factor.width)
            }
            Self::Corrected(..) => f.write_str("Corrected"),
            Self::Composed(..) => f.write_str("Composed"),
            Self::Embedded(..) => f.write_str("Embedded"),
            Self::Carried(_) => f.write_str("Carried"),
        }
    }
}

/// `3x3` from `[3, 3]`.
pub fn extents<T: fmt::Display>(spatial: &[T]) -> String {
    let list: Vec<String> = spatial.iter().map(ToString::to_string).collect();
    list.join("x")
}

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
}

/// The e-class analysis: facts of the chain's source and constants.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The value that enters.
    pub source: Fact,
    /// The chain's constants.
    pub constants: Vec<Fact>,
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
                    factored: false,
                }
            }
            Term::Constant(i) => weights(egraph.analysis.constants[*i as usize].clone()),
            Term::Missing => Data::default(),
            Term::Op(key, children) => {
                let data: Vec<Option<&Data>> = children
                    .iter()
                    .map(|c| (!is_missing(egraph, *c)).then(|| of(c)))
                    .collect();
                apply(key, &data)
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
        merged
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
        None => weights
            .shape
            .as_ref()
            .and_then(|s| s.get(1)?.as_usize())
            .map_or(0, |inp| inp * chain.groups),
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
