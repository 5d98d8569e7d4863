//! CF026: transposed convolutions that cover their output unevenly.

use compiler::ops::window::Direction;

use super::subject::Subject;
use super::words::sizes;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};

pub(super) const RULE: Rule = Rule {
    code: "CF026",
    name: "checkerboard-upsampling",
    severity: Severity::Information,
    what: "A transposed convolution whose kernel is no multiple of its stride.",
    why: "Neighbouring outputs then get different numbers of contributions (3x3 at stride 2: 1, 2 \
          or 4), which shows as a checkerboard in images, gradients and masks (Odena et al. 2016).",
    ignore: "Where the weights have learnt to even it out and nothing shows.",
    example: "3x3 at stride 2: use 4x4 at stride 2, or resize by 2 and then a 3x3.",
    discussion: "For a multiple: the overlap is even by construction. Against trusting it: weights \
                 can still make a checkerboard, and resizing first costs four times the MACs.",
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
        let uneven = window
            .axes
            .iter()
            .any(|a| a.direction == Direction::Scatter && a.stride > 1 && a.kernel % a.stride != 0);
        let name = graph.node_name(id);
        let learnt = subject.layer(&name).is_some_and(|l| l.groups.is_some());
        if !uneven || !learnt {
            continue;
        }
        let kernel: Vec<i64> = window.axes.iter().map(|a| a.kernel).collect();
        let stride: Vec<i64> = window.axes.iter().map(|a| a.stride).collect();
        let most: i64 = covers(&window, |k, s| (k + s - 1) / s);
        let least: i64 = covers(&window, |k, s| k / s);
        let message = format!(
            "transposed {} at stride {}: an output gets between {least} and {most} contributions, \
             by its place",
            sizes(&kernel),
            sizes(&stride),
        );
        drafts.push(
            Draft::at(&name, message)
                .help("a kernel that is a multiple of the stride, or resize and then convolve")
                .with("kernel", kernel)
                .with("stride", stride)
                .with("contributions", [least, most]),
        );
    }
}

fn covers(window: &compiler::ops::Window, of: impl Fn(i64, i64) -> i64) -> i64 {
    let axes = window.axes.iter();
    axes.map(|a| of(a.kernel, a.stride.max(1))).product()
}
