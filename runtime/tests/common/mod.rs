//! The corpus of trained models, where it is there.
#![allow(dead_code)]

pub mod onnx;

use std::path::PathBuf;

use runtime::{Array, DataOptions, Dataset};

/// The corpus folder: `CONVFOLD_CORPUS`, else `../shared/corpus` beside the
/// workspace. Its absence fails on CI (`CI=true`) and is told loudly elsewhere.
pub fn corpus() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus");
    let path = std::env::var_os("CONVFOLD_CORPUS").map_or_else(|| beside.into(), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no corpus at {}",
        path.display()
    );
    eprintln!(
        "SKIPPED: no corpus at {}; set CONVFOLD_CORPUS",
        path.display()
    );
    None
}

/// A file of the corpus.
pub fn bytes(name: &str) -> Option<Vec<u8>> {
    let path = corpus()?.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// A data set of the corpus; `options` as `key=value` pairs.
pub fn data(spec: &str, options: &[(&str, &str)]) -> Dataset {
    let path = corpus().expect("checked before").join(spec);
    let mut parsed = DataOptions::default();
    for (key, value) in options {
        parsed.set(key, value).expect("a valid option");
    }
    Dataset::open(path.to_str().expect("UTF-8"), &parsed).unwrap_or_else(|e| panic!("{e}"))
}

/// ‖a − b‖ / ‖b − mean(b)‖.
pub fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mean = b.iter().map(|&x| f64::from(x)).sum::<f64>() / b.len() as f64;
    let square = |x: f64| x * x;
    let error: f64 = a
        .iter()
        .zip(b)
        .map(|(&x, &y)| square(f64::from(x) - f64::from(y)))
        .sum();
    let deviation: f64 = b.iter().map(|&y| square(f64::from(y) - mean)).sum();
    (error / deviation).sqrt()
}

/// The single array of a file.
pub fn array(spec: &str) -> Array {
    let data = data(spec, &[]);
    data.batch(0..data.len()).expect("readable").remove(0)
}
