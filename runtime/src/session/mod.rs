//! Runs models: the only code that uses tract.

mod bind;
mod graph;
mod guard;
mod ops;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::tract_core::model::{TypedRunnableModel, TypedSimpleState};
use tract_onnx::tract_hir::internal::*;

use crate::array::{elements, show};
use crate::dataset::Dataset;
use crate::error::{Error, Stage};
use crate::{Array, Control};
use bind::{Batch, Binding, bind};
use guard::{Failure, guarded};

/// A model as bytes, with the name that messages call it by.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The ONNX message.
    pub bytes: &'a [u8],
    /// The folder that external data lie in; without it a model with external
    /// data is refused. tract checks that no path leaves this folder.
    pub folder: Option<&'a Path>,
}

impl<'a> Model<'a> {
    /// A model without external data.
    pub fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            name,
            bytes,
            folder: None,
        }
    }

    /// The same model, its external data in `folder`.
    pub fn in_folder(self, folder: &'a Path) -> Self {
        Self {
            folder: Some(folder),
            ..self
        }
    }

    /// The model's inputs that are no initializers.
    ///
    /// # Errors
    /// [`Error::NotAModel`] where the bytes cannot be decoded.
    pub fn inputs(&self) -> Result<Vec<InputInfo>, Error> {
        graph::inputs(self)
    }
}

/// An axis of an input as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A known extent.
    Fixed(usize),
    /// A symbol, or `?`.
    Free(String),
}

/// An input as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputInfo {
    /// Its name.
    pub name: String,
    /// ONNX element type (`TensorProto.DataType`).
    pub elem_type: i32,
    /// Its axes; `None` where the rank is unknown.
    pub dims: Option<Vec<Dim>>,
}

impl InputInfo {
    /// The shape as `Nx3x224x224`.
    pub fn shape(&self) -> String {
        let Some(dims) = &self.dims else {
            return "any shape".into();
        };
        let shown: Vec<String> = dims.iter().map(Dim::to_string).collect();
        if shown.is_empty() {
            "scalar".into()
        } else {
            shown.join("x")
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => n.fmt(f),
            Dim::Free(symbol) => f.write_str(symbol),
        }
    }
}

/// A model, or part of one, ready to run over samples of one shape.
///
/// Where the batch axis is free the session runs several samples at a time;
/// where a batch is baked into the model it runs in chunks of that size, the
/// last one filled up with copies of its last sample.
pub struct Session {
    model: String,
    inputs: Vec<(InputInfo, DatumType, Binding)>,
    outputs: Vec<String>,
    nodes: HashMap<String, (String, String)>,
    plan: Arc<TypedRunnableModel>,
    units: usize,
}

/// Elements of input that a batch may hold where the batch axis is free: small
/// enough that the activations of one batch stay in the cache of one core.
const BATCH_ELEMENTS: usize = 1 << 14;

/// No batch is larger than this.
const BATCH_LIMIT: usize = 16;

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
        let fail = |stage, failure| failed(model.name, &nodes, stage, failure);
        let folder = model.folder.and_then(Path::to_str);
        let parsed =
            guarded(|| parse(&framework, &proto, folder)).map_err(|f| fail(Stage::Load, f))?;
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
        let typed = guarded(|| at_batch(&parsed, &bound, units)?.into_typed())
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
    /// Where a value does not fit the input's type or tract fails.
    pub fn run(&self, inputs: &[Array]) -> Result<(Vec<Vec<Array>>, Duration), Error> {
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
        (info, datum, binding): &(InputInfo, DatumType, Binding),
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
        let start = Instant::now();
        let values = guarded(|| self.state.run(tensors)).map_err(|f| session.failed(f))?;
        Ok((values, start.elapsed()))
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

/// Translates the message.
fn parse(
    framework: &tract_onnx::Onnx,
    proto: &ModelProto,
    folder: Option<&str>,
) -> TractResult<InferenceModel> {
    let parsed = framework.parse(proto, folder)?;
    ensure!(
        parsed.unresolved_inputs.is_empty(),
        "nothing computes the value {}",
        parsed.unresolved_inputs.join(", ")
    );
    Ok(parsed.model)
}

/// tract's element type of an input.
fn datum_of(model: &Model, input: &InputInfo) -> Result<DatumType, Error> {
    let known = DataType::try_from(input.elem_type).ok();
    match known
        .and_then(|t| DatumType::try_from(t).ok())
        .filter(|d| *d != DatumType::String)
    {
        Some(datum) => Ok(datum),
        None => Err(Error::Tract {
            model: model.name.into(),
            stage: Stage::Load,
            node: None,
            operator: None,
            cause: format!("input {:?} is of type {known:?}", input.name),
            panicked: false,
        }),
    }
}

/// The model with all input shapes fixed, at a batch of `units`.
fn at_batch(
    model: &InferenceModel,
    inputs: &[(InputInfo, DatumType, Binding)],
    units: usize,
) -> TractResult<InferenceModel> {
    let mut model = model.clone();
    for (i, (_, datum, binding)) in inputs.iter().enumerate() {
        let shape: TVec<TDim> = binding.shape(units).iter().map(|d| d.to_dim()).collect();
        model.set_input_fact(i, InferenceFact::dt_shape(*datum, &*shape))?;
    }
    Ok(model)
}

/// The batch to run at where the batch axis is free.
///
/// More than one only where every output's first axis grows with the batch and
/// nothing else does: a model may say that any batch will do and have a Reshape
/// to a batch of 1 inside.
fn free_batch(
    model: &InferenceModel,
    inputs: &[(InputInfo, DatumType, Binding)],
) -> TractResult<usize> {
    let length: usize = inputs
        .iter()
        .filter_map(|(_, _, b)| elements(&b.sample))
        .sum();
    let units = (BATCH_ELEMENTS / length.max(1)).clamp(1, BATCH_LIMIT);
    if units == 1 {
        return Ok(1);
    }
    let shapes = |units| -> TractResult<Vec<TVec<TDim>>> {
        let mut model = at_batch(model, inputs, units)?;
        model.analyse(false)?;
        (0..model.outputs.len())
            .map(|i| {
                model
                    .output_fact(i)?
                    .shape
                    .concretize()
                    .context("an output has no shape")
            })
            .collect()
    };
    let scales = (shapes(1)?.iter().zip(&shapes(units)?)).all(|(one, many)| {
        one.len() == many.len()
            && !one.is_empty()
            && one[0].clone() * units == many[0]
            && one[1..] == many[1..]
    });
    Ok(if scales { units } else { 1 })
}

/// A tensor of any numeric type as an array.
fn array_of(value: &Tensor) -> TractResult<Array> {
    let tensor = match value.datum_type() {
        DatumType::TDim => value.cast_to::<i64>()?.cast_to::<f32>()?.into_owned(),
        _ => value.cast_to::<f32>()?.into_owned(),
    };
    let data = tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    Ok(Array {
        shape: value.shape().to_vec(),
        data,
    })
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
