//! Sets of positions along an axis.

use compiler::ops::Outside;

use super::taps::Taps;

/// Of more units than this at once the taps are not looked at one by one.
const MAX_UNITS: i64 = 1 << 16;

/// Positions as ranges (first, last), in rising order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// One range; empty if `lo` is above `hi`.
    pub fn of(lo: i64, hi: i64) -> Self {
        Self(if lo <= hi { vec![(lo, hi)] } else { Vec::new() })
    }

    fn from_unsorted(mut ranges: Vec<(i64, i64)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(ranges.len());
        for (lo, hi) in ranges {
            match joined.last_mut() {
                Some(last) if lo <= last.1.saturating_add(1) => last.1 = last.1.max(hi),
                _ => joined.push((lo, hi)),
            }
        }
        Self(joined)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last position.
    pub fn hull(&self) -> Option<(i64, i64)> {
        Some((self.0.first()?.0, self.0.last()?.1))
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_unsorted([self.0.as_slice(), &other.0].concat())
    }

    /// Whether all of `other` is in here.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|&(lo, hi)| {
            let next = self.0.partition_point(|r| r.1 < lo);
            self.0.get(next).is_some_and(|r| r.0 <= lo && hi <= r.1)
        })
    }

    /// The positions ⌊o / spread⌋ modulo `size` of these positions o: those of
    /// an axis inside a merged one.
    pub fn folded(&self, spread: i64, size: i64) -> Self {
        let (spread, size) = (spread.max(1), size.max(1));
        let whole = spread.saturating_mul(size);
        let mut read = Vec::new();
        for &(lo, hi) in &self.0 {
            let (first, last) = (lo.div_euclid(spread), hi.div_euclid(spread));
            if hi - lo >= whole || last - first >= size {
                return Self::of(0, size - 1);
            }
            let (first, last) = (first.rem_euclid(size), last.rem_euclid(size));
            if first <= last {
                read.push((first, last));
            } else {
                read.extend([(first, size - 1), (0, last)]);
            }
        }
        Self::from_unsorted(read)
    }

    /// The positions below `size` that these output positions read. Of very
    /// many units their hull is taken.
    pub fn back(&self, taps: &Taps, size: i64, outside: Outside) -> Self {
        let mut read = Vec::new();
        for &(lo, hi) in &self.0 {
            if hi.saturating_sub(lo) > MAX_UNITS {
                let (first, last) = taps.map.back(lo, hi);
                read.push((first.max(0), last.min(size - 1)));
                continue;
            }
            if outside != Outside::Nothing {
                for p in (lo..=hi).filter_map(|o| taps.at(o)) {
                    read.push((p.first.max(0), p.last().min(size - 1)));
                    // Two lengths of the input hold all that lies outside, and an
                    // edge is one position.
                    let enough = if outside == Outside::Edge {
                        0
                    } else {
                        2 * size
                    };
                    for (a, b) in [(p.first, p.last().min(-1)), (p.first.max(size), p.last())] {
                        let all = a..=b.min(a.saturating_add(enough));
                        let read_there = all.filter_map(|p| outside.position(p, size));
                        read.extend(read_there.map(|p| (p, p)));
                    }
                }
                continue;
            }
            for found in (lo..=hi).filter_map(|o| taps.at(o)?.within(size)) {
                let (first, last) = (found.first, found.last());
                if found.step == 1 {
                    read.push((first, last));
                } else {
                    let each = (0..found.count).map(|i| first + i * found.step);
                    read.extend(each.map(|p| (p, p)));
                }
            }
        }
        read.retain(|(lo, hi)| lo <= hi);
        Self::from_unsorted(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_axis_folds_back() {
        for (lo, hi, spread, size) in (0..24)
            .flat_map(|lo| (lo..24).map(move |hi| (lo, hi)))
            .flat_map(|(lo, hi)| [(1, 4), (3, 4), (2, 3)].map(|(s, n)| (lo, hi, s, n)))
        {
            let each: Vec<(i64, i64)> = (lo..=hi)
                .map(|o| o / spread % size)
                .map(|p| (p, p))
                .collect();
            let found = Ranges::of(lo, hi).folded(spread, size);
            assert_eq!(
                found,
                Ranges::from_unsorted(each),
                "{lo}..{hi} {spread} {size}"
            );
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = Ranges::from_unsorted(vec![(5, 6), (0, 1), (2, 3), (6, 9)]);
        assert_eq!(ranges, Ranges(vec![(0, 3), (5, 9)]));
        assert_eq!(ranges.union(&Ranges::of(4, 4)), Ranges::of(0, 9));
        assert_eq!(ranges.hull(), Some((0, 9)));
        assert!(Ranges::of(3, 2).is_empty());
        assert!(ranges.contains(&Ranges::of(6, 8)) && !ranges.contains(&Ranges::of(3, 5)));
    }
}
