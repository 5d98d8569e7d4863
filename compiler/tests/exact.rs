//! What is called exact, held on random convolutions against a naive one, borders
//! included: factorizations at their lossless width, and folds of two in series.

mod small;

use compiler::onnx::schema::{AttributeProto, AttributeType, ModelProto, NodeProto};
use compiler::plan::{StridePlace, Width};
use proptest::prelude::*;
use proptest::sample::select;
use small::{int, ints, noise, rewrite, tensor, value};

/// Of the output's standard deviation.
const TOLERANCE: f64 = 1e-5;

#[derive(Clone, Debug)]
enum Padding {
    /// Begins, then ends.
    Explicit(Vec<i64>),
    Auto(&'static str),
}

#[derive(Clone, Debug)]
struct Layer {
    out: usize,
    /// Of a group.
    inp: usize,
    groups: usize,
    kernel: Vec<usize>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
    padding: Padding,
    bias: bool,
    seed: u64,
}

impl Layer {
    fn channels(&self) -> usize {
        self.inp * self.groups
    }

    fn extent(&self, axis: usize) -> i64 {
        (self.kernel[axis] as i64 - 1) * self.dilation[axis] + 1
    }

    /// Pads, begins then ends, over a plane of this size.
    fn pads(&self, size: &[i64]) -> Vec<i64> {
        let axes = self.kernel.len();
        match &self.padding {
            Padding::Explicit(pads) => pads.clone(),
            Padding::Auto("VALID") => vec![0; 2 * axes],
            Padding::Auto(word) => {
                let mut pads = vec![0; 2 * axes];
                for a in 0..axes {
                    let outputs = (size[a] + self.stride[a] - 1) / self.stride[a];
                    let all = ((outputs - 1) * self.stride[a] + self.extent(a) - size[a]).max(0);
                    let less = all / 2;
                    let begin = if *word == "SAME_UPPER" {
                        less
                    } else {
                        all - less
                    };
                    (pads[a], pads[axes + a]) = (begin, all - begin);
                }
                pads
            }
        }
    }

