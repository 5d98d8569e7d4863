//! How the units of a value see one axis of an input, and how that changes
//! along a path and where paths meet.

use std::sync::Arc;

use compiler::ops::{AxisReach, Map, Path, Window, WindowAxis};
use num_rational::Ratio;

use super::{Field, Taps};

/// How the units of a value see one axis of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// Through a field that moves along an axis of the value.
    Local {
        /// The value's axis.
        axis: usize,
        /// What its units see.
        field: Field,
    },
    /// A part of it, which does not move evenly along an axis of the value
    /// (what was inside a merged axis; pieces in a new order; one unit alone).
    Scattered {
        /// The value's axis along which the parts differ, if any.
        axis: Option<usize>,
        /// Positions from the first to the last that a unit sees, the most.
        size: i64,
    },
    /// All of it.
    Whole,
    /// Not known, with the reason.
    Unknown(Arc<str>),
}

/// A [`Sight`] with what comes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisSight {
    /// What is seen.
    pub sight: Sight,
    /// Variance of the field under uniform weights, in input positions
    /// squared; the largest of the paths.
    pub variance: f64,
    /// Shift of the centre that one-sided padding of windows has added up to
    /// along the path, in input positions; the largest of the paths.
    pub skew: Ratio<i64>,
    /// Statistics of the whole axis flow in besides.
    pub context: bool,
    /// A branch flows in whose field is not known, with the reason.
    pub incomplete: Option<Arc<str>>,
    /// How far apart the centres of the branches are that met in this value.
    pub misalignment: Option<Ratio<i64>>,
    /// Branches have met of which one has units that see nothing. A unit's
    /// place along this axis then says which branch it sees along the others
    /// too, where the field is the hull of what all units at one place see
    /// together.
    pub ragged: bool,
}

impl AxisSight {
    /// What is seen of a graph input itself.
    pub(crate) fn input(axis: usize) -> Self {
        Self::new(Sight::Local {
            axis,
            field: Field::identity(),
        })
    }

    pub(crate) fn new(sight: Sight) -> Self {
        Self {
            sight,
            variance: 0.0,
            skew: 0.into(),
            context: false,
            incomplete: None,
            misalignment: None,
            ragged: false,
        }
    }

    /// The field, where it moves along an axis of the value.
    pub fn field(&self) -> Option<&Field> {
        match &self.sight {
            Sight::Local { field, .. } => Some(field),
            _ => None,
        }
    }

    /// Positions from the first to the last that a unit sees; `None` where it
    /// sees the whole axis or that is not known.
    pub fn size(&self) -> Option<i64> {
        match &self.sight {
            Sight::Local { field, .. } => Some(field.size()),
            Sight::Scattered { size, .. } => Some(*size),
            Sight::Whole | Sight::Unknown(_) => None,
        }
    }

    /// What is seen through one more layer.
    pub(crate) fn through(&self, step: &Step) -> Self {
        let mut next = Self {
            misalignment: None,
            ..self.clone()
        };
        next.context |= step.path.context && !matches!(self.sight, Sight::Whole);
        match &self.sight {
            Sight::Local { axis, field } => match step.path.follower(*axis) {
                Some((to, map)) => next.slide(field, to, step, map),
                None if step.inner(*axis).is_some() => {
                    next.sight = Sight::Scattered {
                        axis: step.inner(*axis),
                        size: field.size(),
                    };
                }
                None if step.sizes.get(*axis) == Some(&Some(1)) => next.sight = step.point(field),
                None => next.sight = Sight::Whole,
            },
            Sight::Scattered {
                axis: Some(axis),
                size,
            } => match step.path.follower(*axis) {
                Some((to, map)) if step.taps(to, map).single() => {
                    next.sight = Sight::Scattered {
                        axis: Some(to),
                        size: *size,
                    };
                }
                Some(_) => {
                    next.sight = Sight::Unknown(
                        "a window slides over an axis that holds rearranged positions".into(),
                    );
                }
                None if step.inner(*axis).is_some() => {
                    next.sight = Sight::Scattered {
                        axis: step.inner(*axis),
                        size: *size,
                    };
                }
                None if step.sizes.get(*axis) == Some(&Some(1)) => {
                    next.sight = Sight::Scattered {
                        axis: None,
                        size: *size,
                    };
                }
                None => next.sight = Sight::Whole,
            },
            Sight::Scattered { axis: None, .. } | Sight::Whole | Sight::Unknown(_) => {}
        }
        next
    }

