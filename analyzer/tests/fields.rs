//! Receptive fields against an oracle that knows no formula: sets of input
//! pixels, pushed through every layer of random graphs tap by tap.

#[path = "../src/testing.rs"]
mod testing;

use analyzer::receptive::{InputAxis, Reader, Sight};
use analyzer::{Options, Study};
use proptest::prelude::*;
use testing::{A, Net};

/// Input sizes: one bit a pixel of a `u128`.
const INPUT: [i64; 2] = [11, 9];
/// Values above this many positions along an axis are not made.
const LARGEST: i64 = 36;

/// One layer, the same along both axes but for what is given twice.
#[derive(Clone, Debug)]
enum Layer {
    Conv([i64; 2], i64, i64, [i64; 4]),
    Pool(i64, i64, i64, bool),
    Deconv([i64; 2], i64, i64, i64),
    Nearest(i64),
    Linear(i64),
    Shrink(i64),
    DepthToSpace,
    SpaceToDepth,
    Pad([i64; 4], usize),
    Slice(i64, i64, i64),
    Flip,
    /// A branch of one convolution that keeps the size, joined again.
    Branch(i64, i64, bool),
}

fn layer() -> impl Strategy<Value = Layer> {
    let kernel = || [1i64..5, 1i64..5];
    prop_oneof![
        4 => (kernel(), 1i64..4, 1i64..4, [0i64..3, 0i64..3, 0i64..3, 0i64..3])
            .prop_map(|(k, s, d, p)| Layer::Conv(k, s, d, p)),
        2 => (1i64..4, 1i64..4, 0i64..2, any::<bool>())
            .prop_map(|(k, s, p, max)| Layer::Pool(k, s, p.min(k - 1), max)),
        2 => (kernel(), 1i64..4, 1i64..3, 0i64..2)
            .prop_map(|(k, s, d, p)| Layer::Deconv(k, s, d, p)),
        1 => (2i64..4).prop_map(Layer::Nearest),
        1 => (2i64..4).prop_map(Layer::Linear),
        1 => (2i64..4).prop_map(Layer::Shrink),
        1 => Just(Layer::DepthToSpace),
        1 => Just(Layer::SpaceToDepth),
        2 => ([0i64..3, 0i64..3, 0i64..3, 0i64..3], 0usize..4)
            .prop_map(|(p, mode)| Layer::Pad(p, mode)),
        1 => (0i64..3, 0i64..3, 1i64..3).prop_map(|(a, b, s)| Layer::Slice(a, b, s)),
        1 => Just(Layer::Flip),
        2 => (1i64..5, 1i64..3, any::<bool>()).prop_map(|(k, d, c)| Layer::Branch(k, d, c)),
    ]
}

/// What a position depends on, and along which axes padding cut that short.
#[derive(Clone, Copy, Default)]
struct Unit {
    pixels: u128,
    cut: [bool; 2],
    /// A mirrored, repeated or wrapped border flows in: pixels elsewhere than
    /// in the field, which is told as if there were none.
    border: bool,
}

impl Unit {
    fn with(self, other: Self) -> Self {
        Self {
            pixels: self.pixels | other.pixels,
            cut: [0, 1].map(|a| self.cut[a] || other.cut[a]),
            border: self.border || other.border,
        }
    }

    /// First and last row and column.
    fn hull(self) -> Option<[(i64, i64); 2]> {
        let pixels = (0..INPUT[0] * INPUT[1]).filter(|p| self.pixels >> p & 1 == 1);
        pixels
            .map(|p| [p / INPUT[1], p % INPUT[1]].map(|v| (v, v)))
            .reduce(|a, b| [0, 1].map(|i| (a[i].0.min(b[i].0), a[i].1.max(b[i].1))))
    }
}

#[derive(Clone)]
struct Grid {
    size: [i64; 2],
    units: Vec<Unit>,
}

impl Grid {
    fn input() -> Self {
        let pixels = 0..INPUT[0] * INPUT[1];
        Self {
            size: INPUT,
            units: pixels
                .map(|p| Unit {
                    pixels: 1 << p,
                    ..Unit::default()
                })
                .collect(),
        }
    }

    fn at(&self, y: i64, x: i64) -> Unit {
        self.units[usize::try_from(y * self.size[1] + x).unwrap()]
    }

