//! The ways in which bytes of strangers reach convfold, one function each. The
//! fuzz targets call them with what libFuzzer makes up, `tests/mutated.rs` with
//! mutated models. They return nothing: what counts is that they return, soon,
//! without a panic and without memory out of proportion.
#![forbid(unsafe_code)]

#[cfg(feature = "data")]
mod data;
mod lint;
mod model;
pub mod seeds;

#[cfg(feature = "data")]
pub use data::npz;
pub use lint::{config, lint};
pub use model::{decode, facts, rewrite};

/// One way in: its name, the function, the inputs to begin with.
pub struct Entry {
    /// Name of the fuzz target.
    pub name: &'static str,
    /// What is called with the bytes.
    pub run: fn(&[u8]),
    /// Inputs that are right, to be mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub static ENTRIES: &[Entry] = &[
    Entry {
        name: "decode",
        run: decode,
        seeds: seeds::models,
    },
    Entry {
        name: "facts",
        run: facts,
        seeds: seeds::models,
    },
    Entry {
        name: "lint",
        run: lint,
        seeds: seeds::models,
    },
    Entry {
        name: "config",
        run: config,
        seeds: seeds::configurations,
    },
    Entry {
        name: "rewrite",
        run: rewrite,
        seeds: seeds::rewritings,
    },
    #[cfg(feature = "data")]
    Entry {
        name: "npz",
        run: npz,
        seeds: seeds::archives,
    },
];
