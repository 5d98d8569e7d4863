//! From a model to its [`Analysis`].

use std::collections::{BTreeMap, HashMap};

use compiler::facts::{Fact, Facts, Scope};
use compiler::ir::{DataType, Expr, Graph, GraphError, NodeId, ValueId};
use compiler::model::Model;
use compiler::ops::{Gap, Operator, Role, Window, window::Direction};

use crate::aliasing::{self, Compound, Filters, Sampling, Shares};
use crate::information::Information;
use crate::memory;
use crate::number::{Count, Real};
use crate::receptive::{Fields, Layout};
use crate::report::{
    Aliasing, Analysis, Layer, ModelInfo, OutputField, ReceptiveField, SCHEMA, TotalField, Totals,
    ValueInfo, WorstAliasing,
};
use crate::weights::{self, Census};

/// What an analysis depends on besides the model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Shapes of graph inputs by name, in place of what the model declares.
    pub input_shapes: HashMap<String, Vec<i64>>,
}

/// Why a model cannot be analyzed.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The graph is not one.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A shape is given for an input that the model does not have.
    #[error("the model has no input \"{name}\"; it has {}", inputs.join(", "))]
    UnknownInput {
        /// The name that was given.
        name: String,
        /// The names that there are.
        inputs: Vec<String>,
    },
    /// A given shape contradicts the declared one.
    #[error(
        "input \"{name}\" is declared as {declared}, which {given} contradicts; \
         give the shape that the model takes"
    )]
    Contradiction {
        /// The input.
        name: String,
        /// Its declared shape.
        declared: String,
        /// The given one.
        given: String,
    },
}

/// Analyzes a model: cost, receptive field and aliasing of each layer.
///
/// # Errors
/// [`AnalyzeError`]. What is not understood about single nodes is a gap in
/// the result, not an error.
pub fn analyze(model: &Model, options: &Options) -> Result<Analysis, AnalyzeError> {
    Ok(Study::new(model, options)?.analysis())
}

/// A model with all that is known of it: what the report is written from, and
/// what questions about single units and the rules are answered from.
pub struct Study<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its graph, function calls expanded.
    pub graph: &'a Graph,
    /// Types, shapes, constants.
    pub facts: Facts,
    /// Receptive fields.
    pub fields: Fields,
    layout: Layout,
}

impl<'a> Study<'a> {
    /// Infers facts and receptive fields.
    ///
    /// # Errors
    /// [`AnalyzeError`].
    pub fn new(model: &'a Model, options: &Options) -> Result<Self, AnalyzeError> {
        let graph = model.expanded();
        check_shapes(graph, &options.input_shapes)?;
        let facts = model.facts(&Scope {
            input_shapes: options.input_shapes.clone(),
            ..Scope::default()
        })?;
        let fields = Fields::trace(graph, &facts);
        let inputs = fields.spatial().into_iter().filter_map(|axes| {
            let input = *graph.inputs.get(axes.first()?.input)?;
            Some((graph.value(input).name.clone(), axes))
        });
        Ok(Self {
            layout: Layout {
                inputs: inputs.collect(),
            },
            model,
            graph,
            facts,
            fields,
        })
    }

    /// Writes the report.
    pub fn analysis(&self) -> Analysis {
        let mut walk = Walk {
            layout: &self.layout,
            census: Census::default(),
            layers: Vec::new(),
            convolutions: 0,
            weight_bytes: 0,
            information: Information::default(),
        };
        let one = Expr::from(1);
        walk.graph(self.graph, &self.facts, &self.fields, &[], &one);
        let mut totals = walk.totals(self.graph, &self.facts);
        totals.receptive_field.outputs = self
            .graph
            .outputs
            .iter()
            .map(|&v| OutputField {
                name: self.graph.value(v).name.clone(),
                receptive_field: self.layout.describe(&self.facts, &self.fields, v),
            })
            .collect();
        Analysis {
            schema: SCHEMA,
            model: info(self.model, &self.facts),
            totals,
            layers: walk.layers,
            information: walk.information,
        }
    }
}

