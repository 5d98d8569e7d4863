//! From an edit of a chain to a patch of the graph, and to words.

use egg::{Id, Language, RecExpr};

use super::Site;
use super::edit::{Edit, spine};
use super::extract::flows;
use super::lang::{OpKey, Term, extents};
use super::prepare::Prepared;
use super::segment::Segment;
use super::weights::{Elements, Weights, key};
use crate::ir::{Attrs, Graph, NewNode, Patch, Ref, Tensor};

/// The patch that puts the new operators in place of the old nodes.
///
/// # Errors
/// Weights that cannot be computed, in words for a report.
pub fn patch(
    graph: &Graph,
    segment: &Segment,
    weights: &Weights,
    edit: &Edit,
) -> Result<Patch, String> {
    let old = &segment.nodes[edit.removed.clone()];
    let (Some(&first), Some(&last)) = (old.first(), old.last()) else {
        return Err("nothing to replace".into());
    };
    let mut patch = Patch::default();
    old.iter().for_each(|&n| patch.remove(n));
    patch.at(last);
    let source = if edit.removed.start == 0 {
        segment.source
    } else {
        let before = segment.nodes[edit.removed.start - 1];
        graph.node(before).outputs[0].ok_or("a node without an output")?
    };
    debug_assert!(graph.node(first).inputs.contains(&Some(source)));
    let end = graph.node(last).outputs[0].ok_or("a node without an output")?;
    let mut flow = Ref::Existing(source);
    for (i, &id) in edit.inserted.iter().enumerate() {
        let Term::Op(op, children) = &weights.expr[id] else {
            return Err("an operator was expected".into());
        };
        let from = segment.nodes[op.site as usize];
        let parts = edit.inserted.iter();
        let parts = parts
            .filter(|&&o| site_of(weights.expr, o) == Some(op.site))
            .count();
        let nth = edit.inserted[..i].iter();
        let nth = nth
            .filter(|&&o| site_of(weights.expr, o) == Some(op.site))
            .count();
        let suffix = if parts > 1 {
            format!(".{nth}")
        } else {
            String::new()
        };
        let mut inputs = Vec::new();
        for &child in children.iter() {
            inputs.push(if flows(weights.expr, child) {
                Some(flow.clone())
            } else {
                input(graph, segment, weights, &mut patch, from, child, &suffix)?
            });
        }
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let output = if i + 1 == edit.inserted.len() {
            Ref::Existing(end)
        } else {
            let node = graph.node(from);
            let name = node.outputs[0].map(|v| graph.value(v).name.clone());
            patch.value(format!("{}.{nth}", name.unwrap_or_default()))
        };
        let node = graph.node(from);
        patch.node(NewNode {
            name: if node.name.is_empty() {
                String::new()
            } else {
                format!("{}{suffix}", node.name)
            },
            domain: node.domain.clone(),
            op: op.name.to_string(),
            opset: node.opset,
            attrs: attributes(node.attrs.clone(), op, graph, segment),
            inputs,
            outputs: vec![output.clone()],
        });
        flow = output;
    }
    Ok(patch)
}

fn site_of(expr: &RecExpr<Term>, id: Id) -> Option<u32> {
    match &expr[id] {
        Term::Op(op, _) => Some(op.site),
        _ => None,
    }
}

/// The node's own attributes where the operator is as it was, else the new ones.
fn attributes(own: Attrs, op: &OpKey, graph: &Graph, segment: &Segment) -> Attrs {
    let node = graph.node(segment.nodes[op.site as usize]);
    let unchanged = crate::ops::find(&node.domain, &node.op)
        .and_then(|o| (o.parse)(node, node.opset).ok())
        .is_some_and(|o| OpKey::new(&node.op, op.site, o.into()) == *op);
    if unchanged { own } else { op.operator.emit() }
}

/// A constant input: the graph's own value where it is one, else a new tensor
/// named after what it was made of.
fn input(
    graph: &Graph,
    segment: &Segment,
    weights: &Weights,
    patch: &mut Patch,
    node: crate::ir::NodeId,
    id: Id,
    suffix: &str,
) -> Result<Option<Ref>, String> {
    match &weights.expr[id] {
        Term::Missing => Ok(None),
        Term::Constant(i) => Ok(Some(Ref::Existing(segment.constants[*i as usize]))),
        term => {
            let Elements { dtype, shape, data } = weights.class(id)?;
            let tensor = Tensor::from_f64(dtype, shape, &data)
                .ok_or_else(|| format!("weights of type {dtype:?} cannot be written"))?;
            let base = first_constant(weights.expr, id)
                .map(|i| graph.value(segment.constants[i as usize]).name.clone())
                .unwrap_or_else(|| format!("{}_weight", graph.node_name(node)));
            let kind = match term {
                Term::Shifted(..) | Term::Sum(_) | Term::Corrected(..) | Term::Carried(_)
                    if base_is_weight(weights.expr, id) =>
                {
                    "_bias"
                }
                _ => "",
            };
            Ok(Some(patch.tensor(format!("{base}{kind}{suffix}"), tensor)))
        }
    }
}

