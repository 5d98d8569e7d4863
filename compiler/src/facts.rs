//! Propagates facts (element type, shape, constants) through a graph; names no
//! operator.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::{DataType, Expr, Graph, GraphError, Node, NodeId, Ratio, Shape, Tensor, ValueId};
use crate::ops::{self, Cx, Gap, Operator, Role};

/// Integer constants up to this many elements are followed symbolically.
const MAX_INTS: usize = 4096;
/// Graphs nested deeper than this are a gap.
const MAX_NESTING: usize = 32;

/// What is known of a value.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// Element type.
    pub dtype: Option<DataType>,
    /// Shape, symbolic where the model is; `None` where not even the rank is known.
    pub shape: Option<Shape>,
    /// The elements, where they do not depend on the inputs.
    pub constant: Option<Constant>,
    /// The constant tensors that the elements come from.
    pub roots: Vec<Arc<Root>>,
    /// Whether trained weights have flowed in: constants before that are
    /// pre-processing, constants after it are parameters.
    pub weighted: bool,
}

/// Elements that do not depend on the inputs.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A tensor (its data may be absent).
    Tensor(Arc<Tensor>),
    /// Integers that may hold symbols (arithmetic on shapes), row-major.
    Ints(Arc<[Expr]>),
    /// Fractions of symbols (arithmetic on shapes as floats), row-major.
    Ratios(Arc<[Ratio]>),
}

/// A constant tensor as the model holds it, the unit in which weights are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Root {
    /// Name of the initializer or of the output that makes it, with the names
    /// of the enclosing nodes where it is inside a subgraph.
    pub name: String,
    /// Elements.
    pub elements: u64,
    /// Bytes that the elements take.
    pub bytes: u64,
}

impl Fact {
    /// A value of this type and shape.
    pub fn new(dtype: Option<DataType>, shape: Shape) -> Self {
        Self {
            dtype,
            shape: Some(shape),
            ..Self::default()
        }
    }

    /// A value of which only the type is known.
    pub fn unranked(dtype: Option<DataType>) -> Self {
        Self {
            dtype,
            ..Self::default()
        }
    }

    /// A constant.
    pub fn of(tensor: Tensor) -> Self {
        Self {
            dtype: Some(tensor.dtype),
            shape: Some(tensor.dims()),
            constant: Some(Constant::Tensor(Arc::new(tensor))),
            ..Self::default()
        }
    }

    /// The fact with integer elements that may hold symbols.
    #[must_use]
    pub fn with_ints(mut self, ints: Vec<Expr>) -> Self {
        if ints.len() <= MAX_INTS {
            self.constant = Some(Constant::Ints(ints.into()));
        }
        self
    }

    /// The fact with elements that may be fractions of symbols.
    #[must_use]
    pub fn with_ratios(mut self, ratios: Vec<Ratio>) -> Self {
        let ints: Option<Vec<Expr>> = ratios.iter().map(|r| r.as_expr().cloned()).collect();
        match ints {
            Some(ints) => self.with_ints(ints),
            None => {
                if ratios.len() <= MAX_INTS {
                    self.constant = Some(Constant::Ratios(ratios.into()));
                }
                self
            }
        }
    }

    /// The shape.
    ///
    /// # Errors
    /// The rank is not known.
    pub fn known_shape(&self) -> Result<&[Expr], Gap> {
        self.shape
            .as_deref()
            .ok_or_else(|| Gap::new("the rank of the output is not known"))
    }

    /// The elements of a small integer constant, which may hold symbols.
    pub fn ints(&self) -> Option<Vec<Expr>> {
        match self.constant.as_ref()? {
            Constant::Ints(v) => Some(v.to_vec()),
            Constant::Tensor(t) if t.len()? <= MAX_INTS => {
                Some(t.to_i64()?.into_iter().map(Expr::from).collect())
            }
            Constant::Tensor(_) | Constant::Ratios(_) => None,
        }
    }

    /// The elements of a small constant as exact fractions.
    pub fn ratios(&self) -> Option<Vec<Ratio>> {
        match self.constant.as_ref()? {
            Constant::Ratios(v) => Some(v.to_vec()),
            Constant::Tensor(t) if t.is_float() && t.len()? <= MAX_INTS => {
                t.to_f64()?.into_iter().map(Ratio::from_f64).collect()
            }
            _ => Some(self.ints()?.into_iter().map(Ratio::from).collect()),
        }
    }