fn check_shapes(graph: &Graph, given: &HashMap<String, Vec<i64>>) -> Result<(), AnalyzeError> {
    let mut names: Vec<&String> = given.keys().collect();
    names.sort_unstable();
    for name in names {
        let inputs = || graph.inputs.iter().map(|&v| graph.value(v));
        let Some(input) = inputs().find(|v| v.name == *name) else {
            return Err(AnalyzeError::UnknownInput {
                name: name.clone(),
                inputs: inputs().map(|v| format!("\"{}\"", v.name)).collect(),
            });
        };
        let shape = &given[name];
        let declared = input.declared.as_ref().and_then(|d| d.shape.as_ref());
        let fits = declared.is_none_or(|d| {
            d.len() == shape.len()
                && d.iter().zip(shape).all(|(d, &s)| {
                    s >= 0 && d.as_const().is_none_or(|d| d == 0 || d == i128::from(s))
                })
        });
        if !fits {
            let list = |sizes: Vec<String>| sizes.join("x");
            return Err(AnalyzeError::Contradiction {
                name: name.clone(),
                declared: list(
                    declared
                        .into_iter()
                        .flatten()
                        .map(ToString::to_string)
                        .collect(),
                ),
                given: list(shape.iter().map(ToString::to_string).collect()),
            });
        }
    }
    Ok(())
}

/// The walk through a graph and its subgraphs.
struct Walk<'a> {
    layout: &'a Layout,
    census: Census,
    layers: Vec<Layer>,
    convolutions: usize,
    weight_bytes: u64,
    information: Information,
}

impl Walk<'_> {
    fn graph(
        &mut self,
        graph: &Graph,
        facts: &Facts,
        fields: &Fields,
        path: &[String],
        repeats: &Expr,
    ) {
        let mut risks = self.risks(graph, facts, path);
        for &id in graph.order() {
            let name = graph.node_name(id);
            let mut layer = self.node(graph, facts, id, path, repeats);
            let output = graph.node(id).outputs.iter().flatten().next();
            layer.receptive_field = output.and_then(|&v| self.layout.describe(facts, fields, v));
            match risks.remove(&id) {
                Some(Ok(aliasing)) => layer.aliasing = Some(aliasing),
                Some(Err(reason)) => layer.aliasing_unknown = Some(reason),
                None => {}
            }
            self.layers.push(layer);
            for (nested, inner) in facts.nested(id).iter().zip(fields.nested(id)) {
                let mut path = path.to_vec();
                path.push(name.clone());
                let repeats = repeats.clone() * nested.repeats.clone();
                self.graph(&nested.graph, &nested.facts, inner, &path, &repeats);
            }
        }
    }

    /// Aliasing of the layers of one graph that downsample.
    fn risks(
        &mut self,
        graph: &Graph,
        facts: &Facts,
        path: &[String],
    ) -> HashMap<NodeId, Result<Aliasing, String>> {
        let mut filters = Filters::new();
        let mut risks = HashMap::new();
        for &id in graph.order() {
            match aliasing::sampling(graph, facts, id) {
                Sampling::Kept => {}
                Sampling::Unknown(reason) => {
                    risks.insert(id, Err(reason));
                }
                Sampling::Coarser(filter) => {
                    filters.insert(id, filter);
                }
            }
        }
        let shares: HashMap<NodeId, Shares> = filters
            .iter()
            .filter_map(|(&id, filter)| Some((id, filter.shares()?)))
            .collect();
        let white = shares.iter().map(|(&id, s)| (id, s.white)).collect();
        let accumulated = aliasing::accumulated(graph, facts, &white);
        for (&id, filter) in &filters {
            let risk = shares
                .get(&id)
                .map(|s| Aliasing {
                    white: Real(s.white),
                    natural: Real(s.natural),
                    accumulated: Real(accumulated.get(&id).copied().unwrap_or(s.white)),
                    kind: filter.kind,
                })
                .ok_or_else(|| "the weights have no energy, or are not finite".to_owned());
            risks.insert(id, risk);
        }
        let compounds = aliasing::compounds(graph, facts, &filters).into_iter();
        self.information
            .compound_aliasing
            .extend(compounds.map(|c| Compound {
                first: joined(path, &c.first),
                second: joined(path, &c.second),
                ..c
            }));
        risks
    }

    fn node(
        &mut self,
        graph: &Graph,
        facts: &Facts,
        id: NodeId,
        path: &[String],
        repeats: &Expr,
    ) -> Layer {
        let node = graph.node(id);
        let name = graph.node_name(id);
        let constant = weights::is_constant(graph, facts, id);
        let held = self.census.add(&weights::of_node(graph, facts, id));
        self.weight_bytes = self.weight_bytes.saturating_add(held.bytes);
        let mut gap = facts.gap(id).cloned();
        let mut work = Work::default();
        let mut window = None;
        if let Some(operator) = facts.operator(id) {
            window = operator.window(&facts.cx(graph, id, &name));
            if !constant && gap.is_none() {
                match Work::of(graph, facts, id, operator) {
                    Ok(found) => work = found,
                    Err(reason) => gap = Some(reason),
                }
            }
        }
        let kernel = facts
            .operator(id)
            .zip(window.as_ref())
            .and_then(|(operator, _)| kernel_shape(graph, facts, id, operator));
        self.convolutions += usize::from(kernel.is_some());
        let known = gap.is_none();
        let times = |e: Expr| known.then(|| Count(e * repeats.clone()));
        let (macs, flops) = (times(work.macs), times(work.flops));
        let bytes = if constant {
            times(Expr::default())
        } else {
            traffic(graph, facts, id).map(|b| Count(b * repeats.clone()))
        };
        let first = node.outputs.iter().flatten().next();
        let fact = first.map(|&v| facts.value(v));
        let shape = fact.and_then(|f| f.shape.as_deref());
        let mut layer = Layer {
            node: joined(path, &name),
            op: operator_name(&node.domain, &node.op),
            outputs: names(graph, &node.outputs),
            shape: shape.map(counts),
            dtype: fact.and_then(|f| f.dtype).map(dtype_name),
            kernel: Vec::new(),
            stride: Vec::new(),
            dilation: Vec::new(),
            pads: Vec::new(),
            overlap: Vec::new(),
            groups: kernel
                .is_some()
                .then(|| node.attrs.int("group").unwrap_or(1)),
            parameters: held.parameters,
            shared_parameters: held.shared,
            buffers: held.buffers,
            intensity: intensity(flops.as_ref(), bytes.as_ref()),
            macs,
            flops,
            bytes,
            patch_ratio: None,
            receptive_field: None,
            aliasing: None,
            aliasing_unknown: None,
            constant,
            gap: gap.map(|g| g.0),
        };
        if let Some(window) = &window {
            describe_window(&mut layer, window);
            layer.patch_ratio = kernel.and_then(|k| patch_ratio(window, &k));
        }
        layer
    }

    fn totals(&self, graph: &Graph, facts: &Facts) -> Totals {
        let sum = |of: &dyn Fn(&Layer) -> Option<Count>| -> Expr {
            self.layers.iter().filter_map(of).map(|c| c.0).sum()
        };
        let count = |of: &dyn Fn(&Layer) -> u64| -> u64 {
            self.layers.iter().map(of).fold(0, u64::saturating_add)
        };
        let flops = Count(sum(&|l| l.flops.clone()));
        let traffic_bytes = Count(sum(&|l| l.bytes.clone()));
        let peak = memory::peak(graph, facts);
        let worst = self
            .layers
            .iter()
            .filter_map(|l| Some((l, l.aliasing.as_ref()?.white)))
            .reduce(|a, b| if b.1 > a.1 { b } else { a });
        Totals {
            parameters: count(&|l| l.parameters),
            buffers: count(&|l| l.buffers),
            macs: Count(sum(&|l| l.macs.clone())),
            intensity: intensity(Some(&flops), Some(&traffic_bytes)),
            flops,
            weight_bytes: self.weight_bytes,
            traffic_bytes,
            peak_activation_bytes: Count(peak.bytes),
            peak_activation_node: peak.node,
            layers: self.layers.len(),
            convolutions: self.convolutions,
            gaps: self.layers.iter().filter(|l| l.gap.is_some()).count(),
            receptive_field: self.largest_field(),
            aliasing: worst.map(|(layer, worst)| WorstAliasing {
                worst,
                node: layer.node.clone(),
            }),
        }
    }
}