    fn node(&self, name: &str, from: &str, to: &str) -> NodeProto {
        let kernel: Vec<i64> = self.kernel.iter().map(|&k| k as i64).collect();
        let mut attribute = vec![
            ints("kernel_shape", &kernel),
            ints("strides", &self.stride),
            ints("dilations", &self.dilation),
            int("group", self.groups as i64),
        ];
        attribute.push(match &self.padding {
            Padding::Explicit(pads) => ints("pads", pads),
            Padding::Auto(word) => AttributeProto {
                name: Some("auto_pad".into()),
                kind: Some(AttributeType::String as i32),
                s: Some(word.as_bytes().to_vec().into()),
                ..AttributeProto::default()
            },
        });
        let mut input = vec![from.to_owned(), format!("{name}.w")];
        input.extend(self.bias.then(|| format!("{name}.b")));
        NodeProto {
            name: Some(name.into()),
            op_type: Some("Conv".into()),
            input,
            output: vec![to.into()],
            attribute,
            ..NodeProto::default()
        }
    }
}

/// The convolutions in series over a plane of this size.
fn model(layers: &[Layer], size: &[i64]) -> ModelProto {
    let mut proto = small::model(&small::Layer {
        weights: [1, 1, 1, 1],
        stride: 1,
        pads: [0; 4],
        bias: false,
    });
    let graph = proto.graph.as_mut().unwrap();
    graph.node.clear();
    graph.initializer.clear();
    let mut shape = vec![1, layers[0].channels() as i64];
    shape.extend(size);
    graph.input = vec![value("x", &shape)];
    let mut from = "x".to_owned();
    for (i, layer) in layers.iter().enumerate() {
        let (name, to) = (format!("conv{i}"), format!("y{i}"));
        graph.node.push(layer.node(&name, &from, &to));
        let dims: Vec<usize> = [layer.out, layer.inp]
            .into_iter()
            .chain(layer.kernel.clone())
            .collect();
        let weights = noise(dims.iter().product(), layer.seed);
        graph
            .initializer
            .push(tensor(&format!("{name}.w"), &dims, &weights));
        if layer.bias {
            let bias = noise(layer.out, layer.seed + 1);
            graph
                .initializer
                .push(tensor(&format!("{name}.b"), &[layer.out], &bias));
        }
        from = to;
    }
    graph.output = vec![value(&from, &[])];
    proto
}

/// Position `at` of an array of these sizes, axis by axis.
fn unravel(mut at: usize, sizes: &[i64]) -> Vec<i64> {
    let mut place = vec![0; sizes.len()];
    for (p, &size) in place.iter_mut().zip(sizes).rev() {
        *p = at as i64 % size;
        at /= size as usize;
    }
    place
}

/// Runs a series of convolutions by the definition.
fn run(proto: &ModelProto, channels: usize, size: &[i64]) -> Vec<f64> {
    let graph = proto.graph.as_ref().unwrap();
    let find = |name: &str| {
        let mut all = graph.initializer.iter();
        let t = all.find(|t| t.name.as_deref() == Some(name)).unwrap();
        let raw = t.raw_data.as_ref().unwrap().chunks_exact(4);
        let data = raw.map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap())));
        (t.dims.clone(), data.collect::<Vec<f64>>())
    };
    let mut size = size.to_vec();
    let area = size.iter().product::<i64>() as usize;
    let mut x: Vec<f64> = noise(channels * area, 11)
        .into_iter()
        .map(f64::from)
        .collect();
    for node in &graph.node {
        assert_eq!(node.op_type.as_deref(), Some("Conv"));
        let axes = size.len();
        let attribute = |name: &str| {
            node.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some(name))
        };
        let list =
            |name: &str, default: Vec<i64>| attribute(name).map_or(default, |a| a.ints.clone());
        let (dims, weights) = find(&node.input[1]);
        let bias = node.input.get(2).map(|b| find(b).1);
        let word = attribute("auto_pad").map(|a| a.s.clone().unwrap());
        let pads = match word.as_deref() {
            Some(b"SAME_UPPER") => Padding::Auto("SAME_UPPER"),
            Some(b"SAME_LOWER") => Padding::Auto("SAME_LOWER"),
            Some(b"VALID") => Padding::Auto("VALID"),
            _ => Padding::Explicit(list("pads", vec![0; 2 * axes])),
        };
        let layer = Layer {
            out: dims[0] as usize,
            inp: dims[1] as usize,
            groups: attribute("group").map_or(1, |a| a.i.unwrap() as usize),
            kernel: dims[2..].iter().map(|&k| k as usize).collect(),
            stride: list("strides", vec![1; axes]),
            dilation: list("dilations", vec![1; axes]),
            padding: pads,
            bias: bias.is_some(),
            seed: 0,
        };
        let pads = layer.pads(&size);
        let outputs: Vec<i64> = (0..axes)
            .map(|a| (size[a] + pads[a] + pads[axes + a] - layer.extent(a)) / layer.stride[a] + 1)
            .collect();
        let (taps, plane) = (
            dims[2..].iter().product::<i64>() as usize,
            x.len() / (layer.inp * layer.groups),
        );
        let mut y = Vec::new();
        for o in 0..layer.out {
            let group = o / (layer.out / layer.groups);
            for at in 0..outputs.iter().product::<i64>() as usize {
                let at = unravel(at, &outputs);
                let mut sum = bias.as_ref().map_or(0.0, |b| b[o]);
                for tap in 0..taps {
                    let offset = unravel(tap, &dims[2..]);
                    let read: Vec<i64> = (0..axes)
                        .map(|a| at[a] * layer.stride[a] - pads[a] + offset[a] * layer.dilation[a])
                        .collect();
                    if read.iter().zip(&size).any(|(r, s)| !(0..*s).contains(r)) {
                        continue;
                    }
                    let place = read.iter().zip(&size).fold(0, |all, (r, s)| all * s + r) as usize;
                    for i in 0..layer.inp {
                        sum += x[(group * layer.inp + i) * plane + place]
                            * weights[(o * layer.inp + i) * taps + tap];
                    }
                }
                y.push(sum);
            }
        }
        (x, size) = (y, outputs);
    }
    x
}

/// The largest difference, in standard deviations of the output.
fn apart(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(
        expected.len(),
        found.len(),
        "the outputs have the same shape"
    );
    let n = expected.len() as f64;
    let mean = expected.iter().sum::<f64>() / n;
    let variance = expected.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let largest = expected.iter().zip(found).map(|(a, b)| (a - b).abs());
    // A single position has no deviation; weights and inputs are of the order of 1.
    largest.fold(0.0, f64::max) / variance.sqrt().max(0.1)
}

prop_compose! {
    fn padding(axes: usize)(
        pads in prop::collection::vec(0..4i64, 2 * axes),
        word in select(vec!["SAME_UPPER", "SAME_LOWER", "VALID"]),
        explicit in prop::bool::weighted(0.6),
    ) -> Padding {
        if explicit { Padding::Explicit(pads) } else { Padding::Auto(word) }
    }
}

/// Groups, and the channels in and out of each: dense, two groups, depthwise.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        3 => (Just(1usize), 1..4usize, 1..5usize),
        1 => (Just(2usize), 1..3usize, 1..3usize),
        1 => (2..5usize, Just(1usize), 1..3usize),
    ]
}

fn layer(axes: usize, smallest: usize, largest: usize) -> impl Strategy<Value = Layer> {
    let vector = |range: std::ops::Range<i64>| prop::collection::vec(range, axes);
    let kernel = prop::collection::vec(smallest..=largest, axes);
    let square = (smallest..=largest).prop_map(move |k| vec![k; axes]);
    (
        prop_oneof![kernel, square],
        vector(1..4),
        vector(1..3),
        padding(axes),
        channels(),
        any::<bool>(),
        0..1000u64,
    )
        .prop_map(
            |(kernel, stride, dilation, padding, (groups, inp, out), bias, seed)| Layer {
                out: out * groups,
                inp,
                groups,
                kernel,
                stride,
                dilation,
                padding,
                bias,
                seed,
            },
        )
}