    /// A layer that reads, along each axis, the positions that `taps` gives.
    fn read(&self, size: [i64; 2], taps: impl Fn(usize, i64) -> Vec<i64>) -> Self {
        let mut units = Vec::new();
        for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
            let mut unit = Unit::default();
            let (rows, columns) = (taps(0, y), taps(1, x));
            let outside = |list: &[i64], n: i64| list.iter().any(|v| !(0..n).contains(v));
            unit.cut = [
                outside(&rows, self.size[0]),
                outside(&columns, self.size[1]),
            ];
            for (&r, &c) in rows
                .iter()
                .flat_map(|r| columns.iter().map(move |c| (r, c)))
            {
                let inside = (0..self.size[0]).contains(&r) && (0..self.size[1]).contains(&c);
                if inside {
                    unit = unit.with(self.at(r, c));
                }
            }
            units.push(unit);
        }
        Self { size, units }
    }
}

/// A network in the making, with what each unit of its last value depends on.
struct Made {
    net: Net,
    grid: Grid,
    channels: i64,
    value: String,
    count: usize,
}

impl Made {
    fn next(&mut self) -> String {
        self.count += 1;
        format!("v{}", self.count)
    }

    fn change(&mut self, f: impl FnOnce(Net) -> Net) {
        self.net = f(std::mem::replace(&mut self.net, Net::new()));
    }

    fn node(&mut self, op: &str, more: &[&str], attrs: &[(&str, A)]) -> String {
        let out = self.next();
        let mut inputs = vec![self.value.clone()];
        inputs.extend(more.iter().map(ToString::to_string));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.change(|net| net.node(op, &inputs, &[&out], attrs));
        out
    }

    fn conv(&mut self, op: &str, k: [i64; 2], s: i64, d: i64, pads: [i64; 4]) -> String {
        let w = self.next();
        let (shape, scatter) = match op {
            "ConvTranspose" => ([self.channels, 4, k[0], k[1]], true),
            _ => ([4, self.channels, k[0], k[1]], false),
        };
        assert!(scatter || op == "Conv");
        self.change(|net| net.absent(&w, &shape));
        self.node(
            op,
            &[&w],
            &[
                ("strides", A::Is(&[s, s])),
                ("dilations", A::Is(&[d, d])),
                ("pads", A::Is(&pads)),
            ],
        )
    }

    fn resize(&mut self, scale: f32, attrs: &[(&str, A)]) -> String {
        let scales = self.next();
        self.change(|net| net.weight(&scales, &[4], &[1.0, 1.0, scale, scale]));
        self.node("Resize", &["", &scales], attrs)
    }

