//! Pooling of regions of interest: `MaxRoiPool` (opset 1 on), `RoiAlign`
//! (opset 10 on).

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, same_type};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Input (N, C, H, W) and regions (R, 4 or 5) give (R, C, height, width).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roi {
    height: i64,
    width: i64,
    /// `RoiAlign`: samples along each side of a bin, 0 for as many as the
    /// region has pixels.
    samples: Option<i64>,
}

/// Reads the node.
///
/// # Errors
/// No positive output size.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let attrs = &node.attrs;
    let (height, width, samples) = if node.op == "MaxRoiPool" {
        match attrs.ints("pooled_shape") {
            Some(&[height, width]) => (height, width, None),
            _ => return Err(Gap::new("pooled_shape must be two numbers")),
        }
    } else {
        (
            attrs.int("output_height").unwrap_or(1),
            attrs.int("output_width").unwrap_or(1),
            Some(attrs.int("sampling_ratio").unwrap_or(0).max(0)),
        )
    };
    if height < 1 || width < 1 {
        return Err(Gap::new(format!("an output of {height} by {width}")));
    }
    Ok(Box::new(Roi {
        height,
        width,
        samples,
    }))
}

impl Operator for Roi {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (x, regions) = (cx.shape(0)?, cx.shape(1)?);
        if x.len() != 4 || regions.len() != 2 {
            return Err(Gap::new(format!(
                "an input of rank {} with regions of rank {}",
                x.len(),
                regions.len()
            )));
        }
        let shape = vec![
            regions[0].clone(),
            x[1].clone(),
            self.height.into(),
            self.width.into(),
        ];
        Ok(vec![Fact::new(same_type(cx), shape)])
    }

    /// An upper bound, as if each region were the whole map: a comparison an
    /// element, or nine operations (four taps and the mean) a sample.
    fn cost(&self, cx: &Cx, out: &[Fact]) -> Result<Cost, Gap> {
        let (x, output) = (cx.shape(0)?, out[0].known_shape()?);
        let flops = match self.samples {
            Some(n) if n > 0 => {
                Cost::pointwise(output, n.saturating_mul(n).saturating_mul(9)).flops
            }
            Some(_) => {
                let samples = x[2].ceil_div(self.height) * x[3].ceil_div(self.width);
                Cost::pointwise(output, 9).flops * samples
            }
            None => output[..2].iter().chain(&x[2..]).product(),
        };
        Ok(Cost {
            macs: Expr::default(),
            flops,
        })
    }

    fn reach(&self, _cx: &Cx, _out: &[Fact], _output: usize) -> Result<Reach, Gap> {
        let mut image = Path::global(4);
        image.axes[1] = AxisReach::Follow {
            axis: 1,
            map: Map::IDENTITY,
        };
        let mut regions = Path::global(4);
        regions.axes[0] = AxisReach::Follow {
            axis: 0,
            map: Map::IDENTITY,
        };
        Ok(Reach(vec![
            Some(image),
            Some(regions.clone()),
            self.samples.map(|_| regions),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact, typed};

    #[test]
    fn a_region_a_row() {
        let (x, r4, r5) = (fact("1 64 50 50"), fact("R 4"), fact("R 5"));
        let batch = typed(crate::ir::DataType::Int64, "R");
        let case = Case::new("RoiAlign", 16)
            .int("output_height", 7)
            .int("output_width", 7)
            .int("sampling_ratio", 2)
            .on(&[&x, &r4, &batch]);
        assert_eq!(case.shapes(), ["R 64 7 7"]);
        assert_eq!(case.work().1, format!("{}*R", 64 * 49 * 36));
        let case = Case::new("MaxRoiPool", 1)
            .ints("pooled_shape", &[2, 3])
            .on(&[&x, &r5]);
        assert_eq!(case.shapes(), ["R 64 2 3"]);
        assert_eq!(case.work().1, format!("{}*R", 64 * 2500));
    }
}
