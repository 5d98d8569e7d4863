//! Channels against downsampling and receptive field, along the depth.

use super::Stage;
use crate::number::{Exact, Real};
use crate::report::Layer;

/// The stages: convolutions in the model's order, a new stage at each change
/// of the jump.
pub(crate) fn stages(layers: &[Layer]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for layer in layers.iter().filter(|l| l.groups.is_some()) {
        let Some((jump, channels)) = jump_and_channels(layer) else {
            continue;
        };
        let field = layer.receptive_field.as_ref().and_then(|f| f.size.clone());
        match stages.last_mut() {
            Some(stage) if stage.jump == jump => {
                stage.last.clone_from(&layer.node);
                stage.convolutions += 1;
                stage.channels = channels;
                stage.field = field;
            }
            _ => stages.push(Stage {
                first: layer.node.clone(),
                last: layer.node.clone(),
                convolutions: 1,
                jump,
                channels,
                field,
                density: Real(0.0),
                channel_growth: None,
                position_growth: None,
                field_growth: None,
            }),
        }
    }
    for i in 0..stages.len() {
        let own = Measures::of(&stages[i]);
        let before = i.checked_sub(1).map(|b| Measures::of(&stages[b]));
        let ratio = |of: &dyn Fn(&Measures) -> Option<f64>| {
            let growth = of(&own)? / of(before.as_ref()?)?;
            growth.is_finite().then_some(Real(growth))
        };
        let (channels, positions, field) = (
            ratio(&|m| Some(m.channels)),
            ratio(&|m| Some(1.0 / m.area)),
            ratio(&|m| m.field),
        );
        let stage = &mut stages[i];
        stage.density = Real(own.channels / own.area);
        stage.channel_growth = channels;
        stage.position_growth = positions;
        stage.field_growth = field;
    }
    stages
}

fn jump_and_channels(layer: &Layer) -> Option<(Vec<Exact>, i64)> {
    let jump = layer.receptive_field.as_ref()?.jump.clone()?;
    let jump: Vec<Exact> = jump.into_iter().collect::<Option<_>>()?;
    let channels = layer.shape.as_ref()?.get(1)?.0.as_i64()?;
    (jump.iter().all(|j| j.as_f64() > 0.0)).then_some((jump, channels))
}

struct Measures {
    channels: f64,
    /// Input pixels a position.
    area: f64,
    /// Input pixels a field.
    field: Option<f64>,
}

impl Measures {
    #[allow(clippy::cast_precision_loss)]
    fn of(stage: &Stage) -> Self {
        let sizes = stage.field.as_ref().map(|f| f.iter().copied());
        Self {
            channels: stage.channels as f64,
            area: stage.jump.iter().map(|j| j.as_f64()).product(),
            field: sizes.and_then(|mut s| s.try_fold(1.0, |area, n| Some(area * n? as f64))),
        }
    }
}
