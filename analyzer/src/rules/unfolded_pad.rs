//! CF031: zeros that stand apart from the convolution that reads them.

use compiler::ir::NodeId;
use compiler::ops::{Conv, Pad, PadMode};

use super::subject::Subject;
use super::words::list;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF031",
    name: "unfolded-pad",
    severity: Severity::Warning,
    what: "A Pad of zeros around the spatial axes that only a convolution reads.",
    why: "A convolution pads for nothing: apart, the whole map is copied first, and every shape \
          in between is one more.",
    ignore: "Where the runtime is known to fold it itself.",
    example: "Pad 0,0,1,1 before a 3x3 at stride 2 (TensorFlow's SAME): `convfold lint --fix` \
              makes it the convolution's own pads.",
    discussion: "",
    fixes: &["fold-pad"],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    for &id in graph.order() {
        if subject.operator::<Conv>(id).is_none() {
            continue;
        }
        let Some(pad) = subject.sole_producer(id) else {
            continue;
        };
        let Some(pads) = zeros(subject, pad) else {
            continue;
        };
        let message = format!(
            "pads with zeros ({}) for the convolution \"{}\", which can do so itself",
            list(&pads),
            graph.node_name(id)
        );
        drafts.push(
            Draft::at(&graph.node_name(pad), message)
                .help("`convfold lint --fix` or `convfold fold` folds it exactly")
                .fix(graph.node_name(id))
                .with("convolution", graph.node_name(id))
                .with("pads", pads),
        );
    }
}

/// Spatial begins, then ends, of a Pad that adds zeros to spatial axes only.
fn zeros(subject: &Subject, id: NodeId) -> Option<Vec<i64>> {
    let pad: &Pad = subject.operator(id)?;
    let name = subject.graph().node_name(id);
    let cx = subject.facts().cx(subject.graph(), id, &name);
    if pad.mode != PadMode::Constant || pad.border(&cx)? != 0.0 {
        return None;
    }
    let amounts = pad.amounts(&cx).ok()?;
    let (channels, spatial) = amounts.split_at_checked(2)?;
    let number = |of: fn(&(compiler::ir::Expr, compiler::ir::Expr)) -> &compiler::ir::Expr| {
        move |a: &(compiler::ir::Expr, compiler::ir::Expr)| of(a).as_i64()
    };
    let plain = channels
        .iter()
        .all(|(begin, end)| begin.as_const() == Some(0) && end.as_const() == Some(0));
    let begins = spatial.iter().map(number(|a| &a.0));
    let ends = spatial.iter().map(number(|a| &a.1));
    let pads: Vec<i64> = begins.chain(ends).collect::<Option<_>>()?;
    (plain && pads.iter().all(|&p| p >= 0)).then_some(pads)
}
