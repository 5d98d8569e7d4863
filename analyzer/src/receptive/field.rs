//! What the units along one axis of a value see of one axis of an input.
//!
//! Unit o sees the input positions from lo(o) to hi(o). Both repeat with a
//! period of P units while they advance by Q positions: jump = Q/P. Without
//! upsampling P is 1 and the recursions of Araujo et al. (Distill 2019)
//! follow; with it every phase is kept, so that nothing is rounded.

use num_rational::Ratio;

use super::taps::{Taps, gcd};

/// Fields of more phases are not followed.
const MAX_PHASES: i64 = 1 << 12;
/// Positions beyond this, or as far below zero, are not followed.
const MAX_POSITION: i64 = 1 << 40;

/// A periodic sequence of intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// First and last position that the units of one period see; `None` for a
    /// unit that sees nothing.
    phases: Vec<Option<(i64, i64)>>,
    /// Positions from one period to the next.
    advance: i64,
}

impl Field {
    /// Unit o sees position o.
    pub fn identity() -> Self {
        Self {
            phases: vec![Some((0, 0))],
            advance: 1,
        }
    }

    fn period(&self) -> i64 {
        i64::try_from(self.phases.len()).unwrap_or(MAX_PHASES)
    }

    /// First and last position that unit `o` sees, those in the padding
    /// included; `None` where it sees nothing.
    pub fn at(&self, o: i64) -> Option<(i64, i64)> {
        let period = self.period();
        let phase = usize::try_from(o.rem_euclid(period)).ok()?;
        let (lo, hi) = (*self.phases.get(phase)?)?;
        let moved = o.div_euclid(period).checked_mul(self.advance)?;
        Some((lo.checked_add(moved)?, hi.checked_add(moved)?))
    }

    /// Positions from the first to the last that a unit sees: the largest
    /// over the phases.
    pub fn size(&self) -> i64 {
        let sizes = self.phases.iter().flatten().map(|(lo, hi)| hi - lo + 1);
        sizes.max().unwrap_or(0)
    }

    /// Whether there are units that see nothing (between the taps of a
    /// transposed window that is shorter than its stride, or dilated).
    pub fn has_holes(&self) -> bool {
        self.phases.contains(&None)
    }

    /// Positions from one unit to the next.
    pub fn jump(&self) -> Ratio<i64> {
        Ratio::new(self.advance, self.period())
    }

    /// Mean of first and last position of unit 0, the mean over the phases
    /// where there are several (each moved back to unit 0); `None` where no
    /// unit sees anything.
    pub fn centre(&self) -> Option<Ratio<i64>> {
        let period = i128::from(self.period());
        let (mut sum, mut count) = (0i128, 0i128);
        for (o, phase) in (0i128..).zip(&self.phases) {
            if let Some((lo, hi)) = phase {
                let twice = i128::from(*lo) + i128::from(*hi);
                sum += twice * period - 2 * i128::from(self.advance) * o;
                count += 1;
            }
        }
        if count == 0 {
            return None;
        }
        let exact = Ratio::new(sum, 2 * count * period);
        Some(Ratio::new(
            i64::try_from(*exact.numer()).ok()?,
            i64::try_from(*exact.denom()).ok()?,
        ))
    }

    /// How far the units are off a grid of equal jump that is centred on the
    /// input; `units` and `inputs` are the sizes of the two axes.
    pub fn shift(&self, units: i64, inputs: i64) -> Option<Ratio<i64>> {
        let half = |v: i64| Some(Ratio::new(v.checked_sub(1)?, 2));
        let (jump, middle) = (self.jump(), half(units)?);
        // The bounds of sizes in files keep this far below 64 bits; a hostile
        // one is refused instead of wrapping.
        let small = [jump.numer(), middle.numer(), &inputs]
            .iter()
            .all(|v| v.abs() < 1 << 31);
        let centre = self.centre()?;
        (small && centre.numer().abs() < 1 << 31)
            .then(|| half(inputs).map(|mid| centre + jump * middle - mid))
            .flatten()
    }

