//! Symbolic weights, computed.

use std::collections::HashMap;
use std::sync::Arc;

use egg::{Id, Language, RecExpr};

use super::lang::{Chain, Term};
use crate::facts::Facts;
use crate::fit::{Fit, Kernel, compose, compose_bias};
use crate::ir::{DataType, ValueId};

/// The elements of a weight term, in float64, with the type to write.
#[derive(Clone, Debug)]
pub struct Elements {
    /// Type of the original weights.
    pub dtype: DataType,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Arc<Vec<f64>>,
}

/// A fit is known by the weights that it factorizes, as [`key`] writes them,
/// and the chain of factors.
pub type FitKey = (String, Chain);

/// A term of weights in words, equal for equal terms.
pub fn key(expr: &RecExpr<Term>, id: Id) -> String {
    let term = &expr[id];
    let children: Vec<String> = term.children().iter().map(|&c| key(expr, c)).collect();
    match term {
        Term::Scaled(e, _) | Term::Shifted(e, _) => {
            format!("{term}:{e:x}({})", children.join(","))
        }
        _ if children.is_empty() => term.to_string(),
        _ => format!("{term}({})", children.join(",")),
    }
}

/// Computes weight terms of one chain.
pub struct Weights<'a> {
    /// The term that the weights are part of.
    pub expr: &'a RecExpr<Term>,
    /// Facts of the graph.
    pub facts: &'a Facts,
    /// The chain's constants.
    pub constants: &'a [ValueId],
    /// Fits made so far.
    pub fits: &'a HashMap<FitKey, Arc<Fit>>,
}

