//! Arguments that several commands share.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, builder::PossibleValuesParser};
use runtime::{DataOptions, Dataset, Limits};

use crate::commands::Command;
use crate::limits::{self, Size};
use crate::output::{self, FORMATS, Format, Report};
use crate::terminal::Colour;

/// Graph compiler, analyzer and lint for convolutional networks in ONNX
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// No progress on standard error
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to colour text; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
    /// Threads to use; results do not depend on it [default: all cores]
    #[arg(short = 'j', long, global = true, value_name = "N")]
    pub threads: Option<NonZero<usize>>,
    /// Give up on a model after so long; 0 never does [default: 600 where models are only read,
    /// never where they are rewritten, run or measured]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Give up when more memory is taken, as 512M or 2G [default: three quarters of what there is]
    #[arg(long, global = true, value_name = "SIZE")]
    pub max_memory: Option<Size>,
    /// Follow links of weight files out of the model's folder, as caches of models have them
    #[arg(long, global = true)]
    pub trust_symlinks: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok();
    number
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a time in seconds".into())
}

impl Cli {
    /// What this run may take.
    pub fn limits(&self) -> limits::Limits {
        let common = &self.common;
        let timeout = common.timeout.or_else(|| self.command.patience());
        limits::Limits {
            timeout: timeout.filter(|limit| !limit.is_zero()),
            memory: common
                .max_memory
                .map_or_else(limits::default_memory, |size| size.0),
            trust_symlinks: common.trust_symlinks,
        }
    }
}

/// Where a report goes, and how it looks.
#[derive(Debug, Args)]
pub struct Output {
    /// Format of the report [default: by the name of FILE, else text]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub format: Option<String>,
    /// Write the report to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(
        FORMATS
            .iter()
            .map(|f| clap::builder::PossibleValue::new(f.name).help(f.what)),
    )
}

impl Output {
    /// The format that was asked for.
    pub fn format(&self) -> &'static Format {
        let named = self.format.as_deref().and_then(output::find);
        let by_file = || self.output.as_deref().and_then(output::by_extension);
        named.or_else(by_file).unwrap_or(output::TEXT)
    }

    /// Fails now rather than after the work if the file cannot be written.
    ///
    /// # Errors
    /// The file's name and the system's reason.
    pub fn check(&self) -> anyhow::Result<()> {
        self.output
            .as_deref()
            .map_or(Ok(()), crate::files::check_writable)
    }

    /// Writes a report, never over one of the `inputs`.
    ///
    /// # Errors
    /// The file's name and the system's reason.
    pub fn publish(&self, report: &Report, inputs: &[PathBuf]) -> anyhow::Result<()> {
        let style = output::Style::of(self.output.is_none());
        let text = (self.format().render)(report, &style);
        crate::files::publish(&text, self.output.as_deref(), inputs)
    }
}

/// Sizes of inputs that the model leaves open.
#[derive(Debug, Args)]
pub struct InputShapes {
    /// Shape of an input, as NAME=1x3x224x224, or 1x3x224x224 where the model has one
    #[arg(long = "input-shape", value_name = "[NAME=]SHAPE")]
    pub shapes: Vec<String>,
}

impl InputShapes {
    /// The shapes by input name, for a model with these inputs.
    ///
    /// # Errors
    /// What is no shape, or does not say which of several inputs it is for.
    pub fn resolve(
        &self,
        model: &str,
        inputs: &[String],
    ) -> anyhow::Result<HashMap<String, Vec<i64>>> {
        let resolve = |text: &String| {
            let (name, shape) = match (text.rsplit_once('='), inputs) {
                (Some((name, shape)), _) => (name, shape),
                (None, [only]) => (only.as_str(), text.as_str()),
                (None, _) => bail!(
                    "--input-shape {text}: {model} has the inputs {}; say which, as NAME={text}",
                    inputs.join(", ")
                ),
            };
            let shape = parse_shape(shape)
                .with_context(|| format!("--input-shape {text}: write it as 1x3x224x224"))?;
            Ok((name.to_owned(), shape))
        };
        self.shapes.iter().map(resolve).collect()
    }
}

fn parse_shape(text: &str) -> anyhow::Result<Vec<i64>> {
    let size = |s: &str| match s.trim().parse::<i64>() {
        Ok(n) if n >= 0 => Ok(n),
        _ => bail!("{s:?} is not a size"),
    };
    text.split(['x', 'X', ',']).map(size).collect()
}

/// How samples of `--data` and `--calibrate` become what the model was trained on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Samples")]
pub struct Preprocessing {
    /// Factor on the samples, a number or a fraction; uint8 is not rescaled otherwise
    #[arg(long, value_name = "S")]
    scale: Option<String>,
    /// Subtracted after scaling: one number, or one a channel with commas between
    #[arg(long, value_name = "M", allow_hyphen_values = true)]
    mean: Option<String>,
    /// Divided by at last: one number, or one a channel with commas between
    #[arg(long, value_name = "D")]
    std: Option<String>,
    /// Order of colours that the model takes: rgb, bgr or grey
    #[arg(long, value_name = "ORDER")]
    channels: Option<String>,
    /// For images: resize=256,crop=224,layout=nhwc and the options above
    #[arg(long, value_name = "KEY=VALUE,...", allow_hyphen_values = true)]
    preprocess: Option<String>,
    /// Use at most N samples of --data, evenly spaced over it
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
}

impl Preprocessing {
    /// Opens a data set.
    ///
    /// # Errors
    /// The file's name, and what to do.
    pub fn open(&self, data: &str) -> anyhow::Result<Dataset> {
        self.open_limited(data, self.samples)
    }

    /// Opens a data set of which at most so many samples are used.
    ///
    /// # Errors
    /// The file's name, and what to do.
    pub fn open_limited(&self, data: &str, limit: Option<usize>) -> anyhow::Result<Dataset> {
        Ok(Dataset::open(data, &self.options(limit)?)?)
    }

    /// Opens a data set as pictures of the model's size, their colours as they
    /// are stored.
    ///
    /// # Errors
    /// The file's name, and what to do.
    pub fn open_pictures(&self, data: &str) -> anyhow::Result<Dataset> {
        let options = DataOptions {
            scale: None,
            mean: Vec::new(),
            std: Vec::new(),
            channels: runtime::dataset::Channels::default(),
            ..self.options(self.samples)?
        };
        Ok(Dataset::open(data, &options)?)
    }

    fn options(&self, limit: Option<usize>) -> anyhow::Result<DataOptions> {
        let mut options = DataOptions {
            limit,
            ..DataOptions::default()
        };
        if let Some(text) = &self.preprocess {
            options.preprocess(text)?;
        }
        let named = [
            ("scale", &self.scale),
            ("mean", &self.mean),
            ("std", &self.std),
            ("channels", &self.channels),
        ];
        for (option, value) in named {
            if let Some(value) = value {
                options.set(option, value)?;
            }
        }
        Ok(options)
    }
}

/// What must not be exceeded.
#[derive(Debug, Args)]
pub struct Thresholds {
    /// Exit 1 if top-1 accuracy drops by more than so many percentage points
    #[arg(long, value_name = "POINTS")]
    pub max_drop: Option<f64>,
    /// Exit 1 if the relative error of the worst output is larger
    #[arg(long, value_name = "ERROR")]
    pub max_error: Option<f64>,
}

impl Thresholds {
    /// As the runtime has them.
    pub fn limits(&self) -> Limits {
        Limits {
            max_drop: self.max_drop,
            max_error: self.max_error,
        }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.max_drop.is_some() || self.max_error.is_some()
    }
}
