//! Operators that pass their input on at inference: `Identity`, `Dropout`,
//! `Cast`, `CastLike`.

use super::elementwise::{self, Arithmetic};
use super::moves::scalar;
use super::{Cost, Cx, Gap, Gate, Operator, Path, Reach, Role};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Ratio, Tensor, TensorData};

/// `Identity`, and `Dropout` as it is at inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Type of Dropout's second output; `None` keeps the data's (before opset 10).
    mask: Option<DataType>,
}

/// `Cast`, `CastLike`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The type; `None` takes that of the second input.
    pub to: Option<DataType>,
}

/// Reads the node.
///
/// # Errors
/// A cast to a type that is not one.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let to = match node.op.as_str() {
        "Identity" | "Dropout" => {
            let mask = (opset >= 10).then_some(DataType::Bool);
            return Ok(Box::new(Identity { mask }));
        }
        "CastLike" => None,
        _ => Some(target(node)?),
    };
    Ok(Box::new(Cast { to }))
}

/// The attribute `to`: a number, a name before opset 6.
fn target(node: &Node) -> Result<DataType, Gap> {
    if let Some(name) = node.attrs.string("to") {
        return (1..)
            .map_while(|number| DataType::try_from(number).ok())
            .find(|t| format!("{t:?}").eq_ignore_ascii_case(name))
            .ok_or_else(|| Gap::new(format!("a cast to {name:?}, which is no element type")));
    }
    data_type(node, "to")?.ok_or_else(|| Gap::new("the attribute to is missing"))
}

/// An attribute that names an element type by its number; `None` if absent.
///
/// # Errors
/// The number is not that of a type.
pub(super) fn data_type(node: &Node, name: &str) -> Result<Option<DataType>, Gap> {
    node.attrs
        .int(name)
        .map(|number| {
            i32::try_from(number)
                .ok()
                .and_then(|n| DataType::try_from(n).ok())
                .filter(|&t| t != DataType::Undefined)
                .ok_or_else(|| Gap::new(format!("{name} is {number}, which is no element type")))
        })
        .transpose()
}

fn pointwise(cx: &Cx) -> Result<Reach, Gap> {
    Ok(Reach::first(Path::pointwise(cx.shape(0)?.len())))
}

impl Operator for Identity {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let input = cx.input(0)?;
        let mut data = Fact {
            roots: Vec::new(),
            weighted: false,
            ..input.clone()
        };
        // Dropout in training mode draws from its data.
        if cx.optional(2).and_then(scalar).is_some_and(|v| v != 0.0) {
            data.constant = None;
        }
        let mask = Fact {
            dtype: self.mask.or(input.dtype),
            shape: input.shape.clone(),
            ..Fact::default()
        };
        Ok(vec![data, mask])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], output: usize) -> Result<Reach, Gap> {
        if output == 0 {
            pointwise(cx)
        } else {
            Ok(Reach::none())
        }
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn gate(&self, _cx: &Cx) -> Option<Gate> {
        Some(Gate::Linear)
    }
}

impl Operator for Cast {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let to = self.to.or_else(|| cx.optional(1).and_then(|f| f.dtype));
        let out = Fact::new(to, cx.shape(0)?.to_vec());
        let data = [(cx.input(0)?, cx.shape(0)?.to_vec())];
        Ok(vec![elementwise::carry(cx, &data, out, |v| {
            let value = &v[0];
            match to? {
                DataType::Bool => {
                    let equal = value.same(&Expr::from(0).into())?;
                    Some(Expr::from(u32::from(!equal)).into())
                }
                t if crate::ir::is_float(t) => Some(value.clone()),
                DataType::String => None,
                _ => Some(Ratio::from(value.trunc())),
            }
        })])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        pointwise(cx)
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let data = cx.optional(0)?.tensor()?;
        let to = out[0].dtype?;
        if data.dtype == to {
            return Some(vec![data.as_ref().clone()]);
        }
        if to == DataType::Bool
            && let TensorData::Fill(v) = data.data
        {
            let truth = f64::from(u8::from(v != 0.0));
            return Some(vec![Tensor {
                dtype: to,
                shape: data.shape.clone(),
                data: TensorData::Fill(truth),
            }]);
        }
        let shape = data.shape.clone();
        let on = Arithmetic {
            ints: |v: &[i64]| Some(v[0]),
            floats: |v: &[f64]| Some(v[0]),
        };
        Some(vec![elementwise::fold(&[(data, shape)], &out[0], &on)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, fact, floats, ints};
    use super::*;

    #[test]
    fn types() {
        let x = fact("N 4");
        let dtypes = |case: Case| -> Vec<_> {
            let facts = case.infer().unwrap();
            facts.iter().map(|f| f.dtype.unwrap()).collect()
        };
        let (float, bool) = (DataType::Float, DataType::Bool);
        let dropout = |opset| Case::new("Dropout", opset).outputs(2).on(&[&x]);
        assert_eq!(dtypes(dropout(7)), [float, float]);
        assert_eq!(dtypes(dropout(13)), [float, bool]);
        let old = Case::new("Cast", 1).string("to", "FLOAT16").on(&[&x]);
        assert_eq!(dtypes(old), [DataType::Float16]);
        assert!(Case::new("Cast", 13).int("to", 99).operator().is_err());
    }

    #[test]
    fn dropout_in_training_keeps_no_constant() {
        let (x, ratio) = (floats(&[1.0]), floats(&[0.5]));
        let mode = |v| super::super::testing::constant(DataType::Bool, &[], &[v]);
        let (off, on) = (mode(0.0), mode(1.0));
        let constant = |mode: &Fact| {
            let case = Case::new("Dropout", 13).on(&[&x, &ratio, mode]);
            case.infer().unwrap()[0].is_constant()
        };
        assert!(constant(&off) && !constant(&on));
    }

    #[test]
    fn values_are_cut_or_wrapped() {
        let (x, big) = (floats(&[-1.9, 0.0, 2.7]), ints(&[300, -1, i64::MAX]));
        let cast = |to: DataType, x| Case::new("Cast", 13).int("to", to as i64).on(&[x]).fold();
        assert_eq!(cast(DataType::Int32, &x).unwrap(), [-1.0, 0.0, 2.0]);
        assert_eq!(cast(DataType::Bool, &x).unwrap(), [1.0, 0.0, 1.0]);
        assert_eq!(cast(DataType::Uint8, &big).unwrap(), [44.0, 255.0, 255.0]);
    }
}
