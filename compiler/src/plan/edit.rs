//! From two terms of one chain to the edits that lead from one to the other.

use egg::{Id, RecExpr};

use super::extract::flows;
use super::lang::Term;

/// Nodes of the chain that go, and the operators of the new term that stand in
/// their place.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Range of the chain's nodes.
    pub removed: std::ops::Range<usize>,
    /// The new operators, in execution order, as places in the new term.
    pub inserted: Vec<Id>,
}

/// The operators of a term in execution order.
pub fn spine(expr: &RecExpr<Term>) -> Vec<Id> {
    let mut ids = Vec::new();
    let mut at = expr.root();
    while let Term::Op(_, children) = &expr[at] {
        ids.push(at);
        match children.iter().find(|&&c| flows(expr, c)) {
            Some(&next) => at = next,
            None => break,
        }
    }
    ids.reverse();
    ids
}

/// The weights and attributes of one operator, without the data that enter:
/// equal where two operators do the same.
fn fingerprint(expr: &RecExpr<Term>, id: Id) -> String {
    fn deep(expr: &RecExpr<Term>, id: Id) -> String {
        let term = &expr[id];
        let children: Vec<String> = egg::Language::children(term)
            .iter()
            .map(|&c| {
                if flows(expr, c) {
                    "x".into()
                } else {
                    deep(expr, c)
                }
            })
            .collect();
        let head = match term {
            Term::Op(key, _) => format!("{key:?}"),
            other => format!("{:?}", std::mem::discriminant(other)) + &other.to_string(),
        };
        format!("{head}({})", children.join(","))
    }
    deep(expr, id)
}

/// The smallest set of edits, by the longest common subsequence of operators.
pub fn edits(before: &RecExpr<Term>, after: &RecExpr<Term>) -> Vec<Edit> {
    let (old, new) = (spine(before), spine(after));
    let a: Vec<String> = old.iter().map(|&id| fingerprint(before, id)).collect();
    let b: Vec<String> = new.iter().map(|&id| fingerprint(after, id)).collect();
    // Most of a chain stays: the table covers what differs, and one operator
    // after it.
    let same = |(x, y): &(&String, &String)| x == y;
    let head = a.iter().zip(&b).take_while(same).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev());
    let tail = tail.take_while(same).count().saturating_sub(1);
    let (a, b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let new = &new[head..];
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found: Vec<Edit> = Vec::new();
    let mut open: Option<Edit> = None;
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            // Nodes that go without a trace: the next one is rewritten, as it has
            // to read what they read.
            if let Some(edit) = open.as_mut().filter(|e| e.inserted.is_empty()) {
                edit.removed.end = head + i + 1;
                edit.inserted.push(new[j]);
            }
            found.extend(open.take());
            i += 1;
            j += 1;
            continue;
        }
        let edit = open.get_or_insert_with(|| Edit {
            removed: head + i..head + i,
            inserted: Vec::new(),
        });
        if j >= b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            edit.removed.end = head + i;
        } else {
            edit.inserted.push(new[j]);
            j += 1;
        }
    }
    found.extend(open);
    found
}
