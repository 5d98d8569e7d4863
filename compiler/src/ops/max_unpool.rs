//! `MaxUnpool` (opset 9 on): the inverse of a max pool, elements put back where
//! the indices say.

use super::window::WindowAttrs;
use super::{AxisReach, Cost, Cx, Gap, Operator, Path, Reach, Role, Window, same_type};
use crate::facts::Fact;
use crate::ir::Node;

/// Inputs: elements (N, C, *spatial*), their indices, optionally the output shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MaxUnpool {
    window: WindowAttrs,
}

/// Reads the node.
///
/// # Errors
/// Attributes outside the standard.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let window = WindowAttrs::parse(&node.attrs)?;
    Ok(Box::new(MaxUnpool { window }))
}

impl MaxUnpool {
    fn window_of(&self, cx: &Cx) -> Result<Window, Gap> {
        let shape = cx.shape(0)?;
        if shape.len() < 3 {
            return Err(Gap::new(format!("an input of rank {}", shape.len())));
        }
        self.window.scatter(&shape[2..], None, None, None)
    }
}

impl Operator for MaxUnpool {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let input = cx.shape(0)?;
        if input.len() < 3 {
            return Err(Gap::new(format!("an input of rank {}", input.len())));
        }
        let shape = if cx.optional(2).is_some() {
            match cx.ints(2) {
                Ok(Some(shape)) if shape.len() == input.len() => shape,
                Ok(Some(shape)) => {
                    return Err(Gap::new(format!(
                        "an output shape of {} axes for an input of rank {}",
                        shape.len(),
                        input.len()
                    )));
                }
                _ => (0..input.len()).map(|i| cx.unknown(i)).collect(),
            }
        } else {
            let window = self.window_of(cx)?;
            let spatial = window.axes.into_iter().map(|a| a.output);
            input[..2].iter().cloned().chain(spatial).collect()
        };
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    fn cost(&self, _cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        Ok(Cost::free())
    }

    /// An output position takes an element of a window that covers it. Where an
    /// output shape is given, the indices may be those of another layout.
    fn reach(&self, cx: &Cx, out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let rank = out[0].known_shape()?.len();
        let path = if cx.optional(2).is_some() {
            let mut path = Path::pointwise(rank);
            path.axes[2..].fill(AxisReach::Free);
            path
        } else {
            Path::window(&self.window_of(cx)?, false)?
        };
        Ok(Reach(vec![Some(path.clone()), Some(path)]))
    }

    fn role(&self, slot: usize) -> Role {
        if slot == 2 { Role::Config } else { Role::Data }
    }

    fn window(&self, cx: &Cx) -> Option<Window> {
        self.window_of(cx).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact, ints};

    #[test]
    fn undoes_a_pool() {
        let (x, shape) = (fact("1 1 H 2"), ints(&[1, 1, 5, 5]));
        let case = || {
            Case::new("MaxUnpool", 11)
                .ints("kernel_shape", &[2, 2])
                .ints("strides", &[2, 2])
                .on(&[&x, &x])
        };
        assert_eq!(case().shapes(), ["1 1 2*H 4"]);
        assert_eq!(case().on(&[&shape]).shapes(), ["1 1 5 5"]);
    }
}
