//! Calibration: the runtime's probe, handed to the planner.

use compiler::plan::{Calibration, Sink};
use runtime::{Control, Dataset, Model, Session};

use crate::interrupt;

/// Runs models on the calibration samples.
pub struct Probe {
    data: Dataset,
}

impl Probe {
    /// A probe over these samples.
    pub fn new(data: Dataset) -> Self {
        Self { data }
    }
}

impl Calibration for Probe {
    fn activations(&self, model: &[u8], values: &[String], each: &mut Sink) -> Result<(), String> {
        let control = Control {
            progress: None,
            cancel: Some(interrupt::flag()),
        };
        let model = Model::new(self.data.path(), model);
        let session =
            Session::probe(model, values, self.data.shapes()).map_err(|e| e.to_string())?;
        session
            .stream(
                &self.data,
                &control,
                |_, arrays| arrays,
                |_, arrays| {
                    for (value, array) in arrays.iter().enumerate() {
                        each(value, &array.shape, &array.data);
                    }
                },
            )
            .map_err(|e| e.to_string())
    }
}
