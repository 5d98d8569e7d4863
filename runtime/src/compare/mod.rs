//! An original and a rewritten model, side by side on the same data.

mod classes;
mod report;
mod shift;
mod tally;

pub use report::{Comparison, Limits, OutputError, Pair};
pub use shift::shift_consistency;

use crate::array::show;
use crate::{Array, Control, Dataset, Error, Model, Session};
use classes::{among, class_output, winner};
use tally::Tally;

/// What to compare beyond the outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareOptions {
    /// Measure shift consistency too, at twice the cost.
    pub shift: bool,
    /// The original's outputs are kept while they take no more than this; else
    /// the original runs again for each comparison.
    pub cache_bytes: u64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            shift: false,
            cache_bytes: 1 << 30,
        }
    }
}

/// An original that rewritten models are compared with.
///
/// It has run once, so that comparing several rewritten models with it costs
/// one run each.
pub struct Reference<'a> {
    name: String,
    session: Session,
    data: &'a Dataset,
    /// Outputs of each sample, unless they are too large to keep.
    kept: Option<Vec<Vec<Array>>>,
    seconds: f64,
    /// Shapes of the outputs of one sample.
    shapes: Vec<Vec<usize>>,
    /// The output with the class scores.
    classes: Option<usize>,
    consistency: Option<f64>,
}

/// Sums over some samples.
struct Sums {
    tallies: Vec<Tally>,
    /// Hits of the original and the rewritten model, at 1 and at 5.
    top1: [usize; 2],
    top5: [usize; 2],
    agreed: usize,
    seconds: [f64; 2],
    /// The rewritten model's classes.
    classes: Vec<Option<usize>>,
}

impl<'a> Reference<'a> {
    /// Runs `original` on `data`.
    ///
    /// # Errors
    /// Where it cannot be run, there are no samples, or a label is no class.
    pub fn new(
        original: Model,
        data: &'a Dataset,
        options: CompareOptions,
        control: &Control,
    ) -> Result<Self, Error> {
        if data.is_empty() {
            return Err(Error::Empty {
                path: data.path().into(),
            });
        }
        let session = Session::load(original, data.shapes())?;
        let (first, _) = session.run(&data.batch(0..1)?)?;
        let outputs = first.into_iter().next().unwrap_or_default();
        let classes = class_output(&outputs);
        let mut reference = Self {
            name: original.name.into(),
            session,
            data,
            kept: None,
            seconds: 0.0,
            shapes: outputs.iter().map(|a| a.shape.clone()).collect(),
            classes,
            consistency: None,
        };
        if let Some(classes) = classes {
            reference.require_labels(outputs[classes].data.len())?;
        }
        let bytes: usize = outputs.iter().map(|a| 4 * a.data.len()).sum();
        if bytes as u128 * data.len() as u128 <= u128::from(options.cache_bytes) {
            reference.keep(control)?;
        }
        if options.shift && classes.is_some() {
            let known = reference.known_classes();
            reference.consistency =
                shift::consistency(&reference.session, data, known.as_deref(), control)?;
        }
        Ok(reference)
    }

    /// Compares `rewritten` with the original.
    ///
    /// # Errors
    /// Where it cannot be run, or its outputs are not the original's.
    pub fn compare(&self, rewritten: Model, control: &Control) -> Result<Comparison, Error> {
        let session = Session::load(rewritten, self.data.shapes())?;
        let order = self.pair_outputs(rewritten.name, &session)?;
        let mut sums: Option<Sums> = None;
        let mut classes = Vec::new();
        control.ordered(
            self.data.len(),
            session.batch().max(self.session.batch()),
            |range| {
                let inputs = self.data.batch(range.clone())?;
                let (fresh, time) = session.run(&inputs)?;
                let (again, again_time);
                let original = match &self.kept {
                    Some(kept) => {
                        again_time = 0.0;
                        &kept[range.clone()]
                    }
                    None => {
                        let (outputs, time) = self.session.run(&inputs)?;
                        again_time = time.as_secs_f64();
                        again = outputs;
                        &again[..]
                    }
                };
                let mut sums = self.sums(rewritten.name, range.start, original, &fresh, &order)?;
                sums.seconds = [again_time, time.as_secs_f64()];
                Ok(sums)
            },
            |mut part| {
                classes.append(&mut part.classes);
                sums = Some(match sums.take() {
                    Some(sums) => sums.merge(part),
                    None => part,
                });
                Ok(())
            },
        )?;
        let Some(sums) = sums else {
            return Err(Error::Empty {
                path: self.data.path().into(),
            });
        };
        let shifted = match self.consistency {
            Some(original) => shift::consistency(&session, self.data, Some(&classes), control)?
                .map(|rewritten| Pair {
                    original,
                    rewritten,
                }),
            None => None,
        };
        Ok(self.comparison(sums, shifted))
    }