    /// The field of a layer over this one; `None` where there are too many
    /// phases or positions beyond 64 bits.
    pub fn through(&self, taps: &Taps) -> Option<Self> {
        let (period, stride, up) = (self.period(), taps.map.stride, taps.period());
        if stride == 0 {
            let at = self.hull(taps, 0)?;
            return Some(Self {
                phases: vec![at],
                advance: 0,
            });
        }
        let common = gcd(stride, up);
        let (steps, units) = (stride / common, up / common);
        let turns = period / gcd(period, steps);
        let length = units.checked_mul(turns).filter(|&l| l <= MAX_PHASES)?;
        let moved =
            i128::from(self.advance) * i128::from(steps) * i128::from(turns) / i128::from(period);
        let phases = (0..length)
            .map(|o| self.hull(taps, o))
            .collect::<Option<_>>()?;
        let field = Self {
            phases,
            advance: i64::try_from(moved).ok()?,
        };
        Some(field.reduced())
    }

    /// The hull of what the positions that output `o` reads see; the outer
    /// `None` where that is beyond 64 bits.
    #[allow(clippy::option_option)]
    fn hull(&self, taps: &Taps, o: i64) -> Option<Option<(i64, i64)>> {
        let Some(read) = taps.at(o) else {
            return Some(None);
        };
        let period = self.period();
        let mut hull: Option<(i64, i64)> = None;
        // One period from either end holds the extremes.
        let head = 0..read.count.min(period);
        let tail = read.count.saturating_sub(period).max(head.end)..read.count;
        for i in head.chain(tail) {
            let position = read.first.checked_add(read.step.checked_mul(i)?)?;
            if let Some((lo, hi)) = self.at(position) {
                let (a, b) = hull.unwrap_or((lo, hi));
                hull = Some((a.min(lo), b.max(hi)));
            }
        }
        let near = |v: i64| (-MAX_POSITION..=MAX_POSITION).contains(&v);
        hull.is_none_or(|(lo, hi)| near(lo) && near(hi))
            .then_some(hull)
    }

    /// The same with the shortest period.
    fn reduced(self) -> Self {
        let length = self.period();
        let repeats = |short: i64| {
            let whole = self.advance.checked_mul(short);
            let Some(moved) = whole.filter(|v| v % length == 0).map(|v| v / length) else {
                return false;
            };
            let shifted = |p: Option<(i64, i64)>| p.map(|(lo, hi)| (lo + moved, hi + moved));
            let skip = usize::try_from(short).unwrap_or(0);
            self.phases
                .iter()
                .zip(self.phases.iter().skip(skip))
                .all(|(&a, &b)| shifted(a) == b)
        };
        let shortest = (1..length).find(|&p| length % p == 0 && repeats(p));
        match shortest {
            None => self,
            Some(short) => Self {
                advance: self.advance / (length / short),
                phases: self
                    .phases
                    .into_iter()
                    .take(usize::try_from(short).unwrap_or(1))
                    .collect(),
            },
        }
    }

    /// The hull of two fields of equal jump, unit by unit; `None` where the
    /// jumps differ (the hull would grow along the axis) or there are too
    /// many phases.
    pub fn union(&self, other: &Self) -> Option<Self> {
        if self.jump() != other.jump() {
            return None;
        }
        let (a, b) = (self.period(), other.period());
        let length = (a / gcd(a, b))
            .checked_mul(b)
            .filter(|&l| l <= MAX_PHASES)?;
        let phases = (0..length)
            .map(|o| match (self.at(o), other.at(o)) {
                (Some(x), Some(y)) => Some((x.0.min(y.0), x.1.max(y.1))),
                (x, y) => x.or(y),
            })
            .collect();
        let field = Self {
            phases,
            advance: self.advance.checked_mul(length / a)?,
        };
        Some(field.reduced())
    }
}

#[cfg(test)]
mod tests {
    use compiler::ops::Map;

