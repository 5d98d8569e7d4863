//! Data files.

use std::io::Write;

use runtime::{DataOptions, Dataset};

/// Opens an archive of arrays and reads every sample.
///
/// # Panics
/// Where there is no room for a temporary file.
pub fn npz(data: &[u8]) {
    let mut file = tempfile::Builder::new()
        .suffix(".npz")
        .tempfile()
        .expect("a temporary file");
    file.write_all(data).expect("room for it");
    let path = file.path().to_str().expect("a plain name");
    let options = DataOptions {
        max_bytes: 64 << 20,
        ..DataOptions::default()
    };
    let Ok(samples) = Dataset::open(path, &options) else {
        return;
    };
    // Samples of no elements can be as many as a header says.
    for index in 0..samples.len().min(1000) {
        let _ = samples.label(index);
        if samples.batch(index..index + 1).is_err() {
            return;
        }
    }
}
