//! Runs models: the only code that uses tract.

mod bind;
mod blame;
mod graph;
mod guard;
mod model;
mod ops;
mod plan;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::tract_core::model::{TypedRunnableModel, TypedSimpleState};
use tract_onnx::tract_core::plan::eval;
use tract_onnx::tract_hir::internal::*;

use crate::array::{elements, show};
use crate::dataset::Dataset;
use crate::error::{Error, Stage};
use crate::{Array, Control};
use bind::{Batch, bind};
use guard::{Failure, guarded};
pub use model::{Dim, InputInfo, Model};
use plan::{Bound, array_of, at_batch, datum_of, free_batch, parse, settle_padding};

/// A model, or part of one, ready to run over samples of one shape.
///
/// Where the batch axis is free the session runs several samples at a time;
/// where a batch is baked into the model it runs in chunks of that size, the
/// last one filled up with copies of its last sample.
pub struct Session {
    model: String,
    inputs: Vec<Bound>,
    outputs: Vec<String>,
    nodes: HashMap<String, (String, String)>,
    plan: Arc<TypedRunnableModel>,
    units: usize,
}

impl Session {
    /// Loads `model` for samples of the shapes `samples`, one an input, without
    /// the batch axis. Its outputs are the graph's.
    ///
    /// # Errors
    /// Where the bytes are no model, the samples do not fit, or tract cannot
    /// load it; see [`Error`].
    pub fn load(model: Model, samples: &[Vec<usize>]) -> Result<Self, Error> {
        Self::build(model, None, samples)
    }

    /// Loads what of `model` the named `values` need; they become the outputs,
    /// in the given order. Any input, initializer or node output can be named.
    ///
    /// # Errors
    /// As [`Session::load`], and [`Error::NoValue`].
    pub fn probe(model: Model, values: &[String], samples: &[Vec<usize>]) -> Result<Self, Error> {
        Self::build(model, Some(values), samples)
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Samples that run at a time.
    pub fn batch(&self) -> usize {
        self.units
    }

    fn build(
        model: Model,
        outputs: Option<&[String]>,
        samples: &[Vec<usize>],
    ) -> Result<Self, Error> {
        let framework = ops::framework();
        let graph::Prepared {
            proto,
            inputs,
            outputs,
            nodes,
        } = graph::prepare(&model, outputs, &framework)?;
        if inputs.len() != samples.len() {
            return Err(Error::InputCount {
                model: model.name.into(),
                inputs: inputs
                    .iter()
                    .map(|i| format!("{} {}", i.name, i.shape()))
                    .collect(),
                found: samples.len(),
            });
        }
        let mut bound = Vec::with_capacity(inputs.len());
        for (input, sample) in inputs.into_iter().zip(samples) {
            let binding = bind(&model, &input, sample)?;
            let datum = datum_of(&model, &input)?;
            bound.push((input, datum, binding));
        }
        let fail = |stage, mut failure: Failure| {
            if failure.node.is_none() {
                failure.node = blame::culprit(&proto, |part| {
                    guarded(|| {
                        let parsed = parse(&framework, part)?;
                        at_batch(&parsed, &bound, 1)?.into_optimized()
                    })
                    .is_ok()
                });
            }
            failed(model.name, &nodes, stage, failure)
        };
        let parsed = guarded(|| parse(&framework, &proto)).map_err(|f| fail(Stage::Load, f))?;
        let baked = bound.iter().find_map(|(_, _, b)| match b.batch {
            Batch::Fixed(n) => Some(n),
            _ => None,
        });
        let free = bound.iter().all(|(_, _, b)| b.batch == Batch::Free);
        let units = match baked {
            Some(n) => n.max(1),
            None if free => guarded(|| free_batch(&parsed, &bound)).unwrap_or(1),
            None => 1,
        };
        let typed = guarded(|| {
            let mut typed = at_batch(&parsed, &bound, units)?.into_typed()?;
            settle_padding(&mut typed)?;
            Ok(typed)
        })
        .map_err(|f| fail(Stage::Load, f))?;
        let plan = guarded(|| typed.into_optimized()?.into_runnable())
            .map_err(|f| fail(Stage::Optimise, f))?;
        Ok(Self {
            model: model.name.into(),
            inputs: bound,
            outputs,
            nodes,
            plan,
            units,
        })
    }

    /// Runs the samples in `inputs`, one array an input, their first axis the
    /// sample; returns the outputs of each sample and the time that tract took.
    ///
    /// An output keeps its batch axis, with the extent 1 for one sample.
    ///
    /// # Errors
    /// Where the samples are not of the shape that the session was loaded for, a
    /// value does not fit the input's type, or tract fails.
    pub fn run(&self, inputs: &[Array]) -> Result<(Vec<Vec<Array>>, Duration), Error> {
        self.require_samples(inputs)?;
        let mut runner = self.runner()?;
        let count = count(inputs);
        let mut samples = Vec::with_capacity(count);
        let mut time = Duration::ZERO;
        for first in (0..count).step_by(self.units) {
            let filled = self.units.min(count - first);
            let (values, elapsed) = runner.step(inputs, first, filled)?;
            time += elapsed;
            let arrays: Vec<Array> = guarded(|| values.iter().map(|v| array_of(v)).collect())
                .map_err(|f| self.failed(f))?;
            self.deal(arrays, filled, &mut samples)?;
        }
        Ok((samples, time))
    }

    /// A state to run in, for one thread.
    pub(crate) fn runner(&self) -> Result<Runner<'_>, Error> {
        let state = guarded(|| self.plan.spawn()).map_err(|f| self.failed(f))?;
        Ok(Runner {
            session: self,
            state,
        })
    }

