//! A model's place: as it was given, and as seen from the project's root.

use std::path::{Component, Path, PathBuf};

use analyzer::Finding;
use twox_hash::xxhash3_128::Hasher;

use super::Located;

/// A file to be looked at.
#[derive(Clone, Debug)]
pub struct Place {
    /// As it was given or found.
    pub path: PathBuf,
    /// The same for reports: forward slashes, no `./` before it.
    pub shown: String,
    /// From the project's root, forward slashes: what globs and the baseline
    /// know it by.
    pub key: String,
    /// Without relative parts.
    pub absolute: PathBuf,
}

impl Place {
    /// The place of a file, in a project with this root (absolute).
    pub fn new(path: PathBuf, root: &Path) -> Self {
        let absolute = absolute(&path);
        let key = absolute.strip_prefix(root).unwrap_or(&absolute);
        Self {
            shown: slashes(&path),
            key: slashes(key),
            absolute,
            path,
        }
    }

    /// A finding in this file.
    pub fn locate(&self, finding: Finding) -> Located {
        let node = finding.node.as_deref().unwrap_or_default();
        let identity = format!("{}\0{}\0{node}", finding.code, self.key);
        Located {
            fingerprint: format!("{:032x}", Hasher::oneshot(identity.as_bytes())),
            path: self.shown.clone(),
            key: self.key.clone(),
            finding,
        }
    }
}

/// A path without `.` and `..`, links as they are.
pub fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn slashes(path: &Path) -> String {
    let parts = path.components().filter(|c| *c != Component::CurDir);
    let plain: PathBuf = parts.collect();
    let text = plain.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' {
        text.into_owned()
    } else {
        text.replace(std::path::MAIN_SEPARATOR, "/")
    }
}
