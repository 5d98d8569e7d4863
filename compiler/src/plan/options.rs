//! What the caller may choose.

use std::str::FromStr;
use std::sync::atomic::AtomicBool;

/// Width of the middle of a factorization.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Width {
    /// The best fit at no more than 60 % of the layer's parameters.
    #[default]
    Auto,
    /// As many channels as the layer puts out.
    Same,
    /// As wide as the layer's own parameters allow.
    Budget,
    /// The smallest lossless width.
    Exact,
    /// So many channels.
    Channels(usize),
    /// The widest middle at no more than this multiple of the layer's parameters.
    Ratio(f64),
    /// Many widths side by side, from narrow to the layer's own parameters.
    Ladder,
}

/// A word that is not among those that an option takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not one of {expected}")]
pub struct ParseOptionError {
    given: String,
    expected: &'static str,
}

impl FromStr for Width {
    type Err = ParseOptionError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseOptionError {
            given: s.to_owned(),
            expected: "auto, same, budget, exact, a number of channels, or x and a ratio (x0.43)",
        };
        match s {
            "auto" => Ok(Self::Auto),
            "same" => Ok(Self::Same),
            "budget" => Ok(Self::Budget),
            "exact" => Ok(Self::Exact),
            _ => match s.strip_prefix('x') {
                Some(ratio) => ratio
                    .parse()
                    .ok()
                    .filter(|r: &f64| r.is_finite() && *r > 0.0)
                    .map(Self::Ratio)
                    .ok_or_else(wrong),
                None => s
                    .parse()
                    .ok()
                    .filter(|&n: &usize| n > 0)
                    .map(Self::Channels)
                    .ok_or_else(wrong),
            },
        }
    }
}

/// Which factor takes the stride.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StridePlace {
    /// The first: cheap, where the kernels span the field that way.
    First,
    /// The last: any split, the first factor at full resolution.
    #[default]
    Last,
    /// Both compete.
    Auto,
}

impl FromStr for StridePlace {
    type Err = ParseOptionError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "first" => Ok(Self::First),
            "last" => Ok(Self::Last),
            "auto" => Ok(Self::Auto),
            _ => Err(ParseOptionError {
                given: s.to_owned(),
                expected: "first, last, auto",
            }),
        }
    }
}

/// What stands between the factors of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// Nothing: the chain can equal the kernel.
    #[default]
    Nothing,
    /// Rectifiers, open for all that the calibration data put into the maps
    /// between; for networks that are trained again.
    Relu,
}

/// What a pass decides on: the part of the options that shapes a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shaping {
    /// Width of the middle.
    pub width: Width,
    /// Which factor takes the stride.
    pub stride: StridePlace,
}

/// Why nothing is done at a node that the user's globs leave out.
pub(super) const LEFT_OUT: &str = "left out by --only or --skip";

/// Receives the activations of one value: its place among those asked for, its
/// shape, its elements.
pub type Sink<'a> = dyn FnMut(usize, &[usize], &[f32]) + 'a;

/// Runs models on calibration data; the compiler itself runs nothing.
pub trait Calibration: Sync {
    /// How many samples there are.
    fn samples(&self) -> usize;

    /// Runs `model` (an encoded file) on the calibration samples and hands the
    /// activations of the named values to `each`, sample by sample or in
    /// batches, always in the same order.
    ///
    /// # Errors
    /// Why the model cannot be run, in words for a report.
    fn activations(&self, model: &[u8], values: &[String], each: &mut Sink) -> Result<(), String>;
}

/// Options of a run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Width of the middle.
    pub width: Width,
    /// What stands between the factors.
    pub between: Between,
    /// Which factor takes the stride.
    pub stride: StridePlace,
    /// Only nodes whose name fits one of these globs; all if empty.
    pub only: &'a [String],
    /// Not nodes whose name fits one of these globs, nor what is folded into them.
    pub skip: &'a [String],
    /// Calibration data; weights are fitted in the Frobenius norm without.
    pub calibration: Option<&'a dyn Calibration>,
    /// Whether to keep the e-graph's derivations.
    pub explain: bool,
    /// Raised to stop early.
    pub cancel: &'a AtomicBool,
    /// Called with steps done, steps in all, and what is being done.
    pub progress: &'a (dyn Fn(usize, usize, &str) + Sync),
}

impl<'a> Options<'a> {
    /// Every node, the default width, no data, nothing told.
    pub fn new(cancel: &'a AtomicBool) -> Self {
        Self {
            width: Width::default(),
            between: Between::default(),
            stride: StridePlace::default(),
            only: &[],
            skip: &[],
            calibration: None,
            explain: false,
            cancel,
            progress: &|_, _, _| {},
        }
    }

    /// What shapes a chain.
    pub fn shaping(&self) -> Shaping {
        Shaping {
            width: self.width,
            stride: self.stride,
        }
    }

    /// Whether the user's globs let passes touch a node.
    pub fn allows(&self, node: &str) -> bool {
        (self.only.is_empty() || any(self.only, node)) && !self.skips(node)
    }

    /// Whether the user named a node among those to be left alone.
    pub fn skips(&self, node: &str) -> bool {
        any(self.skip, node)
    }
}

fn any(globs: &[String], node: &str) -> bool {
    globs.iter().any(|g| glob(g, node))
}

/// Matches `*` (any run of characters) and `?` (any one).
fn glob(pattern: &str, text: &str) -> bool {
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < t.len() {
        if i < p.len() && p[i] == '*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '?' || p[i] == t[j]) {
            i += 1;
            j += 1;
        } else if let Some((at, from)) = star {
            i = at + 1;
            j = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    p[i..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("conv*", "conv1", true),
            ("*/conv?/*", "a/conv1/b", true),
            ("*/conv?", "a/conv12", false),
            ("conv1", "conv1", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn widths() {
        assert_eq!("x0.43".parse(), Ok(Width::Ratio(0.43)));
        assert_eq!("12".parse(), Ok(Width::Channels(12)));
        for wrong in ["0", "x-1", "xnan", "wide", ""] {
            assert!(wrong.parse::<Width>().is_err(), "{wrong}");
        }
    }
}
