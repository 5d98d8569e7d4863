//! Operators on strings, which CNNs hold at most beside their pre-processing:
//! types and shapes only.

use super::elementwise::broadcast_inputs;
use super::reach::broadcast_path;
use super::{Cost, Cx, Gap, Operator, Path, Reach, output_shape};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node};

/// An operator on strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// Element by element, two inputs broadcast.
    Concat,
    /// Whether each string matches.
    Match,
    /// The parts of each string, and how many.
    Split,
    /// Changes case and drops strings.
    Normalize,
    /// Counts of n-grams, so many columns.
    Ngrams(i64),
}

/// Reads the node.
///
/// # Errors
/// Another operator, or `TfIdfVectorizer` without n-grams.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    Ok(Box::new(match node.op.as_str() {
        "StringConcat" => Text::Concat,
        "RegexFullMatch" => Text::Match,
        "StringSplit" => Text::Split,
        "StringNormalizer" => Text::Normalize,
        "TfIdfVectorizer" => {
            let largest = node.attrs.ints("ngram_indexes").unwrap_or_default();
            let largest = largest.iter().max().copied();
            let largest = largest.filter(|&v| v >= 0);
            Text::Ngrams(largest.ok_or_else(|| Gap::new("ngram_indexes are missing"))?)
        }
        other => return Err(Gap::new(format!("{other} does not read strings"))),
    }))
}

impl Operator for Text {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let of = |dtype, shape| Fact::new(Some(dtype), shape);
        let input = cx.shape(0)?.to_vec();
        Ok(match self {
            Self::Concat => vec![of(DataType::String, broadcast_inputs(cx)?)],
            Self::Match => vec![of(DataType::Bool, input)],
            Self::Split => {
                let mut parts = input.clone();
                parts.push(cx.unknown("parts"));
                vec![of(DataType::String, parts), of(DataType::Int64, input)]
            }
            Self::Normalize => {
                let mut shape = input;
                if let Some(last) = shape.last_mut() {
                    *last = cx.unknown("count");
                }
                vec![of(DataType::String, shape)]
            }
            Self::Ngrams(largest) => {
                let mut shape = input;
                shape.pop();
                shape.push(Expr::from(*largest) + 1.into());
                vec![of(DataType::Float, shape)]
            }
        })
    }

    /// No arithmetic on numbers.
    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let shape = output_shape(out, output)?;
        Ok(match self {
            Self::Concat => Reach(
                (0..cx.inputs.len())
                    .map(|i| Ok(Some(broadcast_path(cx.shape(i)?, shape))))
                    .collect::<Result<_, Gap>>()?,
            ),
            Self::Match => Reach::first(Path::pointwise(shape.len())),
            Self::Split | Self::Normalize | Self::Ngrams(_) => {
                Reach::first(Path::global(shape.len()))
            }
        })
    }
}
