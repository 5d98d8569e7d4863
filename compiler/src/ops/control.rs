//! `If`, `Loop`, `Scan`: nodes that run subgraphs.

use super::{Cost, Cx, Gap, Operator, Reach, Role, axis};
use crate::facts::Fact;
use crate::ir::{DataType, Expr, Node, Shape, Tensor};

/// A node that runs subgraphs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// One of two subgraphs.
    If,
    /// A subgraph a number of times, or until it says so.
    Loop,
    /// A subgraph for each slice of some inputs.
    Scan {
        /// How many inputs are cut into slices.
        scanned: i64,
        /// Along which axes.
        input_axes: Vec<i64>,
        /// Along which axes the outputs are put together.
        output_axes: Vec<i64>,
    },
    /// `Scan` of opset 8: lengths first, a batch axis before the axis that is cut.
    BatchScan {
        /// How many inputs are cut into slices.
        scanned: i64,
    },
}

/// Reads the node.
///
/// # Errors
/// `num_scan_inputs` is missing.
pub fn parse(node: &Node, opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let list = |name: &str| node.attrs.ints(name).unwrap_or_default().to_vec();
    Ok(Box::new(match node.op.as_str() {
        "If" => Control::If,
        "Loop" => Control::Loop,
        _ => {
            let scanned = node.attrs.int("num_scan_inputs");
            let scanned =
                scanned.ok_or_else(|| Gap::new("the attribute num_scan_inputs is missing"))?;
            if opset < 9 {
                Control::BatchScan { scanned }
            } else {
                Control::Scan {
                    scanned,
                    input_axes: list("scan_input_axes"),
                    output_axes: list("scan_output_axes"),
                }
            }
        }
    }))
}

/// Type and shape of a value that changes from one run to the next.
fn variable(fact: &Fact) -> Fact {
    Fact {
        dtype: fact.dtype,
        shape: fact.shape.clone(),
        weighted: fact.weighted,
        ..Fact::default()
    }
}

/// What holds of either of two values. Sizes that differ are not known.
fn either(cx: &Cx, a: &Fact, b: &Fact, output: usize) -> Fact {
    let shape = a.shape.as_ref().zip(b.shape.as_ref());
    let merged = shape.filter(|(a, b)| a.len() == b.len()).map(|(a, b)| {
        let pairs = a.iter().zip(b).enumerate();
        pairs
            .map(|(i, (a, b))| match a == b {
                true => a.clone(),
                false => cx.unknown(format!("{output}.{i}")),
            })
            .collect()
    });
    Fact {
        dtype: a.dtype.or(b.dtype),
        shape: merged,
        weighted: a.weighted || b.weighted,
        ..Fact::default()
    }
}

/// The truth of a constant.
fn truth(fact: &Fact) -> Option<bool> {
    super::moves::scalar(fact).map(|v| v != 0.0)
}

fn nested<'a>(cx: &'a Cx, name: &str) -> Result<&'a [Fact], Gap> {
    cx.nested
        .iter()
        .find(|(attribute, _)| attribute == name)
        .map(|(_, facts)| facts.as_slice())
        .ok_or_else(|| {
            Gap::new(format!(
                "the subgraph {name} is missing or nested too deeply"
            ))
        })
}

/// How often a loop runs at most: its first input.
fn limit(cx: &Cx) -> Option<Expr> {
    cx.optional(0)?.ints()?.into_iter().next()
}

/// The shape without an axis, and the size of that axis.
fn without(shape: &[Expr], at: i64) -> Result<(Shape, Expr), Gap> {
    let at = axis(at, shape.len())?;
    let mut rest = shape.to_vec();
    let size = rest.remove(at);
    Ok((rest, size))
}

impl Control {
    fn branches(cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let then = nested(cx, "then_branch");
        let otherwise = nested(cx, "else_branch");
        match cx.optional(0).and_then(truth) {
            Some(true) => Ok(then?.to_vec()),
            Some(false) => Ok(otherwise?.to_vec()),
            None => Ok(then?
                .iter()
                .zip(otherwise?)
                .enumerate()
                .map(|(i, (a, b))| either(cx, a, b, i))
                .collect()),
        }
    }