    /// Adds a layer if it fits.
    fn add(&mut self, layer: &Layer) {
        let grid = self.grid.clone();
        let size = grid.size;
        let fits = |s: [i64; 2]| s.iter().all(|v| (1..=LARGEST).contains(v));
        match *layer {
            Layer::Conv(k, s, d, p) => {
                let out = [0, 1]
                    .map(|a| (size[a] + p[a] + p[a + 2] - (k[a] - 1) * d - 1).div_euclid(s) + 1);
                if !fits(out) {
                    return;
                }
                self.value = self.conv("Conv", k, s, d, p);
                self.grid = grid.read(out, |a, o| {
                    (0..k[a]).map(|t| o * s - p[a] + t * d).collect()
                });
                self.channels = 4;
            }
            Layer::Pool(k, s, p, max) => {
                let out = size.map(|n| (n + 2 * p - k).div_euclid(s) + 1);
                if !fits(out) {
                    return;
                }
                let op = if max { "MaxPool" } else { "AveragePool" };
                self.value = self.node(
                    op,
                    &[],
                    &[
                        ("kernel_shape", A::Is(&[k, k])),
                        ("strides", A::Is(&[s, s])),
                        ("pads", A::Is(&[p; 4])),
                    ],
                );
                self.grid = grid.read(out, |_, o| (0..k).map(|t| o * s - p + t).collect());
            }
            Layer::Deconv(k, s, d, p) => {
                let out = [0, 1].map(|a| (size[a] - 1) * s + (k[a] - 1) * d + 1 - 2 * p);
                if !fits(out) {
                    return;
                }
                self.value = self.conv("ConvTranspose", k, s, d, [p; 4]);
                self.grid = grid.read(out, |a, o| {
                    let taps = (0..k[a]).map(|t| o + p - t * d);
                    taps.filter(|v| v.rem_euclid(s) == 0)
                        .map(|v| v / s)
                        .collect()
                });
                self.channels = 4;
            }
            Layer::Nearest(by) => {
                let out = size.map(|n| n * by);
                if !fits(out) {
                    return;
                }
                #[allow(clippy::cast_precision_loss)]
                let scale = by as f32;
                self.value = self.resize(
                    scale,
                    &[
                        ("mode", A::S("nearest")),
                        ("coordinate_transformation_mode", A::S("asymmetric")),
                        ("nearest_mode", A::S("floor")),
                    ],
                );
                self.grid = grid.read(out, |_, o| vec![o / by]);
            }
            Layer::Linear(by) => {
                let out = size.map(|n| n * by);
                if !fits(out) {
                    return;
                }
                #[allow(clippy::cast_precision_loss)]
                let scale = by as f32;
                self.value = self.resize(scale, &[("mode", A::S("linear"))]);
                self.grid = grid.read(out, |_, o| {
                    // (o + ½)/by − ½ in units of 1/(2·by).
                    let place = 2 * o + 1 - by;
                    let low = place.div_euclid(2 * by);
                    if place.rem_euclid(2 * by) == 0 {
                        vec![low]
                    } else {
                        vec![low, low + 1]
                    }
                });
            }
            Layer::Shrink(by) => {
                let out = size.map(|n| n / by);
                if !fits(out) || size.iter().any(|n| n % by != 0) {
                    return;
                }
                #[allow(clippy::cast_precision_loss)]
                let scale = 1.0 / by as f32;
                self.value = self.resize(
                    scale,
                    &[
                        ("mode", A::S("nearest")),
                        ("coordinate_transformation_mode", A::S("asymmetric")),
                        ("nearest_mode", A::S("floor")),
                    ],
                );
                self.grid = grid.read(out, |_, o| vec![o * by]);
            }
            Layer::DepthToSpace => {
                let out = size.map(|n| n * 2);
                if !fits(out) || self.channels % 4 != 0 {
                    return;
                }
                self.value = self.node("DepthToSpace", &[], &[("blocksize", A::I(2))]);
                self.grid = grid.read(out, |_, o| vec![o / 2]);
                self.channels /= 4;
            }
            Layer::SpaceToDepth => {
                if size.iter().any(|n| n % 2 != 0) || self.channels > 64 {
                    return;
                }
                self.value = self.node("SpaceToDepth", &[], &[("blocksize", A::I(2))]);
                self.grid = grid.read(size.map(|n| n / 2), |_, o| vec![2 * o, 2 * o + 1]);
                self.channels *= 4;
            }
            Layer::Pad(p, mode) => {
                let out = [0, 1].map(|a| size[a] + p[a] + p[a + 2]);
                let longest = p.iter().copied().max().unwrap_or_default();
                // Only `wrap` and `edge` may pad by more than there is.
                let mode = ["constant", "edge", "reflect", "wrap"][mode];
                if !fits(out) || size.iter().any(|&n| longest >= n) {
                    return;
                }
                let pads = self.next();
                self.change(|net| net.ints(&pads, &[0, 0, p[0], p[1], 0, 0, p[2], p[3]]));
                self.value = self.node("Pad", &[&pads], &[("mode", A::S(mode))]);
                self.grid = grid.read(out, |a, o| {
                    let (at, n) = (o - p[a], size[a]);
                    vec![match mode {
                        "edge" => at.clamp(0, n - 1),
                        "wrap" => (at + n) % n,
                        "reflect" if at < 0 => -at,
                        "reflect" if at >= n => 2 * (n - 1) - at,
                        _ => at,
                    }]
                });
                if mode != "constant" {
                    for (i, unit) in self.grid.units.iter_mut().enumerate() {
                        let o = i64::try_from(i).unwrap();
                        let place = [o / out[1], o % out[1]];
                        let inside = |a: usize| (0..size[a]).contains(&(place[a] - p[a]));
                        unit.border |= !inside(0) || !inside(1);
                    }
                }
            }
            Layer::Slice(begin, end, step) => {
                let out = size.map(|n| (n - begin - end + step - 1).div_euclid(step));
                if !fits(out) {
                    return;
                }
                self.slice([begin; 2], size.map(|n| n - end), step);
                self.grid = grid.read(out, |_, o| vec![begin + o * step]);
            }
            Layer::Flip => {
                self.slice(size.map(|n| n - 1), [i64::MIN + 1; 2], -1);
                self.grid = grid.read(size, |a, o| vec![size[a] - 1 - o]);
            }
            Layer::Branch(k, d, concat) => {
                let total = (k - 1) * d;
                let (begin, end) = (total / 2, total - total / 2);
                let before = self.value.clone();
                let side = self.conv("Conv", [k, k], 1, d, [begin, begin, end, end]);
                let both = grid.read(size, |_, o| (0..k).map(|t| o - begin + t * d).collect());
                let units = grid.units.iter().zip(&both.units);
                self.grid.units = units.map(|(a, b)| a.with(*b)).collect();
                if concat || self.channels != 4 {
                    self.value = before;
                    self.value = self.node("Concat", &[&side], &[("axis", A::I(1))]);
                    self.channels += 4;
                } else {
                    self.value = before;
                    self.value = self.node("Add", &[&side], &[]);
                }
            }
        }
    }

