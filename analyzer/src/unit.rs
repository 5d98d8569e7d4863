//! The answer to "what does this unit see?".

use std::collections::HashMap;

use compiler::facts::{Facts, Scope};
use compiler::ir::{Expr, NodeId};
use serde::Serialize;

use crate::number::{Exact, Real};
use crate::receptive::{AxisSight, Fields, InputAxis, Reader, Rectangle, Sight, UnitError};
use crate::study::Study;

/// What one unit of a layer sees of an input, by spatial axis of the input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// The layer.
    pub node: String,
    /// Its first output.
    pub output: String,
    /// The unit's position along the output's axes that follow the input.
    pub position: Vec<i64>,
    /// The graph input.
    pub input: String,
    /// Size of the input.
    pub image: Vec<i64>,
    /// First and last pixel that it depends on, within the image; `None` where
    /// it sees nothing of it.
    pub rectangle: Option<Rectangle>,
    /// The same by the field's formula, padding included; `None` where the
    /// field does not move along an axis.
    pub field: Vec<Option<(i64, i64)>>,
    /// Mean of first and last pixel of the field.
    pub centre: Vec<Option<Exact>>,
    /// Standard deviation of the field under uniform weights: the effective
    /// field is close to a gaussian around the centre (Luo et al. 2016).
    pub effective_sigma: Vec<Option<Real>>,
    /// Statistics of the whole plane flow in besides.
    pub global_context: bool,
}

/// What the questions about single units are answered from.
pub(crate) struct OneSample {
    /// Facts and fields of a batch of one, where the model leaves it open.
    single: Option<(Facts, Fields)>,
    reader: Reader,
}

impl OneSample {
    fn of(study: &Study) -> Self {
        let batch = study.graph.inputs.iter().filter_map(|&input| {
            let shape = study.facts.value(input).shape.as_ref()?;
            let (first, rest) = shape.split_first()?;
            let rest: Vec<i64> = rest.iter().map(Expr::as_i64).collect::<Option<_>>()?;
            let name = study.graph.value(input).name.clone();
            (first.as_i64().is_none()).then(|| (name, [vec![1], rest].concat()))
        });
        let mut input_shapes: HashMap<String, Vec<i64>> = batch.collect();
        let open = !input_shapes.is_empty();
        input_shapes.extend(study.options.input_shapes.clone());
        let scope = Scope::of_inputs(input_shapes);
        let facts = open.then(|| study.model.facts(&scope).ok()).flatten();
        let single = facts.map(|facts| {
            let fields = Fields::trace(study.graph, &facts);
            (facts, fields)
        });
        let (facts, fields) = single
            .as_ref()
            .map_or((&study.facts, &study.fields), |(a, b)| (a, b));
        let reader = Reader::new(study.graph, facts, fields);
        Self { single, reader }
    }
}

