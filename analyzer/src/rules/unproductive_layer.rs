//! CF007: convolutions whose input already sees more than the image.

use super::subject::Subject;
use super::words::{field, percent, sizes};
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::information::Extent;
use crate::number::Real;
use crate::report::Layer;
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF007",
    name: "unproductive-layer",
    severity: Severity::Information,
    what: "A convolution above 1x1 over a map whose units see more than the image already.",
    why: "It cannot bring in new context, only mix what every unit has seen: such layers hardly \
          improve the prediction (Richter et al. 2021), and are the first to go, or the sign that \
          the image could be larger.",
    ignore: "Where the model also runs on larger images, or the theoretical field is wide but the \
             effective one is not (sigma in `convfold analyze`).",
    example: "conv5 of a ResNet on 32x32 images: its input's units see 291x291. Take stages out, \
              stride less, or train on larger images.",
    discussion: "For: probes show that accuracy stops rising at the layer whose field reaches the \
                 image's size. Against: the effective field is much smaller than the theoretical \
                 one (Luo et al. 2016), and depth adds non-linearity even without new context.",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "share",
        default: 0.05,
        what: "least share of the model's MACs that such layers must take together",
    }],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let extents = subject.analysis.information.unproductive.iter();
    // A pool costs nothing to speak of and learns nothing.
    let layers: Vec<(&Extent, &Layer)> = extents
        .filter_map(|e| Some((e, subject.layer(&e.node)?)))
        .filter(|(_, l)| l.groups.is_some())
        .collect();
    let share = |layer: &Layer| subject.share(layer).unwrap_or(0.0);
    let all: f64 = layers.iter().map(|(_, l)| share(l)).sum();
    // Where the MACs are not known, nothing is said of their share.
    let known = layers.iter().any(|(_, l)| subject.share(l).is_some());
    if known && all < subject.threshold("share") {
        return;
    }
    for &(extent, layer) in &layers {
        let own = share(layer);
        let cost = match (own > 0.0, layers.len()) {
            (false, _) => String::new(),
            (true, 1) => format!(" and {} of the model's MACs", percent(own)),
            (true, many) => format!(
                " and {} of the model's MACs, {} in the {many} such layers",
                percent(own),
                percent(all)
            ),
        };
        #[allow(clippy::cast_precision_loss)]
        let weights = units::si(layer.parameters as f64);
        let message = format!(
            "{} over units that see {} of a {} image already: no new context for {weights} \
             weights{cost}",
            sizes(&layer.kernel),
            field(&extent.field),
            sizes(&extent.image),
        );
        drafts.push(
            Draft::at(&extent.node, message)
                .help("end the network earlier, stride less, or run it on larger images")
                .with("field", &extent.field)
                .with("image", &extent.image)
                .with("share_of_macs", Real(own))
                .with("share_of_all", Real(all)),
        );
    }
}
