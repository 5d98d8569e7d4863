//! Which positions of a tensor stay neighbours when it is reshaped: the axes
//! of input and output in blocks of equal product, by mixed radix inside a block.

use std::ops::Range;

use super::{AxisReach, Inner, Map, Path};
use crate::ir::Expr;

/// Tensors of more axes are not looked into: the search for blocks is cubic.
const MAX_RANK: usize = 32;

/// The path of a reshape. Axes of size 1 come and go freely. Of a block that
/// is split, (n) to (n1, n2), the outer part follows with the inner as its
/// window; of one that is merged, (h, r) to (n), the output follows the outer
/// axis, each of its positions spread over r, and r is inner. What is inner to
/// both sides is read as a whole.
pub(super) fn regroup(input: &[Expr], output: &[Expr]) -> Path {
    let mut path = Path::global(output.len());
    let (from, to) = (proper(input), proper(output));
    if from.len().max(to.len()) > MAX_RANK {
        return path;
    }
    for (ins, outs) in blocks(input, output, &from, &to) {
        let (Some(&axis), Some(&at)) = (from.get(ins.start), to.get(outs.start)) else {
            continue;
        };
        let inner_of = |shape: &[Expr], axes: &[usize]| {
            let inner: Expr = axes.iter().skip(1).map(|&a| &shape[a]).product();
            inner.as_i64().filter(|&v| v > 0)
        };
        if outs.len() == 1 {
            let inner = from[ins.clone()].iter().enumerate().skip(1);
            path.inner.extend(inner.map(|(i, &axis)| {
                Inner {
                    axis,
                    output: at,
                    spread: from[ins.start + i + 1..ins.end]
                        .iter()
                        .map(|&a| &input[a])
                        .product::<Expr>()
                        .as_i64(),
                }
            }));
        }
        let map = match (outs.len(), ins.len()) {
            (1, 1) => Some(Map::IDENTITY),
            _ => inner_of(output, &to[outs])
                .zip(inner_of(input, &from[ins]))
                .map(|(window, spread)| outer(window, spread)),
        };
        if let Some(map) = map {
            path.axes[at] = AxisReach::Follow { axis, map };
        }
    }
    path
}

