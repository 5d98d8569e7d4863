//! What a rule looks at.

use std::collections::{HashMap, HashSet};

use compiler::facts::Facts;
use compiler::ir::{Expr, Graph, NodeId, ValueId};
use compiler::ops::{Conv, Operator, Window};

use super::Rule;
use crate::config::Settings;
use crate::diagnostic::Draft;
use crate::figures::Figures;
use crate::information::WeightReport;
use crate::number::Count;
use crate::report::{Analysis, Layer};
use crate::study::Study;
use crate::units;

/// A count for one sample, where the batch is open.
fn at_one(count: &Count) -> Option<f64> {
    Count(count.0.substitute(&|_| Some(1))).approximate()
}

/// A model with its analysis and what the project wants of it.
pub struct Subject<'a> {
    /// The model with its facts and fields.
    pub study: &'a Study<'a>,
    /// Its analysis.
    pub analysis: &'a Analysis,
    /// What applies to it.
    pub settings: &'a Settings,
    /// What it took when the baseline was written.
    pub before: Option<&'a Figures>,
    pub(super) rule: &'static Rule,
    nodes: HashMap<String, NodeId>,
    layers: HashMap<&'a str, &'a Layer>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(
        study: &'a Study<'a>,
        analysis: &'a Analysis,
        settings: &'a Settings,
        before: Option<&'a Figures>,
    ) -> Self {
        let named = |&id: &NodeId| (study.graph.node_name(id), id);
        Self {
            study,
            analysis,
            settings,
            before,
            rule: &super::RULES[0],
            nodes: study.graph.order().iter().map(named).collect(),
            layers: analysis
                .layers
                .iter()
                .map(|l| (l.node.as_str(), l))
                .collect(),
        }
    }

    /// A threshold of the rule that is being applied.
    pub fn threshold(&self, key: &str) -> f64 {
        self.settings.threshold(self.rule, key)
    }

    /// The graph, function calls expanded.
    pub fn graph(&self) -> &'a Graph {
        self.study.graph
    }

    /// Its facts.
    pub fn facts(&self) -> &'a Facts {
        &self.study.facts
    }

    /// The node of a name, if it is in the main graph.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.nodes.get(name).copied()
    }

    /// The layer of a name.
    pub fn layer(&self, name: &str) -> Option<&'a Layer> {
        self.layers.get(name).copied()
    }

    /// The layers that slide a window of trained weights.
    pub fn convolutions(&self) -> impl Iterator<Item = &'a Layer> {
        self.analysis.layers.iter().filter(|l| l.groups.is_some())
    }

    /// The share of the model's MACs that a layer takes, where both are known
    /// (or are multiples of one symbol).
    pub fn share(&self, layer: &Layer) -> Option<f64> {
        let (own, all) = (
            at_one(layer.macs.as_ref()?)?,
            at_one(&self.analysis.totals.macs)?,
        );
        (all > 0.0).then_some(own / all)
    }

    /// A node that a convolution could take in: why, and what it costs apart.
    pub fn foldable(&self, id: NodeId, conv: NodeId, why: &str) -> Draft {
        let (name, conv) = (self.graph().node_name(id), self.graph().node_name(conv));
        let bytes = self.layer(&name).and_then(|l| l.bytes.as_ref());
        let cost = bytes.and_then(at_one).filter(|b| *b > 0.0);
        let cost = cost.map_or(String::new(), |b| {
            format!(", and reads and writes {} for it", units::bytes(b))
        });
        Draft::at(&name, format!("{why}{cost}"))
            .help("`convfold lint --fix` or `convfold fold` folds it exactly")
            .fix(name.clone())
            .with("convolution", conv)
            .with("bytes", bytes)
    }

    /// The operator of a node as one type.
    pub fn operator<T: Operator>(&self, id: NodeId) -> Option<&'a T> {
        self.facts().operator(id)?.downcast()
    }

    /// The first input of a node that is no constant.
    pub fn data(&self, id: NodeId) -> Option<ValueId> {
        let inputs = self.graph().node(id).inputs.iter().flatten();
        inputs
            .copied()
            .find(|&v| !self.facts().value(v).is_constant())
    }

    /// The node that gives a node's data, if the node is its only reader.
    pub fn sole_producer(&self, id: NodeId) -> Option<NodeId> {
        let data = self.data(id)?;
        let before = self.graph().producer(data)?;
        (self.graph().sole_consumer(data) == Some(id)).then_some(before)
    }

    /// Whether no trained weights are applied behind a node: its channels are
    /// the model's outputs, moved or rectified at most. So is a node that
    /// leads nowhere, except where it gives an output itself together with
    /// others that go on.
    pub fn is_last(&self, name: &str) -> bool {
        let graph = self.graph();
        let Some(start) = self.node(name) else {
            return false;
        };
        let mut seen = HashSet::new();
        let mut waiting = vec![start];
        while let Some(id) = waiting.pop() {
            for &output in graph.node(id).outputs.iter().flatten() {
                for reader in graph.consumers(output) {
                    let name = graph.node_name(reader);
                    let layer = self.layer(&name);
                    let learnt = layer.is_none_or(|l| {
                        l.groups.is_some() || l.macs.as_ref().is_some_and(|m| m.known() != Some(0))
                    });
                    if learnt {
                        return false;
                    }
                    if seen.insert(reader) {
                        waiting.push(reader);
                    }
                }
            }
        }
        true
    }

    /// The weights that were looked at; none where no rule asked for them.
    /// Tensors of one value throughout were never trained and are left out.
    pub fn weights(&self) -> impl Iterator<Item = &'a WeightReport> {
        let all = self.analysis.information.weights.iter().flatten();
        all.filter(|w| !is_placeholder(w))
    }
}

