//! How samples are turned into what the model was trained on.

use super::DataError;

/// Order of the colour channels handed to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// As stored; red, green, blue for image files.
    #[default]
    Rgb,
    /// The stored order reversed.
    Bgr,
    /// One channel of luma, (299·R + 587·G + 114·B)/1000.
    Grey,
}

/// New height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, the other keeps the proportion.
    Shorter(usize),
    /// Exactly this height and width.
    Exact([usize; 2]),
}

/// How new pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Linear, widened when shrinking so that nothing aliases.
    #[default]
    Bilinear,
    /// The pixel at ⌊i·old/new⌋.
    Nearest,
}

/// Axis order of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Channels, height, width.
    #[default]
    Nchw,
    /// Height, width, channels.
    Nhwc,
}

/// Preprocessing and limits.
///
/// The order is: channels, resize, crop, (x·scale − mean)/std, layout. Values
/// are not rescaled unless asked: bytes arrive as 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub struct DataOptions {
    /// Factor; 1 where absent.
    pub scale: Option<f64>,
    /// Subtracted after scaling: nothing, one number, or one a channel in the
    /// order handed to the model.
    pub mean: Vec<f64>,
    /// Divided by: nothing, one number, or one a channel.
    pub std: Vec<f64>,
    /// Channel order.
    pub channels: Channels,
    /// New size.
    pub resize: Option<Resize>,
    /// How to resize.
    pub filter: Filter,
    /// Height and width to keep from the centre.
    pub crop: Option<[usize; 2]>,
    /// Axis order of stored arrays.
    pub stored: Layout,
    /// Axis order handed to the model.
    pub layout: Layout,
    /// At most this many samples, evenly spaced over the data.
    pub limit: Option<usize>,
    /// No array may take more bytes than this.
    pub max_bytes: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            scale: None,
            mean: Vec::new(),
            std: Vec::new(),
            channels: Channels::default(),
            resize: None,
            filter: Filter::default(),
            crop: None,
            stored: Layout::default(),
            layout: Layout::default(),
            limit: None,
            max_bytes: 8 << 30,
        }
    }
}

impl DataOptions {
    /// The keys of [`DataOptions::set`].
    pub const KEYS: [&str; 9] = [
        "scale", "mean", "std", "channels", "resize", "filter", "crop", "layout", "limit",
    ];

