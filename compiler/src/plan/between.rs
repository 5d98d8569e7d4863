//! Rectifiers between the factors of a chain.
//!
//! Simonyan and Zisserman, Szegedy et al. and He et al. put one after every small
//! kernel and train. A trained network is a better start than none: here the
//! rectifiers stand open. The bias of a factor is raised until no calibration
//! sample puts anything negative into its map, and the next factor, which has no
//! padding, takes the same off its own bias. On these samples the network is
//! what it was without rectifiers; elsewhere it is so nearly, and training can
//! close them.

use egg::{Id, RecExpr};

use super::calibrate::encode;
use super::edit::Edit;
use super::lang::Term;
use super::{Compilation, PlanError, Site};
use crate::ir::{Graph, NewNode, NodeId, Patch, Ref, Tensor};
use crate::model::Model;

/// Share of what a map falls below zero by which it is raised beyond that.
const MARGIN: f64 = 0.1;

/// The new nodes of an edit that are the factors of a chain, in execution order.
pub(super) fn factors(expr: &RecExpr<Term>, edit: &Edit, new: &[NodeId]) -> Vec<NodeId> {
    let factor = |id: &Id| match &expr[*id] {
        Term::Op(_, children) => children
            .get(1)
            .is_some_and(|&w| matches!(expr[w], Term::Factor(..))),
        _ => false,
    };
    let pairs = edit.inserted.iter().zip(new);
    pairs
        .filter(|(id, _)| factor(id))
        .map(|(_, n)| *n)
        .collect()
}

/// Says so in a report.
pub(super) fn tell(site: &mut Site) {
    site.exact = false;
    let last = site.to.len().saturating_sub(1);
    let factors = std::mem::take(&mut site.to).into_iter().enumerate();
    site.to = factors
        .flat_map(|(i, to)| [Some(to), (i < last).then(|| "Relu".to_owned())])
        .flatten()
        .collect();
    site.why
        .push_str("; the rectifiers between start open: train the network before use");
}

impl Compilation<'_> {
    /// Puts a rectifier after each factor but the last of these chains.
    pub(super) fn rectify(
        &self,
        model: &mut Model,
        chains: &[Vec<NodeId>],
    ) -> Result<(), PlanError> {
        let maps: Vec<NodeId> = chains
            .iter()
            .flat_map(|chain| chain[..chain.len() - 1].iter().copied())
            .collect();
        if maps.is_empty() {
            return Ok(());
        }
        let raised = self.raises(model, &maps)?;
        let mut raised = raised.into_iter();
        for chain in chains {
            let raises: Vec<Vec<f64>> = raised.by_ref().take(chain.len() - 1).collect();
            let node = model.graph.node_name(chain[0]);
            let patch = opened(&model.graph, chain, &raises).map_err(|reason| PlanError::Fit {
                node: node.clone(),
                reason,
            })?;
            patch
                .apply(&mut model.graph)
                .map_err(|source| PlanError::Patch { node, source })?;
        }
        Ok(())
    }

    /// How much each channel of these nodes' outputs has to be raised so that no
    /// sample makes it negative.
    fn raises(&self, model: &Model, nodes: &[NodeId]) -> Result<Vec<Vec<f64>>, PlanError> {
        let calibration = self.options.calibration.ok_or(PlanError::Unopened)?;
        let graph = &model.graph;
        let names: Vec<String> = nodes
            .iter()
            .filter_map(|&n| graph.node(n).outputs.first().copied().flatten())
            .map(|v| graph.value(v).name.clone())
            .collect();
        let mut least: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        calibration
            .activations(&encode(model), &names, &mut |place, shape, data| {
                let channels = shape.get(1).copied().unwrap_or(1);
                let plane = shape.iter().skip(2).product::<usize>().max(1);
                let least = &mut least[place];
                least.resize(channels, 0.0);
                for (i, map) in data.chunks_exact(plane).enumerate() {
                    let own = &mut least[i % channels];
                    *own = map.iter().fold(*own, |m, v| m.min(f64::from(*v)));
                }
            })
            .map_err(PlanError::Calibration)?;
        let raise = |least: &f64| -least * (1.0 + MARGIN);
        Ok(least
            .iter()
            .map(|l| l.iter().map(raise).collect())
            .collect())
    }
}

/// The chain with rectifiers, and the biases that keep them open.
fn opened(graph: &Graph, chain: &[NodeId], raises: &[Vec<f64>]) -> Result<Patch, String> {
    let mut patch = Patch::default();
    chain.iter().for_each(|&n| patch.remove(n));
    patch.at(chain[chain.len() - 1]);
    for (i, &id) in chain.iter().enumerate() {
        let node = graph.node(id);
        let weights = constant(graph, id, 1).ok_or("a factor without weights")?;
        let mut bias = match constant(graph, id, 2) {
            Some(bias) => bias.to_f64().ok_or("a bias that is not at hand")?,
            None => vec![0.0; weights.shape[0]],
        };
        if let Some(before) = i.checked_sub(1).map(|b| &raises[b]) {
            let data = weights.to_f64().ok_or("weights that are not at hand")?;
            let inputs = weights.shape[1];
            let row = data.len() / weights.shape[0].max(1);
            let groups = before.len() / inputs.max(1);
            let outputs = weights.shape[0] / groups.max(1);
            for (o, (bias, row)) in bias.iter_mut().zip(data.chunks_exact(row)).enumerate() {
                let taps = row.chunks_exact(row.len() / inputs);
                let own = &before[o / outputs.max(1) * inputs..];
                *bias -= taps
                    .zip(own)
                    .map(|(t, r)| t.iter().sum::<f64>() * r)
                    .sum::<f64>();
            }
        }
        let end = node.outputs[0].ok_or("a factor without an output")?;
        let mut inputs: Vec<Option<Ref>> =
            node.inputs.iter().map(|v| v.map(Ref::Existing)).collect();
        let raise = raises.get(i);
        if let Some(raise) = raise {
            bias.iter_mut().zip(raise).for_each(|(b, r)| *b += r);
        }
        let name = match node.inputs[1] {
            Some(weights) => graph.value(weights).name.clone(),
            None => graph.node_name(id),
        };
        let tensor = Tensor::from_f64(weights.dtype, vec![bias.len()], &bias)
            .ok_or("a bias that cannot be written")?;
        inputs.resize(3, None);
        inputs[2] = Some(patch.tensor(format!("{name}_bias"), tensor));
        let output = match raise {
            Some(_) => patch.value(format!("{}.raised", graph.value(end).name)),
            None => Ref::Existing(end),
        };
        patch.node(NewNode {
            name: node.name.clone(),
            domain: node.domain.clone(),
            op: node.op.clone(),
            opset: node.opset,
            attrs: node.attrs.clone(),
            inputs,
            outputs: vec![output.clone()],
        });
        if raise.is_some() {
            patch.node(NewNode {
                name: if node.name.is_empty() {
                    String::new()
                } else {
                    format!("{}.relu", node.name)
                },
                domain: String::new(),
                op: "Relu".into(),
                opset: node.opset,
                attrs: crate::ir::Attrs::default(),
                inputs: vec![Some(output)],
                outputs: vec![Ref::Existing(end)],
            });
        }
    }
    Ok(patch)
}

/// The data of a node's input, where it is an initializer.
fn constant(graph: &Graph, node: NodeId, slot: usize) -> Option<&Tensor> {
    let value = graph.node(node).inputs.get(slot).copied().flatten()?;
    graph.value(value).initializer.as_ref()
}
