//! `Transpose`.

use super::moves::{self, offsets, strides};
use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Outside, Path, Reach, axis, same_type};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, Node, Tensor};

/// Permutes the axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transpose {
    /// For each output axis the input's; absent, the axes are reversed.
    pub perm: Option<Vec<i64>>,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(Transpose {
        perm: node.attrs.ints("perm").map(<[i64]>::to_vec),
    }))
}

impl Transpose {
    /// The permutation for a tensor of `rank`.
    ///
    /// # Errors
    /// It is not one.
    pub fn permutation(&self, rank: usize) -> Result<Vec<usize>, Gap> {
        let Some(perm) = &self.perm else {
            return Ok((0..rank).rev().collect());
        };
        let perm = perm
            .iter()
            .map(|&a| axis(a, rank))
            .collect::<Result<Vec<_>, _>>()?;
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..rank) {
            Ok(perm)
        } else {
            Err(Gap::new(format!("perm is no permutation of {rank} axes")))
        }
    }
}

impl Operator for Transpose {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let shape = cx.shape(0)?;
        let perm = self.permutation(shape.len())?;
        let shape = perm.into_iter().map(|a| shape[a].clone()).collect();
        let out = Fact::new(same_type(cx), shape);
        Ok(vec![moves::carry(cx, &[0], out, |sizes| self.plan(sizes))])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let follow = |axis| AxisReach::Follow {
            axis,
            map: Map::IDENTITY,
        };
        Ok(Reach::first(Path {
            axes: self
                .permutation(cx.shape(0)?.len())?
                .into_iter()
                .map(follow)
                .collect(),
            context: false,
            inner: Vec::new(),
            outside: Outside::Nothing,
        }))
    }

    fn fold(&self, cx: &Cx, out: &[Fact]) -> Option<Vec<Tensor>> {
        Some(vec![moves::fold(cx, &[0], &out[0], |sizes| {
            self.plan(sizes)
        })?])
    }

    fn emit(&self) -> Attrs {
        match &self.perm {
            Some(perm) => Attrs::default().with("perm", Attr::Ints(perm.clone())),
            None => Attrs::default(),
        }
    }
}

impl Transpose {
    fn plan(&self, sizes: &[usize]) -> Option<Vec<usize>> {
        let perm = self.permutation(sizes.len()).ok()?;
        let mut input = vec![1; sizes.len()];
        for (&a, &size) in perm.iter().zip(sizes) {
            input[a] = size;
        }
        let strides = strides(&input);
        let tables: Vec<Vec<usize>> = perm
            .iter()
            .zip(sizes)
            .map(|(&a, &size)| (0..size).map(|p| p.saturating_mul(strides[a])).collect())
            .collect();
        Some(offsets(&tables))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact};
    use crate::ir::DataType;

    #[test]
    fn axes_move_with_their_elements() {
        let x = fact("N 3 H W");
        let case = Case::new("Transpose", 13)
            .ints("perm", &[0, 2, 3, 1])
            .on(&[&x]);
        assert_eq!(case.shapes(), ["N H W 3"]);
        let path = case.reach().unwrap().0[0].clone().unwrap();
        assert_eq!(path.follower(1).map(|f| f.0), Some(3));
        assert!(
            Case::new("Transpose", 1)
                .ints("perm", &[0, 0, 1, 2])
                .on(&[&x])
                .infer()
                .is_err()
        );
        let y = constant(DataType::Int8, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let reversed = Case::new("Transpose", 1).on(&[&y]);
        assert_eq!(reversed.shapes(), ["3 2"]);
        assert_eq!(reversed.fold().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