/// Whether every element of a tensor of weights is the same.
pub(super) fn is_placeholder(weights: &WeightReport) -> bool {
    weights.min.is_some()
        && weights.min == weights.max
        && weights.shape.len() >= 2
        && weights.shape.iter().product::<usize>() > 1
}

/// A convolution in numbers.
pub struct Convolution {
    /// The node.
    pub id: NodeId,
    /// Its window.
    pub window: Window,
    /// Groups.
    pub groups: usize,
    /// Output channels.
    pub out: usize,
    /// Input channels of a group.
    pub inp: usize,
    /// Taps an axis.
    pub kernel: Vec<usize>,
}

impl Convolution {
    /// Input channels of all groups.
    pub fn channels(&self) -> usize {
        self.inp * self.groups
    }

    /// Whether each group reads one channel.
    pub fn depthwise(&self) -> bool {
        self.groups > 1 && self.inp == 1
    }

    /// Input positions an output position, the product over the axes.
    pub fn stride(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        self.window.axes.iter().map(|a| a.stride as f64).product()
    }
}

impl Subject<'_> {
    /// A node as a convolution (not transposed, not quantized) whose sizes are
    /// known.
    pub fn convolution(&self, id: NodeId) -> Option<Convolution> {
        let conv: &Conv = self.operator(id)?;
        let graph = self.graph();
        let weights = graph.node(id).inputs.get(1).copied().flatten()?;
        let shape = self.facts().value(weights).shape.as_ref()?;
        let shape: Vec<usize> = shape.iter().map(Expr::as_usize).collect::<Option<_>>()?;
        let (&[out, inp], kernel) = shape.split_first_chunk::<2>()?;
        Some(Convolution {
            id,
            window: self.window(id)?,
            groups: usize::try_from(conv.groups).ok()?,
            out,
            inp,
            kernel: kernel.to_vec(),
        })
    }

    /// The sliding window of a node.
    pub fn window(&self, id: NodeId) -> Option<Window> {
        let name = self.graph().node_name(id);
        let cx = self.facts().cx(self.graph(), id, &name);
        self.facts().operator(id)?.window(&cx)
    }

    /// Whether the units of a value see one pixel of the image each: nothing
    /// has slid over it yet.
    pub fn sees_pixels(&self, value: ValueId) -> bool {
        let fields = &self.study.fields;
        let axes = self.study.layout.axes_of(fields, value);
        let one = |&axis: &crate::receptive::InputAxis| {
            fields.of(value, axis).and_then(|s| s.size()) == Some(1)
        };
        !axes.is_empty() && axes.iter().all(one)
    }
}
