//! CF004: windows that do not overlap, or step over positions.

use super::subject::Subject;
use super::words::{percent, share, sizes};
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::information::NoOverlap;

pub(super) const RULE: Rule = Rule {
    code: "CF004",
    name: "stride-without-overlap",
    severity: Severity::Information,
    what: "A window whose stride is as large as its kernel or larger. A warning where every reader \
           of a map steps over the same positions, so that part of it is computed for nobody.",
    why: "Without overlap a feature that moves by one pixel falls into other windows and the \
          output jumps; with a stride above the kernel positions are never read at all: 1x1 at \
          stride 2 reads one in four (He et al. 2018, ResNet-B and -D).",
    ignore: "Patch embeddings (ConvNeXt, ViT) and 2x2 pools are made this way on purpose.",
    example: "1x1 at stride 2 in a shortcut reads one position in four: an average pool 2x2 before \
              a 1x1 at stride 1 (ResNet-D) reads all.",
    discussion: "For overlap: 3x3 at stride 2 shares a third of its window with its neighbour, and \
                 AlexNet's overlapping pools were harder to overfit. Against: patchify stems \
                 without overlap match overlapping ones at scale (Liu et al. 2022), and cost less.",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let found = &subject.analysis.information.without_overlap;
    for place in found {
        let Some(layer) = subject.layer(&place.node) else {
            continue;
        };
        let (kernel, stride) = (sizes(&place.kernel), sizes(&place.stride));
        let skips = place.unread.0 > 0.0;
        let alone = skips && unread_by_all(subject, place, found);
        let message = if alone {
            format!(
                "{kernel} at stride {stride} reads {} of its input, and nothing else reads the \
                 rest: {} of that map is computed for nobody",
                percent(1.0 - place.unread.0),
                share(place.unread),
            )
        } else if skips {
            format!(
                "{kernel} at stride {stride} reads {} of its input's positions and steps over the \
                 others",
                percent(1.0 - place.unread.0),
            )
        } else {
            format!(
                "{kernel} at stride {stride}: neighbouring windows share nothing, so that a shift \
                 by one pixel moves features from one into the next"
            )
        };
        let help = if skips {
            "average over the stride before (ResNet-D), or put the stride on a 3x3 (ResNet-B)"
        } else {
            "a kernel above the stride (3x3 at stride 2) overlaps; leave patch embeddings as they are"
        };
        let draft = Draft::at(&place.node, message)
            .help(help)
            .with("kernel", &place.kernel)
            .with("stride", &place.stride)
            .with("unread", place.unread)
            .with("op", &layer.op);
        drafts.push(if alone {
            draft.severity(Severity::Warning)
        } else {
            draft
        });
    }
}

/// Whether all readers of a node's input step over the same positions.
fn unread_by_all(subject: &Subject, place: &NoOverlap, found: &[NoOverlap]) -> bool {
    let graph = subject.graph();
    let Some(data) = subject.node(&place.node).and_then(|n| subject.data(n)) else {
        return false;
    };
    let computed = graph.producer(data).is_some() && !graph.outputs.contains(&data);
    let mut readers = graph.consumers(data).into_iter();
    computed
        && readers.all(|reader| {
            let name = graph.node_name(reader);
            let same =
                |f: &&NoOverlap| f.node == name && f.unread.0 > 0.0 && f.stride == place.stride;
            found.iter().any(|f| same(&f))
        })
}
