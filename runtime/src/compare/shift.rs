//! Consistency under shifts of the input (Zhang, "Making Convolutional Networks
//! Shift-Invariant Again", ICML 2019), by one pixel.

use std::time::Duration;

use super::classes::{class_output, winner};
use crate::array::elements;
use crate::dataset::Layout;
use crate::{Array, Control, Dataset, Error, Model, Session};

/// The share of samples whose class stays when the input shifts by one pixel.
///
/// Sample i is shifted up, down, left or right as i mod 4 is 0, 1, 2 or 3; the
/// row or column that comes in repeats the border. `None` where the model is no
/// classifier or the input no image.
///
/// # Errors
/// Where the model cannot be run on the data.
pub fn shift_consistency(
    model: Model,
    data: &Dataset,
    control: &Control,
) -> Result<Option<f64>, Error> {
    let session = Session::load(model, data.shapes())?;
    consistency(&session, data, None, control)
}

/// As [`shift_consistency`]; `known` are the classes without a shift, where they
/// have been computed.
pub(super) fn consistency(
    session: &Session,
    data: &Dataset,
    known: Option<&[Option<usize>]>,
    control: &Control,
) -> Result<Option<f64>, Error> {
    if plane(data).is_none() || data.is_empty() {
        return Ok(None);
    }
    let mut classifier = true;
    let mut stable = 0;
    control.ordered(
        data.len(),
        session.batch(),
        |range| {
            let mut inputs = data.batch(range.clone())?;
            let here = match known {
                Some(known) => Some(known[range.clone()].to_vec()),
                None => classes(session.run(&inputs)?),
            };
            for (offset, index) in range.enumerate() {
                shift(data, &mut inputs[0], offset, index % 4);
            }
            Ok(here.zip(classes(session.run(&inputs)?)))
        },
        |pair| {
            match pair {
                Some((here, there)) => {
                    stable += here
                        .iter()
                        .zip(&there)
                        .filter(|(h, t)| h.is_some() && h == t)
                        .count();
                }
                None => classifier = false,
            }
            Ok(())
        },
    )?;
    Ok(classifier.then(|| stable as f64 / data.len() as f64))
}

/// The winning class of each sample, if the model is a classifier.
fn classes((samples, _): (Vec<Vec<Array>>, Duration)) -> Option<Vec<Option<usize>>> {
    let output = class_output(samples.first()?)?;
    Some(samples.iter().map(|s| winner(&s[output].data)).collect())
}

/// Planes, height, width and elements a pixel of the first input, if it is an image.
fn plane(data: &Dataset) -> Option<[usize; 4]> {
    match (data.shapes().first()?.as_slice(), data.layout()) {
        (&[height, width], _) => Some([1, height, width, 1]),
        (&[channels, height, width], Layout::Nchw) => Some([channels, height, width, 1]),
        (&[height, width, channels], Layout::Nhwc) => Some([1, height, width, channels]),
        _ => None,
    }
}

/// Shifts one sample of a batch up, down, left or right.
fn shift(data: &Dataset, batch: &mut Array, sample: usize, direction: usize) {
    let Some([planes, height, width, depth]) = plane(data) else {
        return;
    };
    let length = elements(&[planes, height, width, depth]).unwrap_or(0);
    let pixels = &mut batch.data[sample * length..(sample + 1) * length];
    let source = pixels.to_vec();
    for p in 0..planes {
        for y in 0..height {
            for x in 0..width {
                let (from_y, from_x) = match direction {
                    0 => ((y + 1).min(height - 1), x),
                    1 => (y.saturating_sub(1), x),
                    2 => (y, (x + 1).min(width - 1)),
                    _ => (y, x.saturating_sub(1)),
                };
                let at = |y, x| ((p * height + y) * width + x) * depth;
                let (to, from) = (at(y, x), at(from_y, from_x));
                pixels[to..to + depth].copy_from_slice(&source[from..from + depth]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataOptions;

    #[test]
    fn borders_are_repeated() {
        let image = Array::new(vec![1, 2, 3], (1..=6).map(|i| i as f32).collect()).unwrap();
        let data =
            Dataset::from_arrays("image", vec![image.clone()], None, &DataOptions::default())
                .unwrap();
        let expected = [
            [4.0, 5.0, 6.0, 4.0, 5.0, 6.0],
            [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
            [2.0, 3.0, 3.0, 5.0, 6.0, 6.0],
            [1.0, 1.0, 2.0, 4.0, 4.0, 5.0],
        ];
        for (direction, expected) in expected.iter().enumerate() {
            let mut shifted = image.clone();
            shift(&data, &mut shifted, 0, direction);
            assert_eq!(shifted.data, expected, "{direction}");
        }
    }
}
