//! CF000: a file that is no model.

use super::{Check, Rule};
use crate::diagnostic::Severity;

pub(super) const RULE: Rule = Rule {
    code: "CF000",
    name: "unreadable-model",
    severity: Severity::Error,
    what: "A file that cannot be read as an ONNX model: empty, truncated, text, another format, a \
           Git LFS pointer that was not fetched, or a graph that is none.",
    why: "It will not load where it is deployed either. A pointer in place of a model passes every \
          check that does not open the file.",
    ignore: "Exclude folders that hold deliberately broken files with `exclude` in convfold.toml.",
    example: "model.onnx is a Git LFS pointer to 46.8 MB, not fetched: run `git lfs pull`.",
    discussion: "",
    fixes: &[],
    weights: false,
    thresholds: &[],
    check: Check::File,
};