    fn slide(&mut self, field: &Field, to: usize, step: &Step, map: Map) {
        let taps = step.taps(to, map);
        let Some(moved) = field.through(&taps) else {
            self.sight = Sight::Unknown("the positions are too many to follow".into());
            return;
        };
        #[allow(clippy::cast_precision_loss)]
        let jump = *field.jump().numer() as f64 / *field.jump().denom() as f64;
        self.variance += jump * jump * taps.variance();
        if let Some(skew) = step.skew(to) {
            // Sizes within [`Field`]'s bounds keep this within 64 bits.
            let added = Ratio::new(i128::from(skew), 2)
                * Ratio::new(
                    i128::from(*field.jump().numer()),
                    i128::from(*field.jump().denom()),
                )
                + Ratio::new(
                    i128::from(*self.skew.numer()),
                    i128::from(*self.skew.denom()),
                );
            if let (Ok(n), Ok(d)) = ((*added.numer()).try_into(), (*added.denom()).try_into()) {
                self.skew = Ratio::new_raw(n, d);
            }
        }
        self.sight = Sight::Local {
            axis: to,
            field: moved,
        };
    }

    /// What a layer sees that reads several branches.
    pub(crate) fn join(branches: Vec<Branch>) -> Option<Self> {
        let mut joined = branches.first()?.sight.clone();
        if branches.len() == 1 {
            return Some(joined);
        }
        let all = || branches.iter().map(|b| &b.sight);
        joined.variance = all().map(|s| s.variance).fold(0.0, f64::max);
        joined.skew = all()
            .map(|s| s.skew)
            .max_by_key(|s| (*s.numer()).unsigned_abs())
            .unwrap_or_default();
        joined.context = all().any(|s| s.context);
        joined.ragged = all().any(|s| s.ragged || s.field().is_some_and(Field::has_holes));
        joined.incomplete = all().find_map(|s| s.incomplete.clone());
        let local: Vec<&Branch> = branches
            .iter()
            .filter(|b| matches!(b.sight.sight, Sight::Local { .. }))
            .collect();
        let scattered = all().filter(|s| matches!(s.sight, Sight::Scattered { .. }));
        let whole = all().any(|s| s.sight == Sight::Whole);
        let unknown = all().find_map(|s| match &s.sight {
            Sight::Unknown(reason) => Some(reason.clone()),
            _ => None,
        });
        if local.is_empty() {
            joined.sight = match (Self::largest(scattered), whole, &unknown) {
                (Some(part), ..) => part,
                (None, true, _) => Sight::Whole,
                (None, false, Some(reason)) => Sight::Unknown(reason.clone()),
                (None, false, None) => return None,
            };
        } else {
            if scattered.count() > 0 {
                joined.incomplete = joined.incomplete.or(Some(
                    "a branch whose positions are in another order flows in".into(),
                ));
            }
            (joined.sight, joined.misalignment) = hull(&local);
        }
        if !matches!(joined.sight, Sight::Whole | Sight::Unknown(_)) {
            joined.context |= whole;
            joined.incomplete = joined.incomplete.or(unknown);
        }
        Some(joined)
    }

    fn largest<'a>(parts: impl Iterator<Item = &'a Self>) -> Option<Sight> {
        parts.map(|s| s.sight.clone()).max_by_key(|s| match s {
            Sight::Scattered { size, .. } => *size,
            _ => 0,
        })
    }
}

/// What one input contributes to an output.
pub(crate) struct Branch {
    pub sight: AxisSight,
    /// The output positions, along the axis that the field moves along, at
    /// which the input is read at all, where a plain shift tells them.
    pub valid: Option<(i64, i64)>,
}

