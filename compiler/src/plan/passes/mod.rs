//! The rewrite passes, one a file.

mod all_to_2x2;
mod blur_pool;
mod bottleneck;
mod fold_batchnorm;
mod fold_bias;
mod fold_linear;
mod fold_pad;
mod k3_to_2x2;
mod k5_to_3x3;
mod k7_to_3x3;
mod large_to_3x3;
mod separate;
mod serial;
mod split;
mod split_separate;
mod stem_c;

pub use serial::split;

use egg::Id;

use super::knowledge::EGraph;
use super::lang::OpKey;
use super::options::Shaping;
use super::site::{Candidate, ConvSite};

/// The ways to write a convolution as a chain, or why there is none; `None`
/// where the pass is not about it.
pub type Offer = fn(&ConvSite, Shaping) -> Option<Result<Vec<Candidate>, String>>;

/// Adds terms that equal an operator term exactly and returns them; says why it
/// does not where one might expect it.
pub type Fold = fn(&mut EGraph, &OpKey, &[Id], &mut dyn FnMut(String)) -> Vec<Id>;

/// What a pass does to the e-graph.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Given an operator term, adds terms that equal it exactly and returns them.
    Fold {
        /// The rewrite.
        apply: Fold,
        /// The operator that it takes away; those that stay are reported.
        takes: &'static str,
    },
    /// Given an operator term, adds terms that are to stand for it once the
    /// network is trained again, and returns them.
    Replace {
        /// The rewrite.
        apply: fn(&mut EGraph, &OpKey, &[Id]) -> Vec<Id>,
        /// Why, for the report of a site.
        why: &'static str,
    },
    /// Given a convolution, says how it could be written as a chain of smaller
    /// ones: `None` if the pass is not about it, or why it leaves it alone.
    Factorize(Offer),
}

/// A rewrite pass.
pub struct Pass {
    /// Name on the command line.
    pub name: &'static str,
    /// Whether outputs stay the same to rounding.
    pub exact: bool,
    /// Whether the network needs training afterwards, so that a search does not
    /// offer it.
    pub retrain: bool,
    /// What it does.
    pub what: &'static str,
    /// Why one would want it.
    pub why: &'static str,
    /// When to leave it.
    pub when_not: &'static str,
    /// An example command.
    pub example: &'static str,
    /// How.
    pub rule: Rule,
}

/// All passes.
pub static PASSES: &[Pass] = &[
    fold_batchnorm::PASS,
    fold_bias::PASS,
    fold_linear::PASS,
    fold_pad::PASS,
    k5_to_3x3::PASS,
    k7_to_3x3::PASS,
    large_to_3x3::PASS,
    k3_to_2x2::PASS,
    all_to_2x2::PASS,
    separate::PASS,
    split::PASS,
    split_separate::PASS,
    bottleneck::PASS,
    stem_c::PASS,
    blur_pool::PASS,
];

/// Finds a pass by name.
pub fn find(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sound() {
        let mut names: Vec<_> = PASSES.iter().map(|p| p.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PASSES.len(), "names are unique");
        for pass in PASSES {
            for text in [pass.what, pass.why, pass.when_not, pass.example] {
                assert!(text.len() > 20, "{} is documented", pass.name);
            }
            assert!(pass.example.contains(pass.name));
        }
    }
}
