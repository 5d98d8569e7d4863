//! Propagates facts (element type, shape, constants) through a graph; names no
//! operator.

mod fact;

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::{Expr, Graph, GraphError, Node, NodeId, Tensor, ValueId};
use crate::ops::{self, Cx, Gap, Operator, Role};

pub use fact::{Constant, Fact, Root};

/// Graphs nested deeper than this are a gap.
const MAX_NESTING: usize = 32;

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

impl Scope {
    /// That of a main graph whose inputs have these shapes.
    pub fn of_inputs(shapes: HashMap<String, Vec<i64>>) -> Self {
        Self {
            input_shapes: shapes,
            ..Self::default()
        }
    }
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

    /// The operator of a node, if the tool knows it and it could follow the
    /// node's inputs; else there is a [gap](Self::gap).
    pub fn operator(&self, id: NodeId) -> Option<&dyn Operator> {
        // One that could not follow its inputs is not asked about outputs of
        // which only the model's own claims are known.
        let followed = !self.gaps.contains_key(&id);
        self.operators
            .get(&id)
            .map(AsRef::as_ref)
            .filter(|_| followed)
    }

    /// What an input is to a node, where the tool knows the node's operator,
    /// whether or not that could follow its inputs.
    pub fn role(&self, id: NodeId, slot: usize) -> Option<Role> {
        self.operators.get(&id).map(|o| o.role(slot))
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
pub(crate) fn refine(mut fact: Fact, declared: &Fact) -> Fact {
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
