//! Element by element operators of onnxruntime's own set: quantized arithmetic
//! and activations, and the forms of Gelu.

use super::matmul::common;
use super::reach::broadcast_path;
use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, axis, type_of};
use crate::facts::Fact;
use crate::ir::Node;

/// What the operators differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    op: &'static str,
    /// Position of a second, broadcast operand.
    second: Option<usize>,
    /// Position of the input whose type the output has.
    dtype: usize,
    /// FLOPs an element, as of the plain operator.
    operations: i64,
    /// What a constant second operand is.
    role: Role,
}

const fn form(
    op: &'static str,
    second: Option<usize>,
    dtype: usize,
    operations: i64,
    role: Role,
) -> Form {
    Form {
        op,
        second,
        dtype,
        operations,
        role,
    }
}

/// Quantized operands come with scale and zero point, the output's last.
const FORMS: &[Form] = &[
    form("QLinearAdd", Some(3), 0, 1, Role::Data),
    form("QLinearMul", Some(3), 0, 1, Role::Data),
    form("QLinearLeakyRelu", None, 0, 1, Role::Config),
    form("QLinearSigmoid", None, 0, 1, Role::Config),
    form("QLinearSoftmax", None, 0, 3, Role::Config),
    form("Gelu", None, 0, 1, Role::Config),
    form("QuickGelu", None, 0, 1, Role::Config),
    form("FastGelu", Some(1), 0, 1, Role::Bias),
    form("BiasGelu", Some(1), 0, 2, Role::Bias),
];

/// One of [`FORMS`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elementwise {
    form: Form,
    /// The axis that a softmax normalizes.
    axis: Option<i64>,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let form = FORMS
        .iter()
        .find(|f| f.op == node.op)
        .ok_or_else(|| Gap::new(format!("{} is not in the table", node.op)))?;
    Ok(Box::new(Elementwise {
        form: *form,
        axis: (form.op == "QLinearSoftmax").then(|| node.attrs.int("axis").unwrap_or(-1)),
    }))
}

impl Operator for Elementwise {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(0)?.to_vec();
        if let Some(slot) = self.form.second
            && cx.optional(slot).is_some()
        {
            let other = cx.shape(slot)?;
            let rank = shape.len().max(other.len());
            while shape.len() < rank {
                shape.insert(0, 1.into());
            }
            let skip = rank - other.len();
            for (i, size) in other.iter().enumerate() {
                let at = &mut shape[skip + i];
                *at = common(at, size).unwrap_or_else(|| cx.unknown(skip + i));
            }
        }
        Ok(vec![Fact::new(type_of(cx, self.form.dtype), shape)])
    }

    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(out[0].known_shape()?, self.form.operations))
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let output = out[0].known_shape()?;
        let mut paths = vec![Some(match self.axis {
            Some(a) => Path::normalized(output.len(), &[axis(a, output.len())?]),
            None => broadcast_path(cx.shape(0)?, output),
        })];
        if let Some(slot) = self.form.second
            && cx.optional(slot).is_some()
        {
            paths.resize(slot, None);
            paths.push(Some(broadcast_path(cx.shape(slot)?, output)));
        }
        Ok(Reach(paths))
    }

    fn role(&self, slot: usize) -> Role {
        match slot {
            0 => Role::Data,
            _ if self.form.second == Some(slot) => self.form.role,
            _ => Role::Config,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::DataType;
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn quantized_addition_broadcasts() {
        let (a, b) = (
            typed(DataType::Uint8, "N 8 4 4"),
            typed(DataType::Uint8, "8 1 1"),
        );
        let (s, z) = (fact(""), typed(DataType::Uint8, ""));
        let case = Case::new("com.microsoft::QLinearAdd", 1).on(&[&a, &s, &z, &b, &s, &z, &s, &z]);
        assert_eq!(case.shapes(), ["N 8 4 4"]);
        assert_eq!(case.infer().unwrap()[0].dtype, Some(DataType::Uint8));
        assert_eq!(case.work().1, "128*N");
        let reach = case.reach().unwrap();
        assert_eq!(reach.0[3].as_ref().unwrap().follower(1), None);
    }
}
