//! Files that have changed since a revision, as git tells.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use super::places::absolute;

/// The files that differ from a revision or are not tracked yet; those that
/// are gone are left out.
///
/// # Errors
/// git is absent, this is no repository, or the revision is none.
pub fn changed(revision: &str) -> anyhow::Result<HashSet<PathBuf>> {
    if revision.starts_with('-') {
        bail!("--since {revision}: this is no revision");
    }
    let root = git(&["rev-parse", "--show-toplevel"])
        .context("--since needs a git repository around the current folder")?;
    let root = PathBuf::from(root.trim_end_matches(['\n', '\r']));
    let commit = format!("{revision}^{{commit}}");
    git(&["rev-parse", "--verify", "--quiet", &commit]).with_context(|| {
        format!(
            "--since {revision}: there is no such revision here; in a shallow clone fetch it \
             first (actions/checkout: fetch-depth: 0)"
        )
    })?;
    let differ = git(&[
        "diff",
        "--name-only",
        "-z",
        "--diff-filter=d",
        revision,
        "--",
    ])?;
    // From the root, so that both lists are relative to it.
    let top = root.to_string_lossy();
    let others = [
        "-C",
        &top,
        "ls-files",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let untracked = git(&others)?;
    let names = differ.split('\0').chain(untracked.split('\0'));
    let here = absolute(&PathBuf::from("."));
    let linked = here.canonicalize().ok();
    Ok(names
        .filter(|n| !n.is_empty())
        .flat_map(|name| {
            let path = root.join(name);
            // git resolves links on the way to the root; paths here may not.
            let as_given = linked.as_ref().and_then(|linked| {
                let depth = linked.strip_prefix(&root).ok()?.components().count();
                let top = here.ancestors().nth(depth)?;
                Some(top.join(name))
            });
            [Some(path), as_given]
        })
        .flatten()
        .collect())
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .context("git could not be started; --since needs it")?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let line = told.lines().next().unwrap_or("git failed").trim();
        bail!("{}", if line.is_empty() { "git failed" } else { line });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
