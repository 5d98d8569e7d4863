//! The layers that could be rewritten, and what is on offer for each.

use super::super::lang::{Chain, extents};
use super::super::ways::Spent;
use super::Goal;
use crate::fit::{Kernel, Moments};
use crate::ops::Conv;

/// One way to write a layer.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// The chain; `None` for the layer as it is.
    pub(super) chain: Option<Chain>,
    pub(super) convs: Vec<Conv>,
    pub(super) spent: Spent,
    pub(super) seconds: Option<f64>,
    /// Root of the share of the layer's output that is lost.
    pub(super) error: f64,
    pub(super) known: Known,
}

/// How an offer's error is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// By what its form lost at other widths, all narrower or all wider.
    Outside,
    /// By what it lost at narrower and wider ones.
    Inside,
    /// By what it lost at a width a little less and one a little more.
    Between,
    /// By a short fit.
    Compared,
    /// By a fit to the end.
    Fitted,
}

impl Known {
    /// What an error may turn out to be when all is known, as a share of what is
    /// told: an offer that looks better than it is gets fitted, one that looks
    /// worse would never be.
    pub(super) fn hope(self) -> f64 {
        match self {
            Self::Outside => 0.92,
            Self::Inside => 0.94,
            Self::Compared => 0.94,
            Self::Between | Self::Fitted => 1.0,
        }
    }

    pub(super) fn by_a_fit(self) -> bool {
        matches!(self, Self::Compared | Self::Fitted)
    }
}

impl Offer {
    pub(super) fn cost(&self, goal: Goal) -> f64 {
        match goal {
            Goal::Parameters => self.spent.parameters,
            Goal::Macs => self.spent.macs,
            Goal::Latency => self.seconds.unwrap_or(f64::INFINITY),
        }
    }

    /// The least error that it may turn out to have.
    pub(super) fn hoped(&self) -> f64 {
        self.known.hope() * self.error
    }

    /// Its kernels in words.
    pub(super) fn kernels(&self, layer: &Layer) -> Vec<String> {
        match &self.chain {
            Some(chain) => {
                let factors = chain.form.factors.iter();
                factors.map(|f| extents(&f.spatial)).collect()
            }
            None => vec![extents(&layer.kernel.spatial)],
        }
    }

    pub(super) fn widths(&self) -> Vec<usize> {
        self.chain.as_ref().map_or_else(Vec::new, |chain| {
            let factors = &chain.form.factors;
            factors[..factors.len() - 1]
                .iter()
                .map(|f| f.width)
                .collect()
        })
    }
}

/// A convolution that could be rewritten.
pub(super) struct Layer {
    /// Its chain of nodes, and its place in it.
    pub(super) chain: usize,
    pub(super) site: u32,
    pub(super) node: String,
    pub(super) kernel: Kernel,
    /// The name of its weights in a fit's key.
    pub(super) weights: String,
    /// Moments of what it reads, where there are calibration data.
    pub(super) moments: Option<Moments>,
    /// The layer as it is comes first; then what may be on its Pareto front.
    pub(super) offers: Vec<Offer>,
    /// Share of the network's output variance that is lost when the layer loses
    /// all of its own.
    pub(super) sensitivity: f64,
}

impl Layer {
    pub(super) fn loss(&self, offer: &Offer) -> f64 {
        self.sensitivity * offer.hoped() * offer.hoped()
    }
}