    fn slice(&mut self, starts: [i64; 2], ends: [i64; 2], step: i64) {
        let names = [(); 4].map(|()| self.next());
        self.change(|net| {
            net.ints(&names[0], &starts)
                .ints(&names[1], &ends)
                .ints(&names[2], &[2, 3])
                .ints(&names[3], &[step, step])
        });
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        self.value = self.node("Slice", &inputs, &[]);
    }
}

fn check(layers: &[Layer]) -> Result<(), TestCaseError> {
    let sizes = INPUT.map(|v| v.to_string());
    let mut made = Made {
        net: Net::new()
            .opset(17)
            .input("x", &["1", "3", &sizes[0], &sizes[1]]),
        grid: Grid::input(),
        channels: 3,
        value: "x".into(),
        count: 0,
    };
    for layer in layers {
        made.add(layer);
    }
    if made.count == 0 {
        return Ok(());
    }
    let (grid, output) = (made.grid, made.value);
    let model = made.net.output(&output).model();
    let study = Study::new(&model, &Options::default()).unwrap();
    let value = study.graph.outputs[0];
    let shape: Vec<i64> = study.facts.value(value).shape.as_ref().unwrap()[2..]
        .iter()
        .map(|d| d.as_i64().unwrap())
        .collect();
    prop_assert_eq!(&shape, &grid.size.to_vec());
    let channels = study.facts.value(value).shape.as_ref().unwrap()[1]
        .as_i64()
        .unwrap();
    let reader = Reader::new(study.graph, &study.facts, &study.fields);
    for (y, x) in (0..shape[0]).flat_map(|y| (0..shape[1]).map(move |x| (y, x))) {
        let unit = grid.at(y, x);
        let units = vec![(0, 0), (0, channels - 1), (y, y), (x, x)];
        let found = reader.seen(value, &units).unwrap();
        let found = found.inputs[0].as_ref().map(|r| [r[2], r[3]]);
        prop_assert_eq!(found, unit.hull(), "what unit ({}, {}) sees", y, x);
        let ragged = [2, 3].map(|axis| {
            let sight = study.fields.of(value, InputAxis { input: 0, axis });
            sight.is_some_and(|s| s.ragged)
        });
        for (a, o) in [y, x].into_iter().enumerate() {
            let axis = InputAxis {
                input: 0,
                axis: a + 2,
            };
            let sight = study.fields.of(value, axis).unwrap();
            // A flip that meets its original is no field; it is told as such.
            let Sight::Local { field, axis } = &sight.sight else {
                prop_assert!(matches!(sight.sight, Sight::Unknown(_)));
                continue;
            };
            prop_assert_eq!(*axis, a + 2);
            let wide = field.at(o);
            if let Some(hull) = unit.hull()
                && !unit.border
            {
                let (lo, hi) = wide.unwrap();
                prop_assert!(lo <= hull[a].0 && hull[a].1 <= hi);
                // Of ragged branches the hull over a row or column is told, and said to be one.
                if unit.cut == [false; 2] && ragged == [false; 2] {
                    prop_assert_eq!((lo, hi), hull[a], "the field of unit {} along {}", o, a);
                }
                prop_assert!(hi - lo < field.size());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn fields_are_what_taps_depend_on(layers in prop::collection::vec(layer(), 1..6)) {
        check(&layers)?;
    }
}
