//! All that is known of each operator, one operator (or close family) a file.
//!
//! A file parses the attributes of every opset version, infers type and shape,
//! counts cost, and says which input positions an output position reads
//! ([`Reach`]). Shape, MACs and receptive field of a sliding operator read the
//! same [`Window`](window::Window). There is no default for cost and reach:
//! what is not known is a [`Gap`], never a silent zero.

use std::any::Any;
use std::fmt;

use crate::facts::Fact;
use crate::ir::{Attrs, DataType, Expr, Tensor};

pub mod reach;
pub mod window;

mod activations;
mod affine;
mod along;
mod arithmetic;
mod attention;
mod batch_norm;
mod causal_conv;
mod center_crop_pad;
mod clip;
mod col2im;
mod concat;
mod constant;
mod contrib_concat;
mod contrib_elementwise;
mod contrib_pool;
mod control;
mod conv;
mod conv_transpose;
mod deform_conv;
mod depth_space;
mod det;
mod einsum;
mod elementwise;
mod expand;
mod gate;
mod gated;
mod gather;
mod gemm;
mod generate;
mod global_pool;
mod grid_sample;
#[cfg(test)]
mod hostile;
mod identity;
mod legacy;
mod loss;
mod lrn;
mod matmul;
mod max_unpool;
mod moves;
mod norm;
mod pad;
mod pool;
mod quant_conv;
mod quantize;
mod recurrent;
mod reduce;
mod registry;
mod regroup;
mod reshape;
mod resize;
mod resize_map;
mod roi;
mod scatter;
mod selection;
mod sequence;
mod shape;
mod signal;
mod slice;
mod softmax;
mod split;
#[cfg(test)]
mod testing;
mod text;
mod transpose;
mod variadic;

pub use affine::Affine;
pub use batch_norm::BatchNormalization;
pub use clip::Clip;
pub use concat::Concat;
pub use constant::Constant;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use gate::Gate;
pub use gemm::Gemm;
pub use identity::{Cast, Identity};
pub use matmul::MatMul;
pub use pad::{Pad, PadMode};
pub use pool::{Pool, PoolKind};
pub use reach::{AxisReach, Inner, Map, Outside, Path, Reach};
pub use registry::{OPS, Op, find};
pub use reshape::Reshape;
pub use softmax::Softmax;
pub use split::Split;
pub use transpose::Transpose;
pub use window::{Window, WindowAxis};

/// Why something about a node is not known, in words for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap(pub String);

impl Gap {
    /// A gap with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operator sees of its node while facts are computed.
pub struct Cx<'a> {
    /// Facts of the inputs, by position; `None` where an optional one is left out.
    pub inputs: Vec<Option<&'a Fact>>,
    /// How many outputs the node lists.
    pub outputs: usize,
    /// A name for the sizes that cannot be known, unique to the node.
    pub name: &'a str,
    /// Output facts of the node's subgraphs, by attribute name.
    pub nested: Vec<(String, Vec<Fact>)>,
}

impl<'a> Cx<'a> {
    /// The fact of an input.
    ///
    /// # Errors
    /// The input is missing.
    pub fn input(&self, slot: usize) -> Result<&'a Fact, Gap> {
        self.optional(slot)
            .ok_or_else(|| Gap::new(format!("input {slot} is missing")))
    }

    /// The fact of an input that may be left out.
    pub fn optional(&self, slot: usize) -> Option<&'a Fact> {
        self.inputs.get(slot).copied().flatten()
    }

    /// The shape of an input.
    ///
    /// # Errors
    /// The input is missing or its rank unknown.
    pub fn shape(&self, slot: usize) -> Result<&'a [Expr], Gap> {
        self.input(slot)?
            .shape
            .as_deref()
            .ok_or_else(|| Gap::new(format!("the rank of input {slot} is not known")))
    }

    /// The integers of an input that carries a shape, axes or the like; `None`
    /// if it is left out.
    ///
    /// # Errors
    /// The input is given but its elements are not known.
    pub fn ints(&self, slot: usize) -> Result<Option<Vec<Expr>>, Gap> {
        match self.optional(slot) {
            None => Ok(None),
            Some(fact) => fact
                .ints()
                .map(Some)
                .ok_or_else(|| Gap::new(format!("input {slot} is computed at run time"))),
        }
    }

    /// A size that is not known: a symbol unique to the node and `which`.
    pub fn unknown(&self, which: impl fmt::Display) -> Expr {
        Expr::symbol(format!("?{}.{which}", self.name))
    }
}

