//! The layers of a report: one walk through the graph and its subgraphs.

use std::collections::HashMap;

use compiler::facts::Facts;
use compiler::ir::{Expr, Graph, NodeId};

use crate::aliasing::{self, Compound, Filters, Sampling, Shares};
use crate::cost::{self, Work};
use crate::describe::{counts, dtype_name, joined, names, operator_name};
use crate::memory;
use crate::number::{Count, Real};
use crate::receptive::{Fields, Layout};
use crate::report::{Aliasing, Layer, ReceptiveField, TotalField, Totals, WorstAliasing};
use crate::weights::{self, Census};

/// The walk through a graph and its subgraphs.
pub(crate) struct Walk<'a> {
    pub layout: &'a Layout,
    census: Census,
    /// The layers so far.
    pub layers: Vec<Layer>,
    convolutions: usize,
    weight_bytes: u64,
    /// Downsampling layers that follow each other directly.
    pub compounds: Vec<Compound>,
}

impl<'a> Walk<'a> {
    pub fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            census: Census::default(),
            layers: Vec::new(),
            convolutions: 0,
            weight_bytes: 0,
            compounds: Vec::new(),
        }
    }

    /// Adds the layers of a graph; each runs `repeats` times.
    pub fn graph(
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
            layer.gap = layer.gap.or_else(|| fields.gap(id).map(Into::into));
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
        self.compounds.extend(compounds.map(|c| Compound {
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
            .and_then(|(operator, _)| cost::kernel_shape(graph, facts, id, operator));
        self.convolutions += usize::from(kernel.is_some());
        let known = gap.is_none();
        let times = |e: Expr| known.then(|| Count(e * repeats.clone()));
        let (macs, flops) = (times(work.macs), times(work.flops));
        let bytes = if constant {
            times(Expr::default())
        } else {
            cost::traffic(graph, facts, id).map(|b| Count(b * repeats.clone()))
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
            intensity: cost::intensity(flops.as_ref(), bytes.as_ref()),
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
            cost::describe_window(&mut layer, window);
            layer.patch_ratio = kernel.and_then(|k| cost::patch_ratio(window, &k));
        }
        layer
    }

    /// Sums and extremes of the layers so far.
    pub fn totals(&self, graph: &Graph, facts: &Facts) -> Totals {
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
            intensity: cost::intensity(Some(&flops), Some(&traffic_bytes)),
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