    /// Sets one option from text: `scale` a number or fraction (`1/255`), `mean`
    /// and `std` one number or one a channel (`0.485,0.456,0.406`), `channels`
    /// `rgb`, `bgr` or `grey`, `resize` `256` (shorter side) or `240x320`
    /// (height, width), `filter` `bilinear` or `nearest`, `crop` `224` or
    /// `HEIGHTxWIDTH`, `layout` `nchw`, `nhwc`, `nhwc-to-nchw` or
    /// `nchw-to-nhwc`, `limit` a number of samples.
    ///
    /// # Errors
    /// [`DataError::Option`] with what the option takes.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), DataError> {
        let refuse = |wanted: &str| DataError::Option {
            option: option.into(),
            value: value.into(),
            wanted: wanted.into(),
        };
        let number = "a number or a fraction such as 1/255, not 0";
        let numbers = "one number or one a channel, separated by commas";
        match option {
            "scale" => {
                let scale = fraction(value)
                    .filter(|s| *s != 0.0)
                    .ok_or_else(|| refuse(number))?;
                self.scale = Some(scale);
            }
            "mean" => self.mean = list(value).ok_or_else(|| refuse(numbers))?,
            "std" => {
                self.std = list(value)
                    .filter(|std| std.iter().all(|&s| s != 0.0))
                    .ok_or_else(|| refuse("one number or one a channel, none of them 0"))?;
            }
            "channels" => {
                self.channels = match value {
                    "rgb" => Channels::Rgb,
                    "bgr" => Channels::Bgr,
                    "grey" | "gray" => Channels::Grey,
                    _ => return Err(refuse("rgb, bgr or grey")),
                }
            }
            "resize" => {
                let wanted = "a length for the shorter side, or HEIGHTxWIDTH";
                self.resize = Some(match size(value).ok_or_else(|| refuse(wanted))? {
                    (side, None) => Resize::Shorter(side),
                    (height, Some(width)) => Resize::Exact([height, width]),
                });
            }
            "crop" => {
                let wanted = "a side length, or HEIGHTxWIDTH";
                let (height, width) = size(value).ok_or_else(|| refuse(wanted))?;
                self.crop = Some([height, width.unwrap_or(height)]);
            }
            "filter" => {
                self.filter = match value {
                    "bilinear" => Filter::Bilinear,
                    "nearest" => Filter::Nearest,
                    _ => return Err(refuse("bilinear or nearest")),
                }
            }
            "layout" => {
                (self.stored, self.layout) = match value {
                    "nchw" => (Layout::Nchw, Layout::Nchw),
                    "nhwc" => (Layout::Nhwc, Layout::Nhwc),
                    "nhwc-to-nchw" => (Layout::Nhwc, Layout::Nchw),
                    "nchw-to-nhwc" => (Layout::Nchw, Layout::Nhwc),
                    _ => return Err(refuse("nchw, nhwc, nhwc-to-nchw or nchw-to-nhwc")),
                }
            }
            "limit" => {
                let limit = value.parse().ok().filter(|n| *n > 0);
                self.limit = Some(limit.ok_or_else(|| refuse("a number of samples"))?);
            }
            _ => {
                return Err(refuse(&format!(
                    "the options are {}",
                    Self::KEYS.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Sets several options: `resize=256,crop=224,mean=0.485,0.456,0.406`. What
    /// has no `=` continues the list before it.
    ///
    /// # Errors
    /// [`DataError::Option`].
    pub fn preprocess(&mut self, text: &str) -> Result<(), DataError> {
        let mut options: Vec<(&str, String)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match (part.split_once('='), options.last_mut()) {
                (Some((option, value)), _) => options.push((option.trim(), value.trim().into())),
                (None, Some((_, list))) => {
                    list.push(',');
                    list.push_str(part);
                }
                (None, None) => {
                    return Err(DataError::Option {
                        option: "preprocess".into(),
                        value: text.into(),
                        wanted: "options such as resize=256,crop=224".into(),
                    });
                }
            }
        }
        options
            .iter()
            .try_for_each(|(option, value)| self.set(option, value))
    }
}

/// `0.5` or `1/255`.
fn fraction(text: &str) -> Option<f64> {
    let number = |s: &str| s.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    match text.split_once('/') {
        Some((over, under)) => Some(number(over)? / number(under).filter(|v| *v != 0.0)?),
        None => number(text),
    }
}

fn list(text: &str) -> Option<Vec<f64>> {
    text.split(',').map(fraction).collect()
}

/// `224` or `240x320`.
fn size(text: &str) -> Option<(usize, Option<usize>)> {
    /// Above this a size is a mistake, and products of it would overflow.
    const LARGEST: usize = 1 << 16;
    let side = |s: &str| s.trim().parse().ok().filter(|s| (1..=LARGEST).contains(s));
    match text.split_once('x') {
        Some((height, width)) => Some((side(height)?, Some(side(width)?))),
        None => Some((side(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lists_and_sizes_are_understood() {
        let mut options = DataOptions::default();
        options
            .preprocess("resize=256, crop=224x200,mean=0.485,0.456,0.406,scale=1/255,layout=nhwc")
            .expect("valid");
        assert_eq!(options.resize, Some(Resize::Shorter(256)));
        assert_eq!(options.crop, Some([224, 200]));
        assert_eq!(options.mean, [0.485, 0.456, 0.406]);
        assert_eq!(options.scale, Some(1.0 / 255.0));
        assert_eq!(
            (options.stored, options.layout),
            (Layout::Nhwc, Layout::Nhwc)
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be() {
        let cases = [
            ("scale", "1/0", "fraction"),
            ("scale", "NaN", "fraction"),
            ("std", "1,0", "none of them 0"),
            ("channels", "yuv", "bgr"),
            ("crop", "0", "HEIGHTxWIDTH"),
            ("resize", "99999999999", "HEIGHTxWIDTH"),
            ("layout", "hwc", "nhwc-to-nchw"),
            ("rotate", "90", "resize"),
        ];
        for (option, value, wanted) in cases {
            let message = DataOptions::default()
                .set(option, value)
                .unwrap_err()
                .to_string();
            assert!(message.contains(wanted), "{message}");
        }
        assert!(DataOptions::default().preprocess("224").is_err());
    }
}