impl Walk<'_> {
    /// The largest local field of a layer, axis by axis.
    fn largest_field(&self) -> TotalField {
        let first = self.layout.inputs.first().map(|(name, _)| name);
        let own = |f: &&ReceptiveField| f.input.as_ref().is_none_or(|i| Some(i) == first);
        let sizes = self
            .layers
            .iter()
            .filter_map(|l| l.receptive_field.as_ref())
            .filter(own)
            .filter_map(|f| f.size.clone());
        TotalField {
            size: sizes.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect()),
            outputs: Vec::new(),
        }
    }
}

/// Work of one execution of a node.
#[derive(Default)]
struct Work {
    macs: Expr,
    flops: Expr,
}

impl Work {
    fn of(graph: &Graph, facts: &Facts, id: NodeId, operator: &dyn Operator) -> Result<Self, Gap> {
        let name = graph.node_name(id);
        let cost = operator.cost(&facts.cx(graph, id, &name), &facts.outputs_of(graph, id))?;
        Ok(Self {
            macs: cost.macs,
            flops: cost.flops,
        })
    }
}

/// The shape of the weights that a window slides over the data, if any.
fn kernel_shape(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    operator: &dyn Operator,
) -> Option<Vec<Expr>> {
    let inputs = graph.node(id).inputs.iter().enumerate();
    let mut weights = inputs.filter(|&(slot, _)| operator.role(slot) == Role::Weight);
    weights.find_map(|(_, value)| facts.value((*value)?).shape.clone())
}