/// Sizes at which every layer has outputs.
fn plane(layers: &[Layer]) -> Vec<i64> {
    let axes = layers[0].kernel.len();
    let mut size = vec![2; axes];
    for layer in layers.iter().rev() {
        for (a, s) in size.iter_mut().enumerate() {
            *s = (*s - 1) * layer.stride[a] + layer.extent(a) + a as i64;
        }
    }
    size
}

/// Which passes have to do something about a kernel.
fn due(pass: &str, kernel: &[usize]) -> bool {
    match pass {
        "5x5-to-3x3" => kernel == [5, 5],
        "7x7-to-3x3" => kernel == [7, 7],
        "3x3-to-2x2" => kernel == [3, 3],
        "large-to-3x3" => kernel.iter().all(|k| k % 2 == 1) && kernel.iter().any(|&k| k > 3),
        "all-to-2x2" | "split" => kernel.iter().any(|&k| k >= 3),
        "separate" => kernel.len() == 2 && kernel.iter().all(|&k| k >= 3),
        _ => false,
    }
}

const FACTORIZATIONS: [&str; 7] = [
    "5x5-to-3x3",
    "7x7-to-3x3",
    "large-to-3x3",
    "3x3-to-2x2",
    "all-to-2x2",
    "separate",
    "split",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every kernel of 2 to 7 an axis, in one and two dimensions, with every
    /// stride, dilation, padding and grouping, through every factorization that is
    /// about it.
    #[test]
    fn lossless_widths_are_lossless(
        layer in prop_oneof![1 => layer(1, 2, 7), 3 => layer(2, 2, 7)],
        place in select(vec![StridePlace::Last, StridePlace::Auto]),
        turn in 0..FACTORIZATIONS.len(),
    ) {
        let mut names = FACTORIZATIONS;
        names.rotate_left(turn);
        let Some(&pass) = names.iter().find(|pass| due(pass, &layer.kernel)) else {
            return Ok(());
        };
        let (channels, size) = (layer.channels(), plane(std::slice::from_ref(&layer)));
        let before = model(std::slice::from_ref(&layer), &size);
        let (after, report) = rewrite(before.clone(), pass, Width::Exact, place);
        prop_assert!(report.skipped.is_empty(), "{pass}: {:?}", report.skipped);
        let [site] = report.sites.as_slice() else {
            return Err(TestCaseError::fail(format!("{pass}: {:?}", report.sites)));
        };
        // A pass that wants training afterwards never calls itself exact.
        let lossless = site.weight_error.is_some_and(|e| e < 1e-9);
        prop_assert_eq!(site.exact, lossless && pass != "all-to-2x2");
        prop_assert!(lossless, "{pass}: {site:?}");
        let error = apart(&run(&before, channels, &size), &run(&after.to_proto(), channels, &size));
        prop_assert!(error < TOLERANCE, "{pass} to {:?} at {:?}: {error}", site.to, site.widths);
    }

    /// Two in series are one where that is the same and saves, or the report says
    /// why not.
    #[test]
    fn serial_convolutions_fold_exactly_or_the_report_says_why(
        (first, second) in (1..3usize).prop_flat_map(|axes| (layer(axes, 1, 3), layer(axes, 1, 3))),
        plain in prop::bool::weighted(0.7),
    ) {
        let (mut first, mut second) = (first, second);
        if plain {
            // Most random pairs are no candidates.
            (first.inp, first.groups) = (first.channels(), 1);
            second.groups = 1;
            if second.seed % 3 > 0 {
                second.padding = Padding::Auto("VALID");
            }
        }
        second.inp = first.out / second.groups;
        if first.out % second.groups != 0 {
            return Ok(());
        }
        let layers = [first, second];
        let (channels, size) = (layers[0].channels(), plane(&layers));
        let before = model(&layers, &size);
        let (after, report) = rewrite(before.clone(), "fold-linear", Width::Auto, StridePlace::Last);
        let after = after.to_proto();
        if report.sites.is_empty() {
            let [left] = report.skipped.as_slice() else {
                return Err(TestCaseError::fail(format!("{:?}", report.skipped)));
            };
            prop_assert_eq!(left.node.as_str(), "conv1");
            prop_assert!(left.reason.len() > 10);
            return Ok(());
        }
        prop_assert!(report.skipped.is_empty(), "{:?}", report.skipped);
        prop_assert_eq!(after.graph.as_ref().unwrap().node.len(), 1);
        let error = apart(&run(&before, channels, &size), &run(&after, channels, &size));
        prop_assert!(error < TOLERANCE, "{error}");
    }
}
