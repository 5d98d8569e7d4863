//! What a layer's loss does to the network's outputs, measured on the
//! calibration data.

use super::super::calibrate::encode;
use super::offer::{Layer, Offer};
use super::refine::Place;
use super::{PlanError, Search, Source};
use crate::model::Model;

/// Root of the share of a layer's output that the first probe loses: large enough
/// to be seen above rounding.
const PROBE: f64 = 0.1;
/// Share of the network's outputs that a probe may lose: beyond it the loss no
/// longer grows as the layer's does, and a finer probe is taken.
const FINE: f64 = 0.01;
/// Probes a layer.
const PROBES: usize = 4;

/// What the outputs of a model were, by place and batch.
type Outputs = Vec<Vec<Vec<f32>>>;

impl Search<'_, '_> {
    /// Rewrites one layer at a time and sees what comes out. Without calibration
    /// data every layer counts alike.
    pub(super) fn measure_sensitivity(&mut self) -> Result<(), PlanError> {
        if self.compilation.options.calibration.is_none() || self.layers.len() < 2 {
            return Ok(());
        }
        let before = self.outputs(&self.compilation.original)?;
        let total = self.layers.len();
        let first = |layer: &Layer| nearest(&layer.offers, PROBE);
        let first: Vec<Option<usize>> = self.layers.iter().map(first).collect();
        let all = first.iter().enumerate();
        let all: Vec<Place> = all.filter_map(|(l, &o)| Some((l, o?))).collect();
        self.refine_unknown(&all)?;
        for (l, mut probe) in first.into_iter().enumerate() {
            self.compilation.stop_if_cancelled()?;
            let layer = &self.layers[l];
            (self.compilation.options.progress)(l, total, &layer.node);
            for _ in 0..PROBES {
                let Some(o) = probe else { break };
                self.refine_unknown(&[(l, o)])?;
                let mut picks = vec![None; total];
                picks[l] = probe;
                let fits = std::mem::take(&mut self.fits);
                let realized = self.realize(&picks, &Source::Known(&fits));
                self.fits = fits;
                let (model, _) = realized?;
                let lost = loss(&before, &self.outputs(&model)?);
                let error = self.layers[l].offers[o].error;
                if error > 0.0 {
                    self.layers[l].sensitivity = lost / (error * error);
                }
                if lost <= FINE {
                    break;
                }
                let aim = error * (FINE / 2.0 / lost).sqrt();
                let next = nearest(&self.layers[l].offers, aim);
                probe = next.filter(|&next| next != o);
            }
        }
        Ok(())
    }

    fn outputs(&self, model: &Model) -> Result<Outputs, PlanError> {
        let graph = &model.graph;
        let names: Vec<String> = graph
            .outputs
            .iter()
            .map(|&v| graph.value(v).name.clone())
            .collect();
        let mut outputs = vec![Vec::new(); names.len()];
        if let Some(calibration) = self.compilation.options.calibration {
            calibration
                .activations(&encode(model), &names, &mut |place, _, data| {
                    outputs[place].push(data.to_vec());
                })
                .map_err(PlanError::Calibration)?;
        }
        Ok(outputs)
    }
}

/// The offer whose error is nearest to `aim`.
fn nearest(offers: &[Offer], aim: f64) -> Option<usize> {
    let far = |i: usize| (offers[i].error.max(1e-9) / aim).ln().abs();
    (1..offers.len()).min_by(|&a, &b| far(a).total_cmp(&far(b)))
}

/// Share of the outputs' variance that is lost, the mean over the outputs.
fn loss(before: &Outputs, after: &Outputs) -> f64 {
    let mut shares = Vec::with_capacity(before.len());
    for (a, b) in before.iter().zip(after) {
        let pairs = || a.iter().flatten().zip(b.iter().flatten());
        let (mut count, mut sum, mut square, mut lost) = (0.0, 0.0, 0.0, 0.0);
        for (x, y) in pairs() {
            let (x, y) = (f64::from(*x), f64::from(*y));
            count += 1.0;
            sum += x;
            square += x * x;
            lost += (x - y) * (x - y);
        }
        let variance = square - sum * sum / f64::max(count, 1.0);
        if variance > 0.0 {
            shares.push(lost / variance);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let outputs = shares.len().max(1) as f64;
    shares.iter().sum::<f64>() / outputs
}