/// Bytes that a node reads and writes; `None` where a shape or type is not known.
fn traffic(graph: &Graph, facts: &Facts, id: NodeId) -> Option<Expr> {
    let node = graph.node(id);
    let name = graph.node_name(id);
    let operator = facts.operator(id)?;
    let cx = facts.cx(graph, id, &name);
    let outputs = facts.outputs_of(graph, id);
    // An input whose elements no output uses (that of `Shape`) is not read.
    let used: Option<Vec<bool>> = (0..outputs.len())
        .map(|output| {
            let reach = operator.reach(&cx, &outputs, output).ok()?;
            Some(
                (0..node.inputs.len())
                    .map(|i| reach.0.get(i).is_some_and(Option::is_some))
                    .collect::<Vec<_>>(),
            )
        })
        .reduce(|a, b| Some(a?.into_iter().zip(b?).map(|(a, b)| a || b).collect()))
        .flatten();
    let mut total = Expr::default();
    for (slot, value) in node.inputs.iter().enumerate() {
        let Some(value) = *value else { continue };
        let fact = facts.value(value);
        let read = fact.is_constant() || used.as_ref().is_none_or(|u| u[slot]);
        if read {
            total += fact.bytes()?;
        }
    }
    for fact in node.outputs.iter().flatten().map(|&v| facts.value(v)) {
        total += fact.bytes()?;
    }
    Some(total)
}

fn describe_window(layer: &mut Layer, window: &Window) {
    layer.kernel = window.axes.iter().map(|a| a.kernel).collect();
    layer.stride = window.axes.iter().map(|a| a.stride).collect();
    layer.dilation = window.axes.iter().map(|a| a.dilation).collect();
    #[allow(clippy::cast_precision_loss)]
    let overlap = |k: i64, s: i64| Real((1.0 - s as f64 / k as f64).max(0.0));
    layer.overlap = window
        .axes
        .iter()
        .map(|a| overlap(a.kernel, a.stride))
        .collect();
    let pads: Option<Vec<(i64, i64)>> = window.axes.iter().map(|a| a.pads).collect();
    if let Some(pads) = pads {
        layer.pads = pads.iter().map(|p| p.0).collect();
        layer.pads.extend(pads.iter().map(|p| p.1));
    }
}

/// Cout / (∏k · Cin/groups) for weights (Cout, Cin/groups, *kernel*).
fn patch_ratio(window: &Window, weights: &[Expr]) -> Option<Real> {
    if window.axes.iter().any(|a| a.direction != Direction::Gather) {
        return None;
    }
    let size = |e: &Expr| Count(e.clone()).approximate();
    let patch: Expr = weights.get(1..)?.iter().product();
    let ratio = size(weights.first()?)? / size(&patch)?;
    ratio.is_finite().then_some(Real(ratio))
}

/// FLOPs a byte, where both are numbers or multiples of one polynomial.
fn intensity(flops: Option<&Count>, bytes: Option<&Count>) -> Option<Real> {
    let (flops, bytes) = (flops?.approximate()?, bytes?.approximate()?);
    (bytes > 0.0).then(|| Real(flops / bytes))
}

fn info(model: &Model, facts: &Facts) -> ModelInfo {
    let proto = &model.proto;
    let graph = model.expanded();
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let producer = [text(&proto.producer_name), text(&proto.producer_version)];
    let opset: BTreeMap<String, i64> = proto
        .opset_import
        .iter()
        .map(|o| {
            let domain = text(&o.domain);
            let domain = if domain == "ai.onnx" {
                String::new()
            } else {
                domain
            };
            (domain, o.version.unwrap_or(1))
        })
        .collect();
    let values = |ids: &[ValueId]| -> Vec<ValueInfo> {
        ids.iter()
            .map(|&v| value_info(&graph.value(v).name, facts.value(v)))
            .collect()
    };
    ModelInfo {
        path: model.path.display().to_string(),
        ir_version: proto.ir_version.unwrap_or(0),
        producer: producer.join(" ").trim().to_owned(),
        opset,
        inputs: values(&graph.inputs),
        outputs: values(&graph.outputs),
    }
}

fn value_info(name: &str, fact: &Fact) -> ValueInfo {
    ValueInfo {
        name: name.to_owned(),
        dtype: fact.dtype.map(dtype_name),
        shape: fact.shape.as_deref().map(counts),
    }
}