/// Work of one execution of a node, as polynomials in the model's symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates: one a use of a weight (or product of a MatMul).
    pub macs: Expr,
    /// Floating-point operations: 2 a MAC, 1 a bias add, 1 an element of a
    /// pointwise operator, 1 a comparison or addition of a pool.
    pub flops: Expr,
}

impl Cost {
    /// No arithmetic: data are moved or renamed.
    pub fn free() -> Self {
        Self::default()
    }

    /// `per_element` operations for each element of a shape; no MACs.
    pub fn pointwise(shape: &[Expr], per_element: i64) -> Self {
        Self {
            macs: Expr::default(),
            flops: shape.iter().product::<Expr>() * per_element.into(),
        }
    }
}

/// What an input of an operator is to it, where it is constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Data that flow through; a per-channel constant here counts as a
    /// trained parameter once the network's weights have begun.
    Data,
    /// A trained weight.
    Weight,
    /// A trained bias.
    Bias,
    /// Kept statistics (BatchNormalization's mean and variance).
    Buffer,
    /// Shapes, axes, limits, quantization scales: no parameter.
    Config,
}

/// One operator with its attributes parsed.
pub trait Operator: fmt::Debug + Send + Sync + Any {
    /// Type and shape of each output.
    ///
    /// # Errors
    /// The reason why they are not known.
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap>;

    /// Work of one execution; `out` is what [`Self::infer`] gave.
    ///
    /// # Errors
    /// The reason why it is not known.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap>;

    /// Which positions of each input one output reads.
    ///
    /// # Errors
    /// The reason why that is not known.
    fn reach(&self, cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap>;

    /// What an input is to the operator.
    fn role(&self, _slot: usize) -> Role {
        Role::Data
    }

    /// The sliding window, where there is one, for reports and rules.
    fn window(&self, _cx: &Cx) -> Option<Window> {
        None
    }

    /// What reaches the output of a small change of the one input that is no
    /// constant, where that is simple to say.
    fn gate(&self, _cx: &Cx) -> Option<Gate> {
        None
    }

    /// How the operator is linear in its first input, where it is.
    fn affine(&self, _cx: &Cx) -> Option<Affine> {
        None
    }

    /// The outputs' elements where all inputs that matter are constant and
    /// small enough; `None` where they cannot or should not be computed.
    fn fold(&self, _cx: &Cx, _out: &[Fact]) -> Option<Vec<Tensor>> {
        None
    }

    /// Facts of the inputs of the subgraph in an attribute.
    fn bind(&self, _cx: &Cx, _attribute: &str) -> Vec<Fact> {
        Vec::new()
    }

    /// How often one execution runs the subgraph in an attribute.
    fn repeats(&self, _cx: &Cx, _attribute: &str) -> Expr {
        1.into()
    }

    /// The attributes to write for this operator; only operators that passes
    /// construct need them.
    fn emit(&self) -> Attrs {
        Attrs::default()
    }
}

impl dyn Operator {
    /// The operator as one type, for what must match on it.
    pub fn downcast<T: Operator>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// Element type of the first input, for outputs that keep it.
pub fn same_type(cx: &Cx) -> Option<DataType> {
    type_of(cx, 0)
}

/// Element type of an input.
pub fn type_of(cx: &Cx, slot: usize) -> Option<DataType> {
    cx.optional(slot).and_then(|f| f.dtype)
}

/// The shape of an output.
///
/// # Errors
/// The node does not list the output, or its rank is not known.
pub fn output_shape(out: &[Fact], slot: usize) -> Result<&[Expr], Gap> {
    out.get(slot)
        .ok_or_else(|| Gap::new(format!("output {slot} is missing")))?
        .known_shape()
}

/// The axis `axis` of a tensor of `rank`, negative ones counted from the end.
///
/// # Errors
/// It is out of range.
pub fn axis(axis: i64, rank: usize) -> Result<usize, Gap> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let index = if axis < 0 {
        axis.saturating_add(signed)
    } else {
        axis
    };
    usize::try_from(index)
        .ok()
        .filter(|&i| i < rank)
        .ok_or_else(|| Gap::new(format!("axis {axis} of a tensor of rank {rank}")))
}