    use super::*;

    fn map(stride: i64, upsample: i64, lo: i64, hi: i64) -> Taps {
        let map = Map {
            stride,
            upsample,
            lo,
            hi,
        };
        Taps::new(map, None)
    }

    fn numbers(field: &Field) -> (i64, Ratio<i64>, Ratio<i64>) {
        (field.size(), field.jump(), field.centre().unwrap())
    }

    /// Convolutions as (kernel, stride, padding at the beginning).
    fn chain(layers: &[(i64, i64, i64)]) -> Field {
        layers.iter().fold(Field::identity(), |f, &(k, s, p)| {
            f.through(&map(s, 1, -p, k - 1 - p)).unwrap()
        })
    }

    #[test]
    fn convolutions_follow_the_published_recursions() {
        // VGG-16's convolutional part.
        let mut layers = Vec::new();
        for convolutions in [2, 2, 3, 3, 3] {
            layers.extend(vec![(3, 1, 1); convolutions]);
            layers.push((2, 2, 0));
        }
        let field = chain(&layers);
        assert_eq!(numbers(&field), (212, 32.into(), Ratio::new(31, 2)));
        // 7 x 32 = 224: the grid is centred.
        assert_eq!(field.shift(7, 224), Some(0.into()));
    }

    #[test]
    fn a_stride_with_even_padding_is_half_a_pixel_off() {
        let field = chain(&[(3, 2, 1)]);
        assert_eq!(field.shift(112, 224), Some(Ratio::new(-1, 2)));
        let same_upper = chain(&[(3, 2, 0)]);
        assert_eq!(same_upper.shift(112, 224), Some(Ratio::new(1, 2)));
    }

    #[test]
    fn upsampling_keeps_every_phase() {
        // Nearest, twice as large, after a stride of 2; then 3 taps.
        let up = chain(&[(3, 2, 1)]).through(&map(1, 2, -1, 0)).unwrap();
        assert_eq!(numbers(&up), (3, 1.into(), Ratio::new(-1, 2)));
        let top = up.through(&map(1, 1, -1, 1)).unwrap();
        // Units 0: positions -1 and 0 of the small map, unit 1: 0 and 1.
        assert_eq!(top.at(0), Some((-3, 1)));
        assert_eq!(top.at(1), Some((-1, 3)));
        assert_eq!(top.size(), 5);
        // Down again, and the phases are gone.
        let down = top.through(&map(2, 1, 0, 1)).unwrap();
        assert_eq!(numbers(&down), (7, 2.into(), 0.into()));
    }

    #[test]
    fn units_that_see_nothing_are_known() {
        // A transposed window of one tap and stride 2.
        let holes = Field::identity().through(&map(1, 2, 0, 0)).unwrap();
        assert_eq!(holes.at(0), Some((0, 0)));
        assert_eq!(holes.at(1), None);
        let filled = holes.through(&map(1, 1, 0, 1)).unwrap();
        assert_eq!(filled.at(1), Some((1, 1)));
        assert_eq!(filled.size(), 1);
    }

    #[test]
    fn branches_join_in_their_hull() {
        let (a, b) = (chain(&[(3, 1, 1)]), chain(&[(5, 1, 2)]));
        assert_eq!(a.union(&b), Some(b.clone()));
        let even = chain(&[(2, 1, 0)]);
        assert_eq!(even.union(&a).unwrap().at(0), Some((-1, 1)));
        assert_eq!(chain(&[(3, 2, 1)]).union(&a), None);
    }

    #[test]
    fn hostile_strides_are_refused() {
        let far = map(i64::MAX, 1, 0, 1);
        let field = Field::identity().through(&far).unwrap();
        assert_eq!(field.through(&far), None);
        assert_eq!(field.shift(7, 224), None);
        assert_eq!(Field::identity().through(&map(1, 1 << 40, 0, 0)), None);
        assert_eq!(Field::identity().through(&map(1, 1, 0, i64::MAX - 1)), None);
    }
}