    /// Whether the elements are known and hold symbols.
    pub fn is_symbolic(&self) -> bool {
        match &self.constant {
            Some(Constant::Ints(v)) => v.iter().any(|e| e.as_const().is_none()),
            Some(Constant::Ratios(_)) => true,
            _ => false,
        }
    }

    /// The elements as a tensor, where they are numbers.
    pub fn tensor(&self) -> Option<Arc<Tensor>> {
        match self.constant.as_ref()? {
            Constant::Tensor(t) => Some(t.clone()),
            Constant::Ints(v) => {
                let ints: Option<Vec<i64>> = v.iter().map(Expr::as_i64).collect();
                let shape: Option<Vec<usize>> =
                    self.shape.as_ref()?.iter().map(Expr::as_usize).collect();
                let mut tensor = Tensor::from_i64(shape?, &ints?);
                if let Some(t) = self.dtype
                    && t != DataType::Int64
                {
                    tensor = Tensor::from_f64(t, tensor.shape.clone(), &tensor.to_f64()?)?;
                }
                Some(Arc::new(tensor))
            }
            Constant::Ratios(v) => {
                let values: Option<Vec<f64>> = v.iter().map(Ratio::as_f64).collect();
                let shape: Option<Vec<usize>> =
                    self.shape.as_ref()?.iter().map(Expr::as_usize).collect();
                Tensor::from_f64(self.dtype?, shape?, &values?).map(Arc::new)
            }
        }
    }

    /// Whether the elements do not depend on the inputs (they may still be absent).
    pub fn is_constant(&self) -> bool {
        self.constant.is_some()
    }

    /// The bytes that the value takes.
    pub fn bytes(&self) -> Option<Expr> {
        let elements: Expr = self.shape.as_ref()?.iter().product();
        let bits = crate::onnx::bit_width(self.dtype?)?;
        Some((elements * bits.into()).ceil_div(8))
    }
}

/// What the facts of a graph depend on besides the graph.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Shapes given by the user for graph inputs, by name.
    pub input_shapes: HashMap<String, Vec<i64>>,
    /// Facts of the values taken from enclosing graphs, by name.
    pub outer: HashMap<String, Fact>,
    /// Facts of the inputs of a subgraph, by position.
    pub inputs: Vec<Fact>,
    /// Names of the enclosing nodes.
    pub path: Vec<String>,
}

/// All that is known of a graph.
#[derive(Debug, Default)]
pub struct Facts {
    values: HashMap<ValueId, Fact>,
    operators: HashMap<NodeId, Box<dyn Operator>>,
    gaps: HashMap<NodeId, Gap>,
    nested: HashMap<NodeId, Vec<Nested>>,
    /// The nodes so that each comes after what it reads.
    pub sorted: Vec<NodeId>,
}

/// A subgraph of a node, with its facts.
#[derive(Debug)]
pub struct Nested {
    /// Name of the attribute that holds it.
    pub attribute: String,
    /// The subgraph.
    pub graph: Arc<Graph>,
    /// Its facts.
    pub facts: Facts,
    /// How often one execution of the node runs it.
    pub repeats: Expr,
}

impl Facts {
    /// Computes the facts of a graph.
    ///
    /// # Errors
    /// A cycle.
    pub fn infer(graph: &Graph, scope: &Scope) -> Result<Self, GraphError> {
        let mut facts = Self {
            sorted: graph.sorted()?,
            ..Self::default()
        };
        facts.seed(graph, scope);
        for node in facts.sorted.clone() {
            facts.visit(graph, scope, node)?;
        }
        Ok(facts)
    }

    fn seed(&mut self, graph: &Graph, scope: &Scope) {
        for (id, value) in graph.values() {
            if let Some(tensor) = &value.initializer {
                let mut fact = Fact::of(tensor.clone());
                fact.roots = vec![Arc::new(root(scope, &value.name, &fact))];
                self.values.insert(id, fact);
            } else if let Some(fact) = scope.outer.get(&value.name)
                && graph.captured.contains(&id)
            {
                self.values.insert(id, fact.clone());
            }
        }
        for (i, &id) in graph.inputs.iter().enumerate() {
            let value = graph.value(id);
            let declared = value.declared.clone().unwrap_or_default();
            let mut fact = Fact {
                dtype: declared.dtype,
                shape: declared.shape,
                ..Fact::default()
            };
            if let Some(bound) = scope.inputs.get(i) {
                fact = refine(bound.clone(), &fact);
            }
            if let Some(shape) = scope.input_shapes.get(&value.name) {
                fact.shape = Some(shape.iter().map(|&d| d.into()).collect());
            }
            self.values.insert(id, fact);
        }
    }

