//! From a stored sample to the model's input.

use super::options::{Channels, DataOptions, Layout};
use super::resize;
use crate::array::show;

/// A sample: axes and elements.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sample {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Why an option does not suit a sample.
pub(super) type Unsuited = (&'static str, String);

/// Applies channels, resize, crop, (x·scale − mean)/std and layout, in this order.
///
/// Images are (H, W) or of three axes in the stored layout. Samples of other
/// ranks are rescaled only, their first axis the channel.
pub(super) fn apply(options: &DataOptions, sample: Sample) -> Result<Sample, Unsuited> {
    let Sample { shape, data } = sample;
    let plane = shape.len() == 2;
    let spatial = options.resize.is_some()
        || options.crop.is_some()
        || options.channels != Channels::Rgb
        || options.layout != options.stored;
    if !plane && shape.len() != 3 {
        if spatial {
            let cause = "only images (two or three axes) can be rearranged";
            return Err(("--channels or --preprocess", cause.into()));
        }
        let channels = shape.first().copied().unwrap_or(1).max(1);
        let mut data = data;
        normalise(options, channels, &mut data)?;
        return Ok(Sample { shape, data });
    }
    let (mut image, stored) = match *shape.as_slice() {
        [height, width] => (
            Image {
                channels: 1,
                height,
                width,
                data,
            },
            Layout::Nchw,
        ),
        [a, b, c] => match options.stored {
            Layout::Nchw => (
                Image {
                    channels: a,
                    height: b,
                    width: c,
                    data,
                },
                Layout::Nchw,
            ),
            Layout::Nhwc => {
                let data = transpose(&data, a * b, c);
                (
                    Image {
                        channels: c,
                        height: a,
                        width: b,
                        data,
                    },
                    Layout::Nhwc,
                )
            }
        },
        _ => return Err(("--data", "an image has two or three axes".into())),
    };
    match options.channels {
        Channels::Rgb => {}
        Channels::Bgr => image.reverse_channels(),
        Channels::Grey => image.make_grey()?,
    }
    if let Some(size) = options.resize {
        let [height, width] = resize::target(size, image.height, image.width).ok_or((
            "resize",
            "the image is empty or the new size too large".to_string(),
        ))?;
        image = resize::resize(&image, height, width, options.filter);
    }
    if let Some([height, width]) = options.crop {
        image = image.crop(height, width)?;
    }
    normalise(options, image.channels, &mut image.data)?;
    let Image {
        channels,
        height,
        width,
        data,
    } = image;
    let layout = if plane { stored } else { options.layout };
    Ok(match layout {
        Layout::Nchw if plane => Sample {
            shape: vec![height, width],
            data,
        },
        Layout::Nchw => Sample {
            shape: vec![channels, height, width],
            data,
        },
        Layout::Nhwc => {
            let data = transpose(&data, channels, height * width);
            Sample {
                shape: vec![height, width, channels],
                data,
            }
        }
    })
}

/// (x·scale − mean)/std, the channel the slowest axis of `data`.
fn normalise(options: &DataOptions, channels: usize, data: &mut [f32]) -> Result<(), Unsuited> {
    if options.scale.is_none() && options.mean.is_empty() && options.std.is_empty() {
        return Ok(());
    }
    let of = |option: &'static str, values: &[f64], absent: f64| match values {
        [] => Ok(vec![absent; channels]),
        [one] => Ok(vec![*one; channels]),
        many if many.len() == channels => Ok(many.to_vec()),
        many => Err((
            option,
            format!("{} numbers for {channels} channel(s)", many.len()),
        )),
    };
    let scale = options.scale.unwrap_or(1.0);
    let (mean, std) = (
        of("--mean", &options.mean, 0.0)?,
        of("--std", &options.std, 1.0)?,
    );
    let length = data.len() / channels.max(1);
    for ((plane, mean), std) in data.chunks_mut(length.max(1)).zip(mean).zip(std) {
        for x in plane {
            *x = ((f64::from(*x) * scale - mean) / std) as f32;
        }
    }
    Ok(())
}

/// An image, channel by channel.
pub(super) struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub data: Vec<f32>,
}

