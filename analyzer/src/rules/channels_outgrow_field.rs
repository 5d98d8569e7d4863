//! CF012: channels that grow faster than what their units see.

use super::subject::Subject;
use super::words::field;
use super::{Check, Rule, Threshold};
use crate::diagnostic::{Draft, Severity};
use crate::number::Real;
use crate::report::Layer;
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF012",
    name: "channels-outgrow-field",
    severity: Severity::Information,
    what: "A stage (the convolutions of one resolution) that has several times the channels of the \
           stage before, while the area that its units see has grown less.",
    why: "More channels pay where there is more to describe. Where units see little more than \
          before, the new channels describe the same patch again.",
    ignore: "In a last stage that widens for the classifier, and after squeezing layers.",
    example: "stage 2 goes from 16 to 256 channels (x16) while the field grows from 11x11 to \
              15x15 (x1.86): another 3x3 before widening.",
    discussion: "The rule of thumb (double the channels where the stride halves the map) keeps \
                 the cost of a stage level and is no law: EfficientNet's search widened more \
                 slowly, and wide shallow networks work too (Zagoruyko and Komodakis 2016).",
    fixes: &[],
    weights: false,
    thresholds: &[Threshold {
        key: "growth",
        default: 2.5,
        what: "least growth of channels that is looked at",
    }],
    check: Check::Model(check),
};

/// The layers of one resolution, those of the widest map counting: branches
/// have fewer channels than what they are joined to.
struct Stage<'a> {
    /// Input pixels a position.
    area: f64,
    widest: &'a str,
    channels: i64,
    field: &'a [Option<i64>],
    /// Whether something is learnt here.
    learnt: bool,
}

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    let stages = stages(subject);
    for pair in stages.windows(2) {
        let [before, stage] = pair else { continue };
        let (Some(was), Some(seen)) = (pixels(before.field), pixels(stage.field)) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss)]
        let channels = stage.channels as f64 / before.channels as f64;
        let field_growth = seen / was;
        // Where units see all of the image already, there is no more to see.
        let all = sees_all(subject, before.field);
        let grown = channels >= subject.threshold("growth") && channels > field_growth;
        if !before.learnt || !grown || all {
            continue;
        }
        let message = format!(
            "this stage goes from {} to {} channels (x{}), while what its units see grows from {} \
             to {} (x{})",
            before.channels,
            stage.channels,
            units::plain(channels),
            field(before.field),
            field(stage.field),
            units::plain(field_growth),
        );
        drafts.push(
            Draft::at(stage.widest, message)
                .help("let the field grow first (another 3x3 in the stage), or widen less")
                .with("channels", [before.channels, stage.channels])
                .with("channel_growth", Real(channels))
                .with("field_growth", Real(field_growth)),
        );
    }
}

/// Whether a field is at least the image, as far as its size is known.
fn sees_all(subject: &Subject, field: &[Option<i64>]) -> bool {
    let study = subject.study;
    let Some((_, axes)) = study.layout.inputs.first() else {
        return false;
    };
    let mut sides = axes.iter().zip(field);
    sides.all(|(&axis, side)| {
        let image = study.fields.input_size(axis);
        image.zip(*side).is_some_and(|(image, side)| side >= image)
    })
}

/// The stages from fine to coarse.
fn stages<'a>(subject: &Subject<'a>) -> Vec<Stage<'a>> {
    let mut stages: Vec<Stage> = Vec::new();
    for layer in subject.analysis.layers.iter().filter(|l| !l.constant) {
        let Some(stage) = Stage::of(layer) else {
            continue;
        };
        match stages.iter_mut().find(|s| s.area == stage.area) {
            None => stages.push(stage),
            Some(known) => {
                known.learnt |= stage.learnt;
                if stage.channels > known.channels {
                    (known.channels, known.widest) = (stage.channels, stage.widest);
                }
                if pixels(stage.field) > pixels(known.field) {
                    known.field = stage.field;
                }
            }
        }
    }
    stages.sort_by(|a, b| a.area.total_cmp(&b.area));
    stages
}

impl<'a> Stage<'a> {
    fn of(layer: &'a Layer) -> Option<Self> {
        let seen = layer.receptive_field.as_ref()?;
        let jump: Vec<f64> = seen
            .jump
            .as_ref()?
            .iter()
            .map(|j| j.map(crate::number::Exact::as_f64))
            .collect::<Option<_>>()?;
        let shape = layer.shape.as_ref()?;
        let map = shape.len() == jump.len() + 2 && jump.iter().all(|j| *j > 0.0);
        map.then_some(())?;
        Some(Self {
            area: jump.iter().product(),
            widest: &layer.node,
            channels: shape.get(1)?.0.as_i64().filter(|&c| c > 0)?,
            field: seen.size.as_deref()?,
            learnt: layer.groups.is_some(),
        })
    }
}

/// The area of a field; `None` where an axis is seen whole.
#[allow(clippy::cast_precision_loss)]
fn pixels(field: &[Option<i64>]) -> Option<f64> {
    let mut sides = field.iter();
    sides.try_fold(1.0, |area, side| Some(area * (*side)? as f64))
}
