//! CF003: even kernels whose one-sided padding shifts the map.

use super::subject::Subject;
use super::words::{list, pixels, sizes};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::information::OneSided;
use crate::number::Exact;

pub(super) const RULE: Rule = Rule {
    code: "CF003",
    name: "even-kernel-shift",
    severity: Severity::Warning,
    what: "A window with an even kernel and one more pad on one side, whose half step of shift no \
           later layer takes back.",
    why: "An even kernel has no middle: padded on one side it moves what each unit looks at by \
          half a step, and the halves add up along a chain (Wu et al. 2019). Boxes and masks come \
          out off by that much.",
    ignore: "In a classifier that ends in a global pool, where position does not matter.",
    example: "2x2 with pads 0,0 before and 1,1 after at a step of 4 px: 2 px of shift. Give the \
              next 2x2 its pads on the other side, so that the two cancel.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for window in &subject.analysis.information.one_sided {
        let (begins, ends) = window.pads.split_at(window.kernel.len());
        let mut axes = window.kernel.iter().zip(begins.iter().zip(ends));
        let even = axes.any(|(kernel, (begin, end))| kernel % 2 == 0 && begin != end);
        let (after, before) = (magnitude(&window.total), before(window));
        if !even || after <= before || taken_back(subject, &window.node, after) {
            continue;
        }
        let message = format!(
            "an even kernel ({}) with pads {} before and {} after shifts what its units look at by \
             {} of the input, {} in all at this depth",
            sizes(&window.kernel),
            list(begins),
            list(ends),
            pixels(after - before),
            pixels(after),
        );
        drafts.push(
            Draft::at(&window.node, message)
                .help(
                    "use an odd kernel, or give a later even kernel its pads on the other side so \
                     that the two cancel",
                )
                .with("kernel", &window.kernel)
                .with("pads", &window.pads)
                .with("shift", &window.shift)
                .with("shift_in_all", &window.total),
        );
    }
}

/// The largest shift along an axis before a window, in input pixels.
fn before(window: &OneSided) -> f64 {
    let both = window.total.iter().zip(&window.shift);
    let known = both.filter_map(|(total, own)| Some((*total)?.as_f64() - (*own)?.as_f64()));
    known.map(f64::abs).fold(0.0, f64::max)
}

/// The largest shift along an axis, in input pixels.
fn magnitude(shifts: &[Option<Exact>]) -> f64 {
    let known = shifts.iter().flatten();
    known.map(|s| s.as_f64().abs()).fold(0.0, f64::max)
}

/// Whether the next window on the way has less shift than this.
fn taken_back(subject: &Subject, node: &str, after: f64) -> bool {
    let graph = subject.graph();
    let mut at = subject.node(node);
    while let Some(id) = at {
        let output = graph.node(id).outputs.first().copied().flatten();
        at = output.and_then(|v| graph.sole_consumer(v));
        let name = at.map(|id| graph.node_name(id)).unwrap_or_default();
        let layer = subject.layer(&name);
        if let Some(layer) = layer.filter(|l| !l.kernel.is_empty()) {
            let field = layer.receptive_field.as_ref();
            let shifts = field.and_then(|f| f.padding_shift.as_ref());
            return shifts.is_some_and(|s| magnitude(s) < after);
        }
    }
    false
}
