//! What an analysis says beyond single layers.

use serde::Serialize;

use crate::aliasing::Compound;

/// What goes beyond single layers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Information {
    /// Downsampling layers that follow each other directly, and what they let
    /// through together.
    pub compound_aliasing: Vec<Compound>,
}
