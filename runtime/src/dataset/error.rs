//! What can go wrong when data are read.

use std::io;

/// Where a data set cannot be used; every message names the file and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file or folder cannot be opened.
    #[error(
        "{path}: {source}; --data takes an .npz file, an ONNX test_data_set folder or a folder of images"
    )]
    Open {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file is of no kind that is understood.
    #[error(
        "{path}: {found}; --data takes an .npz file, an ONNX test_data_set folder or a folder of images"
    )]
    Kind {
        /// The file.
        path: String,
        /// What it is instead.
        found: String,
    },
    /// The archive or an array in it is damaged.
    #[error("{path}: cannot read {what}: {cause}; write the file anew with numpy.savez_compressed")]
    Damaged {
        /// The file.
        path: String,
        /// The archive, or the array.
        what: String,
        /// What is wrong.
        cause: String,
    },
    /// A named array is not there.
    #[error("{path}: no array {key:?}; the file holds {keys}")]
    MissingKey {
        /// The file.
        path: String,
        /// The name asked for.
        key: String,
        /// The names there are, with type and shape.
        keys: String,
    },
    /// No array can serve as input.
    #[error(
        "{path}: no float or uint8 array of rank 2 or more to feed; the file holds {keys}: name one (FILE:KEY)"
    )]
    NoInput {
        /// The file.
        path: String,
        /// The arrays there are, with type and shape.
        keys: String,
    },
    /// An array's element type cannot be used.
    #[error("{path}: array {key:?} is of type {dtype}; {wanted}")]
    Type {
        /// The file.
        path: String,
        /// The array.
        key: String,
        /// Its type.
        dtype: String,
        /// What would do.
        wanted: &'static str,
    },
    /// An array's shape cannot be used.
    #[error("{path}: array {key:?} is {shape}; {wanted}")]
    Shape {
        /// The file.
        path: String,
        /// The array.
        key: String,
        /// Its shape.
        shape: String,
        /// What would do.
        wanted: &'static str,
    },
    /// Labels and samples differ in number.
    #[error(
        "{path}: {labels} labels in {key:?} for {samples} samples; there must be one label a sample"
    )]
    LabelCount {
        /// The file.
        path: String,
        /// The array of labels.
        key: String,
        /// How many labels.
        labels: usize,
        /// How many samples.
        samples: usize,
    },
    /// An array is larger than the limit.
    #[error(
        "{path}: array {key:?} takes {bytes} bytes, more than the limit of {limit}; split the file"
    )]
    TooLarge {
        /// The file.
        path: String,
        /// The array.
        key: String,
        /// Its size.
        bytes: u128,
        /// The limit.
        limit: u64,
    },
    /// An option is not understood.
    #[error("{option}={value}: {wanted}")]
    Option {
        /// The option.
        option: String,
        /// What was given.
        value: String,
        /// What is taken.
        wanted: String,
    },
    /// An option does not suit the data.
    #[error("{path}: {option} does not suit samples of {shape}: {cause}")]
    Unsuited {
        /// The file.
        path: String,
        /// The option.
        option: &'static str,
        /// The shape of a sample.
        shape: String,
        /// Why.
        cause: String,
    },
    /// An image cannot be decoded.
    #[error("{path}: {cause}; PNG and JPEG images can be read")]
    Image {
        /// The image.
        path: String,
        /// The decoder's words.
        cause: String,
    },
    /// Images of several sizes.
    #[error(
        "{path}: {found}, but the images before are {expected}; bring them to one size with --preprocess resize=256,crop=224"
    )]
    ImageSize {
        /// The image.
        path: String,
        /// Its size.
        found: String,
        /// The size of the first image.
        expected: String,
    },
}
