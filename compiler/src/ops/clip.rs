//! `Clip`: limits as attributes before opset 11, as inputs from then on.

use super::elementwise::{self, Arithmetic};
use super::moves::scalar;
use super::{Cost, Cx, Gap, Gate, Operator, Path, Reach, Role, output_shape, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Node, Tensor};

/// Limits the elements to a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clip {
    /// The least value, where an attribute gives it.
    pub min: Option<f32>,
    /// The greatest value, where an attribute gives it.
    pub max: Option<f32>,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let limit = |name| (opset < 11).then(|| node.attrs.float(name)).flatten();
    Ok(Box::new(Clip {
        min: limit("min"),
        max: limit("max"),
    }))
}

impl Clip {
    /// The limits, infinite where none is given; `None` where one is computed
    /// at run time.
    pub fn range(&self, cx: &Cx) -> Option<(f64, f64)> {
        let limit = |slot: usize, attribute: Option<f32>, open: f64| match cx.optional(slot) {
            Some(fact) => scalar(fact),
            None => Some(attribute.map_or(open, f64::from)),
        };
        Some((
            limit(1, self.min, f64::NEG_INFINITY)?,
            limit(2, self.max, f64::INFINITY)?,
        ))
    }
}

impl Operator for Clip {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        Ok(vec![Fact::new(same_type(cx), cx.shape(0)?.to_vec())])
    }

    fn cost(&self, _cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::pointwise(output_shape(out, 0)?, 1))
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::first(Path::pointwise(cx.shape(0)?.len())))
    }

    fn gate(&self, cx: &Cx) -> Option<Gate> {
        let (low, high) = self.range(cx)?;
        Some(Gate::Range {
            low,
            high,
            slope: 0.0,
        })
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let (min, max) = self.range(cx)?;
        let data = cx.optional(0)?.tensor()?;
        let shape = data.shape.clone();
        let on = Arithmetic {
            ints: |v: &[i64]| Some(v[0].max(min as i64).min(max as i64)),
            floats: |v: &[f64]| Some(v[0].max(min).min(max)),
        };
        Some(vec![elementwise::fold(&[(data, shape)], &out[0], &on)?])
    }

    fn emit(&self) -> Attrs {
        let mut attrs = Attrs::default();
        for (name, limit) in [("min", self.min), ("max", self.max)] {
            if let Some(limit) = limit {
                attrs = attrs.with(name, Attr::Float(limit));
            }
        }
        attrs
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, floats};
    use super::*;
    use crate::ir::DataType;

    #[test]
    fn limits_are_attributes_or_inputs() {
        let x = floats(&[-3.0, 1.0, 9.0]);
        let six = constant(DataType::Float, &[], &[6.0]);
        let old = Case::new("Clip", 6).attr("max", Attr::Float(6.0)).on(&[&x]);
        assert_eq!(old.fold().unwrap(), [-3.0, 1.0, 6.0]);
        let new = Case::new("Clip", 13).on(&[&x]).skip().on(&[&six]);
        assert_eq!(new.fold().unwrap(), [-3.0, 1.0, 6.0]);
        let clip = Clip::default();
        assert_eq!(clip.range(&new.cx()), Some((f64::NEG_INFINITY, 6.0)));
    }
}
