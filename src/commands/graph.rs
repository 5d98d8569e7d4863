//! `convfold graph`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use analyzer::Options;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::Verdict;
use crate::args::InputShapes;
use crate::source::{Source, Weights};
use crate::{files, views};

/// Arguments.
#[derive(Debug, Args)]
pub struct Graph {
    /// The ONNX model
    model: PathBuf,
    /// Format [default: by the name of FILE, else dot]
    #[arg(long, value_enum)]
    format: Option<Picture>,
    /// Write to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    shapes: InputShapes,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Picture {
    /// Graphviz's language
    Dot,
    /// A picture, drawn by graphviz where it is installed
    Svg,
}

impl Graph {
    pub(super) fn run(&self) -> anyhow::Result<Verdict> {
        let output = self.output.as_deref();
        output.map_or(Ok(()), files::check_writable)?;
        let source = Source::open(&self.model, Weights::Leave)?;
        let input_shapes = self.shapes.resolve(&source.name(), &source.inputs())?;
        let analysis = analyzer::analyze(
            &source.model,
            &Options {
                input_shapes,
                ..Options::default()
            },
        )
        .with_context(|| source.name())?;
        let dot = views::dot::dot(source.model.expanded(), &analysis);
        let by_name = output.and_then(Path::extension).is_some_and(|e| e == "svg");
        let text = match self
            .format
            .unwrap_or(if by_name { Picture::Svg } else { Picture::Dot })
        {
            Picture::Dot => dot,
            Picture::Svg => draw(&dot)?,
        };
        files::publish(&text, output, std::slice::from_ref(&self.model))?;
        Ok(Verdict::Clean)
    }
}

/// Graphviz's picture.
fn draw(dot: &str) -> anyhow::Result<String> {
    let child = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        child.context("svg needs graphviz's program `dot`; install it, or use --format dot")?;
    let mut input = child.stdin.take().context("graphviz takes no input")?;
    // In a thread of its own: graphviz may write before it has read all.
    let dot = dot.to_owned();
    let writer = std::thread::spawn(move || input.write_all(dot.as_bytes()));
    let output = child
        .wait_with_output()
        .context("graphviz was not to be had")?;
    let written = writer.join();
    if !output.status.success() || !matches!(written, Ok(Ok(()))) {
        bail!(
            "graphviz failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("graphviz's picture is no text")
}