fn counts(shape: &[Expr]) -> Vec<Count> {
    shape.iter().cloned().map(Count).collect()
}

fn names(graph: &Graph, values: &[Option<ValueId>]) -> Vec<String> {
    let name = |v: &Option<ValueId>| v.map(|v| graph.value(v).name.clone()).unwrap_or_default();
    values.iter().map(name).collect()
}

fn joined(path: &[String], name: &str) -> String {
    let mut all = path.to_vec();
    all.push(name.to_owned());
    all.join("/")
}

fn operator_name(domain: &str, op: &str) -> String {
    if domain.is_empty() {
        op.to_owned()
    } else {
        format!("{domain}::{op}")
    }
}

/// The name of an element type, as numpy and ml_dtypes call it.
fn dtype_name(dtype: DataType) -> &'static str {
    use DataType as T;
    match dtype {
        T::Undefined => "undefined",
        T::Float => "float32",
        T::Uint8 => "uint8",
        T::Int8 => "int8",
        T::Uint16 => "uint16",
        T::Int16 => "int16",
        T::Int32 => "int32",
        T::Int64 => "int64",
        T::String => "string",
        T::Bool => "bool",
        T::Float16 => "float16",
        T::Double => "float64",
        T::Uint32 => "uint32",
        T::Uint64 => "uint64",
        T::Complex64 => "complex64",
        T::Complex128 => "complex128",
        T::Bfloat16 => "bfloat16",
        T::Float8e4m3fn => "float8_e4m3fn",
        T::Float8e4m3fnuz => "float8_e4m3fnuz",
        T::Float8e5m2 => "float8_e5m2",
        T::Float8e5m2fnuz => "float8_e5m2fnuz",
        T::Uint4 => "uint4",
        T::Int4 => "int4",
        T::Float4e2m1 => "float4_e2m1fn",
        T::Float8e8m0 => "float8_e8m0fnu",
        T::Uint2 => "uint2",
        T::Int2 => "int2",
        T::Float6e2m3 => "float6_e2m3fn",
        T::Float6e3m2 => "float6_e3m2fn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{A, Net};

    fn conv() -> Net {
        Net::new()
            .input("x", &["N", "3", "8", "8"])
            .absent("w", &[4, 3, 3, 3])
            .weight("b", &[4], &[0.0; 4])
            .node(
                "Conv",
                &["x", "w", "b"],
                &["y"],
                &[("pads", A::Is(&[1, 1, 1, 1]))],
            )
    }

    #[test]
    fn symbolic_cost_is_a_polynomial() {
        let model = conv().output("y").model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        let layer = &analysis.layers[0];
        assert_eq!((layer.parameters, layer.buffers), (112, 0));
        let json = serde_json::to_value(&analysis).unwrap();
        assert_eq!(json["totals"]["macs"], "6912*N");
        assert_eq!(json["totals"]["flops"], "14080*N");
        // The input and the output are alive together.
        assert_eq!(json["totals"]["peak_activation_bytes"], "1792*N");
        assert_eq!(json["layers"][0]["shape"][0], "N");
        assert_eq!(json["layers"][0]["patch_ratio"], 0.148_148_148);
    }

    #[test]
    fn numbers_with_an_input_shape() {
        let model = conv().output("y").model();
        let options = |shape: &[i64]| Options {
            input_shapes: [("x".to_owned(), shape.to_vec())].into(),
        };
        let analysis = analyze(&model, &options(&[2, 3, 8, 8])).unwrap();
        assert_eq!(analysis.totals.macs.known(), Some(13824));
        assert!(matches!(
            analyze(&model, &options(&[2, 3, 9, 8])),
            Err(AnalyzeError::Contradiction { .. })
        ));
    }

    #[test]
    fn a_shared_weight_counts_once() {
        let model = conv()
            .absent("v", &[4, 4, 1, 1])
            .node("Conv", &["y", "v", "b"], &["z"], &[])
            .output("z")
            .model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        assert_eq!(analysis.totals.parameters, 112 + 16);
        assert_eq!(analysis.layers[1].shared_parameters, 4);
        assert_eq!(analysis.totals.weight_bytes, 4 * 128);
    }

    #[test]
    fn an_unknown_operator_is_a_gap_and_no_zero() {
        let model = conv()
            .node_of("local", "Mystery", &["y"], &["z"], &[])
            .output("z")
            .model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        assert_eq!(analysis.totals.gaps, 1);
        assert!(analysis.layers[1].macs.is_none());
        assert!(analysis.layers[1].gap.as_ref().unwrap().contains("Mystery"));
    }
}
