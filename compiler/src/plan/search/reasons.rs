//! Why a layer is written as it is: what a report says of a selection.

use std::collections::HashMap;

use super::super::prepare::Prepared;
use super::super::{Rival, Skipped};
use super::offer::{Layer, Offer};
use super::{Search, Selection, front};

impl Search<'_, '_> {
    pub(super) fn kept(&self, layer: &Layer, selection: &Selection) -> Skipped {
        let keep = layer.offers[0].cost(self.goal);
        let cheapest = layer.offers[1..]
            .iter()
            .filter(|o| o.cost(self.goal) < keep)
            .min_by(|a, b| layer.loss(a).total_cmp(&layer.loss(b)));
        let reason = match cheapest {
            None => "no form costs less than the layer itself".into(),
            Some(offer) => format!(
                "kept: {} would save {:.0} % of its {} for {:.2} % of the outputs' variance; the \
                 whole selection loses {:.2} %",
                describe(layer, offer),
                100.0 * (1.0 - offer.cost(self.goal) / keep),
                self.goal.unit(),
                100.0 * layer.loss(offer),
                100.0 * selection.loss,
            ),
        };
        Skipped {
            node: layer.node.clone(),
            reason,
        }
    }

    pub(super) fn why(&self, layer: &Layer, pick: usize) -> String {
        let (keep, offer) = (&layer.offers[0], &layer.offers[pick]);
        format!(
            "saves {:.0} % of its {} for {:.2} % of the outputs' variance; one of {} on its front",
            100.0 * (1.0 - offer.cost(self.goal) / keep.cost(self.goal)),
            self.goal.unit(),
            100.0 * layer.loss(offer),
            front::unbeaten(&layer.offers, self.goal).len(),
        )
    }

    /// The neighbours on the front.
    pub(super) fn rivals(&self, layer: &Layer, pick: usize) -> Vec<Rival> {
        let at = layer.offers[pick].cost(self.goal);
        let front = front::unbeaten(&layer.offers, self.goal);
        let mut others: Vec<&Offer> = front
            .into_iter()
            .filter(|&i| i != pick)
            .map(|i| &layer.offers[i])
            .collect();
        let far = |o: &Offer| (o.cost(self.goal) / at).ln().abs();
        others.sort_by(|a, b| far(a).total_cmp(&far(b)));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rival = |o: &Offer| Rival {
            to: o.kernels(layer),
            widths: o.widths(),
            parameters: o.spent.parameters as usize,
            macs: o.spent.macs,
            seconds: o.seconds,
            output_error: o.error,
        };
        others.into_iter().take(3).map(rival).collect()
    }
}

/// Sites without any candidate, with the reason of the pass that comes closest.
pub(super) fn left(prepared: &[Prepared]) -> Vec<Skipped> {
    let mut all = Vec::new();
    for chain in prepared {
        let notes = &chain.saturated.notes;
        let mut reasons: HashMap<u32, (&str, &String)> = HashMap::new();
        for ((pass, site), reason) in &notes.skipped {
            if notes.offered.iter().any(|o| o.site.site == *site) {
                continue;
            }
            let known = reasons.entry(*site).or_insert((pass, reason));
            if *pass < known.0 {
                *known = (pass, reason);
            }
        }
        let mut found: Vec<_> = reasons.into_iter().collect();
        found.sort_unstable();
        all.extend(found.into_iter().map(|(site, (_, reason))| Skipped {
            node: chain.names[site as usize].clone(),
            reason: reason.clone(),
        }));
    }
    all
}

fn describe(layer: &Layer, offer: &Offer) -> String {
    let widths: Vec<String> = offer.widths().iter().map(usize::to_string).collect();
    format!(
        "{} (width {})",
        offer.kernels(layer).join(", "),
        widths.join(", ")
    )
}
