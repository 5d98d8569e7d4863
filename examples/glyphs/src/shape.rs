//! The ten glyphs as strokes, and the ways in which a hand varies them.
//!
//! Coordinates: x to the right, y down, the glyph fills -1 to 1.

use crate::random::Random;

/// Names of the classes, in the order of their labels. Most have a near twin that
/// a single gap, bar or bend tells apart.
pub const CLASSES: [&str; 10] = [
    "ring",
    "horseshoe",
    "hook",
    "crook",
    "wave",
    "zigzag",
    "fork",
    "arrow",
    "gate",
    "ladder",
];

/// A point of the plane.
pub type Point = (f64, f64);

/// A stroke: a polyline of at least two points.
pub type Stroke = Vec<Point>;

/// Point of the unit circle at `quadrants` quarter turns from the positive x axis
/// towards the positive y axis. Within a quadrant the angle follows the rational
/// parametrisation ((1 - t²) / (1 + t²), 2t / (1 + t²)): always on the circle, not
/// quite at uniform speed.
pub fn circle(quadrants: f64) -> Point {
    let whole = quadrants.floor();
    let t = quadrants - whole;
    let (x, y) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
    match whole.rem_euclid(4.0) as u8 {
        0 => (x, y),
        1 => (-y, x),
        2 => (-x, -y),
        _ => (y, -x),
    }
}

/// An arc around `centre`, `from` and `to` in quarter turns.
fn arc(centre: Point, radius: Point, from: f64, to: f64) -> Stroke {
    let pieces = ((to - from).abs() * 4.0).ceil().max(1.0);
    (0..=pieces as usize)
        .map(|piece| {
            let (x, y) = circle(from + (to - from) * piece as f64 / pieces);
            (centre.0 + radius.0 * x, centre.1 + radius.1 * y)
        })
        .collect()
}

/// The strokes of glyph `label`, with the variation of a hand: its free
/// measures, wobbling vertices and a bend of the whole.
pub fn strokes(label: usize, random: &mut Random) -> Vec<Stroke> {
    let mut strokes = ideal(label, random);
    for point in strokes.iter_mut().flatten() {
        point.0 += random.about(0.07);
        point.1 += random.about(0.07);
    }
    let (bend_x, bend_y) = (random.about(0.25), random.about(0.25));
    for (x, y) in strokes.iter_mut().flatten() {
        (*x, *y) = (*x + bend_x * (*y * *y - 0.5), *y + bend_y * (*x * *x - 0.5));
    }
    strokes
}

fn ideal(label: usize, random: &mut Random) -> Vec<Stroke> {
    match CLASSES[label] {
        "ring" => {
            let from = random.within(0.0, 4.0);
            vec![arc((0.0, 0.0), (0.85, 0.95), from, from + 4.0)]
        }
        "horseshoe" => {
            let gap = random.within(0.5, 0.9);
            vec![arc((0.0, 0.0), (0.85, 0.95), gap, 4.0 - gap)]
        }
        "hook" => {
            let turn = random.within(0.25, 0.6);
            let mut stroke = vec![(0.5, -1.0), (0.5, -0.3), (0.5, 1.0 - turn)];
            stroke.extend(arc((0.5 - turn, 1.0 - turn), (turn, turn), 0.4, 2.2));
            vec![stroke]
        }
        "crook" => {
            let turn = random.within(0.25, 0.6);
            let mut stroke = vec![(0.5, 1.0), (0.5, 0.3), (0.5, turn - 1.0)];
            stroke.extend(arc((0.5 - turn, turn - 1.0), (turn, turn), -0.4, -2.2));
            vec![stroke]
        }
        "wave" => {
            let mut stroke = arc((0.0, -0.5), (0.7, 0.5), -0.3, -3.0);
            stroke.extend(arc((0.0, 0.5), (0.7, 0.5), -0.8, 2.3));
            vec![stroke]
        }
        "zigzag" => {
            let slant = random.within(0.2, 0.5);
            vec![vec![(0.7, -0.9), (-0.7, -slant), (0.7, slant), (-0.7, 0.9)]]
        }
        "fork" => {
            let knee = random.within(-0.1, 0.3);
            vec![
                vec![(-0.8, -1.0), (0.0, knee), (0.8, -1.0)],
                vec![(0.0, knee), (0.0, 1.0)],
            ]
        }
        "arrow" => {
            let barb = random.within(0.0, 0.4);
            vec![
                vec![(-0.8, -barb), (0.0, -1.0), (0.8, -barb)],
                vec![(0.0, -1.0), (0.0, 1.0)],
            ]
        }
        "gate" => {
            let lintel = random.within(-1.0, -0.4);
            vec![
                vec![(-0.7, 1.0), (-0.7, -1.0)],
                vec![(0.7, -1.0), (0.7, 1.0)],
                vec![(-0.7, lintel), (0.7, lintel)],
            ]
        }
        _ => {
            let rung = random.within(-0.9, -0.3);
            let below = random.within(0.1, 0.7);
            vec![
                vec![(-0.7, 1.0), (-0.7, -1.0)],
                vec![(0.7, -1.0), (0.7, 1.0)],
                vec![(-0.7, rung), (0.7, rung)],
                vec![(-0.7, below), (0.7, below)],
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_a_circle_and_turns_the_right_way() {
        for step in -40..40 {
            let (x, y) = circle(f64::from(step) / 10.0);
            assert!((x * x + y * y - 1.0).abs() < 1e-14);
        }
        assert_eq!(circle(0.0), (1.0, 0.0));
        assert_eq!(circle(1.0), (-0.0, 1.0));
        assert_eq!(circle(-1.0), (0.0, -1.0));
        let eighth = circle(0.4142135623730951 /* tan 22.5° */);
        assert!((eighth.0 - eighth.1).abs() < 1e-12);
    }

    #[test]
    fn every_glyph_stays_near_its_frame() {
        let mut random = Random::new(0, 0);
        for label in (0..CLASSES.len()).cycle().take(1000) {
            for (x, y) in strokes(label, &mut random).into_iter().flatten() {
                assert!(x.abs() < 1.4 && y.abs() < 1.4, "{label}: {x}, {y}");
            }
        }
    }
}
