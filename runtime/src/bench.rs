//! Wall-clock time of models in tract.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::session::Runner;
use crate::{Array, Control, Dataset, Error, Model, Session};

/// How long and how to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BenchOptions {
    /// Rounds; in each, every model is measured once, in turn.
    pub rounds: usize,
    /// Rounds before that are not counted.
    pub warmup: usize,
    /// No further round begins after this time.
    pub budget: Duration,
    /// Streams that run at the same time, each on its own thread. Time is then
    /// that of throughput: wall-clock over all samples of all streams.
    pub threads: usize,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            rounds: 50,
            warmup: 3,
            budget: Duration::from_secs(20),
            threads: 1,
        }
    }
}

/// A distribution by its quartiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// A quarter is below.
    pub lower: f64,
    /// Half is below.
    pub median: f64,
    /// Three quarters are below.
    pub upper: f64,
}

/// The measured time of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// The model's name.
    pub model: String,
    /// Rounds counted.
    pub rounds: usize,
    /// Samples that ran at a time.
    pub batch: usize,
    /// Seconds a sample.
    pub seconds: Spread,
    /// Time over the first model's in the same round; 1 for the first itself.
    pub ratio: Spread,
}

/// A round measures a model for at least this long, so that the clock and the
/// call do not count.
const ROUND: Duration = Duration::from_millis(2);

/// Measures `models` on the first samples of `data`, interleaved: each round runs
/// all of them, starting with another one each time, so that whatever slows the
/// machine slows all alike.
///
/// # Errors
/// Where a model cannot be run on the data.
pub fn bench(
    models: &[Model],
    data: &Dataset,
    options: &BenchOptions,
    control: &Control,
) -> Result<Vec<Timing>, Error> {
    if data.is_empty() {
        return Err(Error::Empty {
            path: data.path().into(),
        });
    }
    let sessions = models
        .iter()
        .map(|model| Session::load(*model, data.shapes()))
        .collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let mut candidates = sessions
        .iter()
        .map(|session| Candidate::new(session, data, options.threads))
        .collect::<Result<Vec<_>, _>>()?;
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); models.len()];
    let rounds = options.warmup + options.rounds.max(1);
    for round in 0..rounds {
        control.check()?;
        let counted = round >= options.warmup;
        if counted && !times.iter().any(Vec::is_empty) && started.elapsed() > options.budget {
            break;
        }
        for turn in 0..models.len() {
            let index = (round + turn) % models.len();
            let time = candidates[index].measure()?;
            if counted {
                times[index].push(time);
            }
        }
        if let Some(progress) = control.progress {
            progress(round + 1, rounds);
        }
    }
    Ok((models.iter().zip(&sessions).zip(&times))
        .map(|((model, session), own)| Timing {
            model: model.name.into(),
            rounds: own.len(),
            batch: session.batch(),
            seconds: spread(own.clone()),
            ratio: spread(
                own.iter()
                    .zip(&times[0])
                    .map(|(time, first)| time / first)
                    .collect(),
            ),
        })
        .collect())
}

/// Measures one model on random input, for about `budget`.
///
/// `samples` are the shapes of its inputs without the batch axis.
///
/// # Errors
/// Where the model cannot be run.
pub fn time_model(model: Model, samples: &[Vec<usize>], budget: Duration) -> Result<Timing, Error> {
    let data = Dataset::random(samples, 1, 0);
    let options = BenchOptions {
        budget,
        rounds: usize::MAX / 2,
        ..BenchOptions::default()
    };
    let mut timings = bench(&[model], &data, &options, &Control::default())?;
    Ok(timings.remove(0))
}

/// A model with its input and one running state a thread.
struct Candidate<'a> {
    streams: Vec<Runner<'a>>,
    input: Vec<Array>,
    batch: usize,
    repeats: u32,
}

impl<'a> Candidate<'a> {
    fn new(session: &'a Session, data: &Dataset, threads: usize) -> Result<Self, Error> {
        let batch = session.batch();
        let input = data.batch(0..batch.min(data.len()))?;
        let streams = (0..threads.max(1))
            .map(|_| session.runner())
            .collect::<Result<Vec<_>, _>>()?;
        let mut candidate = Self {
            streams,
            input,
            batch,
            repeats: 1,
        };
        candidate.measure()?;
        let once = candidate.measure()? * (candidate.batch * candidate.streams.len()) as f64;
        candidate.repeats = (ROUND.as_secs_f64() / once.max(1e-9))
            .ceil()
            .clamp(1.0, 10_000.0) as u32;
        Ok(candidate)
    }

    /// Seconds a sample.
    fn measure(&mut self) -> Result<f64, Error> {
        let (input, repeats) = (&self.input, self.repeats);
        let streams = self.streams.len();
        let samples = (self.batch * streams) as f64 * f64::from(repeats);
        let seconds = match self.streams.as_mut_slice() {
            [stream] => run(stream, input, repeats)?,
            streams => {
                let start = Instant::now();
                std::thread::scope(|scope| {
                    let running: Vec<_> = streams
                        .iter_mut()
                        .map(|stream| scope.spawn(|| run(stream, input, repeats)))
                        .collect();
                    running
                        .into_iter()
                        .try_for_each(|thread| match thread.join() {
                            Ok(result) => result.map(|_| ()),
                            Err(panic) => std::panic::resume_unwind(panic),
                        })
                })?;
                start.elapsed().as_secs_f64()
            }
        };
        Ok(seconds / samples)
    }
}

/// Seconds in tract for `repeats` runs.
fn run(stream: &mut Runner, input: &[Array], repeats: u32) -> Result<f64, Error> {
    let mut time = Duration::ZERO;
    for _ in 0..repeats {
        time += stream.time(input)?;
    }
    Ok(time.as_secs_f64())
}

/// Quartiles, linear between the two nearest values.
fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * values.len().saturating_sub(1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        match (values.get(low), values.get(high)) {
            (Some(low), Some(high)) => low + (high - low) * place.fract(),
            _ => f64::NAN,
        }
    };
    Spread {
        min: at(0.0),
        lower: at(0.25),
        median: at(0.5),
        upper: at(0.75),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_nearest_values() {
        let spread = spread(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(
            spread,
            Spread {
                min: 1.0,
                lower: 1.75,
                median: 2.5,
                upper: 3.25
            }
        );
    }
}