    /// Runs every sample of `data` on all threads. `map` gets a sample's index
    /// and outputs on a worker thread, `fold` its results in order on this one,
    /// so that memory stays bounded and the outcome does not depend on the
    /// number of threads.
    ///
    /// # Errors
    /// As [`Session::run`]; where the data cannot be read; when cancelled.
    pub fn stream<T: Send>(
        &self,
        data: &Dataset,
        control: &Control,
        map: impl Fn(usize, Vec<Array>) -> T + Sync,
        mut fold: impl FnMut(usize, T),
    ) -> Result<(), Error> {
        control.ordered(
            data.len(),
            self.units,
            |range| {
                let (samples, _) = self.run(&data.batch(range.clone())?)?;
                Ok((range.clone().zip(samples))
                    .map(|(i, s)| (i, map(i, s)))
                    .collect::<Vec<_>>())
            },
            |results| {
                results
                    .into_iter()
                    .for_each(|(index, result)| fold(index, result));
                Ok(())
            },
        )
    }

    /// The tensor of `filled` samples from `first` on, filled up to the batch.
    fn tensor(
        &self,
        (info, datum, binding): &Bound,
        array: &Array,
        first: usize,
        filled: usize,
    ) -> Result<TValue, Error> {
        let length = elements(&array.shape[1..]).unwrap_or(0);
        let shape = binding.shape(self.units);
        let mut data = array.data[first * length..(first + filled) * length].to_vec();
        if datum.is_integer() {
            self.require_integers(info, *datum, &data)?;
        }
        for _ in filled..self.units {
            data.extend_from_within((filled - 1) * length..filled * length);
        }
        guarded(|| {
            let tensor = Tensor::from_shape(&shape, &data)?;
            Ok(tensor.cast_to_dt(*datum)?.into_owned().into_tvalue())
        })
        .map_err(|f| self.failed(f))
    }

