//! CF008: outputs that no unit saw the whole image for.

use super::subject::Subject;
use super::words::{field, percent, sizes};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::information::Extent;

pub(super) const RULE: Rule = Rule {
    code: "CF008",
    name: "blind-output",
    severity: Severity::Information,
    what: "A last local layer whose units see less than the image, before a global pool or a \
           linear layer; of outputs that are maps only the one that sees most.",
    why: "Features larger than the field are out of reach of the convolutions: what follows can \
          only count or weigh small patches (a bag of features), and an object as large as the \
          image is never seen as one.",
    ignore: "Super-resolution, style, denoising, key points: where the answer is local.",
    example: "the map before the global pool sees 63x63 of a 224x224 image: one more stage, or \
              dilation, widens it.",
    discussion: "Bags of patches of 33x33 come close to ResNets on ImageNet (Brendel and Bethge \
                 2019), so that a small field is no verdict; but detectors and segmenters are \
                 measurably better once the field covers the object and its context.",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "share",
        default: 0.5,
        what: "least share of the image along each axis that the last layer must see",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let graph = subject.graph();
    let is_output = |e: &&Extent| {
        let reader = e.read_by.as_deref();
        graph
            .outputs
            .iter()
            .any(|&o| Some(graph.value(o).name.as_str()) == reader)
    };
    let blind = &subject.analysis.information.blind;
    let (maps, global): (Vec<&Extent>, Vec<&Extent>) = blind.iter().partition(is_output);
    // What only moves data (Concat, Reshape) reads a map whole without using it.
    let uses = |e: &&Extent| {
        let reader = e.read_by.as_deref().and_then(|r| subject.layer(r));
        let flops = reader.and_then(|l| l.flops.as_ref());
        flops.is_some_and(|f| f.known() != Some(0))
    };
    for extent in global.into_iter().filter(uses) {
        look(subject, extent, drafts);
    }
    // Where some map sees enough, the others are its finer companions.
    let every = maps.len() == graph.outputs.len();
    let widest = maps.into_iter().max_by(|a, b| seen(a).total_cmp(&seen(b)));
    if let Some(extent) = widest.filter(|_| every) {
        look(subject, extent, drafts);
    }
}

fn look(subject: &Subject, extent: &Extent, drafts: &mut Vec<Draft>) {
    let context = subject
        .layer(&extent.node)
        .and_then(|l| l.receptive_field.as_ref())
        .is_some_and(|f| f.global_context || f.unknown.is_some());
    let seen = seen(extent);
    if context || seen >= subject.threshold("share") {
        return;
    }
    let reader = extent.read_by.as_deref().unwrap_or("the output");
    let message = format!(
        "the last local layer before \"{reader}\" sees {} of a {} image ({} of a side): nothing \
         larger is seen as a whole",
        field(&extent.field),
        sizes(&extent.image),
        percent(seen),
    );
    drafts.push(
        Draft::at(&extent.node, message)
            .help("widen the field (a stage, a stride, dilation) unless the answer is local")
            .with("field", &extent.field)
            .with("image", &extent.image)
            .with("read_by", &extent.read_by),
    );
}

/// The least share of a side that is seen.
#[allow(clippy::cast_precision_loss)]
fn seen(extent: &Extent) -> f64 {
    let sides = extent.field.iter().zip(&extent.image);
    sides
        .filter_map(|(f, &i)| Some((*f)? as f64 / i as f64))
        .fold(1.0, f64::min)
}
