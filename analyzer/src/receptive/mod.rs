//! Receptive fields: which pixels of an input a unit of a layer depends on.
//!
//! Formulas: Araujo, Norris, Sim, "Computing Receptive Fields of
//! Convolutional Neural Networks", Distill 2019, here axis by axis, exact
//! through upsampling ([`Field`]), and with the branches of a graph joined in
//! their hull.

mod describe;
mod field;
mod ranges;
mod sight;
mod taps;
mod trace;
mod unit;

pub(crate) use describe::Layout;
pub use field::Field;
pub use sight::{AxisSight, Sight};
pub use taps::Taps;
pub use trace::{Fields, InputAxis};
pub use unit::{Reader, Rectangle, Seen, UnitError, seen};
