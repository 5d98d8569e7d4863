//! Element-wise operators of any number of inputs: `Max`, `Min`, `Sum`,
//! `Mean` (broadcasting from opset 8 on), and `Where`.

use super::elementwise::{self, Arithmetic, broadcast_inputs};
use super::reach::broadcast_path;
use super::{Cost, Cx, Gap, Operator, Path, Reach, Role, output_shape};
use crate::facts::Fact;
use crate::ir::{Expr, Node, Ratio, Tensor};

/// How the elements are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variadic {
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The sum.
    Sum,
    /// The sum over the number of inputs.
    Mean,
    /// The second input where the first is true, else the third.
    Where,
}

/// Reads the node.
///
/// # Errors
/// Another operator.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "Max" => Variadic::Max,
        "Min" => Variadic::Min,
        "Sum" => Variadic::Sum,
        "Mean" => Variadic::Mean,
        "Where" => Variadic::Where,
        other => return Err(Gap::new(format!("{other} is not variadic"))),
    }))
}

impl Variadic {
    fn sizes(self, v: &[Ratio]) -> Option<Ratio> {
        let (first, rest) = v.split_first()?;
        let larger = |a: &Ratio, b: &Ratio| {
            let less = a.less(b).or_else(|| b.less(a).map(|greater| !greater))?;
            Some(if less { b.clone() } else { a.clone() })
        };
        match self {
            Self::Max => rest.iter().try_fold(first.clone(), |a, b| larger(&a, b)),
            Self::Min => rest
                .iter()
                .try_fold(first.clone(), |a, b| Some(-larger(&-a, &-b.clone())?)),
            Self::Sum => rest.iter().try_fold(first.clone(), |a, b| &a + b),
            Self::Mean => Self::Sum.sizes(v)?.over(&Expr::from(v.len()).into()),
            Self::Where => match (first.as_f64(), rest) {
                (Some(0.0), [_, otherwise]) => Some(otherwise.clone()),
                (Some(_), [then, _]) => Some(then.clone()),
                (None, [then, otherwise]) => (then == otherwise).then(|| then.clone()),
                _ => None,
            },
        }
    }

    fn ints(self, v: &[i64]) -> Option<i64> {
        match self {
            Self::Max => v.iter().copied().max(),
            Self::Min => v.iter().copied().min(),
            Self::Sum => Some(v.iter().fold(0i64, |a, &b| a.wrapping_add(b))),
            Self::Mean => None,
            Self::Where => v.get(if *v.first()? == 0 { 2 } else { 1 }).copied(),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn floats(self, v: &[f64]) -> Option<f64> {
        let ordered = |pick: fn(f64, f64) -> f64| {
            v.iter().copied().reduce(|a, b| {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else {
                    pick(a, b)
                }
            })
        };
        match self {
            Self::Max => ordered(f64::max),
            Self::Min => ordered(f64::min),
            Self::Sum => Some(v.iter().sum()),
            Self::Mean => Some(v.iter().sum::<f64>() / v.len() as f64),
            Self::Where => v.get(if *v.first()? == 0.0 { 2 } else { 1 }).copied(),
        }
    }
}

impl Operator for Variadic {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let first = usize::from(*self == Self::Where);
        let dtype = (first..cx.inputs.len()).find_map(|i| cx.optional(i)?.dtype);
        let out = Fact::new(dtype, broadcast_inputs(cx)?);
        Ok(vec![elementwise::carry(
            cx,
            &elementwise::facts(cx),
            out,
            |v| self.sizes(v),
        )])
    }

    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let inputs = i64::try_from(cx.inputs.len()).unwrap_or(i64::MAX);
        let each = match self {
            Self::Max | Self::Min | Self::Sum => inputs - 1,
            Self::Mean => inputs,
            Self::Where => 1,
        };
        Ok(Cost::pointwise(output_shape(out, 0)?, each))
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let shape = output_shape(out, 0)?;
        let paths: Result<Vec<Option<Path>>, Gap> = (0..cx.inputs.len())
            .map(|i| Ok(Some(broadcast_path(cx.shape(i)?, shape))))
            .collect();
        Ok(Reach(paths?))
    }

    fn role(&self, slot: usize) -> Role {
        if *self == Self::Where && slot == 0 {
            Role::Config
        } else {
            Role::Data
        }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let mut operands = elementwise::operands(cx)?;
        // A boolean condition takes the values' type, so that it selects among them.
        if *self == Self::Where
            && let Some((condition, _)) = operands.first_mut()
        {
            super::moves::count(&condition.shape)?;
            let values = condition.to_f64()?;
            let shape = condition.shape.clone();
            let spelled = Tensor::from_f64(out[0].dtype?, shape, &values)?;
            *condition = std::sync::Arc::new(spelled);
        }
        let on = Arithmetic {
            ints: |v: &[i64]| self.ints(v),
            floats: |v: &[f64]| self.floats(v),
        };
        Some(vec![elementwise::fold(&operands, &out[0], &on)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, floats, ints};
    use crate::ir::DataType;

    #[test]
    fn shapes_and_work() {
        let (a, b, c) = (fact("N 3 8"), fact("3 1"), fact(""));
        let sum = Case::new("Sum", 8).on(&[&a, &b, &c]);
        assert_eq!(sum.shapes(), ["N 3 8"]);
        assert_eq!(sum.work().1, "48*N");
        assert_eq!(Case::new("Mean", 8).on(&[&a, &b, &c]).work().1, "72*N");
        assert!(Case::new("Max", 8).infer().is_err());
    }

    #[test]
    fn values() {
        let (a, b) = (floats(&[1.0, f64::NAN, -3.0]), floats(&[2.0, 0.0, -4.0]));
        let max = Case::new("Max", 8).on(&[&a, &b]).fold().unwrap();
        assert_eq!((max[0], max[2]), (2.0, -3.0));
        assert!(max[1].is_nan());
        let (x, y) = (ints(&[i64::MAX, 2]), ints(&[0]));
        let choice = constant(DataType::Bool, &[2], &[1.0, 0.0]);
        let case = Case::new("Where", 9).on(&[&choice, &x, &y]);
        let tensors = case
            .operator()
            .unwrap()
            .fold(&case.cx(), &case.infer().unwrap());
        assert_eq!(tensors.unwrap()[0].to_i64().unwrap(), [i64::MAX, 0]);
    }
}
