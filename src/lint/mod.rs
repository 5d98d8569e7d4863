//! Many models at once: which, whether they were looked at before, what is
//! known already, what can be repaired.

mod baseline;
mod cache;
mod discover;
mod examine;
mod fix;
mod places;
mod since;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use analyzer::{Config, Figures, Finding, Overrides, Severity};
use rayon::prelude::*;
use serde::Serialize;

use crate::interrupt;
use crate::terminal::Terminal;

pub use baseline::{Baseline, DEFAULT_NAME, write as write_baseline};
pub use cache::FOLDER as CACHE_FOLDER;
pub use fix::Fixed;
pub use places::Place;

use cache::Cache;

/// A finding with the file that it is of.
#[derive(Clone, Debug, Serialize)]
pub struct Located {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// The file.
    pub path: String,
    /// The same for the same rule, file and node, whatever else changes.
    pub fingerprint: String,
    /// The file as the baseline knows it.
    #[serde(skip)]
    pub key: String,
}

/// What is asked for.
pub struct Request {
    /// Files and folders; `-` for a list on standard input.
    pub paths: Vec<PathBuf>,
    /// The project's configuration.
    pub config: Config,
    /// What the command line puts over it.
    pub overrides: Overrides,
    /// Only files that have changed since this revision.
    pub since: Option<String>,
    /// What is known already.
    pub baseline: Option<Baseline>,
    /// Whether to repair what can be repaired exactly.
    pub fix: bool,
    /// Where results are kept; nowhere if `None`.
    pub cache: Option<PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// The files that were looked at, in the order of the findings.
    pub files: Vec<String>,
    /// What is new, by file, rule and place in the model.
    pub findings: Vec<Located>,
    /// What the baseline knows.
    pub known: Vec<Located>,
    /// The files as the baseline knows them, and what those that are models
    /// take.
    pub figures: Vec<(String, Option<Figures>)>,
    /// What was repaired.
    pub fixed: Vec<Fixed>,
    /// From which severity on findings fail.
    pub fail_level: Severity,
}

impl Outcome {
    /// Whether something was found that fails.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(|f| self.is_failing(f))
    }

    /// Whether a finding fails.
    pub fn is_failing(&self, located: &Located) -> bool {
        located.finding.severity >= self.fail_level
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |f: &&Located| f.finding.severity == severity;
        self.findings.iter().filter(of).count()
    }

    /// The findings of each file, in order; files without are left out.
    pub fn by_file(&self) -> impl Iterator<Item = (&str, &[Located])> {
        let chunks = self.findings.chunk_by(|a, b| a.path == b.path);
        chunks.filter_map(|chunk| Some((chunk.first()?.path.as_str(), chunk)))
    }
}

/// The findings of one file by rule, for people: the heaviest rules first.
pub fn by_rule(findings: &[Located]) -> Vec<&[Located]> {
    let chunks = findings.chunk_by(|a, b| a.finding.code == b.finding.code);
    let mut groups: Vec<&[Located]> = chunks.collect();
    let weight = |group: &&[Located]| group.iter().map(|f| f.finding.severity).max();
    groups.sort_by_key(|g| std::cmp::Reverse(weight(g)));
    groups
}

/// Looks at everything that is asked for.
///
/// # Errors
/// What cannot be found, a revision that is none, or an interrupt. Files that
/// are no models are findings.
pub fn run(request: &Request, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut places = discover::models(&request.paths, &request.config)?;
    if let Some(revision) = &request.since {
        let changed = since::changed(revision)?;
        places.retain(|p| {
            // Weights beside a model are part of it. Most folders need no look.
            let folder = p.absolute.parent();
            let near = |f: &PathBuf| {
                let model = f
                    .extension()
                    .is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
                !model && folder.is_some_and(|folder| f.starts_with(folder))
            };
            let beside = || {
                let files = examine::data_files(&p.absolute);
                files.iter().any(|f| changed.contains(f))
            };
            changed.contains(&p.absolute) || (changed.iter().any(near) && beside())
        });
    }
    let cache = request.cache.as_deref().map(Cache::open);
    let bar = terminal.progress("models");
    let done = AtomicUsize::new(0);
    let look = |place: &Place| {
        if interrupt::requested() {
            return None;
        }
        let before = request
            .baseline
            .as_ref()
            .and_then(|b| b.figures(&place.key));
        let settings = request
            .config
            .settings(place.key.as_ref(), &request.overrides);
        let mut seen = examine::examine(place, &settings, before, cache.as_ref());
        let mut fixed = None;
        let repair = request.fix.then(|| fix::Repair::of(&seen.findings));
        if let Some(repair) = repair.flatten() {
            let outcome = fix::fix(place, &settings, &repair);
            if outcome.was_written() {
                seen = examine::examine(place, &settings, before, cache.as_ref());
            }
            fixed = Some(outcome);
        }
        bar.set(1 + done.fetch_add(1, Ordering::Relaxed), places.len());
        Some((seen, fixed))
    };
    let results: Vec<_> = places.par_iter().map(look).collect();
    interrupt::check()?;
    let mut outcome = Outcome {
        files: places.iter().map(|p| p.shown.clone()).collect(),
        findings: Vec::new(),
        known: Vec::new(),
        figures: Vec::new(),
        fixed: Vec::new(),
        fail_level: request.config.fail_level,
    };
    for (place, result) in places.iter().zip(results) {
        let Some((seen, fixed)) = result else {
            continue;
        };
        for finding in seen.findings {
            let located = place.locate(finding);
            let baseline = request.baseline.as_ref();
            if baseline.is_some_and(|b| b.knows(&located.fingerprint)) {
                outcome.known.push(located);
            } else {
                outcome.findings.push(located);
            }
        }
        outcome.figures.push((place.key.clone(), seen.figures));
        outcome.fixed.extend(fixed);
    }
    if let Some(cache) = cache {
        cache.prune();
    }
    Ok(outcome)
}
