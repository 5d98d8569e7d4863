//! Extraction: the best term of a chain by cost.

use std::cmp::Ordering;
use std::collections::HashMap;

use egg::{CostFunction, Extractor, FlatTerm, Id, RecExpr};

use super::knowledge::{EGraph, is_missing};
use super::lang::{Chain, OpKey, Term};
use super::saturate::Saturated;
use crate::ir::Expr;
use crate::ops::Cx;

/// Cost of a term, compared in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Convolutions that an active pass is to replace.
    pub unmet: u32,
    /// Sum of the predicted relative errors of the factorizations inside.
    pub error: f64,
    /// Weights, biases and other constants.
    pub parameters: f64,
    /// Multiply-accumulates.
    pub macs: f64,
    /// Operators.
    pub operators: u32,
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = self
            .unmet
            .cmp(&other.unmet)
            .then(self.error.total_cmp(&other.error))
            .then(self.parameters.total_cmp(&other.parameters))
            .then(self.macs.total_cmp(&other.macs))
            .then(self.operators.cmp(&other.operators));
        Some(order)
    }
}

/// Counts with the operators' own cost functions.
struct Counting<'a> {
    saturated: &'a Saturated,
    errors: &'a HashMap<(Id, Chain), f64>,
    unmet: &'a dyn Fn(&OpKey) -> bool,
}

impl Counting<'_> {
    fn egraph(&self) -> &EGraph {
        &self.saturated.egraph
    }

    /// Constants that this term itself brings along.
    fn own_parameters(&self, term: &Term) -> f64 {
        let Term::Op(_, children) = term else {
            return 0.0;
        };
        children
            .iter()
            .filter(|&&c| !self.egraph()[c].data.flows)
            .map(|&c| elements(self.egraph(), c))
            .sum()
    }
}

/// Elements of a value; open sizes count as 64.
pub fn elements(egraph: &EGraph, id: Id) -> f64 {
    let shape = egraph[id].data.fact.shape.as_ref();
    shape.map_or(0.0, |s| number(&s.iter().product()))
}

/// Multiply-accumulates of an operator; open sizes count as 64.
pub fn macs(egraph: &EGraph, key: &OpKey, children: &[Id]) -> f64 {
    let cx = Cx {
        inputs: children
            .iter()
            .map(|&c| (!is_missing(egraph, c)).then(|| &egraph[c].data.fact))
            .collect(),
        outputs: 1,
        name: &key.name,
        nested: Vec::new(),
    };
    let cost = key
        .operator
        .infer(&cx)
        .and_then(|out| key.operator.cost(&cx, &out));
    cost.map_or(0.0, |c| number(&c.macs))
}

/// A count for comparison: open sizes count as 64.
fn number(e: &Expr) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    e.substitute(&|_| Some(64))
        .as_const()
        .map_or(0.0, |v| v as f64)
}

impl CostFunction<Term> for Counting<'_> {
    type Cost = Cost;

    fn cost<C: FnMut(Id) -> Cost>(&mut self, term: &Term, mut costs: C) -> Cost {
        let mut total = Cost {
            unmet: 0,
            error: 0.0,
            parameters: self.own_parameters(term),
            macs: match term {
                Term::Op(key, children) => macs(self.egraph(), key, children),
                _ => 0.0,
            },
            operators: 0,
        };
        if let Term::Factor(chain, 0, [w]) = term {
            let key = (self.egraph().find(*w), chain.clone());
            total.error = self.errors.get(&key).copied().unwrap_or(0.0);
        }
        let Term::Op(key, children) = term else {
            return total;
        };
        total.operators = 1;
        let factored = children
            .get(1)
            .is_some_and(|&w| self.egraph()[w].data.factored);
        if !factored && (self.unmet)(key) {
            total.unmet = 1;
        }
        for &child in children.iter() {
            let of = costs(child);
            total.error += of.error;
            if self.egraph()[child].data.flows {
                total.unmet += of.unmet;
                total.parameters += of.parameters;
                total.macs += of.macs;
                total.operators += of.operators;
            }
        }
        total
    }
}

/// The best term. `errors` are the predicted errors of the chains on offer,
/// `unmet` tells the convolutions that are not to stay.
pub fn best(
    saturated: &Saturated,
    errors: &HashMap<(Id, Chain), f64>,
    unmet: &dyn Fn(&OpKey) -> bool,
) -> RecExpr<Term> {
    let counting = Counting {
        saturated,
        errors,
        unmet,
    };
    Extractor::new(&saturated.egraph, counting)
        .find_best(saturated.root)
        .1
}

/// The rules that lead from one term to the other, each with the terms before
/// and after, as egg's proof has them.
pub fn derivation(saturated: &mut Saturated, from: &RecExpr<Term>, to: &RecExpr<Term>) -> String {
    use std::fmt::Write;
    let mut proof = saturated.egraph.explain_equivalence(from, to);
    let mut text = String::new();
    for step in proof.make_flat_explanation() {
        let mark = match rule_of(step) {
            Some((name, true)) => format!("=> {name}:"),
            Some((name, false)) => format!("<= {name}:"),
            None => "  ".into(),
        };
        let _ = writeln!(text, "{mark} {}", show(step));
    }
    text
}

fn rule_of(term: &FlatTerm<Term>) -> Option<(String, bool)> {
    term.forward_rule
        .map(|r| (r.to_string(), true))
        .or_else(|| term.backward_rule.map(|r| (r.to_string(), false)))
        .or_else(|| term.children.iter().find_map(rule_of))
}

/// A term on one line, data flow from left to right: `x -> Conv(c0) -> Relu()`.
fn show(term: &FlatTerm<Term>) -> String {
    let Term::Op(key, _) = &term.node else {
        let inner: Vec<String> = term.children.iter().map(show).collect();
        return if inner.is_empty() {
            term.node.to_string()
        } else {
            format!("{}({})", term.node, inner.join(", "))
        };
    };
    let (flow, rest): (Vec<_>, Vec<_>) = term
        .children
        .iter()
        .partition(|c| matches!(c.node, Term::Source | Term::Op(..)));
    let rest: Vec<String> = rest.into_iter().map(show).collect();
    let flow: Vec<String> = flow.into_iter().map(show).collect();
    format!("{} -> {}({})", flow.join(", "), key.name, rest.join(", "))
}

/// Whether a position of a term is data, not weights: operators stand in a chain
/// for what they make of its source, never for constants.
pub fn flows(expr: &RecExpr<Term>, id: Id) -> bool {
    matches!(expr[id], Term::Source | Term::Op(..))
}