    fn keep(&mut self, control: &Control) -> Result<(), Error> {
        let mut kept = Vec::with_capacity(self.data.len());
        let mut seconds = 0.0;
        control.ordered(
            self.data.len(),
            self.session.batch(),
            |range| self.session.run(&self.data.batch(range)?),
            |(mut outputs, time)| {
                kept.append(&mut outputs);
                seconds += time.as_secs_f64();
                Ok(())
            },
        )?;
        self.kept = Some(kept);
        self.seconds = seconds;
        Ok(())
    }

    fn known_classes(&self) -> Option<Vec<Option<usize>>> {
        let output = self.classes?;
        Some(
            self.kept
                .as_ref()?
                .iter()
                .map(|s| winner(&s[output].data))
                .collect(),
        )
    }

    fn require_labels(&self, classes: usize) -> Result<(), Error> {
        let labels = (0..self.data.len()).filter_map(|i| Some((i, self.data.label(i)?)));
        for (sample, label) in labels {
            if usize::try_from(label).is_ok_and(|label| label < classes) {
                continue;
            }
            return Err(Error::Label {
                path: self.data.path().into(),
                label,
                sample,
                model: self.name.clone(),
                classes,
            });
        }
        Ok(())
    }

    /// For each output of the original, its place among the rewritten model's:
    /// by name where all names are there, else by position.
    fn pair_outputs(&self, rewritten: &str, session: &Session) -> Result<Vec<usize>, Error> {
        let (ours, theirs) = (self.session.outputs(), session.outputs());
        if ours.len() != theirs.len() {
            return Err(Error::Outputs {
                original: self.name.clone(),
                rewritten: rewritten.into(),
                reason: format!("{} outputs against {}", ours.len(), theirs.len()),
            });
        }
        let named: Option<Vec<usize>> = ours
            .iter()
            .map(|name| theirs.iter().position(|other| other == name))
            .collect();
        Ok(named.unwrap_or_else(|| (0..ours.len()).collect()))
    }

    /// The sums of the samples from `first` on.
    fn sums(
        &self,
        rewritten: &str,
        first: usize,
        original: &[Vec<Array>],
        fresh: &[Vec<Array>],
        order: &[usize],
    ) -> Result<Sums, Error> {
        let mut sums = Sums {
            tallies: vec![Tally::of(&[], &[]); order.len()],
            top1: [0; 2],
            top5: [0; 2],
            agreed: 0,
            seconds: [0.0; 2],
            classes: Vec::new(),
        };
        for (offset, (ours, theirs)) in original.iter().zip(fresh).enumerate() {
            for (i, &at) in order.iter().enumerate() {
                let (a, b) = (&ours[i], &theirs[at]);
                if a.shape != b.shape {
                    let name = &self.session.outputs()[i];
                    let (a, b) = (show(&a.shape), show(&b.shape));
                    return Err(Error::Outputs {
                        original: self.name.clone(),
                        rewritten: rewritten.into(),
                        reason: format!("output {name:?} is {a} against {b}"),
                    });
                }
                sums.tallies[i] = sums.tallies[i].merge(Tally::of(&a.data, &b.data));
            }
            let Some(output) = self.classes else { continue };
            let scores = [&ours[output].data, &theirs[order[output]].data];
            let winners = scores.map(|s| winner(s));
            sums.classes.push(winners[1]);
            sums.agreed += usize::from(winners[0].is_some() && winners[0] == winners[1]);
            let label = self
                .data
                .label(first + offset)
                .and_then(|l| usize::try_from(l).ok());
            if let Some(label) = label {
                for (i, scores) in scores.iter().enumerate() {
                    sums.top1[i] += usize::from(winners[i] == Some(label));
                    sums.top5[i] += usize::from(among(scores, label, 5));
                }
            }
        }
        Ok(sums)
    }

