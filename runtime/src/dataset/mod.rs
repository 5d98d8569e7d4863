//! Samples to run models on, with labels where there are any.

mod error;
mod images;
mod noise;
mod npy;
mod npz;
mod options;
mod picture;
mod preprocess;
mod resize;
mod testset;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use error::DataError;
pub use options::{Channels, DataOptions, Filter, Layout, Resize};

use crate::Array;
use crate::array::{elements, show};
use preprocess::{Sample, apply};

/// Stored elements: bytes stay bytes, all else is `f32`.
enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

/// Where the samples are.
enum Source {
    /// In memory, one column an input.
    Columns(Vec<Column>),
    /// In image files, decoded when they are needed.
    Images(Vec<PathBuf>),
}

/// One input of all samples.
struct Column {
    /// What messages call it.
    key: String,
    /// Samples.
    count: usize,
    /// Shape of a sample as stored.
    sample: Vec<usize>,
    /// The elements, sample by sample.
    values: Values,
}

impl Column {
    fn sample(&self, index: usize) -> Sample {
        let length = elements(&self.sample).unwrap_or(0);
        let range = index * length..(index + 1) * length;
        let data = match &self.values {
            Values::Bytes(bytes) => bytes[range].iter().map(|&b| b.into()).collect(),
            Values::Floats(floats) => floats[range].to_vec(),
        };
        Sample {
            shape: self.sample.clone(),
            data,
        }
    }
}

/// Samples with their preprocessing, and labels where there are any.
///
/// A sample has one array for each input of a model. Preprocessing applies to
/// the first.
pub struct Dataset {
    path: String,
    source: Source,
    labels: Option<Vec<i64>>,
    /// Which stored samples, in this order.
    chosen: Vec<usize>,
    options: DataOptions,
    shapes: Vec<Vec<usize>>,
}

impl Dataset {
    /// Opens `spec`: an `.npz` or `.npy` file, where `FILE:images,labels` names
    /// the arrays; an ONNX `test_data_set` folder; a PNG or JPEG image; or a
    /// folder of them, one subfolder a class.
    ///
    /// # Errors
    /// [`DataError`], naming the file and what to do.
    pub fn open(spec: &str, options: &DataOptions) -> Result<Self, DataError> {
        let (path, keys) = keys_of(spec);
        let metadata = std::fs::metadata(path).map_err(|source| DataError::Open {
            path: path.into(),
            source,
        })?;
        if metadata.is_file() && images::is_image(Path::new(path)) {
            let files = vec![PathBuf::from(path)];
            return Self::new(path, Source::Images(files), 1, None, options);
        }
        if !metadata.is_dir() {
            return if Path::new(path).extension().is_some_and(|e| e == "npy") {
                let column = npz::read_npy(path, options.max_bytes)?;
                Self::of_columns(path, vec![column], None, options)
            } else {
                let (column, labels) = npz::read(path, &keys, options.max_bytes)?;
                Self::of_columns(path, vec![column], labels, options)
            };
        }
        let sets = testset::folders(Path::new(path));
        if !sets.is_empty() {
            let columns = testset::read(&sets, options.max_bytes)?;
            return Self::of_columns(path, columns, None, options);
        }
        match images::list(path)? {
            Some(images::Folder { files, labels }) => {
                let count = files.len();
                Self::new(path, Source::Images(files), count, labels, options)
            }
            None => Err(DataError::Kind {
                path: path.into(),
                found: "the folder holds neither input_0.pb nor PNG or JPEG images".into(),
            }),
        }
    }

