//! Which rules: by code, by the beginning of codes, by name, or all.

use super::mistake::did_you_mean;
use crate::rules::{RULES, Rule};

/// Names rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    prefix: String,
}

/// A selector that no rule answers to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule is called \"{given}\"; {hint}")]
pub struct UnknownRule {
    given: String,
    /// What to write instead.
    pub hint: String,
}

impl Selector {
    /// Reads a code (`CF001`), the beginning of codes (`CF01`), a name
    /// (`bad-weights`), or `ALL`.
    ///
    /// # Errors
    /// No rule answers to it.
    pub fn parse(text: &str) -> Result<Self, UnknownRule> {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        if upper == "ALL" || text == "*" {
            return Ok(Self {
                prefix: String::new(),
            });
        }
        if let Some(rule) = RULES.iter().find(|r| r.name == text) {
            return Ok(Self {
                prefix: rule.code.to_owned(),
            });
        }
        if upper.len() >= 2 && RULES.iter().any(|r| r.code.starts_with(&upper)) {
            return Ok(Self { prefix: upper });
        }
        let names = RULES.iter().flat_map(|r| [r.code, r.name]);
        Err(UnknownRule {
            hint: did_you_mean(text, names)
                .unwrap_or_else(|| "`convfold rules` lists them".to_owned()),
            given: text.to_owned(),
        })
    }

    /// Whether it names this rule.
    pub fn selects(&self, rule: &Rule) -> bool {
        rule.code.starts_with(&self.prefix)
    }
}
