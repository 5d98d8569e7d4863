//! `Pad`: amounts as an attribute (`paddings` in opset 1, `pads` to 10), as an
//! input (11 on), for some axes only (18 on).

use super::moves::{self, offsets, sizes, strides};
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Outside, Path, Reach, Role, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, FOLD_LIMIT, Node, Tensor};

/// What stands in the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// One value.
    Constant,
    /// The input mirrored, its edge not repeated.
    Reflect,
    /// The edge repeated.
    Edge,
    /// The input from the other end.
    Wrap,
}

/// Adds (or, where negative, removes) a border.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// What stands in the border.
    pub mode: PadMode,
    /// All begins, then all ends, where an attribute gives them.
    pub pads: Option<Vec<i64>>,
    /// The value of a constant border, where an attribute gives it.
    pub value: f32,
}

/// Reads the node.
///
/// # Errors
/// The mode is not one of the standard's.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let pads = attrs.ints("pads").or_else(|| attrs.ints("paddings"));
    Ok(Box::new(Pad {
        mode: match attrs.string("mode").unwrap_or("constant") {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            "wrap" => PadMode::Wrap,
            other => return Err(Gap::new(format!("mode {other:?} is not known"))),
        },
        pads: pads.map(<[i64]>::to_vec),
        value: attrs.float("value").unwrap_or(0.0),
    }))
}

impl Pad {
    /// Positions added before and after, for each axis of the input.
    ///
    /// # Errors
    /// Their number does not fit the rank, or they are computed at run time.
    pub fn amounts(&self, cx: &Cx) -> Result<Vec<(Expr, Expr)>, Gap> {
        let rank = cx.shape(0)?.len();
        let pads: Vec<Expr> = match &self.pads {
            Some(pads) => pads.iter().map(|&p| p.into()).collect(),
            None => cx
                .ints(1)?
                .ok_or_else(|| Gap::new("the pads are missing"))?,
        };
        let axes = match cx.ints(3)? {
            Some(axes) => axes
                .iter()
                .map(|a| {
                    let a = a.as_i64().ok_or_else(|| Gap::new("an axis is no number"))?;
                    axis(a, rank)
                })
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(Gap::new(format!(
                "{} pads for {} axes; two an axis are needed",
                pads.len(),
                axes.len()
            )));
        }
        let mut amounts = vec![(Expr::default(), Expr::default()); rank];
        for (i, &at) in axes.iter().enumerate() {
            amounts[at] = (pads[i].clone(), pads[i + axes.len()].clone());
        }
        Ok(amounts)
    }

    /// The value of a constant border; `None` where it is computed at run time.
    pub fn border(&self, cx: &Cx) -> Option<f64> {
        match cx.optional(2) {
            Some(fact) => moves::scalar(fact),
            None => Some(self.value.into()),
        }
    }

    /// The input position at a distance from the input's first, outside too;
    /// `None` in a constant border.
    fn source(&self, at: i64, size: i64) -> Option<Option<i64>> {
        let outside = self.outside();
        let empty = size == 0 && outside != Outside::Nothing;
        (!empty).then(|| outside.position(at, size))
    }

    fn outside(&self) -> Outside {
        match self.mode {
            PadMode::Constant => Outside::Nothing,
            PadMode::Edge => Outside::Edge,
            PadMode::Wrap => Outside::Wrap,
            PadMode::Reflect => Outside::Mirror,
        }
    }

    /// Positions in the input; those of the border are beyond its end.
    fn plan(&self, cx: &Cx, out: &[usize]) -> Option<Vec<usize>> {
        let input = sizes(cx.shape(0).ok()?)?;
        let border = moves::count(&input)?;
        let strides = strides(&input);
        let mut tables = Vec::with_capacity(out.len());
        for (i, (begin, _)) in self.amounts(cx).ok()?.iter().enumerate() {
            let (begin, size) = (begin.as_i64()?, i64::try_from(input[i]).ok()?);
            let table = (0..out[i]).map(|p| {
                let at = i64::try_from(p).ok()?.checked_sub(begin)?;
                Some(match self.source(at, size)? {
                    Some(position) => usize::try_from(position).ok()?.checked_mul(strides[i])?,
                    None => usize::MAX,
                })
            });
            tables.push(table.collect::<Option<Vec<_>>>()?);
        }
        let mut positions = offsets(&tables);
        for p in &mut positions {
            *p = (*p).min(border);
        }
        Some(positions)
    }
}