    fn looped(cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let body = nested(cx, "body")?;
        let (goes_on, body) = body
            .split_first()
            .ok_or_else(|| Gap::new("the body has no output"))?;
        let carried = cx.inputs.len().saturating_sub(2);
        let mut steady = true;
        let mut out = Vec::with_capacity(body.len());
        for (i, after) in body.iter().take(carried).enumerate() {
            let before = cx.optional(i + 2).cloned().unwrap_or_default();
            steady &= before.shape == after.shape;
            out.push(either(cx, &before, after, i));
        }
        let trips = match (truth(goes_on), limit(cx)) {
            (Some(true), Some(trips)) => trips,
            _ => cx.unknown("trips"),
        };
        for (i, element) in body.iter().enumerate().skip(carried) {
            // A carried shape that grows makes every other one uncertain.
            let size = |(axis, size): (usize, &Expr)| match steady {
                true => size.clone(),
                false => cx.unknown(format!("{i}.{axis}")),
            };
            let shape = element.shape.as_ref().map(|shape| {
                let rest = shape.iter().enumerate().map(size);
                std::iter::once(trips.clone()).chain(rest).collect()
            });
            out.push(Fact {
                shape,
                ..variable(element)
            });
        }
        Ok(out)
    }

    /// Where the states start, the scanned inputs start, and the inputs end.
    fn layout(&self, cx: &Cx) -> Result<(usize, usize, usize), Gap> {
        let (first, scanned) = match self {
            Self::BatchScan { scanned } => (1, *scanned),
            Self::Scan { scanned, .. } => (0, *scanned),
            Self::If | Self::Loop => (0, 0),
        };
        let total = cx.inputs.len();
        usize::try_from(scanned)
            .ok()
            .and_then(|scanned| total.checked_sub(scanned))
            .filter(|&states| states >= first)
            .map(|states| (first, states, total))
            .ok_or_else(|| Gap::new(format!("{scanned} scanned inputs of {total}")))
    }

    /// A slice of a scanned input, and how many there are.
    fn slice(&self, cx: &Cx, slot: usize, which: usize) -> Result<(Fact, Expr), Gap> {
        let (rest, count) = match self {
            Self::Scan { input_axes, .. } => {
                let at = input_axes.get(which).copied().unwrap_or(0);
                without(cx.shape(slot)?, at)?
            }
            _ => {
                let (inner, _) = without(cx.shape(slot)?, 0)?;
                without(&inner, 0)?
            }
        };
        let slice = Fact {
            shape: Some(rest),
            ..variable(cx.input(slot)?)
        };
        Ok((slice, count))
    }

    /// Facts of the body's inputs.
    fn scan_inputs(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (first, states, end) = self.layout(cx)?;
        let mut facts = Vec::with_capacity(end - first);
        for slot in first..states {
            let mut state = variable(cx.input(slot)?);
            if matches!(self, Self::BatchScan { .. })
                && let Some(shape) = &mut state.shape
                && !shape.is_empty()
            {
                shape.remove(0);
            }
            facts.push(state);
        }
        for slot in states..end {
            facts.push(self.slice(cx, slot, slot - states)?.0);
        }
        Ok(facts)
    }

    /// How many slices there are.
    fn length(&self, cx: &Cx) -> Result<Expr, Gap> {
        let (_, states, end) = self.layout(cx)?;
        if states == end {
            return Err(Gap::new("no input is scanned"));
        }
        Ok(self.slice(cx, states, 0)?.1)
    }

    fn scanned(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let body = nested(cx, "body")?;
        let (first, states, _) = self.layout(cx)?;
        let length = self.length(cx)?;
        let batch = match self {
            Self::BatchScan { .. } => cx.shape(states)?.first().cloned(),
            _ => None,
        };
        let mut out = Vec::with_capacity(body.len());
        for (i, after) in body.iter().enumerate() {
            let mut fact = variable(after);
            if let Some(shape) = &mut fact.shape {
                if i >= states - first {
                    let which = i + first - states;
                    let at = match self {
                        Self::Scan { output_axes, .. } => output_axes.get(which).copied(),
                        _ => None,
                    };
                    let at = axis(at.unwrap_or(0), shape.len() + 1)?;
                    shape.insert(at, length.clone());
                }
                if let Some(batch) = &batch {
                    shape.insert(0, batch.clone());
                }
            }
            let state = (first + i < states).then(|| cx.input(first + i));
            out.push(match state.transpose()? {
                Some(before) => either(cx, before, &fact, i),
                None => fact,
            });
        }
        Ok(out)
    }
}

