//! What a rule says of a model: findings, and how much they weigh.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A decision of the designer that is worth a look.
    Information,
    /// Something that costs and brings nothing, or is likely a mistake.
    Warning,
    /// Something that is broken, or over a limit that the project has set.
    Error,
}

impl Severity {
    /// All of them, from the lightest.
    pub const ALL: [Self; 3] = [Self::Information, Self::Warning, Self::Error];

    /// As configuration and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that a rule has to say of one node, or of the model as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's code.
    pub code: String,
    /// The rule's name.
    pub name: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The node, by the name that reports use; `None` for the whole model.
    pub node: Option<String>,
    /// What was found, with the number that convinces.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The numbers that the message was made from.
    pub evidence: Map<String, Value>,
    /// The nodes on which the rule's exact passes take it away; none where it
    /// cannot be taken away exactly.
    pub fix: Vec<String>,
}

/// What a rule gives; [`crate::lint`] makes a [`Finding`] of it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The node, or the whole model.
    pub node: Option<String>,
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The numbers.
    pub evidence: Map<String, Value>,
    /// Another severity than the rule's own. Configuration goes over it.
    pub severity: Option<Severity>,
    /// The nodes on which the rule's exact passes take it away.
    pub fix: Vec<String>,
}

impl Draft {
    /// What was found at a node.
    pub fn at(node: &str, message: impl Into<String>) -> Self {
        Self {
            node: Some(node.to_owned()),
            message: message.into(),
            ..Self::default()
        }
    }

    /// What was found of the model as a whole.
    pub fn model(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// A number that the message was made from.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.evidence.insert(key.to_owned(), value);
        self
    }

    /// A node on which the rule's exact passes take it away.
    #[must_use]
    pub fn fix(mut self, node: impl Into<String>) -> Self {
        self.fix.push(node.into());
        self
    }

    /// Another severity than the rule's own.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}