    /// Checks that `inputs` are samples of the shape of each input.
    fn require_samples(&self, inputs: &[Array]) -> Result<(), Error> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::InputCount {
                model: self.model.clone(),
                inputs: self.inputs.iter().map(|(i, _, _)| i.to_string()).collect(),
                found: inputs.len(),
            });
        }
        let count = count(inputs);
        for ((info, _, binding), array) in self.inputs.iter().zip(inputs) {
            let expected = elements(&binding.sample).and_then(|n| n.checked_mul(count));
            let fits = array.shape.first() == Some(&count) && expected == Some(array.data.len());
            if !fits || elements(&array.shape) != expected {
                return Err(Error::Shape {
                    model: self.model.clone(),
                    input: info.name.clone(),
                    expected: format!("{count} samples of {}", show(&binding.sample)),
                    found: show(&array.shape),
                    remedy: "load the model for samples of this shape",
                });
            }
        }
        Ok(())
    }

    fn require_integers(
        &self,
        info: &InputInfo,
        datum: DatumType,
        data: &[f32],
    ) -> Result<(), Error> {
        let bits = 8 * datum.size_of() as i32 - i32::from(datum.is_signed());
        let high = 2f32.powi(bits);
        let low = if datum.is_signed() { -high } else { 0.0 };
        match data
            .iter()
            .find(|&&v| v.fract() != 0.0 || v < low || v >= high)
        {
            Some(&value) => Err(Error::InputType {
                model: self.model.clone(),
                input: info.name.clone(),
                dtype: format!("{datum:?}").to_lowercase(),
                value,
            }),
            None => Ok(()),
        }
    }

    /// Deals the outputs of a batch to its `filled` samples.
    fn deal(
        &self,
        arrays: Vec<Array>,
        filled: usize,
        samples: &mut Vec<Vec<Array>>,
    ) -> Result<(), Error> {
        if self.units == 1 {
            samples.push(arrays);
            return Ok(());
        }
        let start = samples.len();
        samples.resize_with(start + filled, || Vec::with_capacity(arrays.len()));
        for (name, array) in self.outputs.iter().zip(&arrays) {
            if array.shape.first().is_none_or(|n| n % self.units != 0) {
                return Err(Error::Batch {
                    model: self.model.clone(),
                    output: name.clone(),
                    shape: show(&array.shape),
                    batch: self.units,
                });
            }
            for (sample, block) in samples[start..].iter_mut().zip(array.split(self.units)) {
                sample.push(block);
            }
        }
        Ok(())
    }

    fn failed(&self, failure: Failure) -> Error {
        failed(&self.model, &self.nodes, Stage::Run, failure)
    }
}

/// A session's state on one thread.
pub(crate) struct Runner<'a> {
    session: &'a Session,
    state: TypedSimpleState,
}

impl Runner<'_> {
    /// Runs the first batch of `inputs` and returns the time that tract took.
    pub fn time(&mut self, inputs: &[Array]) -> Result<Duration, Error> {
        Ok(self
            .step(inputs, 0, self.session.units.min(count(inputs)))?
            .1)
    }

    /// Runs `filled` samples from `first` on.
    fn step(
        &mut self,
        inputs: &[Array],
        first: usize,
        filled: usize,
    ) -> Result<(TVec<TValue>, Duration), Error> {
        let session = self.session;
        let tensors: TVec<TValue> = (session.inputs.iter().zip(inputs))
            .map(|(input, array)| session.tensor(input, array, first, filled))
            .collect::<Result<_, _>>()?;
        // A panic does not say where it was.
        let at = Cell::new(None);
        let start = Instant::now();
        let values = guarded(|| {
            self.state
                .run_plan_with_eval(tensors, |context, state, node, inputs| {
                    at.set(Some(node.id));
                    eval(context, state, node, inputs)
                })
        });
        let elapsed = start.elapsed();
        let values = values.map_err(|mut failure| {
            let node = at.get().map(|id| &session.plan.model().nodes[id].name);
            failure.node = failure.node.or(node.cloned());
            session.failed(failure)
        })?;
        Ok((values, elapsed))
    }
}

/// Samples in a batch of inputs.
fn count(inputs: &[Array]) -> usize {
    inputs
        .first()
        .and_then(|a| a.shape.first())
        .copied()
        .unwrap_or(0)
}

/// Names the model, the node and the operator of a failure.
fn failed(
    model: &str,
    nodes: &HashMap<String, (String, String)>,
    stage: Stage,
    failure: Failure,
) -> Error {
    let found = failure.node.as_deref().and_then(|name| {
        let name = name.split('.').next().unwrap_or(name);
        nodes.get(name)
    });
    Error::Tract {
        model: model.into(),
        stage,
        node: found.map(|(_, node)| node.clone()),
        operator: found.map(|(operator, _)| operator.clone()),
        cause: failure.cause,
        panicked: failure.panicked,
    }
}