impl Weights<'_> {
    /// The elements of a term of weights.
    ///
    /// # Errors
    /// A constant whose data are not at hand, in words for a report.
    pub fn class(&self, id: Id) -> Result<Elements, String> {
        match &self.expr[id] {
            Term::Constant(i) => self.constant(*i),
            Term::Scaled(epsilon, [w, scale, variance]) => {
                let factor = self.normalizer(*epsilon, *scale, *variance)?;
                let mut w = self.class(*w)?;
                let block = w.data.len() / w.shape.first().copied().unwrap_or(1).max(1);
                let data = w.data.iter().enumerate();
                w.data = Arc::new(data.map(|(i, v)| v * factor[i / block.max(1)]).collect());
                Ok(w)
            }
            Term::Shifted(epsilon, [bias, scale, shift, mean, variance]) => {
                let factor = self.normalizer(*epsilon, *scale, *variance)?;
                let (shift, mean) = (self.class(*shift)?, self.class(*mean)?);
                let bias = self.bias(*bias, factor.len())?;
                let data = (0..factor.len())
                    .map(|i| shift.data[i] + (bias[i] - mean.data[i]) * factor[i])
                    .collect();
                Ok(Elements {
                    dtype: self.class(*scale)?.dtype,
                    shape: vec![factor.len()],
                    data: Arc::new(data),
                })
            }
            Term::Sum([bias, constant, weights]) => {
                let (added, w) = (self.class(*constant)?, self.class(*weights)?);
                let n = w.shape[0];
                let bias = self.bias(*bias, n)?;
                let at = |i: usize| added.data[if added.data.len() == 1 { 0 } else { i }];
                Ok(Elements {
                    dtype: w.dtype,
                    shape: vec![n],
                    data: Arc::new((0..n).map(|i| bias[i] + at(i)).collect()),
                })
            }
            Term::Factor(chain, part, [w]) => {
                let fit = self.fit(*w, chain)?;
                let kernel = &fit.factors[*part as usize];
                let mut shape = vec![kernel.out, kernel.inp];
                shape.extend(&kernel.spatial);
                Ok(Elements {
                    dtype: self.class(*w)?.dtype,
                    shape,
                    data: Arc::new(kernel.data.clone()),
                })
            }
            Term::Corrected(chain, [bias, w]) => {
                let fit = self.fit(*w, chain)?;
                let weights = self.class(*w)?;
                let bias = self.bias(*bias, weights.shape[0])?;
                let data = match &fit.bias_correction {
                    Some(c) => bias.iter().zip(c).map(|(b, c)| b + c).collect(),
                    None => bias,
                };
                Ok(Elements {
                    dtype: weights.dtype,
                    shape: vec![weights.shape[0]],
                    data: Arc::new(data),
                })
            }
            Term::Embedded(border, [w]) => {
                let w = self.class(*w)?;
                let border: Vec<usize> = border.iter().map(|&b| b as usize).collect();
                Ok(embedded(&w, &border))
            }
            Term::Composed(steps, parts) => {
                let first = *parts.first().ok_or("a series of no weights")?;
                let dtype = self.class(first)?.dtype;
                let parts: Vec<Kernel> = parts
                    .iter()
                    .map(|&w| self.kernel(w, 1))
                    .collect::<Result<_, _>>()?;
                let steps: Vec<Vec<usize>> = steps
                    .iter()
                    .map(|step| step.iter().map(|&s| s as usize).collect())
                    .collect();
                let kernel = compose(&parts, &steps).map_err(|e| e.to_string())?;
                let mut shape = vec![kernel.out, kernel.inp];
                shape.extend(&kernel.spatial);
                Ok(Elements {
                    dtype,
                    shape,
                    data: Arc::new(kernel.data),
                })
            }
            Term::Carried([before, weights, after]) => {
                let kernel = self.kernel(*weights, 1)?;
                let before = self.bias(*before, kernel.channels())?;
                let carried = compose_bias(&before, &kernel).map_err(|e| e.to_string())?;
                let after = self.bias(*after, kernel.out)?;
                Ok(Elements {
                    dtype: self.class(*weights)?.dtype,
                    shape: vec![kernel.out],
                    data: Arc::new(carried.iter().zip(&after).map(|(a, b)| a + b).collect()),
                })
            }
            Term::Source | Term::Missing | Term::Op(..) => Err("no weights".into()),
        }
    }

    /// A class of convolution weights as a kernel of so many groups.
    ///
    /// # Errors
    /// As [`Self::class`]; weights that are not finite.
    pub fn kernel(&self, id: Id, groups: usize) -> Result<Kernel, String> {
        let w = self.class(id)?;
        let [out, inp, spatial @ ..] = w.shape.as_slice() else {
            return Err("weights of a rank below 2".into());
        };
        Kernel::new(*out, *inp, spatial.to_vec(), groups, w.data.to_vec())
            .map_err(|e| e.to_string())
    }

    fn fit(&self, w: Id, chain: &Chain) -> Result<&Fit, String> {
        self.fits
            .get(&(key(self.expr, w), chain.clone()))
            .map(AsRef::as_ref)
            .ok_or_else(|| "the factorization was not computed".into())
    }

    fn bias(&self, id: Id, len: usize) -> Result<Vec<f64>, String> {
        if self.expr[id] == Term::Missing {
            return Ok(vec![0.0; len]);
        }
        let bias = self.class(id)?;
        if bias.data.len() == len {
            Ok(bias.data.to_vec())
        } else {
            Err(format!("a bias of {} for {len} channels", bias.data.len()))
        }
    }

    /// BatchNormalization's factor: scale / √(variance + ε), a channel.
    fn normalizer(&self, epsilon: u32, scale: Id, variance: Id) -> Result<Vec<f64>, String> {
        let (scale, variance) = (self.class(scale)?, self.class(variance)?);
        let epsilon = f64::from(f32::from_bits(epsilon));
        let factor: Vec<f64> = scale
            .data
            .iter()
            .zip(variance.data.iter())
            .map(|(s, v)| s / (v + epsilon).sqrt())
            .collect();
        if factor.iter().all(|f| f.is_finite()) {
            Ok(factor)
        } else {
            Err("the BatchNormalization's scale and variance give no finite factor".into())
        }
    }

    fn constant(&self, i: u32) -> Result<Elements, String> {
        let value = *self.constants.get(i as usize).ok_or("no such constant")?;
        let tensor = self.facts.value(value).tensor();
        let tensor = tensor.ok_or("a constant that is not numeric")?;
        let data = tensor
            .to_f64()
            .ok_or("its weights are not at hand (external data file missing?)")?;
        Ok(Elements {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            data: Arc::new(data),
        })
    }
}

/// The elements with zeros around each spatial axis.
fn embedded(w: &Elements, border: &[usize]) -> Elements {
    let (from, mut shape) = (&w.shape[2..], w.shape.clone());
    shape[2..]
        .iter_mut()
        .zip(border)
        .for_each(|(s, b)| *s += 2 * b);
    let place = |i: usize| {
        let mut rest = i;
        let mut at: Vec<usize> = from
            .iter()
            .rev()
            .map(|k| {
                let p = rest % k;
                rest /= k;
                p
            })
            .collect();
        at.reverse();
        let inner = at.iter().zip(border).zip(&shape[2..]);
        rest * shape[2..].iter().product::<usize>()
            + inner.fold(0, |acc, ((p, b), k)| acc * k + p + b)
    };
    let mut data = vec![0.0; shape.iter().product()];
    for (i, v) in w.data.iter().enumerate() {
        data[place(i)] = *v;
    }
    Elements {
        dtype: w.dtype,
        shape,
        data: Arc::new(data),
    }
}
