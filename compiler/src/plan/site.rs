//! A convolution in the e-graph, with everything that a pass decides on.

use egg::Id;

use super::knowledge::{EGraph, is_missing};
use super::lang::{OpKey, Term};
use crate::fit::{FactorShape, Form};
use crate::ir::Expr;
use crate::ops::Conv;
use crate::ops::window::{AutoPad, WindowAttrs};

/// A convolution whose kernel, stride, dilation and pads are numbers.
#[derive(Clone, Debug)]
pub struct ConvSite {
    /// The node that it is or descends from.
    pub site: u32,
    /// Output channels.
    pub out: usize,
    /// Input channels of a group.
    pub inp: usize,
    /// Groups.
    pub groups: usize,
    /// Kernel, an axis.
    pub kernel: Vec<usize>,
    /// Stride, an axis.
    pub stride: Vec<usize>,
    /// Dilation, an axis.
    pub dilation: Vec<usize>,
    /// Pads, begins then ends.
    pub pads: Vec<i64>,
    /// Classes of data, weights and bias.
    pub inputs: [Id; 3],
}

impl ConvSite {
    /// Reads a convolution; `None` if the operator is another or has weights
    /// that are computed at run time.
    ///
    /// # Errors
    /// Sizes that are not numbers, in words for a report.
    pub fn read(egraph: &EGraph, key: &OpKey, children: &[Id]) -> Option<Result<Self, String>> {
        let conv = key.conv()?;
        let (&x, &w) = (children.first()?, children.get(1)?);
        if !egraph[x].data.flows || egraph[w].data.flows {
            return None;
        }
        Some(Self::sizes(
            egraph,
            key,
            conv,
            x,
            w,
            children.get(2).copied(),
        ))
    }

    fn sizes(
        egraph: &EGraph,
        key: &OpKey,
        conv: &Conv,
        x: Id,
        w: Id,
        b: Option<Id>,
    ) -> Result<Self, String> {
        let missing = egraph.lookup(Term::Missing);
        let bias = b.or(missing).unwrap_or(w);
        let shape = |id: Id| egraph[id].data.fact.shape.as_deref();
        let weights: Option<Vec<usize>> =
            shape(w).and_then(|s| s.iter().map(Expr::as_usize).collect());
        let weights = weights.ok_or("the shape of its weights is not known")?;
        let input = shape(x).ok_or("the rank of its input is not known")?;
        if weights.len() < 3 || input.len() != weights.len() {
            return Err("its input and weights do not fit each other".into());
        }
        let extent: Vec<i64> = weights[2..]
            .iter()
            .filter_map(|&k| i64::try_from(k).ok())
            .collect();
        let window = conv
            .window
            .gather(&input[2..], Some(&extent))
            .map_err(|gap| gap.to_string())?;
        let size = |v: i64| usize::try_from(v).map_err(|_| "a negative attribute".to_string());
        let mut site = Self {
            site: key.site,
            out: weights[0],
            inp: weights[1],
            groups: size(conv.groups)?,
            kernel: weights[2..].to_vec(),
            stride: Vec::new(),
            dilation: Vec::new(),
            pads: Vec::new(),
            inputs: [x, w, bias],
        };
        let mut ends = Vec::new();
        for axis in &window.axes {
            let (begin, end) = axis
                .pads
                .ok_or("auto_pad depends on a symbolic input size; give --input-shape")?;
            site.stride.push(size(axis.stride)?);
            site.dilation.push(size(axis.dilation)?);
            site.pads.push(begin);
            ends.push(end);
        }
        site.pads.extend(ends);
        Ok(site)
    }

    /// The same convolution with its kernel in the middle of a larger one, `border`
    /// zeros on each side of an axis.
    pub fn embedded(&self, border: &[usize]) -> Self {
        let pad = |b: &usize| i64::try_from(*b).unwrap_or(i64::MAX);
        let added = border.iter().chain(border).map(pad);
        Self {
            kernel: self
                .kernel
                .iter()
                .zip(border)
                .map(|(k, b)| k + 2 * b)
                .collect(),
            pads: self.pads.iter().zip(added).map(|(p, b)| p + b).collect(),
            ..self.clone()
        }
    }

    /// Weights, biases aside.
    pub fn parameters(&self) -> usize {
        self.out * self.inp * self.kernel.iter().product::<usize>()
    }

    /// Whether there is a bias.
    pub fn has_bias(&self, egraph: &EGraph) -> bool {
        !is_missing(egraph, self.inputs[2])
    }
}

/// One way to write a convolution as a chain of smaller ones.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What is fitted.
    pub form: Form,
    /// The convolutions, one a factor.
    pub convs: Vec<Conv>,
    /// Zeros around the kernel that the chain stands for, an axis; none if empty.
    pub border: Vec<usize>,
}

impl Candidate {
    /// A chain of kernels in execution order, each with its output channels and
    /// groups. All padding stands on the first factor, so that the chain equals
    /// the single convolution at the borders too; the stride stands on the last
    /// one, or on the first if `stride_first` (the later ones then move over
    /// the smaller map, with fewer taps for the same field).
    ///
    /// Returns `None` if the kernels do not span the original's field.
    pub fn serial(
        site: &ConvSite,
        kernels: &[Vec<usize>],
        widths: &[usize],
        groups: &[usize],
        stride_first: bool,
    ) -> Option<Self> {
        let last = kernels.len().checked_sub(1)?;
        let mut form = Form {
            factors: Vec::new(),
        };
        let mut convs = Vec::new();
        for (i, kernel) in kernels.iter().enumerate() {
            let strided = if stride_first { 0 } else { last };
            let after = stride_first && i > 0;
            let step: Vec<usize> = site
                .stride
                .iter()
                .map(|&s| if after { s } else { 1 })
                .collect();
            // A strided map makes one step of the later kernels s steps of the
            // input; with a dilated original only equal dilations compose.
            if after && site.dilation.iter().any(|&d| d != 1) {
                return None;
            }
            let width = *widths.get(i)?;
            form.factors
                .push(FactorShape::new(kernel.clone(), width, groups[i]).with_step(step));
            let ints = |v: &[usize]| -> Option<Vec<i64>> {
                v.iter().map(|&n| i64::try_from(n).ok()).collect()
            };
            let ones = vec![1; kernel.len()];
            let pads = if i == 0 {
                site.pads.clone()
            } else {
                vec![0; site.pads.len()]
            };
            convs.push(Conv {
                window: WindowAttrs {
                    kernel: Some(ints(kernel)?),
                    strides: Some(ints(if i == strided { &site.stride } else { &ones })?),
                    dilations: Some(ints(&site.dilation)?),
                    pads: Some(pads),
                    auto_pad: AutoPad::NotSet,
                    ceil: false,
                },
                groups: i64::try_from(groups[i]).ok()?,
            });
        }
        (form.extent() == site.kernel).then_some(Self {
            form,
            convs,
            border: Vec::new(),
        })
    }

    /// The candidate for a site that was [embedded](ConvSite::embedded).
    pub fn with_border(self, border: &[usize]) -> Self {
        Self {
            border: border.to_vec(),
            ..self
        }
    }
}
