//! `convfold lint`.

use std::path::{Path, PathBuf};

use analyzer::config::{FILE_NAME, PYPROJECT};
use analyzer::{Config, Overrides, Selector, Severity};
use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::Verdict;
use crate::lint::{self, Baseline, Outcome, Request};
use crate::output::{FINDING_FORMATS, FORMATS, Style};
use crate::terminal::Terminal;
use crate::{failure, files, output, views};

/// Arguments.
#[derive(Debug, Args)]
pub struct Lint {
    /// Models, folders of models (.gitignore is respected), or - for a list on standard input
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Format of the report [default: by the name of FILE, else text]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    format: Option<String>,
    /// Write the report to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only these rules: codes, beginnings of codes, names, or ALL
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    select: Vec<String>,
    /// Not these rules
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Configuration [default: convfold.toml or pyproject.toml here or above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Report only what FILE does not know yet
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write what is found to the baseline, and exit 0
    #[arg(long)]
    write_baseline: bool,
    /// Exit 1 from this severity on: information, warning or error
    #[arg(long, value_name = "SEVERITY", value_parser = severities())]
    fail_level: Option<String>,
    /// Exit 0 whatever is found
    #[arg(long)]
    exit_zero: bool,
    /// Only files that have changed since REV, as git tells
    #[arg(long, value_name = "REV")]
    since: Option<String>,
    /// Apply the exact passes (fold BatchNorm, bias, Pad) to the files, in place
    #[arg(long)]
    fix: bool,
    /// Do not use results of earlier runs
    #[arg(long)]
    no_cache: bool,
    /// Folder of the results of earlier runs [default: .convfold_cache beside the configuration]
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<PathBuf>,
}

fn formats() -> PossibleValuesParser {
    let own = FINDING_FORMATS.iter().map(|f| (f.name, f.what));
    let shared = FORMATS.iter().map(|f| (f.name, f.what));
    let shared = shared.filter(|(name, _)| FINDING_FORMATS.iter().all(|f| f.name != *name));
    let values = own.chain(shared);
    PossibleValuesParser::new(values.map(|(name, what)| PossibleValue::new(name).help(what)))
}

fn severities() -> PossibleValuesParser {
    PossibleValuesParser::new(Severity::ALL.map(Severity::name))
}

impl Lint {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        if let Some(file) = &self.output {
            files::check_writable(file)?;
        }
        let mut config = match self.config()? {
            Ok(config) => config,
            Err(mistakes) => {
                for mistake in mistakes {
                    failure::line(&mistake.to_string());
                }
                return Ok(Verdict::Unreadable);
            }
        };
        if let Some(level) = self.fail_level.as_deref().and_then(Severity::find) {
            config.fail_level = level;
        }
        let overrides = Overrides {
            select: (!self.select.is_empty())
                .then(|| selectors("--select", &self.select))
                .transpose()?,
            ignore: selectors("--ignore", &self.ignore)?,
        };
        let known = self.baseline.clone().or_else(|| config.baseline.clone());
        let baseline = match &known {
            // It is about to be written anew: then it need not be there.
            Some(path) if !self.write_baseline || path.exists() => Some(Baseline::read(path)?),
            _ => None,
        };
        let root = config.root.clone();
        let cache = self.cache_dir.clone();
        let cache = cache.unwrap_or_else(|| root.join(lint::CACHE_FOLDER));
        let request = Request {
            paths: self.paths.clone(),
            config,
            overrides,
            since: self.since.clone(),
            baseline,
            fix: self.fix,
            cache: (!self.no_cache).then_some(cache),
        };
        let outcome = lint::run(&request, terminal)?;
        self.publish(&outcome)?;
        if self.write_baseline {
            let path = known.unwrap_or_else(|| root.join(lint::DEFAULT_NAME));
            lint::write_baseline(&outcome, request.baseline.as_ref(), &root, &path)?;
            terminal.note(&format!("written: {}", path.display()));
            return Ok(Verdict::Clean);
        }
        // Settled by the findings alone, whatever they were written as.
        Ok(if outcome.fails() && !self.exit_zero {
            Verdict::Missed
        } else {
            Verdict::Clean
        })
    }

    fn publish(&self, outcome: &Outcome) -> anyhow::Result<()> {
        let style = Style::of(self.output.is_none());
        let by_file = || self.output.as_deref().and_then(output::by_extension);
        let name = match &self.format {
            Some(name) => name.as_str(),
            None => by_file().map_or("text", |f| f.name),
        };
        let own = FINDING_FORMATS.iter().find(|f| f.name == name);
        let text = match own {
            Some(format) => (format.render)(outcome, &style),
            None => {
                let format = output::find(name).unwrap_or(output::TEXT);
                let report = views::lint::report(outcome, name != "csv");
                (format.render)(&report, &style)
            }
        };
        let inputs: Vec<PathBuf> = outcome.files.iter().map(PathBuf::from).collect();
        files::publish(&text, self.output.as_deref(), &inputs)
    }

    /// The configuration that is named, or the nearest one upwards; the inner
    /// error are the mistakes in it.
    fn config(&self) -> anyhow::Result<Result<Config, Vec<analyzer::config::Mistake>>> {
        if let Some(path) = &self.config {
            let text = read(path)?;
            return match Config::parse(&text, path) {
                Ok(Some(config)) => Ok(Ok(config)),
                Ok(None) => anyhow::bail!("{}: there is no [tool.convfold] in it", path.display()),
                Err(mistakes) => Ok(Err(mistakes)),
            };
        }
        let here = std::env::current_dir().context("the current folder cannot be found")?;
        for folder in here.ancestors() {
            for name in [FILE_NAME, PYPROJECT] {
                let path = folder.join(name);
                if !path.is_file() {
                    continue;
                }
                let shown = path.strip_prefix(&here).unwrap_or(&path);
                match Config::parse(&read(&path)?, shown) {
                    Ok(None) => {}
                    Ok(Some(config)) => return Ok(Ok(config)),
                    Err(mistakes) => return Ok(Err(mistakes)),
                }
            }
        }
        Ok(Ok(Config::new(Path::new("."))))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn selectors(option: &str, words: &[String]) -> anyhow::Result<Vec<Selector>> {
    let words = words.iter().map(|w| w.trim()).filter(|w| !w.is_empty());
    words
        .map(|word| Selector::parse(word).with_context(|| option.to_owned()))
        .collect()
}
