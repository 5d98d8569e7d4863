//! Class scores: which output holds them, and who wins.

use crate::Array;

/// The output that holds one score a class, if the model is a classifier.
///
/// That is the first output which is a vector for each sample (1xC, 1xCx1x1).
/// Of several outputs, 1xCx1 does not count: detectors score their anchors so.
pub(super) fn class_output(outputs: &[Array]) -> Option<usize> {
    outputs.iter().position(|output| {
        let long = output.shape.iter().filter(|&&d| d > 1).count();
        let vector = long == 1 && output.shape.iter().skip(1).take(1).all(|&d| d > 1);
        vector && (outputs.len() == 1 || output.shape.len() != 3)
    })
}

/// The highest score's class, the first of equals; `None` where a score is NaN.
pub(super) fn winner(scores: &[f32]) -> Option<usize> {
    if scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best })
}

/// Whether `class` is among the `count` highest scores.
pub(super) fn among(scores: &[f32], class: usize, count: usize) -> bool {
    let Some(&own) = scores.get(class) else {
        return false;
    };
    if scores.iter().any(|s| s.is_nan()) {
        return false;
    }
    let ahead = |(i, &score): (usize, &f32)| score > own || (score == own && i < class);
    scores.iter().enumerate().filter(|&s| ahead(s)).count() < count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize]) -> Array {
        Array {
            shape: shape.to_vec(),
            data: vec![0.0; shape.iter().product()],
        }
    }

    #[test]
    fn classifiers_are_told_from_detectors_and_images() {
        let cases: [(&[&[usize]], Option<usize>); 8] = [
            (&[&[1, 10]], Some(0)),
            (&[&[1, 1000, 1, 1]], Some(0)),
            (&[&[10]], Some(0)),
            (&[&[1, 3, 8, 8]], None),
            (&[&[1, 1]], None),
            (&[&[1, 1600, 1], &[1, 1600, 4]], None),
            (&[&[1, 896, 16], &[1, 896, 1]], None),
            (&[&[1, 64, 4, 4], &[1, 10]], Some(1)),
        ];
        for (shapes, expected) in cases {
            let outputs: Vec<Array> = shapes.iter().map(|s| array(s)).collect();
            assert_eq!(class_output(&outputs), expected, "{shapes:?}");
        }
    }

    #[test]
    fn ties_go_to_the_first_and_nan_to_nobody() {
        assert_eq!(winner(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(winner(&[1.0, f32::NAN]), None);
        assert!(among(&[0.5, 0.5, 0.5], 1, 2) && !among(&[0.5, 0.5, 0.5], 2, 2));
        assert!(!among(&[f32::NAN, 1.0], 1, 5) && !among(&[1.0], 3, 5));
    }
}
