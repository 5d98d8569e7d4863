//! Receptive field, aliasing, reports and rules.
#![forbid(unsafe_code)]
