//! `convfold factorize`.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use compiler::plan::search::Goal;
use compiler::plan::{self, Calibration, Options, StridePlace, Width};
use runtime::Limits;

use super::{Verdict, explain};
use crate::args::{InputShapes, Preprocessing, Thresholds};
use crate::calibration::{Probe, Stopwatch};
use crate::output::{self, Format, Style};
use crate::rewriting::{Aim, Output, Rewriting, Task};
use crate::searching::Target;
use crate::source::{Source, Weights};
use crate::terminal::Terminal;
use crate::{files, interrupt, views};

/// What `factorize` does where neither passes nor a goal nor labels are given.
const DEFAULT_PASSES: [&str; 3] = ["fold-batchnorm", "fold-bias", "large-to-3x3"];

/// Percentage points of accuracy that a search may cost where nothing is said.
const DEFAULT_DROP: f64 = 0.5;

/// Arguments.
#[derive(Debug, Args)]
pub struct Factorize {
    /// The ONNX model
    model: PathBuf,
    /// Write the rewritten model to OUT
    #[arg(short, long, value_name = "OUT", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// Run this pass (repeatable, in order; `convfold passes` lists them)
    #[arg(long = "pass", value_name = "NAME", conflicts_with = "goal")]
    passes: Vec<String>,
    /// Let the planner choose by what is to become less
    #[arg(long, value_enum)]
    goal: Option<GoalName>,
    /// With --goal: keep at most this share of what the layers in question cost (0.5)
    #[arg(long, value_name = "SHARE", requires = "goal", value_parser = share)]
    budget: Option<f64>,
    /// With --goal: write N networks from the cheapest to nearly the original, as OUT-1, OUT-2 ...
    #[arg(long, value_name = "N", requires = "goal", conflicts_with = "budget", value_parser = clap::value_parser!(u8).range(2..=50))]
    pareto: Option<u8>,
    /// Channels between the factors: auto, same, budget, exact, N or xR
    #[arg(long, default_value = "auto")]
    width: Width,
    /// What stands between the factors
    #[arg(long, value_enum, default_value_t)]
    between: Between,
    /// Which factor takes the stride: first, last or auto
    #[arg(long, default_value = "last", value_name = "PLACE")]
    stride: StridePlace,
    /// Only nodes whose name fits (repeatable)
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Not nodes whose name fits (repeatable)
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// Fit on what these samples make of each layer's input; fewer than 64 pictures get pictures
    /// of noise like them for company
    #[arg(long, value_name = "FILE")]
    calibrate: Option<String>,
    /// Use at most N samples of --calibrate, evenly spaced over it
    #[arg(long, value_name = "N", default_value_t = 256)]
    calibration_samples: usize,
    /// Compare the rewritten model with the original on these samples
    #[arg(long, value_name = "FILE")]
    data: Option<String>,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Write the report to FILE.json, FILE.html, FILE.md or FILE.csv as well
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the derivation of each rewrite
    #[arg(long)]
    explain: bool,
    /// Report only, write no model
    #[arg(long)]
    dry_run: bool,
    /// Let OUT replace MODEL itself
    #[arg(long)]
    force: bool,
    /// Go on without fields that the ONNX schema does not know
    #[arg(long)]
    drop_unknown: bool,
    /// Write the weights to a file of their own beside OUT; above 2 GB they go there anyway
    #[arg(long)]
    external_data: bool,
    #[command(flatten)]
    shapes: InputShapes,
    #[command(flatten)]
    preprocessing: Preprocessing,
}

/// What is to become less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GoalName {
    /// Parameters
    Params,
    /// Multiply-accumulates
    Macs,
    /// Measured time
    Latency,
}

/// A share above 0 and up to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("give a share above 0 and up to 1".into()),
    }
}

/// What stands between two factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Between {
    /// Nothing: the factors can equal the original
    #[default]
    None,
    /// Rectifiers that start open, for networks that are trained again
    Relu,
}