    fn visit(&mut self, graph: &Graph, scope: &Scope, id: NodeId) -> Result<(), GraphError> {
        let node = graph.node(id);
        let name = graph.node_name(id);
        let parsed = parse(node);
        let (operator, mut outputs) = match parsed {
            Ok(operator) => {
                self.nest(graph, scope, id, operator.as_ref())?;
                let outputs = self.outputs(graph, id, &name, operator.as_ref());
                (Some(operator), outputs)
            }
            Err(gap) => (None, Err(gap)),
        };
        if let (Ok(facts), Some(operator)) = (&mut outputs, &operator) {
            self.inherit(graph, scope, id, operator.as_ref(), facts);
        }
        let facts = outputs.unwrap_or_else(|gap| {
            self.gaps.insert(id, gap);
            Vec::new()
        });
        let weighted = self.inputs(graph, id).flatten().any(|f| f.weighted);
        let mut facts = facts.into_iter();
        for &output in &node.outputs {
            let inferred = facts.next();
            let Some(output) = output else { continue };
            let declared = graph.value(output).declared.clone().unwrap_or_default();
            let claim = Fact {
                dtype: declared.dtype,
                shape: declared.shape,
                ..Fact::default()
            };
            let fact = match inferred {
                Some(fact) => refine(fact, &claim),
                None => Fact { weighted, ..claim },
            };
            self.values.insert(output, fact);
        }
        if let Some(operator) = operator {
            self.operators.insert(id, operator);
        }
        Ok(())
    }

    /// Facts of the outputs, constants folded.
    fn outputs(
        &self,
        graph: &Graph,
        id: NodeId,
        name: &str,
        operator: &dyn Operator,
    ) -> Result<Vec<Fact>, Gap> {
        let cx = self.cx(graph, id, name);
        let mut facts = operator.infer(&cx)?;
        let constant = facts.iter().all(|f| !f.is_constant())
            && cx.inputs.iter().flatten().all(|f| f.is_constant())
            && !self.nested.contains_key(&id);
        if constant {
            if let Some(tensors) = operator.fold(&cx, &facts) {
                facts = tensors.into_iter().map(Fact::of).collect();
            } else if cx.inputs.iter().flatten().next().is_some() {
                for fact in &mut facts {
                    fact.constant = absent(fact);
                }
            }
        }
        Ok(facts)
    }

    /// What flows from inputs to outputs besides type and shape.
    fn inherit(
        &self,
        graph: &Graph,
        scope: &Scope,
        id: NodeId,
        operator: &dyn Operator,
        facts: &mut [Fact],
    ) {
        let node = graph.node(id);
        let mut roots: Vec<Arc<Root>> = Vec::new();
        let mut weighted = false;
        for (slot, fact) in self.inputs(graph, id).enumerate() {
            let Some(fact) = fact else { continue };
            let role = operator.role(slot);
            weighted |= fact.weighted || (role == Role::Weight && fact.is_constant());
            if role != Role::Config {
                for root in &fact.roots {
                    if !roots.contains(root) {
                        roots.push(root.clone());
                    }
                }
            }
        }
        for (fact, output) in facts.iter_mut().zip(&node.outputs) {
            if fact.is_constant() {
                fact.roots.clone_from(&roots);
                if fact.roots.is_empty()
                    && let Some(output) = *output
                {
                    let name = &graph.value(output).name;
                    fact.roots = vec![Arc::new(root(scope, name, fact))];
                }
            } else {
                fact.weighted = weighted;
            }
        }
    }

    /// Enters the subgraphs of a node.
    fn nest(
        &mut self,
        graph: &Graph,
        scope: &Scope,
        id: NodeId,
        operator: &dyn Operator,
    ) -> Result<(), GraphError> {
        let node = graph.node(id);
        let name = graph.node_name(id);
        let mut nested = Vec::new();
        for (attribute, subgraph) in node.attrs.graphs() {
            if scope.path.len() >= MAX_NESTING {
                break;
            }
            let mut outer = scope.outer.clone();
            for (&value, fact) in &self.values {
                outer.insert(graph.value(value).name.clone(), fact.clone());
            }
            let cx = self.cx(graph, id, &name);
            let mut path = scope.path.clone();
            path.push(name.clone());
            let inner = Scope {
                input_shapes: HashMap::new(),
                outer,
                inputs: operator.bind(&cx, attribute),
                path,
            };
            nested.push(Nested {
                attribute: attribute.to_owned(),
                graph: subgraph.clone(),
                facts: Self::infer(subgraph, &inner)?,
                repeats: operator.repeats(&cx, attribute),
            });
        }
        if !nested.is_empty() {
            self.nested.insert(id, nested);
        }
        Ok(())
    }

