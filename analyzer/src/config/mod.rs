//! What a project wants of `lint`: read once from TOML, checked once, and then
//! only the checked type travels.

mod mistake;
mod quantity;
mod read;
mod select;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{GlobSet, GlobSetBuilder};

use crate::diagnostic::Severity;
use crate::figures::Figures;
use crate::rules::{RULES, Rule};

pub use mistake::Mistake;
pub use select::{Selector, UnknownRule};

/// The configuration of a project.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that paths and globs are relative to.
    pub root: PathBuf,
    /// The file it was read from, if any.
    pub file: Option<PathBuf>,
    /// From which severity on a finding makes the exit code 1.
    pub fail_level: Severity,
    /// The baseline's file.
    pub baseline: Option<PathBuf>,
    exclude: GlobSet,
    base: Part,
    sections: Vec<Section>,
}

/// What a file says, for all models or for those of one glob.
#[derive(Clone, Debug, Default)]
struct Part {
    select: Option<Vec<Selector>>,
    ignore: Vec<Selector>,
    rules: Vec<RulePart>,
    budget: Figures,
    input_shapes: BTreeMap<String, Vec<i64>>,
}

/// What a file says of one rule.
#[derive(Clone, Debug)]
struct RulePart {
    rule: usize,
    severity: Option<Severity>,
    thresholds: Vec<(usize, f64)>,
}

#[derive(Clone, Debug)]
struct Section {
    globs: GlobSet,
    part: Part,
}

/// What applies to one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// By the place of the rule in [`RULES`].
    rules: Vec<RuleSettings>,
    /// What the model may take.
    pub budget: Figures,
    /// Shapes for inputs of these names.
    pub input_shapes: BTreeMap<String, Vec<i64>>,
}

#[derive(Clone, Debug, PartialEq)]
struct RuleSettings {
    enabled: bool,
    severity: Option<Severity>,
    thresholds: Vec<f64>,
}

/// What the command line puts over the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// These rules only, whatever the file says.
    pub select: Option<Vec<Selector>>,
    /// Not these.
    pub ignore: Vec<Selector>,
}

/// The name of the file that holds nothing but the configuration.
pub const FILE_NAME: &str = "convfold.toml";
/// The file of Python projects, which may hold it as `[tool.convfold]`.
pub const PYPROJECT: &str = "pyproject.toml";

impl Config {
    /// What holds where nothing is configured; paths are relative to `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            file: None,
            fail_level: Severity::Warning,
            baseline: None,
            exclude: GlobSet::empty(),
            base: Part::default(),
            sections: Vec::new(),
        }
    }

    /// Reads the text of a file. A `pyproject.toml` without `[tool.convfold]`
    /// gives `None`.
    ///
    /// # Errors
    /// Every mistake in it, in the file's order.
    pub fn parse(text: &str, file: &Path) -> Result<Option<Self>, Vec<Mistake>> {
        read::config(text, file)
    }

    /// Whether a path (relative to the root) is left out.
    pub fn excludes(&self, path: &Path) -> bool {
        path.ancestors().any(|p| self.exclude.is_match(p))
    }

    /// What applies to a model at this path, relative to the root.
    pub fn settings(&self, path: &Path, overrides: &Overrides) -> Settings {
        let sections = self.sections.iter().filter(|s| s.globs.is_match(path));
        let parts: Vec<&Part> = std::iter::once(&self.base)
            .chain(sections.map(|s| &s.part))
            .collect();
        let last = |of: &dyn Fn(&Part) -> Option<u64>| parts.iter().rev().find_map(|p| of(p));
        Settings {
            rules: RULES
                .iter()
                .enumerate()
                .map(|(i, rule)| rule_settings(i, rule, &parts, overrides))
                .collect(),
            budget: Figures {
                parameters: last(&|p| p.budget.parameters),
                macs: last(&|p| p.budget.macs),
                weight_bytes: last(&|p| p.budget.weight_bytes),
                peak_activation_bytes: last(&|p| p.budget.peak_activation_bytes),
            },
            input_shapes: parts.iter().flat_map(|p| p.input_shapes.clone()).collect(),
        }
    }
}

fn rule_settings(index: usize, rule: &Rule, parts: &[&Part], over: &Overrides) -> RuleSettings {
    let any = |list: &[Selector]| list.iter().any(|s| s.selects(rule));
    let enabled = match &over.select {
        Some(select) => any(select),
        None => {
            let select = parts.iter().rev().find_map(|p| p.select.as_ref());
            select.is_none_or(|s| any(s)) && !parts.iter().any(|p| any(&p.ignore))
        }
    };
    let said = || {
        let rules = parts.iter().flat_map(|p| &p.rules);
        rules.filter(|r| r.rule == index)
    };
    let mut thresholds: Vec<f64> = rule.thresholds.iter().map(|t| t.default).collect();
    for &(threshold, value) in said().flat_map(|r| &r.thresholds) {
        thresholds[threshold] = value;
    }
    RuleSettings {
        enabled: enabled && !any(&over.ignore),
        severity: said().filter_map(|r| r.severity).next_back(),
        thresholds,
    }
}

impl Settings {
    /// Whether a rule is to be applied.
    pub fn enabled(&self, rule: &Rule) -> bool {
        self.of(rule).is_some_and(|r| r.enabled)
    }

    /// The severity that the configuration gives to a rule.
    pub(crate) fn severity(&self, rule: &Rule) -> Option<Severity> {
        self.of(rule)?.severity
    }

    /// A threshold of a rule.
    pub(crate) fn threshold(&self, rule: &Rule, key: &str) -> f64 {
        let place = rule.thresholds.iter().position(|t| t.key == key);
        let value = place.and_then(|p| self.of(rule)?.thresholds.get(p).copied());
        debug_assert!(value.is_some(), "{} has no threshold {key}", rule.code);
        value.unwrap_or(f64::NAN)
    }

    /// Whether a rule that is to be applied looks at the weights themselves.
    pub fn needs_weights(&self) -> bool {
        RULES.iter().any(|r| r.weights && self.enabled(r))
    }

    fn of(&self, rule: &Rule) -> Option<&RuleSettings> {
        let place = RULES.iter().position(|r| r.code == rule.code)?;
        self.rules.get(place)
    }
}

fn glob_set(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        let glob = globset::GlobBuilder::new(glob)
            .literal_separator(true)
            .build()?;
        builder.add(glob);
    }
    builder.build()
}

#[cfg(test)]
mod tests;
