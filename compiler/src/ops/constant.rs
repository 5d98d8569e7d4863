//! `Constant`: a tensor in an attribute, of any of its kinds.

use super::{Cost, Cx, Gap, Operator, Reach};
use crate::facts::Fact;
use crate::ir::{Attr, DataType, Node, Tensor, TensorData};
use crate::onnx::data_type;

/// A tensor.
#[derive(Debug)]
pub struct Constant {
    /// The value.
    pub value: Tensor,
}

/// Reads the node.
///
/// # Errors
/// None of the attributes that hold a value is there, or it cannot be read.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let value = node
        .attrs
        .0
        .iter()
        .find_map(|(name, attr)| value(name, attr))
        .ok_or_else(|| Gap::new("no attribute holds a value"))??;
    Ok(Box::new(Constant { value }))
}

fn value(name: &str, attr: &Attr) -> Option<Result<Tensor, Gap>> {
    let strings = |shape, strings: &[String]| Tensor {
        dtype: DataType::String,
        shape,
        data: TensorData::Strings(strings.iter().map(|s| s.clone().into()).collect()),
    };
    let floats = |shape, values: &[f32]| {
        let values: Vec<f64> = values.iter().map(|&v| v.into()).collect();
        Tensor::from_f64(DataType::Float, shape, &values)
            .ok_or_else(|| Gap::new("the values do not fit their shape"))
    };
    Some(match (name, attr) {
        ("value", Attr::Tensor(tensor)) => Ok(tensor.as_ref().clone()),
        ("value_int", Attr::Int(v)) => Ok(Tensor::from_i64(vec![], &[*v])),
        ("value_ints", Attr::Ints(v)) => Ok(Tensor::from_i64(vec![v.len()], v)),
        ("value_float", Attr::Float(v)) => floats(vec![], &[*v]),
        ("value_floats", Attr::Floats(v)) => floats(vec![v.len()], v),
        ("value_string", Attr::String(v)) => Ok(strings(vec![], std::slice::from_ref(v))),
        ("value_strings", Attr::Strings(v)) => Ok(strings(vec![v.len()], v)),
        // The elements of a sparse tensor are not spelled out.
        ("sparse_value", Attr::Other(proto)) => {
            let sparse = proto.sparse_tensor.as_ref()?;
            let shape: Option<Vec<usize>> = sparse
                .dims
                .iter()
                .map(|&d| usize::try_from(d).ok())
                .collect();
            let dtype = sparse.values.as_ref().and_then(|t| data_type(t).ok());
            dtype
                .zip(shape)
                .map(|(dtype, shape)| Tensor::without_data(dtype, shape))
                .ok_or_else(|| Gap::new("the sparse tensor has no type or shape"))
        }
        _ => return None,
    })
}

impl Operator for Constant {
    fn infer(&self, _cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::of(self.value.clone())])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::none())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let shapes = |name, attr| Case::new("Constant", 13).attr(name, attr).shapes();
        assert_eq!(shapes("value_int", Attr::Int(3)), [""]);
        assert_eq!(shapes("value_ints", Attr::Ints(vec![1, 2])), ["2"]);
        assert_eq!(shapes("value_floats", Attr::Floats(vec![1.5])), ["1"]);
        assert_eq!(shapes("value_string", Attr::String("a".into())), [""]);
        assert!(Case::new("Constant", 13).operator().is_err());
    }
}
