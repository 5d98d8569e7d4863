//! The lint rules, one a file: readers of the analysis, which compute nothing
//! that it knows already.

mod absent_weights;
mod asymmetric_padding;
mod bad_weights;
mod blind_output;
mod channels_outgrow_field;
mod checkerboard;
mod dead_filters;
mod downsampling_aliases;
mod even_kernel_shift;
mod factorization_does_not_pay;
mod large_kernel;
mod linear_chain;
mod low_rank;
mod misaligned_branches;
mod outdated_opset;
mod over_budget;
mod overridable_weights;
mod placeholder_weights;
mod redundant_bias;
mod regression;
mod stem_aliases_twice;
mod stride_without_overlap;
mod subject;
mod suppression;
mod twin_filters;
mod unfolded_batchnorm;
mod unfolded_bias;
mod unfolded_pad;
mod unknown_operator;
mod unknown_suppression;
mod unproductive_layer;
mod unreadable_model;
mod unresolved_shape;
mod unused_initializer;
mod wide_stem;
mod words;

use std::collections::HashSet;

use crate::config::Settings;
use crate::diagnostic::{Draft, Finding, Severity};
use crate::figures::Figures;
use crate::report::Analysis;
use crate::study::Study;

pub use subject::Subject;
pub use suppression::IGNORE_KEY;

/// A lint rule.
pub struct Rule {
    /// Its code: `CF` and three digits, never used again for another.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How much its findings weigh unless configured.
    pub severity: Severity,
    /// What it finds.
    pub what: &'static str,
    /// Why that is bad.
    pub why: &'static str,
    /// When to ignore it.
    pub ignore: &'static str,
    /// An example of what is found and what to do.
    pub example: &'static str,
    /// What speaks for and against, where practitioners disagree; else empty.
    pub discussion: &'static str,
    /// The exact passes of `--fix` that take away what is found.
    pub fixes: &'static [&'static str],
    /// Whether it looks at the weights themselves.
    pub weights: bool,
    /// What can be configured.
    pub thresholds: &'static [Threshold],
    /// How it finds.
    pub check: Check,
}

/// A number that a rule compares with.
pub struct Threshold {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its value unless configured.
    pub default: f64,
    /// What it limits.
    pub what: &'static str,
}

/// How a rule finds.
#[derive(Clone, Copy)]
pub enum Check {
    /// From the analysis of a model.
    Model(fn(&Subject, &mut Vec<Draft>)),
    /// From the attempt to read a file: [`unreadable`].
    File,
}

/// All rules, in the order of their codes.
pub static RULES: &[Rule] = &[
    unreadable_model::RULE,
    large_kernel::RULE,
    wide_stem::RULE,
    even_kernel_shift::RULE,
    stride_without_overlap::RULE,
    downsampling_aliases::RULE,
    stem_aliases_twice::RULE,
    unproductive_layer::RULE,
    blind_output::RULE,
    linear_chain::RULE,
    unfolded_batchnorm::RULE,
    redundant_bias::RULE,
    channels_outgrow_field::RULE,
    twin_filters::RULE,
    dead_filters::RULE,
    low_rank::RULE,
    bad_weights::RULE,
    misaligned_branches::RULE,
    asymmetric_padding::RULE,
    over_budget::RULE,
    regression::RULE,
    unknown_operator::RULE,
    unresolved_shape::RULE,
    outdated_opset::RULE,
    unused_initializer::RULE,
    factorization_does_not_pay::RULE,
    checkerboard::RULE,
    overridable_weights::RULE,
    placeholder_weights::RULE,
    unknown_suppression::RULE,
    unfolded_bias::RULE,
    unfolded_pad::RULE,
    absent_weights::RULE,
];

/// The rule of this code or name.
pub fn find(name: &str) -> Option<&'static Rule> {
    let upper = name.to_ascii_uppercase();
    RULES.iter().find(|r| r.code == upper || r.name == name)
}

/// Applies the rules to a model: its findings, by rule and then in the
/// model's order, at most one a rule and node. `before` is what the model took
/// when the baseline was written.
pub fn lint(
    study: &Study,
    analysis: &Analysis,
    settings: &Settings,
    before: Option<&Figures>,
) -> Vec<Finding> {
    let suppressed = suppression::Suppressions::of(study);
    let mut subject = Subject::new(study, analysis, settings, before);
    let mut findings = Vec::new();
    for rule in RULES.iter().filter(|r| settings.enabled(r)) {
        let Check::Model(check) = rule.check else {
            continue;
        };
        let mut drafts = Vec::new();
        subject.rule = rule;
        check(&subject, &mut drafts);
        let mut seen = HashSet::new();
        drafts.retain(|d| seen.insert(d.node.clone()));
        drafts.retain(|d| !suppressed.covers(rule, d.node.as_deref()));
        findings.extend(drafts.into_iter().map(|d| finding(rule, settings, d)));
    }
    findings
}

/// The finding of a file that is no model, if that rule is to be applied.
pub fn unreadable(settings: &Settings, draft: Draft) -> Option<Finding> {
    let rule = &unreadable_model::RULE;
    settings
        .enabled(rule)
        .then(|| finding(rule, settings, draft))
}

fn finding(rule: &Rule, settings: &Settings, draft: Draft) -> Finding {
    let severity = settings.severity(rule).or(draft.severity);
    Finding {
        code: rule.code.to_owned(),
        name: rule.name.to_owned(),
        severity: severity.unwrap_or(rule.severity),
        node: draft.node,
        message: draft.message,
        help: draft.help,
        evidence: draft.evidence,
        fix: draft.fix,
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sound() {
        let codes: Vec<&str> = RULES.iter().map(|r| r.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted, "codes are unique and in order");
        let names: HashSet<&str> = RULES.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), RULES.len(), "names are unique");
        for (number, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.code, format!("CF{number:03}"));
            for text in [rule.what, rule.why, rule.ignore, rule.example] {
                assert!(text.len() > 20, "{} is documented", rule.code);
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(rule.name.chars().all(plain), "{}", rule.name);
            for pass in rule.fixes {
                let pass = compiler::plan::find(pass).expect("a pass");
                assert!(pass.exact, "{} is fixed exactly", rule.code);
            }
        }
    }
}
