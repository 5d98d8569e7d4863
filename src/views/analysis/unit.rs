//! What one unit sees.

use super::UnitFindings;
use crate::output::Block;
use crate::units;
use crate::views::sizes;

/// Its rectangle, and the gaussian of its effective field.
pub fn blocks(found: &UnitFindings) -> Vec<Block> {
    let unit = &found.unit;
    let range = |(lo, hi): &(i64, i64)| format!("{lo} to {hi}");
    let axes = |parts: Vec<String>| parts.join(", ");
    let rectangle = match &unit.rectangle {
        Some(axis) => {
            let extent: Vec<i64> = axis.iter().map(|(lo, hi)| hi - lo + 1).collect();
            let ranges = axes(axis.iter().map(range).collect());
            format!("{ranges} ({} of {})", sizes(&extent), sizes(&unit.image))
        }
        None => "nothing of it".into(),
    };
    let mut facts = vec![("sees", format!("{}: {rectangle}", unit.input))];
    if unit.field.iter().any(Option::is_some) {
        let field = unit
            .field
            .iter()
            .map(|f| f.as_ref().map_or("all".into(), range));
        facts.push(("field, padding included", axes(field.collect())));
        let gaussian = unit
            .centre
            .iter()
            .zip(&unit.effective_sigma)
            .map(|both| match both {
                (Some(centre), Some(sigma)) => format!("{centre} ± {}", units::small(sigma.0)),
                _ => "all".into(),
            });
        facts.push(("effective, as a gaussian", axes(gaussian.collect())));
    }
    if unit.global_context {
        facts.push(("besides", "statistics of the whole plane".into()));
    }
    if let Some(file) = &found.crop {
        facts.push(("written", file.clone()));
    }
    let place: Vec<String> = unit.position.iter().map(ToString::to_string).collect();
    let heading = if place.is_empty() {
        format!("A unit of {}", unit.node)
    } else {
        format!("Unit {} of {}", place.join(","), unit.node)
    };
    vec![Block::Heading(heading), Block::Facts(facts)]
}
