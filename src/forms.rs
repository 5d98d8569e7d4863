//! What passes would make of a model, and the time that each layer of it takes:
//! the answer to "why not everything 2x2" on this model and this machine.

use std::collections::HashMap;
use std::time::Duration;

use analyzer::Totals;
use anyhow::Context;
use compiler::facts::{Facts, Scope};
use compiler::model::Model;
use compiler::onnx;
use compiler::plan::{Compilation, Options, Pass, Site, Width};
use runtime::bench::{BenchOptions, Spread, bench};
use runtime::{Comparison, Control, Dataset};

use crate::terminal::Terminal;
use crate::{interrupt, source};

/// A model that a pass made.
pub struct Form {
    /// The pass.
    pub pass: &'static str,
    /// The model as a file.
    pub bytes: Vec<u8>,
    /// Totals before and after.
    pub totals: [Totals; 2],
    /// The layers that were rewritten.
    pub layers: Vec<Layer>,
    /// Its outputs against the model's, where there are samples.
    pub comparison: Option<Comparison>,
    rewritten: Model,
}

/// A layer before and after.
pub struct Layer {
    /// What was done to it.
    pub site: Site,
    /// Totals of the layer by itself, before and after; `None` where it cannot
    /// be run by itself.
    pub alone: Option<Alone>,
}

/// A layer by itself.
pub struct Alone {
    /// Totals before and after.
    pub totals: [Totals; 2],
    /// Seconds for one sample, before and after.
    pub seconds: [Spread; 2],
    /// Time after over time before, round by round.
    pub ratio: Spread,
}

/// The forms that these passes make of the model; those that change nothing are
/// left out.
///
/// # Errors
/// The model cannot be rewritten or analyzed.
pub fn made(
    model: &Model,
    shapes: &HashMap<String, Vec<i64>>,
    passes: &[&'static Pass],
    width: Width,
    terminal: &Terminal,
) -> anyhow::Result<Vec<Form>> {
    let mut forms = Vec::new();
    for pass in passes {
        let bar = terminal.progress(pass.name);
        let progress = |done, total, what: &str| bar.say(done, total, what);
        let options = Options {
            width,
            progress: &progress,
            ..Options::new(interrupt::flag())
        };
        let mut compilation =
            Compilation::new(model.clone(), options, Scope::of_inputs(shapes.clone()));
        let report = compilation
            .run(pass)
            .with_context(|| format!("{}: {}", model.path.display(), pass.name))?;
        if report.sites.is_empty() {
            continue;
        }
        let rewritten = compilation.model().clone();
        let layer = |site| Layer { site, alone: None };
        forms.push(Form {
            pass: pass.name,
            bytes: onnx::encode_unbounded(&rewritten.to_proto()).to_vec(),
            totals: [totals(model, shapes)?, totals(&rewritten, shapes)?],
            layers: report.sites.into_iter().map(layer).collect(),
            comparison: None,
            rewritten,
        });
    }
    Ok(forms)
}

impl Form {
    /// Times every layer by itself, before and after in turns; all of them take
    /// about `budget`.
    ///
    /// # Errors
    /// tract fails on a layer.
    pub fn time_layers(
        &mut self,
        model: &Model,
        shapes: &HashMap<String, Vec<i64>>,
        rounds: usize,
        budget: Duration,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        let bar = terminal.progress("layers");
        let facts = Facts::infer(&model.graph, &Scope::of_inputs(shapes.clone()))?;
        let count = self.layers.len();
        let each = budget / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let options = BenchOptions {
            rounds,
            budget: each,
            ..BenchOptions::default()
        };
        for (l, layer) in self.layers.iter_mut().enumerate() {
            bar.say(l, count, &layer.site.node);
            let Some((ends, shape)) = ends(model, &facts, &layer.site.node) else {
                continue;
            };
            let part = |of: &Model| of.part(&ends[0], &ends[1], &shape);
            let (Some(before), Some(after)) = (part(model), part(&self.rewritten)) else {
                continue;
            };
            let parts = [before, after];
            let files = parts.each_ref().map(onnx::encode_unbounded);
            let data = Dataset::random(&[shape[1..].to_vec()], 1, 0);
            let models = files.each_ref().map(|f| runtime::Model::new("layer", f));
            let control = Control {
                progress: None,
                cancel: Some(interrupt::flag()),
            };
            let timings = bench(&models, &data, &options, &control)
                .with_context(|| layer.site.node.clone())?;
            let [before, after] = parts;
            let own = |proto| totals(&Model::from_proto(proto, &model.path)?, &HashMap::new());
            layer.alone = Some(Alone {
                totals: [own(before)?, own(after)?],
                seconds: [timings[0].seconds, timings[1].seconds],
                ratio: timings[1].ratio,
            });
        }
        Ok(())
    }
}

/// Names of what a node reads and writes, and the shape of what it reads for a
/// batch of one.
fn ends(model: &Model, facts: &Facts, name: &str) -> Option<([String; 2], Vec<usize>)> {
    let graph = &model.graph;
    let node = *graph
        .order()
        .iter()
        .find(|&&n| graph.node_name(n) == name)?;
    let (input, output) = (
        graph.node(node).inputs.first().copied().flatten()?,
        graph.node(node).outputs.first().copied().flatten()?,
    );
    let sizes = facts.value(input).shape.as_ref()?.get(1..)?;
    let sizes: Option<Vec<usize>> = sizes.iter().map(|s| s.as_usize()).collect();
    let named = |v| graph.value(v).name.clone();
    Some(([named(input), named(output)], [vec![1], sizes?].concat()))
}

fn totals(model: &Model, shapes: &HashMap<String, Vec<i64>>) -> anyhow::Result<Totals> {
    Ok(source::analysis(model, shapes)?.totals)
}