impl Operator for Pad {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        let amounts = match (self.amounts(cx), &self.pads) {
            (Err(gap), Some(_)) => return Err(gap),
            (amounts, _) => amounts.ok(),
        };
        let shape = (0..shape.len()).map(|i| match &amounts {
            Some(amounts) => shape[i].clone() + amounts[i].0.clone() + amounts[i].1.clone(),
            None => cx.unknown(i),
        });
        Ok(vec![Fact::new(same_type(cx), shape.collect())])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    /// The local path; that a mirrored or wrapped border reads further inside
    /// is left out, as a border of zeros is.
    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let amounts = self.amounts(cx)?;
        let mut path = Path {
            outside: self.outside(),
            ..Path::pointwise(amounts.len())
        };
        for (axis, (begin, _)) in amounts.iter().enumerate() {
            let begin = begin
                .as_i64()
                .ok_or_else(|| Gap::new("the pads are symbolic; give --input-shape"))?;
            path.axes[axis] = AxisReach::Follow {
                axis,
                map: Map::shift(begin.saturating_neg(), 1),
            };
        }
        Ok(Reach::first(path))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        let data = cx.optional(0)?.tensor()?;
        let sizes = sizes(out[0].shape.as_ref()?)?;
        let n = moves::count(&sizes)?;
        if data.len()? > FOLD_LIMIT || n > FOLD_LIMIT {
            return None;
        }
        let border = Tensor::from_f64(data.dtype, vec![1], &[self.border(cx)?])?;
        let border = Fact::of(border);
        let pool = Cx {
            inputs: vec![cx.optional(0), Some(&border)],
            outputs: 1,
            name: cx.name,
            nested: Vec::new(),
        };
        let positions = |sizes: &[usize]| self.plan(cx, sizes);
        Some(vec![moves::fold(&pool, &[0, 1], &out[0], positions)?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints};
    use super::*;
    use crate::ir::DataType;

    #[test]
    fn amounts_of_every_version() {
        let x = fact("N 3 H 8");
        let (pads, axes) = (ints(&[1, 2, 0, -1]), ints(&[2, -1]));
        let old = Case::new("Pad", 2)
            .ints("pads", &[0, 0, 1, 2, 0, 0, 0, -1])
            .on(&[&x]);
        assert_eq!(old.shapes(), ["N 3 H + 1 9"]);
        let new = Case::new("Pad", 18).on(&[&x, &pads]).skip().on(&[&axes]);
        assert_eq!(new.shapes(), ["N 3 H + 1 9"]);
        let path = new.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.follower(3), Some((3, Map::shift(-2, 1))));
        let open = fact("8");
        assert_eq!(
            Case::new("Pad", 13).on(&[&x, &open]).infer().unwrap()[0]
                .shape
                .as_ref()
                .unwrap()
                .len(),
            4
        );
        assert!(
            Case::new("Pad", 2)
                .ints("pads", &[1])
                .on(&[&x])
                .infer()
                .is_err()
        );
    }

    #[test]
    fn borders() {
        let x = constant(DataType::Float, &[3], &[1.0, 2.0, 3.0]);
        let (pads, seven) = (ints(&[2, 4]), constant(DataType::Float, &[], &[7.0]));
        let fold = |mode| {
            let case = Case::new("Pad", 19).string("mode", mode);
            case.on(&[&x, &pads, &seven]).fold().unwrap()
        };
        assert_eq!(
            fold("constant"),
            [7.0, 7.0, 1.0, 2.0, 3.0, 7.0, 7.0, 7.0, 7.0]
        );
        assert_eq!(fold("edge"), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]);
        assert_eq!(
            fold("reflect"),
            [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(fold("wrap"), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    }
}