/// Output position o holds the flat positions from window·o to
/// window·(o + 1) − 1; flat position f is the input's ⌊f / spread⌋.
fn outer(window: i64, spread: i64) -> Map {
    let common = gcd(window, spread);
    if common == spread {
        let steps = window / spread;
        return Map {
            stride: steps,
            upsample: 1,
            lo: 0,
            hi: steps - 1,
        };
    }
    Map {
        stride: window,
        upsample: spread,
        lo: 1 - spread,
        hi: window - 1,
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The axes whose size is not 1.
fn proper(shape: &[Expr]) -> Vec<usize> {
    (0..shape.len())
        .filter(|&i| shape[i].as_const() != Some(1))
        .collect()
}

/// The finest blocks of neighbouring axes with equal product, as ranges of
/// `from` and `to`. Products compare from the front and from the back, so
/// that a size that is not known spoils its own block only.
fn blocks(
    input: &[Expr],
    output: &[Expr],
    from: &[usize],
    to: &[usize],
) -> Vec<(Range<usize>, Range<usize>)> {
    let (front_in, back_in) = products(input, from);
    let (front_out, back_out) = products(output, to);
    let mut blocks = Vec::new();
    let (mut i, mut o) = (0, 0);
    while i < from.len() && o < to.len() {
        let end = (i + 1..=from.len())
            .flat_map(|a| (o + 1..=to.len()).map(move |b| (a, b)))
            .filter(|&(a, b)| front_in[a] == front_out[b] || back_in[a] == back_out[b])
            .min_by_key(|&(a, b)| a + b)
            .unwrap_or((from.len(), to.len()));
        blocks.push((i..end.0, o..end.1));
        (i, o) = end;
    }
    blocks
}

/// Products of the first and of the remaining axes, at each boundary.
fn products(shape: &[Expr], axes: &[usize]) -> (Vec<Expr>, Vec<Expr>) {
    let mut front = vec![Expr::from(1)];
    for &a in axes {
        let product = front[front.len() - 1].clone() * shape[a].clone();
        front.push(product);
    }
    let mut back = vec![Expr::from(1)];
    for &a in axes.iter().rev() {
        let product = back[back.len() - 1].clone() * shape[a].clone();
        back.push(product);
    }
    back.reverse();
    (front, back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<Expr> {
        text.split_whitespace()
            .map(|d| match d.parse::<i64>() {
                Ok(v) => v.into(),
                Err(_) => d
                    .split('*')
                    .map(|f| match f.parse::<i64>() {
                        Ok(v) => v.into(),
                        Err(_) => Expr::symbol(f),
                    })
                    .product(),
            })
            .collect()
    }

    /// What each output axis follows, as `axis` or `axis:stride/upsample[lo,hi]`.
    fn follows(from: &str, to: &str) -> String {
        let path = regroup(&shape(from), &shape(to));
        let parts: Vec<String> = path
            .axes
            .iter()
            .map(|a| match a {
                AxisReach::Free => "-".into(),
                AxisReach::Follow { axis, map } if *map == Map::IDENTITY => axis.to_string(),
                AxisReach::Follow { axis, map: m } => {
                    format!("{axis}:{}/{}[{},{}]", m.stride, m.upsample, m.lo, m.hi)
                }
            })
            .collect();
        parts.join(" ")
    }

    #[test]
    fn blocks_of_equal_product_keep_their_axes() {
        assert_eq!(follows("N 3 H W", "N 3 H W"), "0 1 2 3");
        // Depth to space: channels are split, then height and width merged.
        assert_eq!(follows("N 36 H W", "N 4 3 3 H W"), "0 1:9/1[0,8] - - 2 3");
        assert_eq!(
            follows("N 4 H 3 W 3", "N 4 3*H 3*W"),
            "0 1 2:1/3[-2,0] 4:1/3[-2,0]"
        );
        // Space to depth.
        assert_eq!(
            follows("1 3 8 8", "1 3 4 2 4 2"),
            "- 1 2:2/1[0,1] - 3:2/1[0,1] -"
        );
        assert_eq!(follows("N 512 7 7", "N 25088"), "0 1:1/49[-48,0]");
        assert_eq!(follows("N 512 1 1", "N 512"), "0 1");
        assert_eq!(follows("N C H W", "N C 1 H 1 W"), "0 1 - 2 - 3");
        assert_eq!(follows("N 2 ?x", "N 2 ?y"), "0 1 2");
        assert_eq!(follows("6 4", "8 3"), "0:3/4[-3,2] -");
        assert_eq!(follows("N C H W", "N ?k W"), "0 - 3");
    }

    #[test]
    fn what_is_inside_a_merged_axis_is_read_at_one_position() {
        let inner = |from, to| regroup(&shape(from), &shape(to)).inner;
        let place = |axis, output, spread| Inner {
            axis,
            output,
            spread,
        };
        assert_eq!(
            inner("N 2 4 5 3", "N 2 60"),
            [place(3, 2, Some(3)), place(4, 2, Some(1))]
        );
        assert_eq!(inner("N C H W", "N C H*W"), [place(3, 2, Some(1))]);
        assert_eq!(inner("6 4", "8 3"), []);
        assert_eq!(inner("N 12 H", "N 3 4 H"), []);
    }

    #[test]
    fn the_map_is_the_hull_of_what_is_read() {
        for (a, b, c, d) in [
            (6, 4, 8, 3),
            (4, 6, 3, 8),
            (2, 12, 6, 4),
            (12, 2, 4, 6),
            (24, 1, 3, 8),
        ] {
            let map = outer(d, b);
            for o in 0..c {
                let read: Vec<i64> = (o * d..(o + 1) * d).map(|f| f / b).collect();
                assert_eq!(
                    map.back(o, o),
                    (read[0], read[read.len() - 1]),
                    "{a}x{b} to {c}x{d}"
                );
            }
        }
    }
}
