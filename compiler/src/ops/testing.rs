//! What the operators' unit tests share: a node and its input facts, built by hand.

use super::{Cost, Cx, Gap, Operator, Reach, find};
use crate::facts::Fact;
use crate::ir::{Attr, Attrs, DataType, Expr, Node, Tensor};

/// A float32 value of this shape: sizes and symbols apart by spaces.
pub fn fact(shape: &str) -> Fact {
    typed(DataType::Float, shape)
}

/// A value of this type and shape.
pub fn typed(dtype: DataType, shape: &str) -> Fact {
    let size = |s: &str| {
        s.parse::<i64>()
            .map_or_else(|_| Expr::symbol(s), Expr::from)
    };
    Fact::new(Some(dtype), shape.split_whitespace().map(size).collect())
}

/// A constant vector of int64.
pub fn ints(values: &[i64]) -> Fact {
    Fact::of(Tensor::from_i64(vec![values.len()], values))
}

/// A constant of this type and shape.
pub fn constant(dtype: DataType, shape: &[usize], values: &[f64]) -> Fact {
    Fact::of(Tensor::from_f64(dtype, shape.to_vec(), values).unwrap())
}

/// A constant vector of float32.
pub fn floats(values: &[f64]) -> Fact {
    constant(DataType::Float, &[values.len()], values)
}

/// A shape as text.
pub fn shape(fact: &Fact) -> String {
    let sizes = fact.shape.as_ref().map(|s| s.iter().map(Expr::to_string));
    sizes.map_or_else(|| "?".into(), |s| s.collect::<Vec<_>>().join(" "))
}

/// A node with the facts of its inputs.
pub struct Case<'a> {
    domain: &'a str,
    op: &'a str,
    opset: i64,
    attrs: Attrs,
    inputs: Vec<Option<&'a Fact>>,
    outputs: usize,
}

impl<'a> Case<'a> {
    /// A node of the standard's main set with one output; other sets as `domain::Op`.
    pub fn new(op: &'a str, opset: i64) -> Self {
        let (domain, op) = op.split_once("::").unwrap_or(("", op));
        Self {
            domain,
            op,
            opset,
            attrs: Attrs::default(),
            inputs: Vec::new(),
            outputs: 1,
        }
    }

    pub fn int(self, name: &str, v: i64) -> Self {
        self.attr(name, Attr::Int(v))
    }

    pub fn ints(self, name: &str, v: &[i64]) -> Self {
        self.attr(name, Attr::Ints(v.to_vec()))
    }

    pub fn string(self, name: &str, v: &str) -> Self {
        self.attr(name, Attr::String(v.into()))
    }

    pub fn attr(mut self, name: &str, attr: Attr) -> Self {
        self.attrs = self.attrs.with(name, attr);
        self
    }

    pub fn on(mut self, inputs: &[&'a Fact]) -> Self {
        self.inputs.extend(inputs.iter().map(|&f| Some(f)));
        self
    }

    /// Leaves an optional input out.
    pub fn skip(mut self) -> Self {
        self.inputs.push(None);
        self
    }

    pub fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    pub fn operator(&self) -> Result<Box<dyn Operator>, Gap> {
        let op = find(self.domain, self.op).unwrap_or_else(|| panic!("{} is not listed", self.op));
        let node = Node {
            name: String::new(),
            domain: self.domain.into(),
            op: self.op.into(),
            opset: self.opset,
            attrs: self.attrs.clone(),
            inputs: Vec::new(),
            outputs: vec![None; self.outputs],
            captures: Vec::new(),
            origin: None,
        };
        (op.parse)(&node, self.opset)
    }

    pub fn cx(&self) -> Cx<'a> {
        Cx {
            inputs: self.inputs.clone(),
            outputs: self.outputs,
            name: "node",
            nested: Vec::new(),
        }
    }

    pub fn infer(&self) -> Result<Vec<Fact>, Gap> {
        self.operator()?.infer(&self.cx())
    }

    /// The shapes of the outputs, as text.
    pub fn shapes(&self) -> Vec<String> {
        self.infer().unwrap().iter().map(shape).collect()
    }

    pub fn cost(&self) -> Cost {
        let operator = self.operator().unwrap();
        operator.cost(&self.cx(), &self.infer().unwrap()).unwrap()
    }

    /// MACs and FLOPs as text.
    pub fn work(&self) -> (String, String) {
        let cost = self.cost();
        (cost.macs.to_string(), cost.flops.to_string())
    }

    pub fn reach(&self) -> Result<Reach, Gap> {
        self.operator()?.reach(&self.cx(), &self.infer()?, 0)
    }

    /// The elements of the folded first output.
    pub fn fold(&self) -> Option<Vec<f64>> {
        let operator = self.operator().unwrap();
        let tensors = operator.fold(&self.cx(), &self.infer().unwrap())?;
        tensors[0].to_f64()
    }
}
