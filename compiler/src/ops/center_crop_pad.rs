//! `CenterCropPad` (opset 18 on): crops or pads with zeros about the centre.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// Input, and the target sizes of `axes` (all where absent).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CenterCropPad {
    axes: Option<Vec<i64>>,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let axes = node.attrs.ints("axes").map(<[i64]>::to_vec);
    Ok(Box::new(CenterCropPad { axes }))
}

impl Operator for CenterCropPad {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let mut shape = cx.shape(0)?.to_vec();
        let axes: Vec<usize> = match &self.axes {
            Some(axes) => axes
                .iter()
                .map(|&a| axis(a, shape.len()))
                .collect::<Result<_, _>>()?,
            None => (0..shape.len()).collect(),
        };
        let sizes = cx.ints(1).ok().flatten();
        if let Some(sizes) = &sizes
            && sizes.len() != axes.len()
        {
            return Err(Gap::new(format!(
                "{} sizes for {} axes",
                sizes.len(),
                axes.len()
            )));
        }
        for (i, &axis) in axes.iter().enumerate() {
            shape[axis] = match &sizes {
                Some(sizes) => sizes[i].clone(),
                None => cx.unknown(axis),
            };
        }
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let (input, output) = (cx.shape(0)?, out[0].known_shape()?);
        let mut path = Path::pointwise(output.len());
        for (axis, (i, o)) in input.iter().zip(output).enumerate() {
            let more = (i.clone() - o.clone())
                .as_i64()
                .ok_or_else(|| Gap::new("the centre depends on a symbolic size"))?;
            // The odd element is cut or added at the end.
            let map = Map::shift(more / 2, 1);
            path.axes[axis] = AxisReach::Follow { axis, map };
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 1 { Role::Config } else { Role::Data }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact, ints};

    #[test]
    fn the_odd_one_is_at_the_end() {
        let (x, size) = (fact("3 10 7"), ints(&[7, 10]));
        let case = Case::new("CenterCropPad", 18)
            .ints("axes", &[1, -1])
            .on(&[&x, &size]);
        assert_eq!(case.shapes(), ["3 7 10"]);
        let reach = case.reach().unwrap();
        let first = |axis| {
            let (_, map) = reach.0[0].as_ref().unwrap().follower(axis).unwrap();
            map.back(0, 0).0
        };
        assert_eq!((first(1), first(2)), (1, -1));
    }
}