    /// Samples from memory: one array an input, the first axis of each the
    /// sample. `name` is what messages call them.
    ///
    /// # Errors
    /// Where the arrays or labels differ in number of samples.
    pub fn from_arrays(
        name: &str,
        inputs: Vec<Array>,
        labels: Option<Vec<i64>>,
        options: &DataOptions,
    ) -> Result<Self, DataError> {
        let columns = (inputs.into_iter().enumerate())
            .map(|(i, array)| {
                let count = array.shape.first().copied().unwrap_or(0);
                let sample = array.shape.get(1..).unwrap_or_default().to_vec();
                let key = format!("input {i}");
                if elements(&array.shape) != Some(array.data.len()) {
                    return Err(DataError::Shape {
                        path: name.into(),
                        key,
                        shape: show(&array.shape),
                        wanted: "it holds another number of elements",
                    });
                }
                Ok(Column {
                    key,
                    count,
                    sample,
                    values: Values::Floats(array.data),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::of_columns(name, columns, labels, options)
    }

    /// `count` samples of the shapes `samples`, one an input: whole numbers from 0
    /// to 255, the same for the same `seed`. They suit floating-point inputs and
    /// bytes.
    pub fn random(samples: &[Vec<usize>], count: usize, seed: u64) -> Self {
        let mut mix = noise::Mix(seed);
        let mut next = || (mix.next() >> 56) as u8;
        let columns = (samples.iter().enumerate())
            .map(|(i, sample)| {
                let length = elements(sample).unwrap_or(0).saturating_mul(count);
                let values = Values::Bytes((0..length).map(|_| next()).collect());
                Column {
                    key: format!("input {i}"),
                    count,
                    sample: sample.clone(),
                    values,
                }
            })
            .collect();
        Self {
            path: "random input".into(),
            source: Source::Columns(columns),
            labels: None,
            chosen: (0..count).collect(),
            options: DataOptions::default(),
            shapes: samples.to_vec(),
        }
    }

    /// The samples without labels, and after them `count` pictures of noise that
    /// resembles them ([`noise`]); their further inputs are those of the samples in
    /// turn. Samples that are no pictures stay alone.
    ///
    /// # Errors
    /// Where a sample cannot be read or preprocessed.
    pub fn with_noise(self, count: usize, seed: u64) -> Result<Self, DataError> {
        let pictures = self.shapes.first().is_some_and(|s| s.len() == 3);
        if !pictures || self.is_empty() || count == 0 {
            return Ok(self);
        }
        let mut arrays = self.batch(0..self.len())?;
        let samples = self.len();
        for (i, array) in arrays.iter_mut().enumerate() {
            if i == 0 {
                let last = self.options.layout == Layout::Nhwc;
                let noise = noise::like(array, last, count, seed);
                array.data.extend(noise.data);
            } else {
                let length = array.data.len() / samples;
                for n in 0..count {
                    let from = n % samples * length;
                    array.data.extend_from_within(from..from + length);
                }
            }
            array.shape[0] += count;
        }
        let layout = self.options.layout;
        let options = DataOptions {
            stored: layout,
            layout,
            ..DataOptions::default()
        };
        Self::from_arrays(&self.path, arrays, None, &options)
    }

    fn of_columns(
        path: &str,
        columns: Vec<Column>,
        labels: Option<Vec<i64>>,
        options: &DataOptions,
    ) -> Result<Self, DataError> {
        let count = columns.first().map_or(0, |c| c.count);
        if let Some(other) = columns.iter().find(|c| c.count != count) {
            return Err(DataError::Shape {
                path: path.into(),
                key: other.key.clone(),
                shape: format!("{}x{}", other.count, show(&other.sample)),
                wanted: "all inputs must have the same number of samples",
            });
        }
        // There could be more of them than there is memory to count them in.
        if let Some(empty) = columns.iter().find(|c| c.sample.contains(&0)) {
            return Err(DataError::Shape {
                path: path.into(),
                key: empty.key.clone(),
                shape: format!("{}x{}", empty.count, show(&empty.sample)),
                wanted: "a sample without elements cannot be an input",
            });
        }
        Self::new(path, Source::Columns(columns), count, labels, options)
    }

    fn new(
        path: &str,
        source: Source,
        count: usize,
        labels: Option<Vec<i64>>,
        options: &DataOptions,
    ) -> Result<Self, DataError> {
        if let Some(labels) = labels.as_ref().filter(|l| l.len() != count) {
            return Err(DataError::LabelCount {
                path: path.into(),
                key: "labels".into(),
                labels: labels.len(),
                samples: count,
            });
        }
        let kept = options.limit.map_or(count, |limit| limit.min(count));
        let spread = |i| (i as u128 * count as u128 / kept as u128) as usize;
        let mut data = Self {
            path: path.into(),
            source,
            labels,
            chosen: (0..kept).map(spread).collect(),
            options: options.clone(),
            shapes: Vec::new(),
        };
        data.shapes = match &data.source {
            _ if kept > 0 => data.sample(0)?.into_iter().map(|s| s.shape).collect(),
            Source::Columns(columns) => columns.iter().map(|c| c.sample.clone()).collect(),
            Source::Images(_) => Vec::new(),
        };
        Ok(data)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// The file that the samples came from.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Shape of a preprocessed sample, for each input.
    pub fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// Axis order of the first input as handed to the model.
    pub fn layout(&self) -> Layout {
        self.options.layout
    }

    /// The label of a sample, where there are labels.
    pub fn label(&self, index: usize) -> Option<i64> {
        Some(self.labels.as_ref()?[self.chosen[index]])
    }

    /// Whether there are labels.
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// The preprocessed samples of `range`, as far as there are any: one array an
    /// input, the first axis the sample.
    ///
    /// # Errors
    /// Where a sample cannot be read or preprocessed.
    pub fn batch(&self, range: Range<usize>) -> Result<Vec<Array>, DataError> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        let count = range.len();
        let mut arrays: Vec<Array> = (self.shapes.iter())
            .map(|shape| Array {
                shape: [&[count], shape.as_slice()].concat(),
                data: Vec::new(),
            })
            .collect();
        for index in range {
            for (array, sample) in arrays.iter_mut().zip(self.sample(index)?) {
                if sample.shape != array.shape[1..] {
                    return Err(DataError::ImageSize {
                        path: self.source_of(index),
                        found: show(&sample.shape),
                        expected: show(&array.shape[1..]),
                    });
                }
                array.data.extend_from_slice(&sample.data);
            }
        }
        Ok(arrays)
    }

    /// All inputs of a sample, the first preprocessed.
    fn sample(&self, index: usize) -> Result<Vec<Sample>, DataError> {
        let at = self.chosen[index];
        let (mut inputs, options) = match &self.source {
            Source::Columns(columns) => (
                columns.iter().map(|c| c.sample(at)).collect(),
                self.options.clone(),
            ),
            Source::Images(files) => {
                // An image file has no axis order of its own.
                let stored = Layout::Nchw;
                let sample = images::read(&files[at])?;
                (
                    vec![sample],
                    DataOptions {
                        stored,
                        ..self.options.clone()
                    },
                )
            }
        };
        if let Some(first) = inputs.first_mut() {
            let shape = show(&first.shape);
            let stored = std::mem::take(first);
            *first = apply(&options, stored).map_err(|(option, cause)| DataError::Unsuited {
                path: self.source_of(index),
                option,
                shape,
                cause,
            })?;
        }
        Ok(inputs)
    }

    /// The file that a sample is in.
    fn source_of(&self, index: usize) -> String {
        match &self.source {
            Source::Columns(_) => self.path.clone(),
            Source::Images(files) => files[self.chosen[index]].display().to_string(),
        }
    }
}

/// Splits `FILE:images,labels`; a file that is called so goes first.
fn keys_of(spec: &str) -> (&str, Vec<&str>) {
    match spec.rsplit_once(':') {
        Some((path, keys)) if !Path::new(spec).exists() && Path::new(path).is_file() => {
            (path, keys.split(',').map(str::trim).collect())
        }
        _ => (spec, Vec::new()),
    }
}