    fn comparison(&self, sums: Sums, shift_consistency: Option<Pair>) -> Comparison {
        let samples = self.data.len();
        let share = |hits: usize| hits as f64 / samples as f64;
        let pair = |[original, rewritten]: [usize; 2]| Pair {
            original: share(original),
            rewritten: share(rewritten),
        };
        let labelled = self.classes.filter(|_| self.data.has_labels());
        let many = |&output: &usize| self.shapes[output].iter().product::<usize>() > 5;
        let outputs: Vec<OutputError> = (self.session.outputs().iter().zip(&self.shapes))
            .zip(&sums.tallies)
            .map(|((name, shape), tally)| {
                let psnr = tally.psnr().filter(|_| is_image(shape));
                OutputError {
                    name: name.clone(),
                    shape: shape.clone(),
                    max_abs_error: tally.max_abs,
                    relative_error: tally.relative(),
                    psnr_db: psnr.map(|p| p.0),
                    psnr_peak: psnr.map(|p| p.1),
                }
            })
            .collect();
        let worst = |of: fn(&OutputError) -> f64| outputs.iter().map(of).fold(0.0, f64::max);
        Comparison {
            schema: "convfold.comparison.v1",
            samples,
            top1: labelled.map(|_| pair(sums.top1)),
            top5: labelled.filter(many).map(|_| pair(sums.top5)),
            agreement: self.classes.map(|_| share(sums.agreed)),
            max_abs_error: worst(|o| o.max_abs_error),
            relative_error: worst(|o| o.relative_error),
            psnr_db: outputs.iter().filter_map(|o| o.psnr_db).reduce(f64::min),
            non_finite: sums.tallies.iter().map(|t| t.non_finite).sum(),
            shift_consistency,
            seconds: Pair {
                original: if self.kept.is_some() {
                    self.seconds
                } else {
                    sums.seconds[0]
                },
                rewritten: sums.seconds[1],
            },
            outputs,
        }
    }
}

impl Sums {
    fn merge(self, other: Self) -> Self {
        let add = |a: [usize; 2], b: [usize; 2]| [a[0] + b[0], a[1] + b[1]];
        Self {
            tallies: (self.tallies.into_iter().zip(other.tallies))
                .map(|(a, b)| a.merge(b))
                .collect(),
            top1: add(self.top1, other.top1),
            top5: add(self.top5, other.top5),
            agreed: self.agreed + other.agreed,
            seconds: [0, 1].map(|i| self.seconds[i] + other.seconds[i]),
            classes: self.classes,
        }
    }
}

/// Whether an output looks like an image: 1, 3 or 4 channels, before or after
/// two axes of at least 8.
fn is_image(shape: &[usize]) -> bool {
    let channels = |c: usize| matches!(c, 1 | 3 | 4);
    match *shape {
        [1, a, b, c] => (channels(a) && b >= 8 && c >= 8) || (channels(c) && a >= 8 && b >= 8),
        _ => false,
    }
}

/// Compares two models once; for several rewritten models see [`Reference`].
///
/// # Errors
/// Where either cannot be run on the data or their outputs differ in number or
/// shape.
pub fn compare(
    original: Model,
    rewritten: Model,
    data: &Dataset,
    options: CompareOptions,
    control: &Control,
) -> Result<Comparison, Error> {
    Reference::new(original, data, options, control)?.compare(rewritten, control)
}
