//! `Attention` (opset 23 on): scaled dot-product attention with a key-value cache.

use super::{AxisReach, Cost, Cx, Gap, Map, Operator, Path, Reach, Role, same_type, type_of};
use crate::facts::Fact;
use crate::ir::{Expr, Node};

/// Queries, keys and values as (batch, heads, length, size), or as (batch,
/// length, heads · size) with the heads in the attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    query_heads: Option<i64>,
    key_heads: Option<i64>,
}

/// Reads the node.
///
/// # Errors
/// A number of heads that is not positive.
pub fn parse(node: &Node, _opset: i64) -> Result<Box<dyn Operator>, Gap> {
    let heads = |name: &str| match node.attrs.int(name) {
        Some(n) if n < 1 => Err(Gap::new(format!("{name} is {n}"))),
        n => Ok(n),
    };
    Ok(Box::new(Attention {
        query_heads: heads("q_num_heads")?,
        key_heads: heads("kv_num_heads")?,
    }))
}

/// An operand with its heads apart.
struct Heads {
    batch: Expr,
    heads: Expr,
    length: Expr,
    size: Expr,
    /// Whether the operand itself has the heads as an axis.
    apart: bool,
}

fn heads(shape: &[Expr], count: Option<i64>) -> Result<Heads, Gap> {
    match (shape, count) {
        ([batch, heads, length, size], _) => Ok(Heads {
            batch: batch.clone(),
            heads: heads.clone(),
            length: length.clone(),
            size: size.clone(),
            apart: true,
        }),
        ([batch, length, all], Some(count)) => Ok(Heads {
            batch: batch.clone(),
            heads: count.into(),
            length: length.clone(),
            size: all.floor_div(count),
            apart: false,
        }),
        ([_, _, _], None) => Err(Gap::new("the number of heads is missing")),
        _ => Err(Gap::new(format!("an operand of rank {}", shape.len()))),
    }
}

impl Attention {
    /// Queries, keys, values, and the length of keys with their cache.
    fn operands(&self, cx: &Cx) -> Result<(Heads, Heads, Heads, Expr), Gap> {
        let q = heads(cx.shape(0)?, self.query_heads)?;
        let k = heads(cx.shape(1)?, self.key_heads)?;
        let v = heads(cx.shape(2)?, self.key_heads)?;
        let past = match cx.optional(4) {
            Some(_) => cx
                .shape(4)?
                .get(2)
                .cloned()
                .ok_or_else(|| Gap::new("a cache that is not of rank 4"))?,
            None => Expr::default(),
        };
        let total = past + k.length.clone();
        Ok((q, k, v, total))
    }
}

impl Operator for Attention {
    fn infer(&self, cx: &Cx) -> Result<Vec<Fact>, Gap> {
        let (q, k, v, total) = self.operands(cx)?;
        let output = if q.apart {
            vec![
                q.batch.clone(),
                q.heads.clone(),
                q.length.clone(),
                v.size.clone(),
            ]
        } else {
            vec![
                q.batch.clone(),
                q.length.clone(),
                q.heads.clone() * v.size.clone(),
            ]
        };
        let cache = |of: &Heads| {
            vec![
                of.batch.clone(),
                of.heads.clone(),
                total.clone(),
                of.size.clone(),
            ]
        };
        let dtype = same_type(cx);
        Ok(vec![
            Fact::new(dtype, output),
            Fact::new(type_of(cx, 1), cache(&k)),
            Fact::new(type_of(cx, 2), cache(&v)),
            Fact::new(dtype, vec![q.batch, q.heads, q.length, total]),
        ])
    }

    /// batch·heads·queries·keys·(size of keys + size of values) MACs; the
    /// softmax and the scale are 6 FLOPs a score.
    fn cost(&self, cx: &Cx, _out: &[Fact]) -> Result<Cost, Gap> {
        let (q, k, v, total) = self.operands(cx)?;
        let scores = q.batch * q.heads * q.length * total;
        let macs = scores.clone() * (k.size + v.size);
        Ok(Cost {
            flops: macs.clone() * 2.into() + scores * 6.into(),
            macs,
        })
    }

    /// A query reads itself and all keys and values.
    fn reach(&self, cx: &Cx, out: &[Fact], output: usize) -> Result<Reach, Gap> {
        let (q, ..) = self.operands(cx)?;
        let rank = out
            .get(output)
            .ok_or_else(|| Gap::new("no such output"))?
            .known_shape()?
            .len();
        let follow = |axis| AxisReach::Follow {
            axis,
            map: Map::IDENTITY,
        };
        let mut all = Path::global(rank);
        all.axes[0] = follow(0);
        // Outputs with heads apart have the length third, the others second.
        let mut query = all.clone();
        let place = if rank == 4 { 2 } else { 1 };
        query.axes[place] = follow(if q.apart { 2 } else { 1 });
        let present = (1..=2).contains(&output);
        let slots = cx.inputs.len().max(3);
        let paths = (0..slots).map(|slot| match slot {
            0 => (!present).then(|| query.clone()),
            3 if cx
                .optional(3)
                .is_some_and(|m| m.shape.as_ref().is_none_or(|s| s.len() != 4)) =>
            {
                Some(Path::global(rank))
            }
            _ => Some(all.clone()),
        });
        Ok(Reach(paths.collect()))
    }

    fn role(&self, slot: usize) -> Role {
        if slot < 3 { Role::Data } else { Role::Config }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, fact};

    #[test]
    fn heads_apart_or_not() {
        let (q, k, v) = (fact("B 8 10 64"), fact("B 2 12 64"), fact("B 2 12 32"));
        let case = Case::new("Attention", 23).outputs(4).on(&[&q, &k, &v]);
        assert_eq!(
            case.shapes(),
            ["B 8 10 32", "B 2 12 64", "B 2 12 32", "B 8 10 12"]
        );
        assert_eq!(case.work().0, format!("{}*B", 8 * 10 * 12 * 96));
        let (q, k) = (fact("B 10 512"), fact("B 12 128"));
        let case = Case::new("Attention", 23)
            .int("q_num_heads", 8)
            .int("kv_num_heads", 2)
            .on(&[&q, &k, &k]);
        assert_eq!(case.shapes()[0], "B 10 512");
        assert_eq!(
            case.reach().unwrap().0[0]
                .as_ref()
                .unwrap()
                .follower(1)
                .unwrap()
                .0,
            1
        );
        assert!(
            Case::new("Attention", 23)
                .on(&[&q, &k, &k])
                .infer()
                .is_err()
        );
    }
}
