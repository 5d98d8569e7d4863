//! The layers that write the outputs, fitted again to the rewritten network.
//!
//! What the rewritten layers lose, their biases and the fits of the layers after
//! them make good in part. The last layer, where no pass rewrote it, does the
//! rest: its weights and bias are those that best give what the network put out
//! before, drawn strongly to what they were.

use std::collections::HashSet;

use super::subject::Subject;
use super::{Compilation, PlanError, Site};
use crate::facts::Facts;
use crate::fit::{Refit, refit};
use crate::ir::{Attrs, Graph, NewNode, NodeId, Patch, Ref, Tensor};
use crate::model::Model;
use crate::ops::Affine;

/// Weights of one output above which a layer stays as it is: the fit takes their
/// third power.
const LARGEST: usize = 3000;
/// First version of `Gemm` whose bias broadcasts without being told.
const GEMM: i64 = 7;

/// A layer that writes an output.
struct Readout {
    node: NodeId,
    affine: Affine,
}

impl Compilation<'_> {
    /// Fits the readouts that stand as they stood, and reports each.
    pub(super) fn refit_readouts(
        &mut self,
        model: &mut Model,
        facts: &Facts,
        gone: &HashSet<NodeId>,
    ) -> Result<Vec<Site>, PlanError> {
        let Some(calibration) = self.options.calibration else {
            return Ok(Vec::new());
        };
        let mut sites = Vec::new();
        for readout in readouts(&self.original.graph, facts) {
            let name = self.original.graph.node_name(readout.node);
            if gone.contains(&readout.node) || !self.options.allows(&name) {
                continue;
            }
            let graph = &self.original.graph;
            let subject = Subject::affine(graph, facts, readout.node, readout.affine);
            let Some(subject) = subject.filter(|s| s.kernel.inp * s.kernel.taps() <= LARGEST)
            else {
                continue;
            };
            let halves = self.moments(calibration, &subject, model, 2)?;
            let fail = |reason: String| PlanError::Fit {
                node: name.clone(),
                reason,
            };
            let fitted = refit(&subject.kernel, [&halves[0], &halves[1]])
                .map_err(|e| fail(e.to_string()))?;
            let Some(fitted) = fitted else {
                continue;
            };
            let patch = rewritten(&model.graph, facts, &readout, &subject, &fitted);
            let Some(patch) = patch else {
                continue;
            };
            let op = self.original.graph.node(readout.node).op.clone();
            patch
                .apply(&mut model.graph)
                .map_err(|source| PlanError::Patch {
                    node: name.clone(),
                    source,
                })?;
            sites.push(site(name, op, &readout, &subject, &fitted));
        }
        Ok(sites)
    }
}

/// The last layer with weights before each output.
fn readouts(graph: &Graph, facts: &Facts) -> Vec<Readout> {
    let mut found: Vec<Readout> = Vec::new();
    for &output in &graph.outputs {
        let mut value = output;
        let mut seen = HashSet::new();
        while let Some(node) = graph.producer(value) {
            let name = graph.node_name(node);
            let cx = facts.cx(graph, node, &name);
            let known = |v| facts.value(v).tensor().is_some();
            let inputs = &graph.node(node).inputs;
            let affine = facts.operator(node).and_then(|o| o.affine(&cx));
            if let (Some(affine), Some(Some(weights))) = (affine, inputs.get(1))
                && known(*weights)
            {
                if found.iter().all(|f| f.node != node) {
                    found.push(Readout { node, affine });
                }
                break;
            }
            let mut data = inputs.iter().flatten().filter(|v| !known(**v));
            match (data.next(), data.next()) {
                (Some(&only), None) if seen.insert(node) => value = only,
                _ => break,
            }
        }
    }
    found
}

/// The layer with new weights and a bias; `None` where its bias has a shape that
/// it cannot take.
fn rewritten(
    graph: &Graph,
    facts: &Facts,
    readout: &Readout,
    subject: &Subject,
    fitted: &Refit,
) -> Option<Patch> {
    let node = graph.node(readout.node);
    if readout.affine.biased == "Gemm" && node.opset < GEMM {
        return None;
    }
    let own = node.inputs.get(1).copied().flatten()?;
    let was = facts.value(own).tensor()?;
    let new = &fitted.kernel;
    let weights = if readout.affine.inputs_first {
        transposed(&new.data, new.out)
    } else {
        new.data.clone()
    };
    let bias: Vec<f64> = subject
        .bias()
        .iter()
        .zip(&fitted.bias)
        .map(|(a, b)| a + b)
        .collect();
    let name = graph.value(own).name.clone();
    let mut patch = Patch::default();
    patch.remove(readout.node);
    let tensor = Tensor::from_f64(was.dtype, was.shape.clone(), &weights)?;
    let weights = patch.tensor(format!("{name}_refit"), tensor);
    let tensor = Tensor::from_f64(was.dtype, vec![bias.len()], &bias)?;
    let bias = patch.tensor(format!("{name}_refit_bias"), tensor);
    let same = node.op == readout.affine.biased;
    patch.node(NewNode {
        name: node.name.clone(),
        domain: node.domain.clone(),
        op: readout.affine.biased.into(),
        opset: node.opset,
        attrs: if same {
            node.attrs.clone()
        } else {
            Attrs::default()
        },
        inputs: vec![node.inputs[0].map(Ref::Existing), Some(weights), Some(bias)],
        outputs: vec![Ref::Existing(node.outputs[0]?)],
    });
    Some(patch)
}

/// Columns for rows.
pub(super) fn transposed(data: &[f64], rows: usize) -> Vec<f64> {
    let columns = data.len() / rows.max(1);
    (0..data.len())
        .map(|i| data[i % rows * columns + i / rows])
        .collect()
}

fn site(node: String, op: String, readout: &Readout, subject: &Subject, fitted: &Refit) -> Site {
    let (old, new) = (&subject.kernel, &fitted.kernel);
    let apart = old
        .data
        .iter()
        .zip(&new.data)
        .map(|(a, b)| (a - b) * (a - b));
    let apart = apart.sum::<f64>().sqrt() / old.norm().max(f64::MIN_POSITIVE);
    let what = if apart > 0.0 {
        "weights and bias"
    } else {
        "bias"
    };
    Site {
        node,
        from: op,
        to: vec![readout.affine.biased.into()],
        widths: Vec::new(),
        exact: false,
        weight_error: Some(apart),
        output_error: Some(fitted.after),
        why: format!(
            "its {what} fitted again to what the rewritten layers give: off by {:.2} % before",
            100.0 * fitted.before
        ),
        explanation: None,
        rivals: Vec::new(),
    }
}