impl Operator for Control {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        match self {
            Self::If => Self::branches(cx),
            Self::Loop => Self::looped(cx),
            Self::Scan { .. } | Self::BatchScan { .. } => self.scanned(cx),
        }
    }

    /// The nodes inside count for themselves.
    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        Err(Gap::new("what flows through a subgraph is not followed"))
    }

    fn role(&self, slot: usize) -> Role {
        match self {
            Self::If => Role::Config,
            Self::Loop if slot < 2 => Role::Config,
            Self::BatchScan { .. } if slot == 0 => Role::Config,
            _ => Role::Data,
        }
    }

    fn bind(&self, cx: &Cx, _attribute: &str) -> Vec<Fact> {
        match self {
            Self::If => Vec::new(),
            Self::Loop => {
                let scalar = |dtype| Fact::new(Some(dtype), Vec::new());
                // A condition that starts true and is passed on stays true.
                let condition = match cx.optional(1).map(truth) {
                    None | Some(Some(true)) => Tensor::from_f64(DataType::Bool, vec![], &[1.0])
                        .map_or_else(|| scalar(DataType::Bool), Fact::of),
                    _ => scalar(DataType::Bool),
                };
                let carried = (2..cx.inputs.len())
                    .map(|slot| cx.optional(slot).map(variable).unwrap_or_default());
                [scalar(DataType::Int64), condition]
                    .into_iter()
                    .chain(carried)
                    .collect()
            }
            Self::Scan { .. } | Self::BatchScan { .. } => self.scan_inputs(cx).unwrap_or_default(),
        }
    }

    /// At most: a loop's own condition may end it earlier.
    fn repeats(&self, cx: &Cx, attribute: &str) -> Expr {
        match self {
            Self::If => match cx.optional(0).and_then(truth) {
                Some(taken) => Expr::from(u32::from(taken == (attribute == "then_branch"))),
                None => 1.into(),
            },
            Self::Loop => limit(cx).unwrap_or_else(|| cx.unknown("trips")),
            Self::Scan { .. } => self.length(cx).unwrap_or_else(|_| cx.unknown("trips")),
            Self::BatchScan { .. } => {
                let batch = cx.inputs.len().checked_sub(1);
                let batch = batch.and_then(|last| cx.shape(last).ok()?.first().cloned());
                match (batch, self.length(cx)) {
                    (Some(batch), Ok(length)) => batch * length,
                    _ => cx.unknown("trips"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, constant, fact, ints, shape};
    use super::*;

    fn infer(case: &Case, nested: Vec<(String, Vec<Fact>)>) -> Vec<String> {
        let cx = Cx {
            nested,
            ..case.cx()
        };
        let facts = case.operator().unwrap().infer(&cx).unwrap();
        facts.iter().map(shape).collect()
    }

    #[test]
    fn branches_that_differ_leave_a_size_open() {
        let condition = fact("");
        let case = Case::new("If", 13).on(&[&condition]);
        let branch = |name: &str, s| (name.to_owned(), vec![fact(s)]);
        let both = vec![
            branch("then_branch", "N 3 8"),
            branch("else_branch", "N 3 4"),
        ];
        assert_eq!(infer(&case, both.clone()), ["N 3 ?node.0.2"]);
        let no = constant(DataType::Bool, &[], &[0.0]);
        let case = Case::new("If", 13).on(&[&no]);
        assert_eq!(infer(&case, both), ["N 3 4"]);
        let operator = case.operator().unwrap();
        assert_eq!(operator.repeats(&case.cx(), "then_branch"), 0.into());
    }

    #[test]
    fn a_loop_stacks_what_each_run_gives() {
        let (trips, state) = (ints(&[5]), fact("N 4"));
        let case = Case::new("Loop", 13).on(&[&trips]).skip().on(&[&state]);
        let bound = case.operator().unwrap().bind(&case.cx(), "body");
        assert_eq!(truth(&bound[1]), Some(true));
        let body = vec![bound[1].clone(), fact("N 4"), fact("7")];
        assert_eq!(infer(&case, vec![("body".into(), body)]), ["N 4", "5 7"]);
        let growing = vec![bound[1].clone(), fact("N 5"), fact("7")];
        assert_eq!(
            infer(&case, vec![("body".into(), growing)]),
            ["N ?node.0.1", "5 ?node.1.0"]
        );
    }

    #[test]
    fn a_scan_cuts_and_stacks_along_its_axes() {
        let (state, data) = (fact("4"), fact("N 9 4"));
        let case = Case::new("Scan", 11)
            .int("num_scan_inputs", 1)
            .ints("scan_input_axes", &[1])
            .ints("scan_output_axes", &[-1])
            .on(&[&state, &data]);
        let operator = case.operator().unwrap();
        let bound = operator.bind(&case.cx(), "body");
        assert_eq!(bound.iter().map(shape).collect::<Vec<_>>(), ["4", "N 4"]);
        let body = vec![("body".to_owned(), vec![fact("4"), fact("N 2")])];
        assert_eq!(infer(&case, body), ["4", "N 2 9"]);
        assert_eq!(operator.repeats(&case.cx(), "body"), 9.into());
    }
}
