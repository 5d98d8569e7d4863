//! Sequences and optional values: lists of tensors of which only the element
//! type is followed.

use super::identity::data_type;
use super::{Cost, Cx, Gap, Operator, Reach, Role, same_type};
use crate::facts::Fact;
use crate::ir::{DataType, Node};

/// An operator on sequences or optional values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// The output has the first input's element type.
    Typed,
    /// An empty sequence of this element type.
    Empty(DataType),
    /// How many tensors there are.
    Length,
    /// Whether there is a value.
    Has,
    /// What the subgraph gives for each element.
    Map,
    /// The value inside, or the value itself.
    Element,
}

/// Reads the node.
///
/// # Errors
/// An element type that is none.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "SequenceEmpty" => Sequence::Empty(data_type(node, "dtype")?.unwrap_or(DataType::Float)),
        "SequenceLength" => Sequence::Length,
        "OptionalHasElement" => Sequence::Has,
        "OptionalGetElement" | "Optional" => Sequence::Element,
        "SequenceMap" => Sequence::Map,
        _ => Sequence::Typed,
    }))
}

impl Operator for Sequence {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let scalar = |dtype| vec![Fact::new(Some(dtype), Vec::new())];
        Ok(match self {
            Self::Typed => vec![Fact::unranked(same_type(cx))],
            Self::Empty(dtype) => vec![Fact::unranked(Some(*dtype))],
            Self::Length => scalar(DataType::Int64),
            Self::Has => scalar(DataType::Bool),
            Self::Map => cx
                .nested
                .first()
                .map(|(_, facts)| facts.iter().map(|f| Fact::unranked(f.dtype)).collect())
                .ok_or_else(|| Gap::new("the subgraph is missing or nested too deeply"))?,
            Self::Element => vec![cx.optional(0).map_or_else(Fact::default, |f| Fact {
                dtype: f.dtype,
                shape: f.shape.clone(),
                ..Fact::default()
            })],
        })
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        match self {
            Self::Length | Self::Has | Self::Empty(_) => Ok(Reach::none()),
            _ => Err(Gap::new("what flows through a sequence is not followed")),
        }
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 0 { Role::Data } else { Role::Config }
    }

    /// Each element of the sequences (or a whole tensor), its shape not known.
    fn bind(&self, cx: &Cx, _attribute: &str) -> Vec<Fact> {
        (0..cx.inputs.len())
            .map(|slot| match cx.optional(slot) {
                Some(fact) => Fact {
                    dtype: fact.dtype,
                    shape: fact.shape.clone(),
                    weighted: fact.weighted,
                    ..Fact::default()
                },
                None => Fact::default(),
            })
            .collect()
    }
}
