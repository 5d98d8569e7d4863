//! The graph and its values; knows no operator.

mod attr;
mod expr;
mod graph;
mod patch;
mod ratio;
mod tensor;

pub use attr::{Attr, Attrs};
pub use expr::Expr;
pub use graph::{Graph, GraphError, Node, NodeId, Value, ValueId, ValueType};
pub use patch::{NewNode, Patch, PatchError, Ref};
pub use ratio::Ratio;
pub use tensor::{FOLD_LIMIT, Tensor, TensorData, is_float};

pub use crate::onnx::schema::DataType;

/// A shape: one [`Expr`] an axis.
pub type Shape = Vec<Expr>;
