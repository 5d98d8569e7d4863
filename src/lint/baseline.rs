//! What a project has decided to live with: findings by fingerprint, and what
//! each model takes.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use analyzer::Figures;
use anyhow::Context;
use compiler::onnx::{WriteOptions, write_atomically};
use serde::{Deserialize, Serialize};

use super::{Located, Outcome};

/// Its file where none is named.
pub const DEFAULT_NAME: &str = "convfold-baseline.json";
const SCHEMA: &str = "convfold.baseline.v1";

/// A baseline.
#[derive(Debug, Default)]
pub struct Baseline {
    file: File,
    known: HashSet<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    schema: String,
    findings: Vec<Entry>,
    models: BTreeMap<String, Figures>,
}

/// The fingerprint decides; the rest is for who reads the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    fingerprint: String,
    code: String,
    path: String,
    node: Option<String>,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read the baseline {name}; --write-baseline writes it")
        })?;
        let file: File = serde_json::from_str(&text).with_context(|| {
            format!("{name} is no baseline; name another file, or remove it first")
        })?;
        anyhow::ensure!(
            file.schema == SCHEMA,
            "{name} is a baseline of another version ({}); remove it, and --write-baseline writes it anew",
            file.schema
        );
        let known = file.findings.iter().map(|e| e.fingerprint.clone());
        Ok(Self {
            known: known.collect(),
            file,
        })
    }

    /// Whether a finding is known.
    pub fn knows(&self, fingerprint: &str) -> bool {
        self.known.contains(fingerprint)
    }

    /// What a model took.
    pub fn figures(&self, key: &str) -> Option<&Figures> {
        self.file.models.get(key)
    }
}

/// Writes what was found as the baseline. What the old one, if any, says of
/// models that were not looked at stays, as long as they exist under `root`.
///
/// # Errors
/// The file's name and the system's reason.
pub fn write(
    outcome: &Outcome,
    old: Option<&Baseline>,
    root: &Path,
    path: &Path,
) -> anyhow::Result<()> {
    let looked_at: HashSet<&str> = outcome
        .figures
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    let stays = |key: &str| !looked_at.contains(key) && root.join(key).exists();
    let mut file = File {
        schema: SCHEMA.to_owned(),
        ..File::default()
    };
    if let Some(old) = old {
        let entries = old.file.findings.iter().filter(|e| stays(&e.path));
        file.findings.extend(entries.cloned());
        let models = old.file.models.iter().filter(|(key, _)| stays(key));
        file.models
            .extend(models.map(|(k, f)| (k.clone(), f.clone())));
    }
    let found = outcome.findings.iter().chain(&outcome.known);
    // The ratchet's own findings are answered by the new figures.
    let ratchet = |f: &&Located| f.finding.name != RATCHET;
    file.findings.extend(found.filter(ratchet).map(|f| Entry {
        fingerprint: f.fingerprint.clone(),
        code: f.finding.code.clone(),
        path: f.key.clone(),
        node: f.finding.node.clone(),
    }));
    file.findings.sort_by(|a, b| {
        (&a.path, &a.code, &a.node, &a.fingerprint).cmp(&(
            &b.path,
            &b.code,
            &b.node,
            &b.fingerprint,
        ))
    });
    let known = outcome
        .figures
        .iter()
        .filter_map(|(k, f)| Some((k.clone(), f.clone()?)));
    file.models.extend(known);
    let text = format!("{:#}\n", serde_json::to_value(&file)?);
    Ok(write_atomically(
        path,
        text.as_bytes(),
        &WriteOptions::default(),
    )?)
}

/// The rule that compares with the baseline's figures.
const RATCHET: &str = "regression-against-baseline";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratchet_is_a_rule() {
        assert!(analyzer::RULES.iter().any(|r| r.name == RATCHET));
    }
}
