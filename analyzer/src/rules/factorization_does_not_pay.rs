//! CF025: a chain of small kernels that costs more than the large one.

use super::subject::Subject;
use super::words::sizes;
use super::{Check, Rule};
use crate::diagnostic::{Draft, Severity};
use crate::units;

pub(super) const RULE: Rule = Rule {
    code: "CF025",
    name: "factorization-does-not-pay",
    severity: Severity::Warning,
    what: "Two small kernels in series, nothing between, that take more MACs than the one large \
           kernel that they stand for.",
    why: "A chain saves only while the channels between stay few: with Cin and Cout apart, or a \
          middle wider than k^2 Cin Cout / (k1^2 Cin + k2^2 Cout), it costs more than what it \
          replaced.",
    ignore: "While the chain is trained as an over-parameterized form of the kernel (ExpandNets).",
    example: "3x3 to 8, then 3x3 to 8, of one channel: 648 MACs a position for a 5x5 of 200.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::Model(check),
};

fn check(subject: &Subject, drafts: &mut Vec<Draft>) {
    for pair in &subject.analysis.information.linear_pairs {
        let side = |name: &str| subject.node(name).and_then(|n| subject.convolution(n));
        let (Some(first), Some(second)) = (side(&pair.first), side(&pair.second)) else {
            continue;
        };
        let spatial = |k: &[usize]| k.iter().any(|&k| k > 1);
        if !spatial(&first.kernel)
            || !spatial(&second.kernel)
            || pair.macs_apart <= pair.macs_together
        {
            continue;
        }
        // MACs are linear in the channels between.
        #[allow(clippy::cast_precision_loss)]
        let pays = first.out as f64 * pair.macs_together.0 / pair.macs_apart.0;
        let message = format!(
            "{} and {} in series with {} channels between take {} MACs a position, {} times the {} \
             of the one {} that they stand for",
            sizes(&first.kernel),
            sizes(&second.kernel),
            first.out,
            units::si(pair.macs_apart.0),
            units::small(pair.macs_apart.0 / pair.macs_together.0),
            units::si(pair.macs_together.0),
            sizes(&pair.kernel),
        );
        let help = if pair.obstacle.is_none() {
            format!(
                "below {} channels between the chain pays; or fold it (`convfold lint --fix`)",
                units::plain(pays.ceil())
            )
        } else {
            format!(
                "below {} channels between the chain pays; an activation between makes it another \
                 matter",
                units::plain(pays.ceil())
            )
        };
        drafts.push(
            Draft::at(&pair.first, message)
                .help(help)
                .with("second", &pair.second)
                .with("kernel", &pair.kernel)
                .with("macs_apart", pair.macs_apart)
                .with("macs_together", pair.macs_together)
                .with("pays_below", crate::Real(pays)),
        );
    }
}
