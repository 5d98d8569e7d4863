//! Calibration: the runtime's probe, handed to the planner.

use compiler::plan::search::Clock;
use compiler::plan::{Calibration, Sink};
use runtime::bench::{BenchOptions, bench};
use runtime::{Control, DataError, Dataset, Model, Session};

use crate::interrupt;

/// Samples below which noise is added to them.
const FEW: usize = 64;
/// Pictures of noise for each after the first, which gets one: many crops of one
/// picture are fitted to its accidents as one alone is.
const NOISE: usize = 4;
/// Pictures of noise at most.
const ENOUGH: usize = 48;

/// Runs models on the calibration samples.
pub struct Probe {
    data: Dataset,
}

impl Probe {
    /// A probe over these samples and, where they are few pictures, some more of
    /// noise: one picture alone is fitted to its own accidents.
    ///
    /// # Errors
    /// Where a sample cannot be read.
    pub fn new(data: Dataset) -> Result<Self, DataError> {
        let data = match data.len() {
            FEW.. => data,
            few => {
                let count = 1 + NOISE * few.saturating_sub(1);
                data.with_noise(count.min(ENOUGH), 0)?
            }
        };
        Ok(Self { data })
    }
}

impl Calibration for Probe {
    fn samples(&self) -> usize {
        self.data.len()
    }

    fn activations(&self, model: &[u8], values: &[String], each: &mut Sink) -> Result<(), String> {
        let control = Control {
            progress: None,
            cancel: Some(interrupt::flag()),
        };
        let model = Model::new(self.data.path(), model);
        let session =
            Session::probe(model, values, self.data.shapes()).map_err(|e| e.to_string())?;
        session
            .stream(
                &self.data,
                &control,
                |_, arrays| arrays,
                |_, arrays| {
                    for (value, array) in arrays.iter().enumerate() {
                        each(value, &array.shape, &array.data);
                    }
                },
            )
            .map_err(|e| e.to_string())
    }
}

/// Times models on random input.
pub struct Stopwatch;

/// Rounds over all models; the least disturbed one counts, as in a benchmark.
const ROUNDS: usize = 15;

impl Clock for Stopwatch {
    fn seconds(&self, models: &[Vec<u8>], sample: &[usize]) -> Result<Vec<f64>, String> {
        let data = Dataset::random(&[sample.to_vec()], 1, 0);
        let models: Vec<Model> = models.iter().map(|m| Model::new("layer", m)).collect();
        let options = BenchOptions {
            rounds: ROUNDS,
            ..BenchOptions::default()
        };
        let control = Control {
            progress: None,
            cancel: Some(interrupt::flag()),
        };
        let timings = bench(&models, &data, &options, &control).map_err(|e| e.to_string())?;
        Ok(timings.into_iter().map(|t| t.seconds.lower).collect())
    }
}
