//! How much of a layer's energy its stride folds back: aliasing, from the
//! actual weights where the layer is linear, as a bound where it is not.

mod autocorrelation;
mod layer;
mod path;
mod spectrum;

pub use autocorrelation::Autocorrelation;
pub(crate) use layer::{Sampling, sampling};
pub use path::Compound;
pub(crate) use path::{Filters, accumulated, compounds};
pub use spectrum::Shares;