    fn inputs<'a>(
        &'a self,
        graph: &'a Graph,
        id: NodeId,
    ) -> impl Iterator<Item = Option<&'a Fact>> + 'a {
        graph
            .node(id)
            .inputs
            .iter()
            .map(|v| v.and_then(|v| self.values.get(&v)))
    }

    /// What an operator sees of a node.
    pub fn cx<'a>(&'a self, graph: &'a Graph, id: NodeId, name: &'a str) -> Cx<'a> {
        Cx {
            inputs: graph
                .node(id)
                .inputs
                .iter()
                .map(|v| v.map(|v| self.values.get(&v).unwrap_or(&UNKNOWN)))
                .collect(),
            outputs: graph.node(id).outputs.len(),
            name,
            nested: self
                .nested
                .get(&id)
                .map(|n| n.iter().map(Nested::outputs).collect())
                .unwrap_or_default(),
        }
    }

    /// What is known of a value.
    pub fn value(&self, id: ValueId) -> &Fact {
        self.values.get(&id).unwrap_or(&UNKNOWN)
    }

    /// The facts of a node's outputs, by position.
    pub fn outputs_of(&self, graph: &Graph, id: NodeId) -> Vec<Fact> {
        let outputs = &graph.node(id).outputs;
        outputs
            .iter()
            .map(|v| v.map(|v| self.value(v).clone()).unwrap_or_default())
            .collect()
    }

    /// The operator of a node, if the tool knows it.
    pub fn operator(&self, id: NodeId) -> Option<&dyn Operator> {
        self.operators.get(&id).map(AsRef::as_ref)
    }

    /// Why the outputs of a node are not known.
    pub fn gap(&self, id: NodeId) -> Option<&Gap> {
        self.gaps.get(&id)
    }

    /// The subgraphs of a node.
    pub fn nested(&self, id: NodeId) -> &[Nested] {
        self.nested.get(&id).map_or(&[], Vec::as_slice)
    }
}

impl Nested {
    fn outputs(&self) -> (String, Vec<Fact>) {
        let facts = self.graph.outputs.iter();
        (
            self.attribute.clone(),
            facts.map(|&v| self.facts.value(v).clone()).collect(),
        )
    }
}

static UNKNOWN: Fact = Fact {
    dtype: None,
    shape: None,
    constant: None,
    roots: Vec::new(),
    weighted: false,
};

fn parse(node: &Node) -> Result<Box<dyn Operator>, Gap> {
    let op = ops::find(&node.domain, &node.op).ok_or_else(|| {
        let domain = if node.domain.is_empty() {
            "ai.onnx"
        } else {
            &node.domain
        };
        Gap::new(format!("operator {}::{} is not known", domain, node.op))
    })?;
    (op.parse)(node, node.opset)
}

fn root(scope: &Scope, name: &str, fact: &Fact) -> Root {
    let number = |e: Option<Expr>| {
        e.and_then(|e| e.as_const())
            .and_then(|v| u64::try_from(v).ok())
            .unwrap_or(0)
    };
    let mut path = scope.path.clone();
    path.push(name.to_owned());
    Root {
        name: path.join("/"),
        elements: number(fact.shape.as_ref().map(|s| s.iter().product())),
        bytes: number(fact.bytes()),
    }
}

/// A constant whose elements are not computed, if its shape is known.
fn absent(fact: &Fact) -> Option<Constant> {
    let shape: Option<Vec<usize>> = fact.shape.as_ref()?.iter().map(Expr::as_usize).collect();
    Some(Constant::Tensor(Arc::new(Tensor::without_data(
        fact.dtype?,
        shape?,
    ))))
}

/// What was inferred, completed by what the model declares: a declared size
/// stands in only where the inferred one is not known.
fn refine(mut fact: Fact, declared: &Fact) -> Fact {
    fact.dtype = fact.dtype.or(declared.dtype);
    match (&mut fact.shape, &declared.shape) {
        (None, claim) => fact.shape.clone_from(claim),
        (Some(shape), Some(claim)) if shape.len() == claim.len() => {
            for (size, claim) in shape.iter_mut().zip(claim) {
                if size.as_const().is_none()
                    && claim.as_const().is_some()
                    && size.symbols().iter().any(|s| s.starts_with('?'))
                {
                    *size = claim.clone();
                }
            }
        }
        _ => {}
    }
    fact
}
