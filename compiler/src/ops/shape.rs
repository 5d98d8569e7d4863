//! `Shape` and `Size`: where symbolic sizes become elements.

use super::{Cost, Cx, Gap, Operator, Reach, Role};
use crate::facts::Fact;
use crate::ir::{DataType, Node};

/// The sizes of a tensor as elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShapeOf {
    /// One element an axis, from `start` to before `end` (opset 15 on).
    Shape {
        /// The first axis.
        start: i64,
        /// The axis after the last.
        end: Option<i64>,
    },
    /// Their product.
    Size,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "Size" => ShapeOf::Size,
        _ => ShapeOf::Shape {
            start: node.attrs.int("start").unwrap_or(0),
            end: node.attrs.int("end"),
        },
    }))
}

/// A bound of a range of axes, counted from the end if negative, clamped.
fn clamp(bound: i64, rank: usize) -> usize {
    let rank_signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let bound = if bound < 0 {
        bound.saturating_add(rank_signed)
    } else {
        bound
    };
    usize::try_from(bound.max(0)).unwrap_or(rank).min(rank)
}

impl Operator for ShapeOf {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        Ok(vec![match self {
            Self::Size => {
                Fact::new(Some(DataType::Int64), Vec::new()).with_ints(vec![shape.iter().product()])
            }
            Self::Shape { start, end } => {
                let first = clamp(*start, shape.len());
                let last = end.map_or(shape.len(), |e| clamp(e, shape.len()));
                let sizes = shape.get(first..last).unwrap_or_default().to_vec();
                Fact::new(Some(DataType::Int64), vec![sizes.len().into()]).with_ints(sizes)
            }
        }])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Ok(Reach::none())
    }

    fn role(&self, _slot: usize) -> Role {
        Role::Config
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use crate::facts::Fact;
    use crate::ir::{DataType, Expr};

    fn run(op: &str, inputs: &[&Fact]) -> Fact {
        let case = Case::new(op, 17).on(inputs);
        let mut out = case.infer().unwrap();
        let folded = match out[0].is_constant() {
            true => None,
            false => case.operator().unwrap().fold(&case.cx(), &out),
        };
        folded.map_or_else(|| out.remove(0), |mut t| Fact::of(t.remove(0)))
    }

    fn text(fact: &Fact) -> Vec<String> {
        fact.ints().unwrap().iter().map(Expr::to_string).collect()
    }

    #[test]
    fn a_range_of_axes() {
        let x = fact("N 3 H W");
        let some = Case::new("Shape", 15)
            .int("start", -2)
            .on(&[&x])
            .infer()
            .unwrap();
        assert_eq!(text(&some[0]), ["H", "W"]);
        let none = Case::new("Shape", 15)
            .int("start", 3)
            .int("end", 1)
            .on(&[&x]);
        assert_eq!(none.shapes(), ["0"]);
        assert_eq!(text(&run("Size", &[&x])), ["3*H*N*W"]);
    }

    /// Shape, Slice, Cast, Mul, Floor, Cast, Concat: how interpolation to half
    /// the size was exported.
    #[test]
    fn half_a_size_is_followed_through_floats() {
        let x = fact("N 3 H W");
        let shape = run("Shape", &[&x]);
        let (two, four, one) = (ints(&[2]), ints(&[4]), ints(&[0]));
        let plane = run("Slice", &[&shape, &two, &four, &one]);
        let cast = |to: DataType, v| {
            Case::new("Cast", 17)
                .int("to", to as i64)
                .on(&[v])
                .infer()
                .unwrap()
                .remove(0)
        };
        let scale = constant(DataType::Float, &[], &[0.5]);
        let halved = run(
            "Floor",
            &[&run("Mul", &[&cast(DataType::Float, &plane), &scale])],
        );
        let sizes = cast(DataType::Int64, &halved);
        assert_eq!(text(&sizes), ["floor((H)/2)", "floor((W)/2)"]);
        let batch = ints(&[1]);
        let joined = Case::new("Concat", 17)
            .int("axis", 0)
            .on(&[&batch, &sizes])
            .infer()
            .unwrap();
        assert_eq!(text(&joined[0]), ["1", "floor((H)/2)", "floor((W)/2)"]);
    }

    /// Floor division as it is exported with a correction for negative numbers.
    #[test]
    fn a_correction_for_negative_sizes_drops_out() {
        let x = fact("N 3 H W");
        let index = constant(DataType::Int64, &[], &[2.0]);
        let h = run("Gather", &[&run("Shape", &[&x]), &index]);
        let (two, zero, one) = (
            constant(DataType::Int64, &[], &[2.0]),
            constant(DataType::Int64, &[], &[0.0]),
            constant(DataType::Int64, &[], &[1.0]),
        );
        let quotient = run("Div", &[&h, &two]);
        let negative = run(
            "Xor",
            &[&run("Less", &[&h, &zero]), &run("Less", &[&two, &zero])],
        );
        let whole = run("Equal", &[&run("Mod", &[&h, &two]), &zero]);
        let mask = run("And", &[&negative, &run("Not", &[&whole])]);
        let fixed = run(
            "Where",
            &[&mask, &run("Sub", &[&quotient, &one]), &quotient],
        );
        assert_eq!(text(&fixed), ["floor((H)/2)"]);
    }

    /// -1 in the shape of an Expand stands for the tensor's own size.
    #[test]
    fn a_size_is_never_minus_one() {
        let x = fact("N 3 H W");
        let shape = run("Shape", &[&x]);
        let (minus, ones) = (ints(&[-1, -1, -1, -1]), ints(&[1, 1, 1, 1]));
        let wanted = run("Where", &[&run("Equal", &[&shape, &minus]), &ones, &shape]);
        assert_eq!(text(&wanted), ["N", "3", "H", "W"]);
        let count = Case::new("ReduceProd", 17)
            .int("keepdims", 0)
            .on(&[&wanted])
            .infer()
            .unwrap();
        assert_eq!(text(&count[0]), ["3*H*N*W"]);
    }
}