impl Factorize {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        if self.between == Between::Relu && self.calibrate.is_none() {
            bail!(
                "--between relu opens the rectifiers for what samples make of the maps between; \
                 give --calibrate FILE"
            );
        }
        let report = self.report_format()?;
        if self.thresholds.any() && self.data.is_none() {
            bail!("--max-drop and --max-error are measured on samples; give --data FILE");
        }
        let source = Source::open(&self.model, Weights::Bring)?;
        let output = (!self.dry_run)
            .then_some(())
            .and(self.output.clone())
            .map(|path| Output {
                path,
                force: self.force,
                drop_unknown: self.drop_unknown,
                external_data: self.external_data,
            });
        let data = match &self.data {
            Some(data) => Some(self.preprocessing.open(data)?),
            None => None,
        };
        let labelled = data.as_ref().is_some_and(|d| d.has_labels());
        let (aim, limits) = self.aim(labelled)?;
        let probe = match &self.calibrate {
            Some(samples) => {
                let limit = Some(self.calibration_samples);
                Some(Probe::new(
                    self.preprocessing.open_limited(samples, limit)?,
                )?)
            }
            None => None,
        };
        let task = Task {
            shapes: self.shapes.resolve(&source.name(), &source.inputs())?,
            source,
            aim,
            options: Options {
                width: self.width,
                between: match self.between {
                    Between::None => plan::Between::Nothing,
                    Between::Relu => plan::Between::Relu,
                },
                stride: self.stride,
                only: &self.only,
                skip: &self.skip,
                calibration: probe.as_ref().map(|p| p as &dyn Calibration),
                explain: self.explain,
                cancel: interrupt::flag(),
                progress: &|_, _, _| {},
            },
            data: data.as_ref(),
            limits,
            output,
        };
        let rewriting = task.run(terminal)?;
        publish(&rewriting, report, &self.model)
    }

    /// What to do, and within what.
    fn aim(&self, labelled: bool) -> anyhow::Result<(Aim, Limits)> {
        let mut limits = self.thresholds.limits();
        let by_default = self.passes.is_empty() && labelled;
        if self.goal.is_some() || by_default {
            let open = self.budget.is_none() && self.pareto.is_none();
            let free = open && !self.thresholds.any();
            if free && labelled {
                limits.max_drop = Some(DEFAULT_DROP);
            }
            let goal = match self.goal {
                None | Some(GoalName::Params) => Goal::Parameters,
                Some(GoalName::Macs) => Goal::Macs,
                Some(GoalName::Latency) => Goal::Latency,
            };
            let target = Target {
                goal,
                budget: self.budget,
                pareto: self.pareto.map(usize::from),
                clock: Box::new(Stopwatch),
            };
            return Ok((Aim::Search(target), limits));
        }
        let given = self.passes.iter().map(String::as_str);
        let names: Vec<&str> = if self.passes.is_empty() {
            DEFAULT_PASSES.to_vec()
        } else {
            given.collect()
        };
        let passes = names
            .into_iter()
            .map(explain::pass)
            .collect::<anyhow::Result<_>>()?;
        Ok((Aim::Passes(passes), limits))
    }

    fn report_format(&self) -> anyhow::Result<Option<Report<'_>>> {
        let Some(path) = &self.report else {
            return Ok(None);
        };
        let Some(format) = output::by_extension(path) else {
            bail!(
                "--report {}: the name does not say the format; end it in .json, .html, .md or .csv",
                path.display()
            );
        };
        files::check_writable(path)?;
        Ok(Some((path, format)))
    }
}

type Report<'a> = (&'a PathBuf, &'static Format);

/// Prints the report, and writes it to a file where one is named.
pub(super) fn publish(
    rewriting: &Rewriting,
    file: Option<Report>,
    input: &PathBuf,
) -> anyhow::Result<Verdict> {
    let verdict = match rewriting.missed.is_empty() {
        true => Verdict::Clean,
        false => Verdict::Missed,
    };
    let report = views::rewriting::report(rewriting);
    let inputs = std::slice::from_ref(input);
    if let Some((path, format)) = file {
        let text = (format.render)(&report, &Style::of(false));
        files::publish(&text, Some(path), inputs)?;
    }
    files::publish(
        &(output::TEXT.render)(&report, &Style::of(true)),
        None,
        inputs,
    )?;
    Ok(verdict)
}
