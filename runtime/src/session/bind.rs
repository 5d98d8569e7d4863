//! Fits the shape of a sample to the shape of a model's input.

use super::{Dim, InputInfo, Model};
use crate::Error;
use crate::array::{elements, show};

/// What the first axis of an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// There is no batch axis: a sample is the whole input.
    None,
    /// The batch axis has this extent in the file.
    Fixed(usize),
    /// The batch axis may have any extent.
    Free,
}

/// An input with all axes known but the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    /// The batch axis.
    pub batch: Batch,
    /// The axes after the batch (all, if there is none).
    pub sample: Vec<usize>,
}

impl Binding {
    /// The input's shape at a batch of `units` samples.
    pub fn shape(&self, units: usize) -> Vec<usize> {
        match self.batch {
            Batch::None => self.sample.clone(),
            _ => [&[units], self.sample.as_slice()].concat(),
        }
    }
}

/// Fits samples of shape `sample` to `input`.
///
/// A sample fits if it has the axes after the batch; or all axes, where the
/// model has no batch axis; or the same axes but for some of extent 1 (a 28x28
/// image for an input Nx1x28x28).
pub(super) fn bind(model: &Model, input: &InputInfo, sample: &[usize]) -> Result<Binding, Error> {
    let fixed = |batch| {
        Ok(Binding {
            batch,
            sample: sample.to_vec(),
        })
    };
    let Some(dims) = input.dims.as_deref() else {
        return fixed(Batch::Free);
    };
    let batch = match dims.first() {
        Some(Dim::Fixed(n)) => Batch::Fixed(*n),
        _ => Batch::Free,
    };
    if let Some((_, rest)) = dims.split_first() {
        if fits(rest, sample) {
            return fixed(batch);
        }
        if fits(dims, sample) {
            return fixed(Batch::None);
        }
        let known: Option<Vec<usize>> = rest
            .iter()
            .map(|d| match d {
                Dim::Fixed(n) => Some(*n),
                Dim::Free(_) => None,
            })
            .collect();
        if let Some(known) = known
            && squeezed(&known) == squeezed(sample)
        {
            return Ok(Binding {
                batch,
                sample: known,
            });
        }
    } else if fits(dims, sample) {
        return fixed(Batch::None);
    }
    Err(Error::Shape {
        model: model.name.into(),
        input: input.name.clone(),
        expected: input.shape(),
        found: show(sample),
        remedy: remedy(dims, sample),
    })
}

fn fits(dims: &[Dim], sample: &[usize]) -> bool {
    dims.len() == sample.len()
        && dims
            .iter()
            .zip(sample)
            .all(|(d, &n)| matches!(d, Dim::Free(_)) || *d == Dim::Fixed(n))
}

fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&d| d != 1).collect()
}

/// What a user may try where a sample does not fit.
fn remedy(dims: &[Dim], sample: &[usize]) -> &'static str {
    let moved = |sample: &[usize]| match *sample {
        [a, b, c] => [[b, c, a], [c, a, b]].iter().any(|s| fits(&dims[1..], s)),
        _ => false,
    };
    if dims.len() == 4 && moved(sample) {
        return "the axes are in another order: try --preprocess layout=nhwc-to-nchw or layout=nchw-to-nhwc";
    }
    let channels = |shape: &[usize]| shape.first().copied();
    match dims {
        [_, Dim::Fixed(c), _, _] if sample.len() == 3 && channels(sample) != Some(*c) => {
            "the channels differ: try --channels rgb or --channels grey, or name another array (FILE:key)"
        }
        _ if sample.len() == 3 && elements(sample).is_some() => {
            "try --preprocess resize=HEIGHTxWIDTH or crop=HEIGHTxWIDTH, or name another array (FILE:key)"
        }
        _ => "name the array to feed (FILE:key), or use data made for this model",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(dims: &[i64]) -> InputInfo {
        let dims = dims
            .iter()
            .map(|&d| usize::try_from(d).map_or(Dim::Free("N".into()), Dim::Fixed))
            .collect();
        InputInfo {
            name: "x".into(),
            elem_type: 1,
            dims: Some(dims),
        }
    }

    fn bound(dims: &[i64], sample: &[usize]) -> Result<Binding, Error> {
        bind(&Model::new("m.onnx", &[]), &input(dims), sample)
    }

    #[test]
    fn batch_axis_is_recognised() {
        let check = |dims: &[i64], sample: &[usize], batch, shape: &[usize]| {
            let binding = bound(dims, sample).expect("fits");
            assert_eq!(
                binding,
                Binding {
                    batch,
                    sample: shape.to_vec()
                },
                "{dims:?} {sample:?}"
            );
        };
        check(&[-1, 3, 8, 8], &[3, 8, 8], Batch::Free, &[3, 8, 8]);
        check(&[1, 3, -1, -1], &[3, 5, 6], Batch::Fixed(1), &[3, 5, 6]);
        check(&[4, 1, 28, 28], &[28, 28], Batch::Fixed(4), &[1, 28, 28]);
        check(&[3, 8, 8], &[3, 8, 8], Batch::None, &[3, 8, 8]);
        check(&[-1, 784], &[784], Batch::Free, &[784]);
        check(&[-1, 3, 8, 8], &[16, 3, 8, 8], Batch::None, &[16, 3, 8, 8]);
    }

    #[test]
    fn a_misfit_names_both_shapes_and_a_remedy() {
        let message = bound(&[-1, 3, 224, 224], &[224, 224, 3])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("Nx3x224x224") && message.contains("224x224x3"),
            "{message}"
        );
        assert!(message.contains("layout=nhwc-to-nchw"), "{message}");
        let message = bound(&[1, 3, 32, 32], &[1, 32, 32])
            .unwrap_err()
            .to_string();
        assert!(message.contains("--channels"), "{message}");
        let message = bound(&[1, 3, 32, 32], &[3, 28, 28])
            .unwrap_err()
            .to_string();
        assert!(message.contains("resize"), "{message}");
    }
}
