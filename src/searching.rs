//! The search for the best network that still holds what was asked.
//!
//! The planner predicts what a selection loses; here it is measured, and the
//! bound on the prediction is relaxed or tightened until the thresholds just
//! hold.

use anyhow::bail;
use compiler::plan::search::{Bound, Clock, Goal, Search, Selection};
use compiler::plan::{Compilation, PassReport};
use runtime::Limits;

use crate::rewriting::{Accuracy, Figures, Found, Judge};

/// What a search is to reach.
pub struct Target {
    /// What is to become less.
    pub goal: Goal,
    /// Share of the cost of the layers in question to keep, where one is named.
    pub budget: Option<f64>,
    /// How many networks along the front to make, where several are wanted.
    pub pareto: Option<usize>,
    /// Measures layers, for [`Goal::Latency`].
    pub clock: Box<dyn Clock>,
}

/// Predicted loss, a share of the outputs' variance, that a search begins with,
/// and stays at where nothing can be measured.
const FIRST: f64 = 0.01;
/// Factor of the steps until thresholds are missed, and measured selections.
const STEP: f64 = 4.0;
const TRIALS: usize = 9;

/// Searches; the compilation then holds the model that was found.
///
/// # Errors
/// A layer cannot be fitted or timed, the samples not be read.
pub fn run(
    compilation: &mut Compilation,
    target: &Target,
    limits: &Limits,
    before: &Figures,
    judge: &Judge,
) -> anyhow::Result<Found> {
    let mut search = compilation.search(target.goal, Some(target.clock.as_ref()))?;
    if let Some(count) = target.pareto {
        return front(&mut search, count, before, judge);
    }
    let bounded = limits.max_drop.is_some() || limits.max_error.is_some();
    let found = match target.budget {
        Some(share) => match search.select(Bound::Cost(share))? {
            None if search.layers() > 0 => bail!(
                "--budget {share}: no selection keeps so little; the boldest keeps {:.2}",
                search.least_cost()
            ),
            found => found,
        },
        None if bounded => tightest(&mut search, limits, before, judge)?,
        None => search.select(Bound::Loss(FIRST))?,
    };
    let selection = found.unwrap_or_else(|| search.nothing());
    let report = search.apply(&selection)?;
    Ok(Found {
        steps: vec![judge.step(report, before, search.model())?],
        models: vec![search.model().clone()],
    })
}

/// Networks along the front, from the cheapest to nearly the original.
fn front(
    search: &mut Search,
    count: usize,
    before: &Figures,
    judge: &Judge,
) -> anyhow::Result<Found> {
    let least = search.least_cost();
    let mut found = Found {
        steps: Vec::new(),
        models: Vec::new(),
    };
    let mut last = None;
    for i in 0..count {
        #[allow(clippy::cast_precision_loss)]
        let share = least + (1.0 - least) * i as f64 / count as f64;
        // Room for rounding: the least cost itself is a sum of shares.
        let selection = search.select(Bound::Cost(share * (1.0 + 1e-6)))?;
        let Some(selection) = selection.filter(|s| last.as_ref() != Some(s)) else {
            continue;
        };
        let mut report = search.apply(&selection)?;
        report.pass = format!("{}, {:.0} % kept", report.pass, 100.0 * selection.cost);
        found
            .steps
            .push(judge.step(report, before, search.model())?);
        found.models.push(search.model().clone());
        last = Some(selection);
    }
    Ok(found)
}

/// The cheapest selection that was measured to hold the thresholds.
fn tightest(
    search: &mut Search,
    limits: &Limits,
    before: &Figures,
    judge: &Judge,
) -> anyhow::Result<Option<Selection>> {
    let greatest = search.greatest_loss();
    let mut best: Option<Selection> = None;
    let mut tried: Vec<Selection> = Vec::new();
    // Losses known to hold, and known not to.
    let (mut holds, mut fails): (Option<f64>, Option<f64>) = (None, None);
    let mut bound = FIRST.min(greatest);
    for _ in 0..TRIALS {
        let Some(selection) = search.select(Bound::Loss(bound))? else {
            break;
        };
        let known = tried.contains(&selection);
        let good = if known || selection.keeps_all() {
            best.as_ref() == Some(&selection) || selection.keeps_all()
        } else {
            let report: PassReport = search.apply(&selection)?;
            let step = judge.step(report, before, search.model())?;
            match &step.accuracy {
                Accuracy::Measured(comparison) => comparison.violations(limits).is_empty(),
                // Nothing can be measured: the prediction has to do.
                _ => return Ok(search.select(Bound::Loss(FIRST))?),
            }
        };
        tried.push(selection.clone());
        if good {
            holds = Some(bound);
            if best.as_ref().is_none_or(|b| selection.cost < b.cost) {
                best = Some(selection);
            }
            if bound >= greatest {
                break;
            }
        } else {
            fails = Some(bound);
        }
        bound = match (holds, fails) {
            (Some(low), Some(high)) if high / low < 1.1 => break,
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => (low * STEP).min(greatest),
            (None, Some(high)) => high / STEP,
            (None, None) => break,
        };
    }
    Ok(best)
}
