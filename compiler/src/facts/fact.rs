//! What is known of one value.

use std::sync::Arc;

use crate::ir::{DataType, Expr, Ratio, Shape, Tensor};
use crate::ops::Gap;

/// Integer constants up to this many elements are followed symbolically.
const MAX_INTS: usize = 4096;

/// What is known of a value.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// Element type.
    pub dtype: Option<DataType>,
    /// Shape, symbolic where the model is; `None` where not even the rank is known.
    pub shape: Option<Shape>,
    /// The elements, where they do not depend on the inputs.
    pub constant: Option<Constant>,
    /// The constant tensors that the elements come from.
    pub roots: Vec<Arc<Root>>,
    /// Whether trained weights have flowed in: constants before that are
    /// pre-processing, constants after it are parameters.
    pub weighted: bool,
}

/// Elements that do not depend on the inputs.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A tensor (its data may be absent).
    Tensor(Arc<Tensor>),
    /// Integers that may hold symbols (arithmetic on shapes), row-major.
    Ints(Arc<[Expr]>),
    /// Fractions of symbols (arithmetic on shapes as floats), row-major.
    Ratios(Arc<[Ratio]>),
}

/// A constant tensor as the model holds it, the unit in which weights are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Root {
    /// Name of the initializer or of the output that makes it, with the names
    /// of the enclosing nodes where it is inside a subgraph.
    pub name: String,
    /// Elements.
    pub elements: u64,
    /// Bytes that the elements take.
    pub bytes: u64,
}

impl Fact {
    /// A value of this type and shape.
    pub fn new(dtype: Option<DataType>, shape: Shape) -> Self {
        Self {
            dtype,
            shape: Some(shape),
            ..Self::default()
        }
    }

    /// A value of which only the type is known.
    pub fn unranked(dtype: Option<DataType>) -> Self {
        Self {
            dtype,
            ..Self::default()
        }
    }

    /// A constant.
    pub fn of(tensor: Tensor) -> Self {
        Self {
            dtype: Some(tensor.dtype),
            shape: Some(tensor.dims()),
            constant: Some(Constant::Tensor(Arc::new(tensor))),
            ..Self::default()
        }
    }

    /// The fact with integer elements that may hold symbols.
    #[must_use]
    pub fn with_ints(mut self, ints: Vec<Expr>) -> Self {
        if ints.len() <= MAX_INTS {
            self.constant = Some(Constant::Ints(ints.into()));
        }
        self
    }

    /// The fact with elements that may be fractions of symbols.
    #[must_use]
    pub fn with_ratios(mut self, ratios: Vec<Ratio>) -> Self {
        let ints: Option<Vec<Expr>> = ratios.iter().map(|r| r.as_expr().cloned()).collect();
        match ints {
            Some(ints) => self.with_ints(ints),
            None => {
                if ratios.len() <= MAX_INTS {
                    self.constant = Some(Constant::Ratios(ratios.into()));
                }
                self
            }
        }
    }

    /// The shape.
    ///
    /// # Errors
    /// The rank is not known.
    pub fn known_shape(&self) -> Result<&[Expr], Gap> {
        self.shape
            .as_deref()
            .ok_or_else(|| Gap::new("the rank of the output is not known"))
    }

    /// The elements of a small integer constant, which may hold symbols.
    pub fn ints(&self) -> Option<Vec<Expr>> {
        match self.constant.as_ref()? {
            Constant::Ints(v) => Some(v.to_vec()),
            Constant::Tensor(t) if t.len()? <= MAX_INTS => {
                Some(t.to_i64()?.into_iter().map(Expr::from).collect())
            }
            Constant::Tensor(_) | Constant::Ratios(_) => None,
        }
    }

    /// The elements of a small constant as exact fractions.
    pub fn ratios(&self) -> Option<Vec<Ratio>> {
        match self.constant.as_ref()? {
            Constant::Ratios(v) => Some(v.to_vec()),
            Constant::Tensor(t) if t.is_float() && t.len()? <= MAX_INTS => {
                t.to_f64()?.into_iter().map(Ratio::from_f64).collect()
            }
            _ => Some(self.ints()?.into_iter().map(Ratio::from).collect()),
        }
    }

    /// Whether the elements are known and hold symbols.
    pub fn is_symbolic(&self) -> bool {
        match &self.constant {
            Some(Constant::Ints(v)) => v.iter().any(|e| e.as_const().is_none()),
            Some(Constant::Ratios(_)) => true,
            _ => false,
        }
    }

    /// The elements as a tensor, where they are numbers.
    pub fn tensor(&self) -> Option<Arc<Tensor>> {
        match self.constant.as_ref()? {
            Constant::Tensor(t) => Some(t.clone()),
            Constant::Ints(v) => {
                let ints: Option<Vec<i64>> = v.iter().map(Expr::as_i64).collect();
                let shape: Option<Vec<usize>> =
                    self.shape.as_ref()?.iter().map(Expr::as_usize).collect();
                let mut tensor = Tensor::from_i64(shape?, &ints?);
                if let Some(t) = self.dtype
                    && t != DataType::Int64
                {
                    tensor = Tensor::from_f64(t, tensor.shape.clone(), &tensor.to_f64()?)?;
                }
                Some(Arc::new(tensor))
            }
            Constant::Ratios(v) => {
                let values: Option<Vec<f64>> = v.iter().map(Ratio::as_f64).collect();
                let shape: Option<Vec<usize>> =
                    self.shape.as_ref()?.iter().map(Expr::as_usize).collect();
                Tensor::from_f64(self.dtype?, shape?, &values?).map(Arc::new)
            }
        }
    }

    /// Whether the elements do not depend on the inputs (they may still be absent).
    pub fn is_constant(&self) -> bool {
        self.constant.is_some()
    }

    /// The bytes that the value takes.
    pub fn bytes(&self) -> Option<Expr> {
        let elements: Expr = self.shape.as_ref()?.iter().product();
        let bits = crate::onnx::bit_width(self.dtype?)?;
        Some((elements * bits.into()).ceil_div(8))
    }
}
