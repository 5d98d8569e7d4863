//! CF003: even kernels whose one-sided padding shifts the map.

use compiler::ir::{NodeId, ValueId};
use compiler::ops::window::Direction;

use super::subject::Subject;
use super::words::{pixels, sizes};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::number::Real;

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
    let graph = subject.graph();
    for &id in graph.order() {
        let Some(window) = subject.window(id) else {
            continue;
        };
        let even = window.axes.iter().any(|a| {
            let uneven = a.pads.is_some_and(|(begin, end)| begin != end);
            a.direction == Direction::Gather && a.kernel % 2 == 0 && uneven
        });
        let (Some(before), Some(after)) = (
            subject.data(id).and_then(|v| shift(subject, v)),
            output(subject, id).and_then(|v| shift(subject, v)),
        ) else {
            continue;
        };
        if !even || after <= before || taken_back(subject, id, after) {
            continue;
        }
        let kernel: Vec<i64> = window.axes.iter().map(|a| a.kernel).collect();
        let pads: Vec<(i64, i64)> = window.axes.iter().filter_map(|a| a.pads).collect();
        let begins: Vec<i64> = pads.iter().map(|p| p.0).collect();
        let ends: Vec<i64> = pads.iter().map(|p| p.1).collect();
        let list = |v: &[i64]| v.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let message = format!(
            "an even kernel ({}) with pads {} before and {} after shifts what its units look at by \
             {} of the input, {} in all at this depth",
            sizes(&kernel),
            list(&begins),
            list(&ends),
            pixels(after - before),
            pixels(after),
        );
        drafts.push(
            Draft::at(&graph.node_name(id), message)
                .help(
                    "use an odd kernel, or give a later even kernel its pads on the other side so \
                     that the two cancel",
                )
                .with("kernel", kernel)
                .with("shift", Real(after - before))
                .with("shift_in_all", Real(after)),
        );
    }
}

/// The largest shift by one-sided padding along an axis, in input pixels.
fn shift(subject: &Subject, value: ValueId) -> Option<f64> {
    let fields = &subject.study.fields;
    let axes = subject.study.layout.axes_of(fields, value);
    let shifts = axes.iter().filter_map(|&axis| {
        let skew = fields.of(value, axis)?.skew;
        #[allow(clippy::cast_precision_loss)]
        Some((*skew.numer() as f64 / *skew.denom() as f64).abs())
    });
    shifts.reduce(f64::max)
}

fn output(subject: &Subject, id: NodeId) -> Option<ValueId> {
    subject.graph().node(id).outputs.first().copied().flatten()
}

/// Whether the next window on the way has less shift than this.
fn taken_back(subject: &Subject, id: NodeId, after: f64) -> bool {
    let mut at = output(subject, id);
    while let Some(value) = at {
        let Some(next) = subject.graph().sole_consumer(value) else {
            return false;
        };
        at = output(subject, next);
        if subject.window(next).is_some() {
            return at
                .and_then(|v| shift(subject, v))
                .is_some_and(|s| s < after);
        }
    }
    false
}
