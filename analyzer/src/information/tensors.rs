//! The weights themselves: ranges, values that are no numbers, and what their
//! filters are.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use compiler::facts::Facts;
use compiler::ir::{DataType, Graph, NodeId, Tensor};
use compiler::ops::window::Direction;
use compiler::ops::{Gemm, MatMul, Role};
use rayon::prelude::*;
use serde::Serialize;

use super::filters::{FilterReport, Layout, filters};
use crate::describe::joined;
use crate::number::Real;
use crate::study::Progress;
use crate::weights;

/// One constant tensor that a layer uses as weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightReport {
    /// The first layer that uses it.
    pub node: String,
    /// The tensor as the model names it.
    pub tensor: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Smallest finite element; `None` where the data are not at hand.
    pub min: Option<Real>,
    /// Largest finite element.
    pub max: Option<Real>,
    /// Mean of the finite elements' magnitudes.
    pub mean_magnitude: Option<Real>,
    /// Elements that are no number.
    pub nan: usize,
    /// Infinite elements.
    pub infinite: usize,
    /// Elements below the type's smallest normal number, zero left out: slow
    /// on many processors.
    pub subnormal: usize,
    /// The tensor as a bank of filters, if it is one.
    pub filters: Option<FilterReport>,
}

struct Task {
    node: String,
    tensor: String,
    data: Arc<Tensor>,
    layout: Layout,
}

/// Looks at every weight, bias and statistic of a graph and its subgraphs,
/// each once, in parallel; in the model's order.
pub fn weight_reports(graph: &Graph, facts: &Facts, progress: &Progress) -> Vec<WeightReport> {
    let mut tasks = Vec::new();
    collect(graph, facts, &[], &mut HashSet::new(), &mut tasks);
    let done = AtomicUsize::new(0);
    tasks
        .par_iter()
        .map(|task| {
            let report = look(task);
            let count = 1 + done.fetch_add(1, Ordering::Relaxed);
            progress.tell(count, tasks.len(), &task.node);
            report
        })
        .collect()
}

fn collect(
    graph: &Graph,
    facts: &Facts,
    path: &[String],
    seen: &mut HashSet<String>,
    tasks: &mut Vec<Task>,
) {
    for &id in graph.order() {
        let name = graph.node_name(id);
        if !weights::is_constant(graph, facts, id) {
            inputs(graph, facts, id, &joined(path, &name), seen, tasks);
        }
        for nested in facts.nested(id) {
            let mut path = path.to_vec();
            path.push(name.clone());
            collect(&nested.graph, &nested.facts, &path, seen, tasks);
        }
    }
}

fn inputs(
    graph: &Graph,
    facts: &Facts,
    id: NodeId,
    node: &str,
    seen: &mut HashSet<String>,
    tasks: &mut Vec<Task>,
) {
    for (slot, value) in graph.node(id).inputs.iter().enumerate() {
        let Some(value) = *value else { continue };
        let Some(role) = facts.role(id, slot) else {
            continue;
        };
        let fact = facts.value(value);
        let counted = matches!(role, Role::Weight | Role::Bias | Role::Buffer);
        let (true, Some(data)) = (counted, fact.tensor()) else {
            continue;
        };
        let tensor = match fact.roots.as_slice() {
            [root] => root.name.clone(),
            _ => graph.value(value).name.clone(),
        };
        if !seen.insert(tensor.clone()) {
            continue;
        }
        let layout = match role {
            Role::Weight => layout(graph, facts, id, &data),
            _ => Layout::Plain,
        };
        tasks.push(Task {
            node: node.to_owned(),
            tensor,
            data,
            layout,
        });
    }
}

fn layout(graph: &Graph, facts: &Facts, id: NodeId, data: &Tensor) -> Layout {
    let name = graph.node_name(id);
    let node = graph.node(id);
    let Some(operator) = facts.operator(id) else {
        return Layout::Plain;
    };
    if data.shape.len() >= 3 {
        let gathers = operator
            .window(&facts.cx(graph, id, &name))
            .is_some_and(|w| w.axes.iter().all(|a| a.direction == Direction::Gather));
        let groups = usize::try_from(node.attrs.int("group").unwrap_or(1)).unwrap_or(1);
        return if gathers {
            Layout::First { groups }
        } else {
            Layout::Plain
        };
    }
    if data.shape.len() != 2 {
        return Layout::Plain;
    }
    match operator.downcast::<Gemm>() {
        Some(gemm) if gemm.trans_b => Layout::First { groups: 1 },
        Some(_) => Layout::Last,
        None if operator.downcast::<MatMul>().is_some() => Layout::Last,
        None => Layout::Plain,
    }
}

fn look(task: &Task) -> WeightReport {
    let mut report = WeightReport {
        node: task.node.clone(),
        tensor: task.tensor.clone(),
        shape: task.data.shape.clone(),
        min: None,
        max: None,
        mean_magnitude: None,
        nan: 0,
        infinite: 0,
        subnormal: 0,
        filters: None,
    };
    let Some(values) = task.data.to_f64() else {
        return report;
    };
    let normal = smallest_normal(task.data.dtype);
    let (mut min, mut max, mut sum, mut finite) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
    for &v in &values {
        if v.is_nan() {
            report.nan += 1;
        } else if v.is_infinite() {
            report.infinite += 1;
        } else {
            finite += 1;
            min = min.min(v);
            max = max.max(v);
            sum += v.abs();
            report.subnormal += usize::from(v != 0.0 && v.abs() < normal);
        }
    }
    if finite > 0 {
        #[allow(clippy::cast_precision_loss)]
        let mean = sum / finite as f64;
        report.min = Some(Real(min));
        report.max = Some(Real(max));
        report.mean_magnitude = Some(Real(mean));
    }
    // One value throughout was never trained: its filters say nothing.
    if finite == values.len() && min < max {
        report.filters = filters(&values, &task.data.shape, task.layout);
    }
    report
}

/// The smallest normal number of a type; 0 for integers.
fn smallest_normal(dtype: DataType) -> f64 {
    match dtype {
        DataType::Float | DataType::Bfloat16 => f64::from(f32::MIN_POSITIVE),
        DataType::Float16 => 2f64.powi(-14),
        DataType::Double => f64::MIN_POSITIVE,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_numbers_are_counted() {
        let data = Tensor::from_f64(
            DataType::Float,
            vec![4],
            &[f64::NAN, f64::INFINITY, 1e-40, -2.0],
        );
        let report = look(&Task {
            node: "n".into(),
            tensor: "t".into(),
            data: data.unwrap().into(),
            layout: Layout::Plain,
        });
        assert_eq!((report.nan, report.infinite, report.subnormal), (1, 1, 1));
        assert_eq!(report.min, Some(Real(-2.0)));
    }
}
