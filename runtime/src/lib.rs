//! Execution in tract, data sets, comparison.
#![forbid(unsafe_code)]