impl Image {
    fn reverse_channels(&mut self) {
        let plane = self.height * self.width;
        let planes: Vec<f32> = self
            .data
            .chunks(plane.max(1))
            .rev()
            .flat_map(|p| p.iter().copied())
            .collect();
        self.data = planes;
    }

    fn make_grey(&mut self) -> Result<(), Unsuited> {
        match self.channels {
            1 => Ok(()),
            3 => {
                let plane = self.height * self.width;
                let (r, rest) = self.data.split_at(plane);
                let (g, b) = rest.split_at(plane);
                self.data = (r.iter().zip(g).zip(b))
                    .map(|((r, g), b)| (299.0 * r + 587.0 * g + 114.0 * b) / 1000.0)
                    .collect();
                self.channels = 1;
                Ok(())
            }
            n => Err(("--channels grey", format!("luma needs 3 channels, not {n}"))),
        }
    }

    /// The centre; where the margin is odd the smaller half is before it.
    fn crop(&self, height: usize, width: usize) -> Result<Image, Unsuited> {
        if height > self.height || width > self.width {
            let cause = format!("the image is only {}", show(&[self.height, self.width]));
            return Err(("crop", cause));
        }
        let (top, left) = ((self.height - height) / 2, (self.width - width) / 2);
        let mut data = Vec::with_capacity(self.channels * height * width);
        for channel in 0..self.channels {
            for y in top..top + height {
                let row = (channel * self.height + y) * self.width + left;
                data.extend_from_slice(&self.data[row..row + width]);
            }
        }
        Ok(Image {
            channels: self.channels,
            height,
            width,
            data,
        })
    }
}

/// A matrix of `rows` rows turned on its diagonal.
fn transpose(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| data[r * columns + c]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(shape: &[usize]) -> Sample {
        let count = shape.iter().product::<usize>();
        Sample {
            shape: shape.to_vec(),
            data: (0..count).map(|i| i as f32).collect(),
        }
    }

    fn options(text: &str) -> DataOptions {
        let mut options = DataOptions::default();
        options.preprocess(text).expect("valid");
        options
    }

    #[test]
    fn mean_is_in_the_order_handed_to_the_model() {
        let out = apply(
            &options("channels=bgr,scale=1/2,mean=1,2,3,std=2"),
            sample(&[3, 1, 2]),
        )
        .unwrap();
        // Planes (0, 1), (2, 3), (4, 5) reversed, halved, less the mean, halved.
        assert_eq!(out.data, [0.5, 0.75, -0.5, -0.25, -1.5, -1.25]);
    }

    #[test]
    fn layouts_are_turned_round_and_back() {
        let stored = sample(&[2, 4, 3]);
        let nchw = apply(&options("layout=nhwc-to-nchw"), stored.clone()).unwrap();
        assert_eq!(nchw.shape, [3, 2, 4]);
        assert_eq!(&nchw.data[..4], [0.0, 3.0, 6.0, 9.0]);
        assert_eq!(
            apply(&options("layout=nchw-to-nhwc"), nchw).unwrap(),
            stored
        );
        assert_eq!(
            apply(&options("layout=nhwc"), stored.clone()).unwrap(),
            stored
        );
    }

    #[test]
    fn crop_keeps_the_centre() {
        let out = apply(&options("crop=2x1"), sample(&[5, 4])).unwrap();
        assert_eq!(
            (out.shape.as_slice(), out.data.as_slice()),
            (&[2, 1][..], &[5.0, 9.0][..])
        );
        assert!(apply(&options("crop=6"), sample(&[5, 4])).is_err());
    }

    #[test]
    fn grey_is_luma() {
        let white = Sample {
            shape: vec![3, 1, 1],
            data: vec![100.0, 200.0, 50.0],
        };
        let out = apply(&options("channels=grey"), white).unwrap();
        assert_eq!(out.data, [(29_900.0 + 117_400.0 + 5_700.0) / 1000.0]);
    }

    #[test]
    fn unsuited_options_are_named() {
        let (option, cause) = apply(&options("mean=1,2,3"), sample(&[1, 2, 2])).unwrap_err();
        assert_eq!(
            (option, cause.as_str()),
            ("--mean", "3 numbers for 1 channel(s)")
        );
        assert!(apply(&options("crop=1"), sample(&[7])).is_err());
    }
}
