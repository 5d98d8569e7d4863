//! A value's field in the words of the report.

use compiler::facts::Facts;
use compiler::ir::ValueId;

use super::sight::{AxisSight, Sight};
use super::trace::{Fields, InputAxis};
use crate::number::{Exact, Real};
use crate::report::ReceptiveField;

/// The spatial axes of the graph inputs that have any, with their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub inputs: Vec<(String, Vec<InputAxis>)>,
}

impl Layout {
    /// The first input, in the model's order, that a value depends on.
    pub fn seen_by(&self, fields: &Fields, value: ValueId) -> Option<&(String, Vec<InputAxis>)> {
        let depends = |axes: &[InputAxis]| axes.iter().any(|&a| fields.of(value, a).is_some());
        self.inputs
            .iter()
            .find(|(_, axes)| depends(axes))
            .or(self.inputs.first())
    }

    /// The spatial axes of the input to which a value's field is told.
    pub fn axes_of(&self, fields: &Fields, value: ValueId) -> &[InputAxis] {
        self.seen_by(fields, value).map_or(&[], |(_, axes)| axes)
    }

    /// What a value sees; `None` if no input has spatial axes.
    pub fn describe(
        &self,
        facts: &Facts,
        fields: &Fields,
        value: ValueId,
    ) -> Option<ReceptiveField> {
        let (name, axes) = self.seen_by(fields, value)?;
        let sights: Vec<Option<&AxisSight>> =
            axes.iter().map(|&axis| fields.of(value, axis)).collect();
        let shape = facts.value(value).shape.as_deref().unwrap_or_default();
        let shifts = axes.iter().zip(&sights).map(|(&axis, sight)| {
            let Sight::Local { axis: along, field } = &(*sight)?.sight else {
                return None;
            };
            let units = shape.get(*along)?.as_i64()?;
            field.shift(units, fields.input_size(axis)?).map(Exact)
        });
        let size = sights.iter().map(|s| s.map_or(Some(0), AxisSight::size));
        let of = |f: &dyn Fn(&AxisSight) -> Option<Exact>| each(sights.iter().map(|s| f((*s)?)));
        let known = sights.iter().flatten();
        let unknown = known.clone().find_map(|s| match &s.sight {
            Sight::Unknown(reason) => Some(reason.to_string()),
            _ => s.incomplete.as_ref().map(ToString::to_string),
        });
        Some(ReceptiveField {
            size: each(size),
            jump: of(&|s| Some(Exact(s.field()?.jump()))),
            centre: of(&|s| Some(Exact(s.field()?.centre()?))),
            shift: each(shifts),
            effective_sigma: each(sights.iter().map(|s| {
                let s = (*s)?;
                s.size().map(|_| Real(s.variance.sqrt()))
            })),
            global_context: known.clone().any(|s| s.context),
            // Along a single axis a unit sees what its field says.
            hull: axes.len() > 1 && known.clone().any(|s| s.ragged),
            padding_shift: of(&|s| s.field().map(|_| Exact(s.skew))),
            misalignment: of(&|s| s.misalignment.map(Exact)),
            input: (self.inputs.len() > 1).then(|| name.clone()),
            unknown,
        })
    }
}

/// The entries, or `None` if there is no number among them.
fn each<T>(entries: impl Iterator<Item = Option<T>>) -> Option<Vec<Option<T>>> {
    let entries: Vec<Option<T>> = entries.collect();
    entries.iter().any(Option::is_some).then_some(entries)
}
