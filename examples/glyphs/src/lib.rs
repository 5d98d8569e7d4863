//! Labelled images of ten invented glyphs, drawn by a procedure.
//!
//! A sample is a pure function of its [`Split`] and its index: it can be drawn
//! alone, in any order and on any thread. The drawing uses only arithmetic that
//! IEEE 754 rounds exactly (no sine, logarithm or the like, whose last bit
//! differs between platforms), so every platform draws the same pixels.
//!
//! ```
//! let sample = glyphs::sample(glyphs::Split::Test, 7);
//! assert_eq!(sample.label, 7);
//! assert_eq!(sample.image.len(), glyphs::SIDE * glyphs::SIDE);
//! ```
#![forbid(unsafe_code)]

pub mod archive;
mod canvas;
mod random;
mod shape;

use canvas::Canvas;
use random::Random;
use rayon::prelude::*;
pub use shape::CLASSES;

/// Height and width of an image, in pixels.
pub const SIDE: usize = 28;

/// Distance of two neighbouring grey levels: an image has sixteen of them, 0 to
/// 255, which keeps the files small.
pub const GREY_STEP: u8 = 17;

/// Which of the three independent sets a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a network is trained on: as many samples as one likes.
    Train,
    /// What a rewritten network is fitted on.
    Calibration,
    /// What a network is judged by.
    Test,
}

impl Split {
    /// Number of the random stream; the sets never share one.
    const fn stream(self) -> u64 {
        match self {
            Split::Train => 1,
            Split::Calibration => 2,
            Split::Test => 3,
        }
    }
}

/// One image and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Grey levels, `SIDE` rows of `SIDE` pixels, light glyph on dark ground.
    pub image: Vec<u8>,
    /// Index into [`CLASSES`].
    pub label: usize,
}

/// Draws sample `index` of `split`. The classes take turns, so that every run of
/// ten consecutive samples holds each class once.
pub fn sample(split: Split, index: u64) -> Sample {
    let label = (index % CLASSES.len() as u64) as usize;
    let mut random = Random::new(split.stream(), index);
    let mut canvas = Canvas::new(&mut random);
    canvas.clutter(&mut random);
    let strokes = shape::strokes(label, &mut random);
    canvas.draw(&strokes, &mut random);
    canvas.occlude(&mut random);
    Sample {
        image: canvas.expose(&mut random),
        label,
    }
}

/// Draws `count` samples from `first` on, across threads.
pub fn samples(split: Split, first: u64, count: usize) -> Vec<Sample> {
    (0..count as u64)
        .into_par_iter()
        .map(|offset| sample(split, first + offset))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_depends_on_its_split_and_index_alone() {
        let together = samples(Split::Test, 5, 40);
        for (offset, drawn) in together.iter().enumerate() {
            assert_eq!(*drawn, sample(Split::Test, 5 + offset as u64));
        }
        assert_ne!(together[0], sample(Split::Train, 5));
        assert_ne!(together[0].image, together[10].image);
    }

    #[test]
    fn images_use_the_sixteen_levels_and_classes_take_turns() {
        for (index, drawn) in samples(Split::Train, 0, 200).iter().enumerate() {
            assert_eq!(drawn.label, index % CLASSES.len());
            assert!(drawn.image.iter().all(|level| level % GREY_STEP == 0));
        }
    }

    /// Without noise a glyph would be told from its neighbours by any metric; this
    /// holds the generator to being neither trivial nor hopeless: the mean images
    /// of the classes, fitted on one set, name most of another, but far from all.
    #[test]
    fn nearest_mean_image_is_right_often_but_not_always() {
        let mut means = vec![vec![0.0f64; SIDE * SIDE]; CLASSES.len()];
        for drawn in samples(Split::Train, 0, 2000) {
            for (mean, level) in means[drawn.label].iter_mut().zip(&drawn.image) {
                *mean += f64::from(*level) / 200.0;
            }
        }
        for mean in &mut means {
            normalise(mean);
        }
        let judged = samples(Split::Test, 0, 1000);
        let right = judged.iter().filter(|drawn| {
            let mut image: Vec<f64> = drawn.image.iter().map(|&level| level.into()).collect();
            normalise(&mut image);
            let score = |mean: &[f64]| mean.iter().zip(&image).map(|(a, b)| a * b).sum::<f64>();
            let best =
                (0..means.len()).max_by(|&a, &b| score(&means[a]).total_cmp(&score(&means[b])));
            best == Some(drawn.label)
        });
        let accuracy = right.count() as f64 / judged.len() as f64;
        assert!((0.3..0.8).contains(&accuracy), "nearest mean: {accuracy}");
    }

    fn normalise(image: &mut [f64]) {
        let mean = image.iter().sum::<f64>() / image.len() as f64;
        image.iter_mut().for_each(|level| *level -= mean);
        let norm = image.iter().map(|level| level * level).sum::<f64>().sqrt();
        image.iter_mut().for_each(|level| *level /= norm);
    }
}