/// The hull of the fields of branches that meet, and how far their centres
/// are apart.
fn hull(branches: &[&Branch]) -> (Sight, Option<Ratio<i64>>) {
    let fields: Vec<(usize, &Field)> = branches
        .iter()
        .filter_map(|b| match &b.sight.sight {
            Sight::Local { axis, field } => Some((*axis, field)),
            _ => None,
        })
        .collect();
    let Some(&(axis, first)) = fields.first() else {
        return (Sight::Whole, None);
    };
    // Positions that meet crosswise, as in a product of queries and keys.
    if fields.iter().any(|(a, _)| *a != axis) {
        return (Sight::Whole, None);
    }
    let same = fields
        .iter()
        .all(|(_, f)| f.jump() == first.jump() && f.centre() == first.centre());
    if !same && disjoint(branches) {
        // Pieces in a row: a unit sees what one of them sees.
        let size = fields.iter().map(|(_, f)| f.size()).max().unwrap_or(0);
        let part = Sight::Scattered {
            axis: Some(axis),
            size,
        };
        return (part, None);
    }
    let mut union = Some(first.clone());
    for (_, field) in &fields[1..] {
        union = union.and_then(|u| u.union(field));
    }
    let Some(field) = union else {
        return (
            Sight::Unknown(
                format!(
                    "branches meet whose units are {} and {} pixels apart",
                    first.jump(),
                    fields
                        .iter()
                        .map(|(_, f)| f.jump())
                        .find(|j| *j != first.jump())
                        .unwrap_or_default()
                )
                .into(),
            ),
            None,
        );
    };
    let centres = || fields.iter().filter_map(|(_, f)| f.centre());
    let apart = centres().max().zip(centres().min()).map(|(a, b)| a - b);
    (Sight::Local { axis, field }, apart.filter(|_| !same))
}

fn disjoint(branches: &[&Branch]) -> bool {
    let ranges: Option<Vec<(i64, i64)>> = branches.iter().map(|b| b.valid).collect();
    let Some(mut ranges) = ranges else {
        return false;
    };
    ranges.sort_unstable();
    ranges.windows(2).all(|pair| pair[0].1 < pair[1].0)
}

/// One layer as one input sees it.
pub(crate) struct Step<'a> {
    /// How the output depends on the input.
    pub path: &'a Path,
    /// The operator's window, if it has one.
    pub window: Option<&'a Window>,
    /// Sizes of the input's axes, where they are numbers.
    pub sizes: &'a [Option<i64>],
    /// Size of the traced axis of the graph input, where it is a number.
    pub whole: Option<i64>,
}

impl Step<'_> {
    /// The window along an output axis: spatial axes are the last ones, or
    /// those before the channels.
    pub fn window(&self, axis: usize) -> Option<&WindowAxis> {
        let axes = &self.window?.axes;
        let first = [2, 1].into_iter().find(|first| {
            axes.iter().enumerate().all(|(i, w)| {
                matches!(self.path.axes.get(i + first),
                    Some(AxisReach::Follow { map, .. }) if w.map().is_ok_and(|m| m == *map))
            })
        })?;
        axes.get(axis.checked_sub(first)?)
    }

    /// The output axis that an axis of the input is inside of.
    fn inner(&self, axis: usize) -> Option<usize> {
        let mut inner = self.path.inner.iter();
        inner.find(|i| i.axis == axis).map(|i| i.output)
    }

    /// The taps along an output axis.
    pub fn taps(&self, axis: usize, map: Map) -> Taps {
        Taps::new(map, self.window(axis))
    }

    /// Twice the shift that uneven padding gives, in input steps.
    fn skew(&self, axis: usize) -> Option<i64> {
        let (begin, end) = self.window(axis)?.pads?;
        end.checked_sub(begin)
    }

    /// What is seen where the only unit of an axis is taken out.
    fn point(&self, field: &Field) -> Sight {
        match (field.at(0), self.whole) {
            (Some((lo, hi)), Some(n)) if lo <= 0 && hi >= n - 1 => Sight::Whole,
            _ => Sight::Scattered {
                axis: None,
                size: field.size(),
            },
        }
    }

    /// The output positions at which the input is read, where the map is a
    /// plain shift along `axis` of the output.
    pub fn valid(&self, axis: usize) -> Option<(i64, i64)> {
        let reach = self.path.axes.get(axis)?;
        let AxisReach::Follow { axis: from, map } = *reach else {
            return None;
        };
        let size = (*self.sizes.get(from)?)?;
        let plain = map.stride == 1 && map.upsample == 1 && map.lo == map.hi;
        plain.then(|| {
            (
                map.lo.saturating_neg(),
                size.saturating_sub(map.lo).saturating_sub(1),
            )
        })
    }
}
