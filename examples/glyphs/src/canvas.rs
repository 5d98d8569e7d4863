//! Light and paper: places the strokes in the image and exposes it.

use crate::{
    GREY_STEP, SIDE,
    random::Random,
    shape::{Point, Stroke, circle},
};

/// An image in the making; levels 0 to 255, not yet rounded.
pub struct Canvas {
    levels: Vec<f64>,
    /// What a full stroke adds to the ground.
    ink: f64,
}

/// A brush: half the stroke's width and the width of its soft edge, in pixels.
struct Brush {
    radius: f64,
    softness: f64,
}

impl Brush {
    fn random(random: &mut Random) -> Self {
        Self {
            radius: random.within(0.55, 1.5),
            softness: random.within(0.8, 1.8),
        }
    }

    /// Share of ink, 0 to 1, at `distance` from the middle of the stroke.
    fn coverage(&self, distance: f64) -> f64 {
        ((self.radius - distance) / self.softness + 0.5).clamp(0.0, 1.0)
    }
}

impl Canvas {
    /// A ground of random brightness with a slope.
    pub fn new(random: &mut Random) -> Self {
        let ground = random.within(10.0, 80.0);
        let slope = (random.about(2.0), random.about(2.0));
        let levels = pixels()
            .map(|(x, y)| {
                let middle = SIDE as f64 / 2.0;
                ground + slope.0 * (x - middle) + slope.1 * (y - middle)
            })
            .collect();
        let ink = random.within(60.0, 160.0);
        Self { levels, ink }
    }

    /// Draws a glyph, placed by a random affine map.
    pub fn draw(&mut self, strokes: &[Stroke], random: &mut Random) {
        let (cos, sin) = circle(random.about(0.28));
        let shear = random.about(0.25);
        let scale = random.within(6.5, 10.5);
        let aspect = random.within(0.8, 1.2);
        let middle = SIDE as f64 / 2.0;
        let shift = (middle + random.about(3.0), middle + random.about(3.0));
        let place = |(x, y): Point| {
            let (x, y) = (scale * aspect * (x + shear * y), scale / aspect * y);
            (cos * x - sin * y + shift.0, sin * x + cos * y + shift.1)
        };
        let brush = Brush::random(random);
        let placed: Vec<Stroke> = strokes
            .iter()
            .map(|stroke| stroke.iter().copied().map(place).collect())
            .collect();
        self.paint(&placed, &brush, self.ink);
    }

    /// Adds up to two short strokes that belong to no glyph.
    pub fn clutter(&mut self, random: &mut Random) {
        while random.chance(0.4) {
            let side = SIDE as f64;
            let (x, y) = (random.within(0.0, side), random.within(0.0, side));
            let end = (x + random.about(9.0), y + random.about(9.0));
            let strength = self.ink * random.within(0.3, 0.9);
            self.paint(&[vec![(x, y), end]], &Brush::random(random), strength);
        }
    }

    /// Covers a disc or two with an even grey.
    pub fn occlude(&mut self, random: &mut Random) {
        while random.chance(0.45) {
            let side = SIDE as f64;
            let (x, y) = (
                random.within(4.0, side - 4.0),
                random.within(4.0, side - 4.0),
            );
            let radius = random.within(2.0, 4.5);
            let grey = random.within(0.0, 120.0);
            for (level, (px, py)) in self.levels.iter_mut().zip(pixels()) {
                if (px - x) * (px - x) + (py - y) * (py - y) < radius * radius {
                    *level = grey;
                }
            }
        }
    }

    /// Adds the noise and rounds to the sixteen grey levels.
    pub fn expose(self, random: &mut Random) -> Vec<u8> {
        let noise = random.within(6.0, 25.0);
        let step = f64::from(GREY_STEP);
        self.levels
            .iter()
            .map(|level| {
                let noisy = level + noise * random.bell();
                (noisy / step).round().clamp(0.0, 15.0) as u8 * GREY_STEP
            })
            .collect()
    }

    fn paint(&mut self, strokes: &[Stroke], brush: &Brush, ink: f64) {
        for (level, pixel) in self.levels.iter_mut().zip(pixels()) {
            let nearest = strokes
                .iter()
                .flat_map(|stroke| stroke.windows(2))
                .map(|ends| squared_distance(pixel, ends[0], ends[1]))
                .fold(f64::INFINITY, f64::min);
            *level += ink * brush.coverage(nearest.sqrt());
        }
    }
}

/// Centres of the pixels, row by row.
fn pixels() -> impl Iterator<Item = Point> {
    (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x as f64 + 0.5, y as f64 + 0.5)))
}

/// Squared distance of point `p` from the segment between `a` and `b`.
fn squared_distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (ex, ey) = (p.0 - a.0 - along * dx, p.1 - a.1 - along * dy);
    ex * ex + ey * ey
}

#[cfg(test)]
mod tests {
    use super::squared_distance;

    #[test]
    fn distance_from_a_segment() {
        let (a, b) = ((0.0, 0.0), (4.0, 0.0));
        assert_eq!(squared_distance((2.0, 3.0), a, b), 9.0);
        assert_eq!(squared_distance((7.0, 4.0), a, b), 25.0);
        assert_eq!(squared_distance((-3.0, 0.0), a, b), 9.0);
        assert_eq!(squared_distance((3.0, 4.0), a, a), 25.0);
    }
}
