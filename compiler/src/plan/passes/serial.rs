//! What the passes that write a kernel as serial small ones share: the width,
//! the stride, the reasons to leave a layer alone.

use crate::fit::{Form, Kernel, exact_width};
use crate::plan::options::{Shaping, StridePlace, Width};
use crate::plan::site::{Candidate, ConvSite};

/// `Width::Auto` keeps a layer within this share of its parameters.
pub const AUTO_RATIO: f64 = 0.6;
/// Shares of a layer's parameters that a search tries; a form that saves nothing
/// is beaten by the layer itself.
const LADDER: [f64; 16] = [
    0.1, 0.16, 0.23, 0.3, 0.37, 0.44, 0.48, 0.52, 0.57, 0.62, 0.68, 0.74, 0.8, 0.85, 0.9, 0.95,
];
/// Below this many channels between, grouped forms compete.
const NARROW: usize = 4;

/// All candidates of a site: each way to split it, the stride first or last as
/// the options say, at the width that they say.
///
/// # Errors
/// Why there is none.
pub fn candidates(
    site: &ConvSite,
    splits: &[Vec<Vec<usize>>],
    shaping: Shaping,
) -> Result<Vec<Candidate>, String> {
    let strided = site.stride.iter().any(|&s| s > 1);
    let places: &[bool] = match shaping.stride {
        StridePlace::Last => &[false],
        StridePlace::First if strided => &[true],
        StridePlace::Auto if strided => &[false, true],
        StridePlace::First | StridePlace::Auto => &[false],
    };
    let mut found = Vec::new();
    let mut reason = None;
    for kernels in splits {
        for &first in places {
            let with = |m: usize| at_width(site, kernels, m, first, 1);
            if shaping.width == Width::Ladder {
                let with = |m: usize| {
                    let widths = useful(site, kernels, m)?;
                    chained(site, kernels, widths, first, 1)
                };
                found.extend(ladder(site, &with));
                continue;
            }
            match width(site, shaping.width, &with) {
                Ok(Some(m)) => {
                    found.extend(with(m));
                    if shaping.width == Width::Auto && m < NARROW {
                        found.extend(grouped(site, kernels, first));
                    }
                }
                Ok(None) => {}
                Err(why) => reason = Some(why),
            }
        }
    }
    if found.is_empty() {
        return Err(reason.unwrap_or_else(|| {
            "no split spans its field with the stride on the first factor; use --stride last".into()
        }));
    }
    Ok(found)
}

/// The widest middles at each rung's share of the layer's parameters.
fn ladder(site: &ConvSite, with: &dyn Fn(usize) -> Option<Candidate>) -> Vec<Candidate> {
    let mut widths = Vec::new();
    for rung in LADDER {
        // A rung below the narrowest middle is none.
        if let Ok(Some(m)) = width(site, Width::Ratio(rung), with) {
            widths.push(m);
        }
    }
    widths.dedup();
    widths.into_iter().filter_map(with).collect()
}

/// Rivals of a narrow middle: the last factor in groups, so that each group of
/// outputs has channels of its own between, and more of them fit the budget.
fn grouped(site: &ConvSite, kernels: &[Vec<usize>], first: bool) -> Vec<Candidate> {
    [2, 4, 8]
        .into_iter()
        .filter_map(|groups| {
            let with = |m: usize| at_width(site, kernels, m, first, groups);
            let widths = (1..=NARROW).map(|n| n * groups * site.groups);
            let within = widths.filter_map(with).take_while(|c| {
                let size = c.form.parameters(site.inp * site.groups);
                #[allow(clippy::cast_precision_loss)]
                let share = size as f64 / site.parameters() as f64;
                share <= AUTO_RATIO + 1e-9
            });
            within.last()
        })
        .collect()
}

/// The chain with `m` channels between, in the layer's own groups, the last
/// factor's split `split` times more.
fn at_width(
    site: &ConvSite,
    kernels: &[Vec<usize>],
    m: usize,
    first: bool,
    split: usize,
) -> Option<Candidate> {
    let mut widths = vec![m; kernels.len()];
    *widths.last_mut()? = site.out;
    chained(site, kernels, widths, first, split)
}

/// Up to `m` channels after each factor, and no more than are of use: a factor has
/// no more independent filters than its window has elements, and the next one
/// tells no more of them apart than it has weights. A wider chain costs more and
/// can do no more. `None` if no map is `m` wide.
fn useful(site: &ConvSite, kernels: &[Vec<usize>], m: usize) -> Option<Vec<usize>> {
    let taps: Vec<usize> = kernels.iter().map(|k| k.iter().product()).collect();
    let last = kernels.len().checked_sub(1)?;
    let mut widths = vec![m; last];
    widths.push(site.out);
    let mut inputs = site.inp * site.groups;
    for f in 0..last {
        widths[f] = widths[f].min(inputs.saturating_mul(taps[f]));
        inputs = widths[f];
    }
    for f in (0..last).rev() {
        widths[f] = widths[f].min(widths[f + 1].saturating_mul(taps[f + 1]));
    }
    widths[..last].contains(&m).then_some(widths)
}

