//! `Gemm` (opset 1 on): a matrix product with a bias, the fully connected layer
//! of most exporters; with it its fused and quantized forms.

use super::reach::broadcast_path;
use super::{
    Affine, AxisReach, Cost, Cx, Gap, Map, Operator, Outside, Path, Reach, Role, same_type, type_of,
};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, DataType, Node, Shape};

/// alpha · A·B + beta · C: A (M, K), B (K, N), each transposed where told, and
/// C broadcast to (M, N).
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the bias.
    pub beta: f32,
    /// A is (K, M).
    pub trans_a: bool,
    /// B is (N, K): how PyTorch keeps its weights.
    pub trans_b: bool,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    /// An activation follows.
    Fused,
    /// A, B and C each with scale and zero point, `QGemm`.
    Quantized,
}

/// Reads the node.
///
/// # Errors
/// None.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    Ok(Box::new(Gemm {
        alpha: attrs.float("alpha").unwrap_or(1.0),
        beta: attrs.float("beta").unwrap_or(1.0),
        trans_a: attrs.int("transA").unwrap_or(0) != 0,
        trans_b: attrs.int("transB").unwrap_or(0) != 0,
        form: match node.op.as_str() {
            "FusedGemm" => Form::Fused,
            "QGemm" => Form::Quantized,
            _ => Form::Plain,
        },
    }))
}

impl Gemm {
    /// Positions of A, B and C.
    fn slots(&self) -> [usize; 3] {
        match self.form {
            Form::Quantized => [0, 3, 6],
            _ => [0, 1, 2],
        }
    }

    /// M, K, N.
    fn sizes(&self, cx: &Cx) -> Result<Shape, Gap> {
        let [a, b, _] = self.slots();
        let (a, b) = (cx.shape(a)?, cx.shape(b)?);
        let (&[a0, a1], &[b0, b1]) = (
            &a.iter().collect::<Vec<_>>()[..],
            &b.iter().collect::<Vec<_>>()[..],
        ) else {
            return Err(Gap::new(format!(
                "operands of rank {} and {}; matrices are needed",
                a.len(),
                b.len()
            )));
        };
        let (m, k) = if self.trans_a { (a1, a0) } else { (a0, a1) };
        let (k2, n) = if self.trans_b { (b1, b0) } else { (b0, b1) };
        if let (Some(x), Some(y)) = (k.as_const(), k2.as_const())
            && x != y
        {
            return Err(Gap::new(format!("A has {x} columns, B has {y} rows")));
        }
        let k = if k.as_const().is_some() { k } else { k2 };
        Ok(vec![m.clone(), k.clone(), n.clone()])
    }
}

impl Operator for Gemm {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let sizes = self.sizes(cx)?;
        let dtype = match self.form {
            // Without a scale for the output it stays a float.
            Form::Quantized if cx.optional(7).is_none() => Some(DataType::Float),
            Form::Quantized => type_of(cx, 8),
            _ => same_type(cx),
        };
        Ok(vec![Fact::new(
            dtype,
            vec![sizes[0].clone(), sizes[2].clone()],
        )])
    }

    /// M·K·N MACs, and an addition an output for a bias.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let macs = self.sizes(cx)?.iter().product::<crate::ir::Expr>();
        let outputs = out[0].known_shape()?.iter().product::<crate::ir::Expr>();
        let mut flops = macs.clone() * 2.into();
        if cx.optional(self.slots()[2]).is_some() {
            flops += outputs.clone();
        }
        if self.form == Form::Fused {
            flops += outputs;
        }
        Ok(Cost { macs, flops })
    }

    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let follow = |axis| AxisReach::Follow {
            axis,
            map: Map::IDENTITY,
        };
        let local = |axes| {
            Some(Path {
                axes,
                context: false,
                inner: Vec::new(),
                outside: Outside::Nothing,
            })
        };
        let [a, b, c] = self.slots();
        let mut paths = vec![None; c + 1];
        paths[a] = local(vec![follow(usize::from(self.trans_a)), AxisReach::Free]);
        paths[b] = local(vec![AxisReach::Free, follow(usize::from(!self.trans_b))]);
        if cx.optional(c).is_some() {
            paths[c] = Some(broadcast_path(cx.shape(c)?, out[0].known_shape()?));
        }
        Ok(Reach(paths))
    }

    fn role(&self, slot: usize) -> Role {
        let [a, b, c] = self.slots();
        match slot {
            s if s == a || s == b => Role::Weight,
            s if s == c => Role::Bias,
            _ => Role::Config,
        }
    }

    #[allow(clippy::float_cmp)]
    fn affine(&self, _cx: &Cx) -> Option<Affine> {
        let plain = self.form == Form::Plain && !self.trans_a;
        (plain && self.alpha == 1.0 && self.beta == 1.0).then_some(Affine {
            inputs_first: !self.trans_b,
            biased: "Gemm",
        })
    }

    fn emit(&self) -> Attrs {
        let mut attrs = Attrs::default();
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            #[allow(clippy::float_cmp)]
            if value != 1.0 {
                attrs = attrs.with(name, Attr::Float(value));
            }
        }
        for (name, set) in [("transA", self.trans_a), ("transB", self.trans_b)] {
            if set {
                attrs = attrs.with(name, Attr::Int(1));
            }
        }
        attrs
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn a_classifier() {
        let (x, w, b) = (fact("N 512"), fact("1000 512"), fact("1000"));
        let case = Case::new("Gemm", 13).int("transB", 1).on(&[&x, &w, &b]);
        assert_eq!(case.shapes(), ["N 1000"]);
        assert_eq!(case.work(), ("512000*N".into(), "1025000*N".into()));
        let reach = case.reach().unwrap();
        assert_eq!(reach.0[0].as_ref().unwrap().follower(1), None);
        assert!(Case::new("Gemm", 13).on(&[&x, &w]).infer().is_err());
    }
}