impl Study<'_> {
    /// What the unit at `position` of a node's first output sees; without a
    /// position the middle one. The position has one number for each axis of
    /// the output along which the view moves (height and width). Where the
    /// model leaves the size of the batch open it is taken as one.
    ///
    /// # Errors
    /// [`UnitError`].
    pub fn unit(&self, node: &str, position: Option<&[i64]>) -> Result<Unit, UnitError> {
        let missing = || UnitError::NoNode(node.to_owned());
        let named = |id: &&NodeId| self.graph.node_name(**id) == node;
        let id = *self.graph.order().iter().find(named).ok_or_else(missing)?;
        let outputs = &self.graph.node(id).outputs;
        let value = *outputs.iter().flatten().next().ok_or_else(missing)?;
        let output = self.graph.value(value).name.clone();
        let one = self.one.get_or_init(|| OneSample::of(self));
        let (facts, fields) = one
            .single
            .as_ref()
            .map_or((&self.facts, &self.fields), |(a, b)| (a, b));
        let (input, traced) = self
            .layout
            .seen_by(fields, value)
            .ok_or_else(|| UnitError::NoImage(node.to_owned()))?;
        let shape = facts.value(value).shape.as_ref();
        let sizes: Vec<i64> = shape
            .and_then(|s| s.iter().map(Expr::as_i64).collect())
            .ok_or_else(|| UnitError::Symbolic(output.clone()))?;
        let sights: Vec<Option<&AxisSight>> = traced.iter().map(|&a| fields.of(value, a)).collect();
        let axes = moving(&sights);
        let places = self.places(node, &sizes, &axes, position)?;
        let mut units: Rectangle = sizes.iter().map(|&s| (0, s - 1)).collect();
        for (&axis, &place) in axes.iter().zip(&places) {
            units[axis] = (place, place);
        }
        let found = one.reader.seen(value, &units)?;
        let read = traced
            .first()
            .and_then(|a| found.inputs.get(a.input)?.clone());
        let rectangle = read.and_then(|r| traced.iter().map(|a| r.get(a.axis).copied()).collect());
        let seen: Vec<Option<(i64, i64)>> = sights
            .iter()
            .map(|sight| match &(*sight)?.sight {
                Sight::Local { axis, field } => {
                    let index = axes.iter().position(|a| a == axis)?;
                    field.at(places[index])
                }
                _ => None,
            })
            .collect();
        let middle = |(lo, hi): (i64, i64)| Exact(num_rational::Ratio::new(lo + hi, 2));
        Ok(Unit {
            node: node.to_owned(),
            output,
            position: places,
            input: input.clone(),
            image: self.image(input, traced)?,
            rectangle,
            centre: seen.iter().map(|f| f.map(middle)).collect(),
            field: seen,
            effective_sigma: sights
                .iter()
                .map(|s| (*s).and_then(|s| s.size().map(|_| Real(s.variance.sqrt()))))
                .collect(),
            global_context: found.context || sights.iter().flatten().any(|s| s.context),
        })
    }

    fn image(&self, input: &str, axes: &[InputAxis]) -> Result<Vec<i64>, UnitError> {
        axes.iter()
            .map(|&axis| self.fields.input_size(axis))
            .collect::<Option<_>>()
            .ok_or_else(|| UnitError::Symbolic(input.to_owned()))
    }

    /// The position along each axis: the given one, checked, or the middle.
    fn places(
        &self,
        node: &str,
        sizes: &[i64],
        axes: &[usize],
        given: Option<&[i64]>,
    ) -> Result<Vec<i64>, UnitError> {
        let along: Vec<i64> = axes.iter().map(|&a| sizes[a]).collect();
        let places = match given {
            // What sees all of the input everywhere has one unit.
            Some(given) if along.is_empty() && given.iter().all(|&p| p == 0) => Vec::new(),
            Some(given) => given.to_vec(),
            None => along.iter().map(|s| s / 2).collect(),
        };
        let fits = places.len() == along.len()
            && places.iter().zip(&along).all(|(p, s)| (0..*s).contains(p));
        let list = |v: &[i64], by: &str| {
            let parts: Vec<String> = v.iter().map(ToString::to_string).collect();
            parts.join(by)
        };
        if fits {
            Ok(places)
        } else {
            Err(UnitError::Position {
                node: node.to_owned(),
                shape: list(&along, "x"),
                position: list(&places, ","),
            })
        }
    }
}

/// The output axes along which what is seen changes, in the input's order.
fn moving(sights: &[Option<&AxisSight>]) -> Vec<usize> {
    let mut axes: Vec<usize> = Vec::new();
    for sight in sights.iter().flatten() {
        let axis = match &sight.sight {
            Sight::Local { axis, .. } => Some(*axis),
            Sight::Scattered { axis, .. } => *axis,
            Sight::Whole | Sight::Unknown(_) => None,
        };
        if let Some(axis) = axis
            && !axes.contains(&axis)
        {
            axes.push(axis);
        }
    }
    axes
}
