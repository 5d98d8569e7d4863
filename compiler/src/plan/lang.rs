//! The language of the e-graph: a node is an operator with its attributes and
//! its child classes, or a symbolic weight.
//!
//! No e-node holds tensor data. A weight is the name of a constant of the
//! graph or a term over such names; it is computed after extraction.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use egg::{Id, Language};

use crate::fit::Form;
use crate::ops::{Conv, Operator};

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
