//! The list of operators.

use super::{Gap, Operator};
use crate::ir::Node;

/// Reads the attributes of a node as of an opset version.
pub type Parse = fn(&Node, i64) -> Result<Box<dyn Operator>, Gap>;

/// One operator of the registry.
pub struct Op {
    /// Name in the standard.
    pub name: &'static str,
    /// Operator set; empty for the standard one.
    pub domain: &'static str,
    /// Reads the attributes as of an opset version.
    pub parse: Parse,
}

/// One line a module: the operators that its `parse` reads.
macro_rules! ops {
    ($($module:ident: $($name:ident)+;)*) => {
        /// All operators that the tool knows, those of the standard's main set.
        pub static OPS: &[Op] = &[$($(Op {
            name: stringify!($name),
            domain: "",
            parse: super::$module::parse,
        }),+),*];
    };
}

ops! {
    conv: Conv;
}

/// Finds an operator.
pub fn find(domain: &str, name: &str) -> Option<&'static Op> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    OPS.iter().find(|op| op.domain == domain && op.name == name)
}
