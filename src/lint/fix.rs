//! `--fix`: the exact passes, in place.

use std::panic::{self, AssertUnwindSafe};

use analyzer::{Finding, Settings, rules};
use compiler::facts::Scope;
use compiler::ir::TensorData;
use compiler::onnx::{self, WriteOptions};
use compiler::plan::{Compilation, Options, PASSES, Pass};

use super::places::Place;
use crate::source::{Source, Weights};
use crate::{interrupt, limits};

/// What became of one file.
#[derive(Debug)]
pub struct Fixed {
    /// The file.
    pub path: String,
    /// Places that were folded, by pass; empty where none was.
    pub passes: Vec<(&'static str, usize)>,
    /// Why the file was left as it is.
    pub refused: Option<String>,
}

impl Fixed {
    /// What was done, in words.
    pub fn words(&self) -> String {
        if let Some(why) = &self.refused {
            return format!("{}: not fixed: {why}", self.path);
        }
        let parts = self.passes.iter().map(|(pass, sites)| {
            let s = if *sites == 1 { "" } else { "s" };
            format!("{pass} in {sites} place{s}")
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() {
            return format!("{}: nothing could be fixed exactly", self.path);
        }
        format!("{}: fixed: {}", self.path, parts.join(", "))
    }

    /// Whether the file was written.
    pub fn was_written(&self) -> bool {
        !self.passes.is_empty()
    }
}

/// What is to be repaired.
pub struct Repair {
    passes: Vec<&'static Pass>,
    nodes: Vec<String>,
}

impl Repair {
    /// What takes these findings away exactly; `None` if nothing does.
    pub fn of(findings: &[Finding]) -> Option<Self> {
        let fixable: Vec<&Finding> = findings.iter().filter(|f| !f.fix.is_empty()).collect();
        let named = |pass: &&Pass| {
            let rules = fixable.iter().filter_map(|f| rules::find(&f.code));
            rules.into_iter().any(|r| r.fixes.contains(&pass.name))
        };
        let nodes = fixable.iter().flat_map(|f| f.fix.clone()).collect();
        (!fixable.is_empty()).then(|| Self {
            passes: PASSES.iter().filter(named).collect(),
            nodes,
        })
    }
}

/// Runs the exact passes on a file and replaces it in one step, if one of them
/// has found a place. What is suppressed or not asked for is left alone.
pub fn fix(place: &Place, settings: &Settings, repair: &Repair) -> Fixed {
    // A panic in one model must not take the others' findings away.
    let attempt = || rewrite(place, settings, repair);
    let failed = |_| Err(anyhow::anyhow!("internal error; please report it"));
    let attempt = panic::catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(failed);
    let (passes, refused) = match attempt {
        Ok(passes) => (passes, None),
        Err(error) => (Vec::new(), Some(crate::failure::describe(&error))),
    };
    Fixed {
        path: place.shown.clone(),
        passes,
        refused,
    }
}

fn rewrite(
    place: &Place,
    settings: &Settings,
    repair: &Repair,
) -> anyhow::Result<Vec<(&'static str, usize)>> {
    let Source { model, unknown, .. } = Source::open(&place.path, Weights::Leave)?;
    let graph = model.expanded();
    let absent = graph.values().any(|(_, v)| {
        let tensor = v.initializer.as_ref();
        tensor.is_some_and(|t| matches!(t.data, TensorData::Absent))
    });
    anyhow::ensure!(
        !absent,
        "its weights are in files beside it, which --fix leaves as they are; fold it into a new \
         file: convfold fold {} -o OUT",
        place.shown
    );
    anyhow::ensure!(
        unknown.is_empty(),
        "it holds fields that ONNX up to IR version 14 does not define and that would be lost; \
         fold it into a new file: convfold fold {} -o OUT --drop-unknown",
        place.shown
    );
    let has = |name: &String| graph.inputs.iter().any(|&v| graph.value(v).name == *name);
    let shapes = settings.input_shapes.iter();
    let shapes = shapes.filter(|(name, _)| has(name));
    let scope = Scope::of_inputs(shapes.map(|(n, s)| (n.clone(), s.clone())).collect());
    let options = Options {
        only: &repair.nodes,
        ..Options::new(interrupt::flag())
    };
    let mut compilation = Compilation::new(model, options, scope);
    let mut passes = Vec::new();
    for &pass in &repair.passes {
        let sites = compilation.run(pass)?.sites.len();
        if sites > 0 {
            passes.push((pass.name, sites));
        }
    }
    if !passes.is_empty() {
        limits::unchanged()?;
        let bytes = onnx::encode(&compilation.model().to_proto())?;
        let options = WriteOptions {
            inputs: vec![place.path.clone()],
            force: true,
        };
        onnx::write_atomically(&place.path, &bytes, &options)?;
    }
    Ok(passes)
}
