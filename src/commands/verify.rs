//! `convfold verify`.

use std::path::PathBuf;

use clap::Args;
use runtime::{CompareOptions, Control, Reference};

use super::Verdict;
use crate::args::{Output, Preprocessing, Thresholds};
use crate::source::Runnable;
use crate::terminal::Terminal;
use crate::{interrupt, views};

/// Arguments.
#[derive(Debug, Args)]
pub struct Verify {
    /// The model as it was
    original: PathBuf,
    /// The model to compare with it
    rewritten: PathBuf,
    /// Samples to run both on: .npz, an ONNX test_data_set folder, a folder of images
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Do not measure how often the class stays when the input shifts by one pixel, which takes
    /// as long again
    #[arg(long)]
    no_shift: bool,
    #[command(flatten)]
    thresholds: Thresholds,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    preprocessing: Preprocessing,
}

impl Verify {
    pub(super) fn run(&self, terminal: &Terminal) -> anyhow::Result<Verdict> {
        self.output.check()?;
        let original = Runnable::open(&self.original)?;
        let rewritten = Runnable::open(&self.rewritten)?;
        let data = self.preprocessing.open(&self.data)?;
        let options = CompareOptions {
            shift: !self.no_shift,
            ..CompareOptions::default()
        };
        let comparison = {
            let bar = terminal.progress("original");
            let progress = |done, total| bar.set(done, total);
            let control = Control {
                progress: Some(&progress),
                cancel: Some(interrupt::flag()),
            };
            let reference = Reference::new(original.model(), &data, options, &control)?;
            bar.say(0, data.len(), "rewritten");
            reference.compare(rewritten.model(), &control)?
        };
        let reasons = comparison.violations(&self.thresholds.limits());
        let verdict = if reasons.is_empty() {
            Verdict::Clean
        } else {
            Verdict::Missed
        };
        let names = [original.name(), rewritten.name()];
        let report = views::comparison::report(names, data.path(), &comparison, &reasons);
        let inputs = [self.original.clone(), self.rewritten.clone()];
        self.output.publish(&report, &inputs)?;
        Ok(verdict)
    }
}
