//! Samples as picture files.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use super::{DataError, Dataset, Layout};
use crate::array::show;

impl Dataset {
    /// Height and width of the first input, if it is an image.
    pub fn image_size(&self) -> Option<[usize; 2]> {
        match (self.shapes.first()?.as_slice(), self.options.layout) {
            (&[height, width], _)
            | (&[_, height, width], Layout::Nchw)
            | (&[height, width, _], Layout::Nhwc) => Some([height, width]),
            _ => None,
        }
    }

    /// The PNG of a part of sample `index`, from first to last row and column.
    ///
    /// Values from 0 to 255 are colours; others are stretched from the smallest
    /// to the largest of the sample. Three channels and more are red, green and
    /// blue, fewer are grey.
    ///
    /// # Errors
    /// Where the sample cannot be read or is no image that holds the part.
    pub fn picture(&self, index: usize, part: [(usize, usize); 2]) -> Result<Vec<u8>, DataError> {
        let refuse = |cause: String| DataError::Image {
            path: self.path.clone(),
            cause,
        };
        let Some(sample) = self.sample(index)?.into_iter().next() else {
            return Err(refuse("there is no sample".into()));
        };
        let strides = match (sample.shape.as_slice(), self.options.layout) {
            (&[h, w], _) => Some(([h, w], 1, [0, w, 1])),
            (&[c, h, w], Layout::Nchw) => Some(([h, w], c, [h * w, w, 1])),
            (&[h, w, c], Layout::Nhwc) => Some(([h, w], c, [1, w * c, c])),
            _ => None,
        };
        let [(top, bottom), (left, right)] = part;
        let Some((size, channels, strides)) = strides
            .filter(|(size, ..)| top <= bottom && bottom < size[0])
            .filter(|(size, ..)| left <= right && right < size[1])
        else {
            let shape = show(&sample.shape);
            return Err(refuse(format!(
                "a sample of {shape} has no rows {top} to {bottom} and columns {left} to {right}"
            )));
        };
        debug_assert_eq!(size[0] * size[1] * channels, sample.data.len());
        let finite = sample.data.iter().copied().filter(|v| v.is_finite());
        let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let (from, to) = if low >= 0.0 && high > 1.0 && high <= 255.0 {
            (0.0, 255.0)
        } else {
            (low, high)
        };
        let shown = if channels >= 3 { 3 } else { 1 };
        let colour = |y: usize, x: usize, c: usize| {
            let value = sample.data[c * strides[0] + y * strides[1] + x * strides[2]];
            // The cast saturates, and takes what is no number as 0.
            (255.0 * (value - from) / (to - from)).round() as u8
        };
        let pixels: Vec<u8> = (top..=bottom)
            .flat_map(|y| (left..=right).map(move |x| (y, x)))
            .flat_map(|(y, x)| (0..shown).map(move |c| colour(y, x, c)))
            .collect();
        let (width, height) = (right - left + 1, bottom - top + 1);
        let (width, height) = (width as u32, height as u32);
        let image = if shown == 3 {
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        } else {
            GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
        };
        let image = image.ok_or_else(|| refuse("the part is too large".into()))?;
        let mut file = Cursor::new(Vec::new());
        image
            .write_to(&mut file, ImageFormat::Png)
            .map_err(|e| refuse(e.to_string()))?;
        Ok(file.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, DataOptions};

    #[test]
    fn a_part_of_a_sample_is_a_png() {
        let values = (0..3 * 4 * 5).map(|v| v as f32 * 4.0).collect();
        let array = Array::new(vec![1, 3, 4, 5], values).unwrap();
        let data = Dataset::from_arrays("x", vec![array], None, &DataOptions::default()).unwrap();
        assert_eq!(data.image_size(), Some([4, 5]));
        let png = data.picture(0, [(1, 2), (3, 4)]).unwrap();
        let image = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!(image.dimensions(), (2, 2));
        // Row 1, column 3 of each channel: 8, 28 and 48, four times.
        assert_eq!(image.get_pixel(0, 0).0, [32, 112, 192]);
        assert!(data.picture(0, [(1, 4), (0, 0)]).is_err());
    }
}