/// The chain of these widths, in the layer's own groups, the last factor's split
/// `split` times more.
fn chained(
    site: &ConvSite,
    kernels: &[Vec<usize>],
    widths: Vec<usize>,
    first: bool,
    split: usize,
) -> Option<Candidate> {
    let last = site.groups * split;
    let between = &widths[..widths.len().checked_sub(1)?];
    let divides = |m: &usize| m.is_multiple_of(last);
    if !between.iter().all(divides) || !site.out.is_multiple_of(last) {
        return None;
    }
    let mut groups = vec![site.groups; kernels.len()];
    *groups.last_mut()? = last;
    Candidate::serial(site, kernels, &widths, &groups, first)
}

fn width(
    site: &ConvSite,
    width: Width,
    with: &dyn Fn(usize) -> Option<Candidate>,
) -> Result<Option<usize>, String> {
    let one = site.groups;
    if with(one).is_none() {
        return Ok(None);
    }
    let size = |m: usize| with(m).map(|c| c.form.parameters(site.inp * site.groups));
    let widest = |ratio: f64| -> Result<Option<usize>, String> {
        #[allow(clippy::cast_precision_loss)]
        let share = |n: usize| n as f64 / site.parameters() as f64;
        let within = |m: usize| size(m).is_some_and(|n| share(n) <= ratio + 1e-9);
        if !within(one) {
            let least = size(one).map_or(f64::NAN, share);
            return Err(format!(
                "even {one} channel{} between keep{} {:.0} % of its parameters, above the {:.0} % asked for; name a --width to force it",
                if one == 1 { "" } else { "s" },
                if one == 1 { "s" } else { "" },
                100.0 * least,
                100.0 * ratio,
            ));
        }
        let (mut low, mut high) = (1, 2);
        while within(high * one) {
            low = high;
            high *= 2;
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if within(middle * one) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Some(low * one))
    };
    match width {
        Width::Auto => widest(AUTO_RATIO),
        Width::Budget => widest(1.0),
        Width::Ratio(ratio) => widest(ratio),
        // One of many: see `ladder`.
        Width::Ladder => Ok(None),
        Width::Same => Ok(Some(site.out)),
        Width::Channels(m) if m.is_multiple_of(site.groups) => Ok(Some(m)),
        Width::Channels(m) => Err(format!(
            "{m} channels do not divide into its {} groups",
            site.groups
        )),
        Width::Exact => Ok(with(one).map(|c| lossless(site, &c.form))),
    }
}

/// A width that is lossless by construction; where the weights are at hand it is
/// narrowed to the smallest that is.
fn lossless(site: &ConvSite, form: &Form) -> usize {
    let shape = Kernel {
        out: site.out,
        inp: site.inp,
        spatial: site.kernel.clone(),
        groups: site.groups,
        data: Vec::new(),
    };
    exact_width(&shape, form).1
}

/// The kernel of an axis as extents of at most `small` taps that span it:
/// 7 by 3 is 3, 3, 3; 4 by 3 is 3, 2.
pub fn split_axis(kernel: usize, small: usize) -> Vec<usize> {
    let mut left = kernel.saturating_sub(1);
    let mut parts = Vec::new();
    while left > 0 {
        let part = left.min(small.saturating_sub(1).max(1));
        parts.push(part + 1);
        left -= part;
    }
    parts
}

/// Every axis split by [`split_axis`], shorter ones filled with 1.
pub fn split(kernel: &[usize], small: usize) -> Vec<Vec<usize>> {
    let axes: Vec<Vec<usize>> = kernel.iter().map(|&k| split_axis(k, small)).collect();
    let steps = axes.iter().map(Vec::len).max().unwrap_or(0);
    (0..steps)
        .map(|i| {
            axes.iter()
                .map(|a| a.get(i).copied().unwrap_or(1))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_map_is_wider_than_of_use() {
        let site = |inp, out| ConvSite {
            site: 0,
            out,
            inp,
            groups: 1,
            kernel: vec![5, 5],
            stride: vec![1; 2],
            dilation: vec![1; 2],
            pads: vec![0; 4],
            inputs: [egg::Id::from(0); 3],
        };
        let chain = [vec![3, 1], vec![1, 4], vec![3, 2]];
        let widths = |inp, out, m| useful(&site(inp, out), &chain, m);
        assert_eq!(widths(4, 8, 6), Some(vec![6, 6, 8]));
        // One channel gives three filters of 3x1.
        assert_eq!(widths(1, 8, 6), Some(vec![3, 6, 8]));
        assert_eq!(widths(1, 8, 12), Some(vec![3, 12, 8]));
        assert_eq!(widths(1, 8, 13), None);
        // One channel out tells six apart.
        assert_eq!(widths(4, 1, 12), Some(vec![12, 6, 1]));
    }

    #[test]
    fn splits_span_the_kernel() {
        assert_eq!(split(&[5, 5], 3), [[3, 3], [3, 3]]);
        assert_eq!(split(&[7, 7], 3), [[3, 3]; 3]);
        assert_eq!(split(&[3, 3], 2), [[2, 2]; 2]);
        assert_eq!(split(&[1, 7], 3), [[1, 3]; 3]);
        assert_eq!(split(&[9, 3], 3), [[3, 3], [3, 1], [3, 1], [3, 1]]);
    }
}