/// Whether the first constant under a bias term is not a bias itself.
fn base_is_weight(expr: &RecExpr<Term>, id: Id) -> bool {
    match &expr[id] {
        Term::Corrected(_, [b, _]) | Term::Sum([b, ..]) | Term::Shifted(_, [b, ..]) => {
            expr[*b] == Term::Missing
        }
        _ => false,
    }
}

fn first_constant(expr: &RecExpr<Term>, id: Id) -> Option<u32> {
    match &expr[id] {
        Term::Constant(i) => Some(*i),
        term => term
            .children()
            .iter()
            .find_map(|&c| first_constant(expr, c)),
    }
}

/// An edit in words and numbers.
pub struct Summary {
    /// The site that a report names.
    pub site: Option<u32>,
    /// What stood there.
    pub from: String,
    /// What stands there.
    pub to: Vec<String>,
    /// Channels between factors.
    pub widths: Vec<usize>,
    /// Whether outputs stay the same: no fit inside loses anything.
    pub exact: bool,
    /// Largest weight error of the fits.
    pub weight_error: Option<f64>,
    /// Largest output error of the fits.
    pub output_error: Option<f64>,
    /// Why, where the fits tell.
    pub why: Option<String>,
}

impl Summary {
    /// Describes an edit.
    pub fn of(weights: &Weights, before: &RecExpr<Term>, edit: &Edit) -> Self {
        let old: Vec<Id> = spine(before)[edit.removed.clone()].to_vec();
        let site = old
            .iter()
            .find(|&&id| kernel(weights, before, id).is_some())
            .and_then(|&id| site_of(before, id));
        let mut summary = Self {
            site,
            from: String::new(),
            to: edit
                .inserted
                .iter()
                .map(|&id| name(weights, weights.expr, id))
                .collect(),
            widths: Vec::new(),
            exact: true,
            weight_error: None,
            output_error: None,
            why: None,
        };
        let names: Vec<String> = old.iter().map(|&id| name(weights, before, id)).collect();
        summary.from = names.join(" + ");
        for &id in &edit.inserted {
            let Term::Op(_, children) = &weights.expr[id] else {
                continue;
            };
            let Some(Term::Factor(chain, part, [w])) = children.get(1).map(|&c| &weights.expr[c])
            else {
                continue;
            };
            if *part as usize + 1 < chain.form.factors.len() {
                summary
                    .widths
                    .push(chain.form.factors[*part as usize].width);
            }
            if let Some(fit) = weights.fits.get(&(key(weights.expr, *w), chain.clone())) {
                summary.exact &= fit.exact;
                let larger = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.max(b)));
                summary.weight_error = larger(summary.weight_error, fit.weight_error);
                if let Some(error) = fit.output_error {
                    summary.output_error = larger(summary.output_error, error);
                }
                // What was there, not the wider kernel that the chain stands for.
                let own = match &weights.expr[*w] {
                    Term::Embedded(_, [inner]) => *inner,
                    _ => *w,
                };
                if *part == 0
                    && let Ok(w) = weights.class(own)
                {
                    let inputs = w.shape[1] * chain.groups;
                    summary.why = Some(format!(
                        "{} weights for the {} of one {}",
                        chain.form.parameters(inputs),
                        w.data.len(),
                        extents(&w.shape[2..]),
                    ));
                }
            }
        }
        summary
    }

    /// The report of the edit.
    pub fn site(self, chain: &Prepared, edit: &Edit) -> Site {
        let offered = chain.saturated.notes.offered.iter();
        let rivals = offered.filter(|o| Some(o.site.site) == self.site).count();
        let node = self
            .site
            .and_then(|s| chain.names.get(s as usize))
            .unwrap_or(&chain.names[edit.removed.start])
            .clone();
        let why = match self.why {
            None => "the same outputs with fewer constants and operators".into(),
            Some(size) if rivals > 1 => {
                format!("{size}: the least predicted error of {rivals} candidates")
            }
            Some(size) => size,
        };
        Site {
            node,
            from: self.from,
            to: self.to,
            widths: self.widths,
            exact: self.exact,
            weight_error: self.weight_error,
            output_error: self.output_error,
            why,
            explanation: None,
            rivals: Vec::new(),
        }
    }
}

/// The spatial kernel of a convolution term.
fn kernel(weights: &Weights, expr: &RecExpr<Term>, id: Id) -> Option<Vec<usize>> {
    let Term::Op(op, children) = &expr[id] else {
        return None;
    };
    op.conv()?;
    let w = *children.get(1)?;
    match &expr[w] {
        Term::Factor(chain, part, _) => Some(chain.form.factors[*part as usize].spatial.clone()),
        _ => {
            let inner = Weights { expr, ..*weights };
            inner.class(w).ok().map(|e| e.shape[2..].to_vec())
        }
    }
}

fn name(weights: &Weights, expr: &RecExpr<Term>, id: Id) -> String {
    match (kernel(weights, expr, id), &expr[id]) {
        (Some(spatial), _) => extents(&spatial),
        (None, Term::Op(op, _)) => op.name.to_string(),
        (None, term) => term.to_string(),
    }
}
