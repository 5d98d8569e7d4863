//! Random convolutional networks, the same for the same seed: what a generator
//! of test cases needs to meet every pass somewhere.

use compiler::onnx::schema::{AttributeProto, AttributeType, ModelProto};
use rand_pcg::{Pcg64, rand_core::Rng};

use crate::{Builder, Dim, int, ints};

/// A random network of one float input (N, C, H, W): convolutions of square and
/// other kernels, strides, dilations, groups and every kind of padding, with and
/// without bias; BatchNormalization, added biases, Pad nodes, pairs of linear
/// convolutions, residual branches, pooling, and at the end a classifier or the
/// plane itself.
pub fn model(seed: u64) -> ModelProto {
    let mut net = Random::new(seed, &[1, 2, 3, 3, 5, 5, 7, 9], 6);
    let blocks = 2 + net.below(4);
    net.grow(blocks)
}

/// The same in one or two blocks of small kernels and few channels, for where
/// a thousand of them are to be rewritten.
pub fn small(seed: u64) -> ModelProto {
    let mut net = Random::new(seed, &[1, 2, 3, 3, 5], 2);
    let blocks = 1 + net.below(2);
    net.grow(blocks)
}

struct Random {
    net: Builder,
    random: Pcg64,
    kernels: &'static [i64],
    /// Most filters of a convolution.
    widest: u64,
    /// The value at hand, and its channels, height and width.
    x: String,
    channels: i64,
    size: [i64; 2],
    count: usize,
}

/// One convolution.
struct Conv {
    filters: i64,
    kernel: [i64; 2],
    stride: [i64; 2],
    dilation: [i64; 2],
    groups: i64,
    padding: Padding,
    bias: bool,
}

enum Padding {
    /// Begin and end of both axes, as the attribute has them.
    Explicit([i64; 4]),
    Auto(&'static str),
}

impl Random {
    fn new(seed: u64, kernels: &'static [i64], widest: u64) -> Self {
        let mut random = Pcg64::new(u128::from(seed), 7);
        let mut between =
            |low: u64, high: u64| (low + random.next_u64() % (high - low + 1)).cast_signed();
        let channels = between(1, widest.min(4));
        let (height, width) = (between(12, 21), between(12, 21));
        let shape = [
            Dim::Symbol("N"),
            Dim::Size(channels),
            Dim::Size(height),
            Dim::Size(width),
        ];
        Self {
            net: Builder::new(&format!("random_{seed}"), "image", &shape),
            random,
            kernels,
            widest,
            x: "image".into(),
            channels,
            size: [height, width],
            count: 0,
        }
    }

    fn grow(mut self, blocks: u64) -> ModelProto {
        for _ in 0..blocks {
            match self.below(12) {
                0..=5 => self.layer(),
                6 => self.padded(),
                7 => self.serial(),
                8 | 9 => self.residual(),
                10 => self.pool(),
                _ => self.separable(),
            }
        }
        self.finish()
    }

    fn below(&mut self, count: u64) -> u64 {
        self.random.next_u64() % count
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}_{}", self.count)
    }

    /// Between `middle - reach` and `middle + reach`.
    fn weights(&mut self, name: &str, shape: &[i64], middle: f32, reach: f32) -> String {
        let count = shape.iter().product::<i64>();
        let values = (0..count)
            .map(|_| {
                let unit = (self.random.next_u64() >> 40) as f32 / (1u32 << 24) as f32;
                middle + reach * (2.0 * unit - 1.0)
            })
            .collect();
        self.net.weights(name, shape, values)
    }

    fn node(&mut self, op: &str, what: &str, rest: &[&str], attributes: Vec<AttributeProto>) {
        let name = self.name(what);
        let inputs: Vec<&str> = [self.x.as_str()]
            .into_iter()
            .chain(rest.iter().copied())
            .collect();
        self.x = self.net.node(op, &name, &inputs, attributes);
    }

    /// A convolution as it may come, and what may follow it.
    fn layer(&mut self) {
        let conv = self.any();
        self.convolve(conv);
        match self.below(4) {
            0 => self.normalize(),
            1 => self.shift(),
            _ => {}
        }
        if self.chance(70) {
            self.activate();
        }
    }

    fn any(&mut self) -> Conv {
        let side = self.pick(self.kernels);
        let other = if self.chance(20) {
            self.pick(&[1, 3, 5])
        } else {
            side
        };
        let kernel = [side, other];
        let dilation = if self.chance(10) { [2, 2] } else { [1, 1] };
        let stride = if self.chance(25) { [2, 2] } else { [1, 1] };
        let groups = match self.below(5) {
            0 => self.channels,
            1 if self.channels % 2 == 0 => 2,
            _ => 1,
        };
        let filters =
            groups * (1 + self.below(if groups > 2 { 2 } else { self.widest })).cast_signed();
        let reach = |axis: usize| dilation[axis] * (kernel[axis] - 1);
        let padding = match self.below(6) {
            // onnxruntime takes no dilation with these.
            0 if dilation == [1, 1] => Padding::Auto(self.pick(&["SAME_UPPER", "SAME_LOWER"])),
            1 => Padding::Explicit([0; 4]),
            2 => Padding::Explicit([0, 0, reach(0), reach(1)]),
            _ => Padding::Explicit([
                reach(0) / 2,
                reach(1) / 2,
                reach(0) - reach(0) / 2,
                reach(1) - reach(1) / 2,
            ]),
        };
        Conv {
            filters,
            kernel,
            stride,
            dilation,
            groups,
            padding,
            bias: self.chance(60),
        }
    }

    /// Adds the convolution, unless its kernel is larger than the plane.
    fn convolve(&mut self, conv: Conv) {
        let mut size = [0; 2];
        for axis in 0..2 {
            let reach = conv.dilation[axis] * (conv.kernel[axis] - 1) + 1;
            size[axis] = match conv.padding {
                Padding::Auto(_) => (self.size[axis] + conv.stride[axis] - 1) / conv.stride[axis],
                Padding::Explicit(pads) => {
                    let padded = self.size[axis] + pads[axis] + pads[axis + 2];
                    if padded < reach {
                        return;
                    }
                    (padded - reach) / conv.stride[axis] + 1
                }
            };
        }
        let name = self.name("conv");
        let inputs = self.channels / conv.groups;
        let shape = [conv.filters, inputs, conv.kernel[0], conv.kernel[1]];
        let fan_in = (inputs * conv.kernel[0] * conv.kernel[1]) as f32;
        let kernel = self.weights(
            &format!("{name}.weight"),
            &shape,
            0.0,
            (4.0 / fan_in).sqrt(),
        );
        let bias = conv
            .bias
            .then(|| self.weights(&format!("{name}.bias"), &[conv.filters], 0.0, 0.5));
        let mut attributes = vec![
            ints("kernel_shape", &conv.kernel),
            ints("strides", &conv.stride),
            ints("dilations", &conv.dilation),
            int("group", conv.groups),
        ];
        attributes.push(match conv.padding {
            Padding::Explicit(pads) => ints("pads", &pads),
            Padding::Auto(word) => text("auto_pad", word),
        });
        let inputs: Vec<&str> = [self.x.as_str(), &kernel]
            .into_iter()
            .chain(bias.as_deref())
            .collect();
        self.x = self.net.node("Conv", &name, &inputs, attributes);
        (self.channels, self.size) = (conv.filters, size);
    }

    fn normalize(&mut self) {
        let name = self.name("norm");
        let channels = self.channels;
        let mut vector =
            |part: &str, middle| self.weights(&format!("{name}.{part}"), &[channels], middle, 0.25);
        let (scale, shift) = (vector("scale", 1.0), vector("shift", 0.0));
        let (mean, variance) = (vector("mean", 0.0), vector("variance", 1.0));
        let inputs = [self.x.as_str(), &scale, &shift, &mean, &variance];
        self.x = self.net.node("BatchNormalization", &name, &inputs, vec![]);
    }

    /// A bias as a node of its own.
    fn shift(&mut self) {
        let name = self.name("shift");
        let shape = [self.channels, 1, 1];
        let constant = self.weights(&format!("{name}.value"), &shape, 0.0, 0.5);
        self.x = self.net.node("Add", &name, &[&self.x, &constant], vec![]);
    }

    fn activate(&mut self) {
        let op = self.pick(&["Relu", "Relu", "Sigmoid", "Tanh"]);
        self.node(op, "act", &[], vec![]);
    }

    /// A Pad node before a convolution.
    fn padded(&mut self) {
        let pads = [self.below(3), self.below(3), self.below(3), self.below(3)];
        let pads = pads.map(u64::cast_signed);
        let all = [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]];
        let name = self.name("pads");
        let name = self.net.integers(&name, &all);
        self.node("Pad", "pad", &[&name], vec![]);
        self.size = [
            self.size[0] + pads[0] + pads[2],
            self.size[1] + pads[1] + pads[3],
        ];
        let conv = self.any();
        self.convolve(conv);
        self.activate();
    }

    /// Two convolutions with nothing between them.
    fn serial(&mut self) {
        let point = |net: &mut Self| Conv {
            filters: 1 + net.below(net.widest).cast_signed(),
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: Padding::Explicit([0; 4]),
            bias: net.chance(50),
        };
        let first = if self.chance(50) {
            point(self)
        } else {
            self.any()
        };
        self.convolve(first);
        let second = if self.chance(70) {
            point(self)
        } else {
            self.any()
        };
        self.convolve(second);
        self.activate();
    }

    /// A depthwise convolution and a pointwise one.
    fn separable(&mut self) {
        let side = self.pick(&[3, 5]);
        let channels = self.channels;
        self.convolve(Conv {
            filters: channels,
            kernel: [side, side],
            stride: [1, 1],
            dilation: [1, 1],
            groups: channels,
            padding: Padding::Explicit([side / 2; 4]),
            bias: false,
        });
        if self.chance(50) {
            self.normalize();
            self.activate();
        }
        let filters = 1 + self.below(self.widest).cast_signed();
        self.convolve(Conv {
            filters,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: Padding::Explicit([0; 4]),
            bias: true,
        });
    }

    fn residual(&mut self) {
        let (entry, channels) = (self.x.clone(), self.channels);
        let side = self.pick(&self.kernels[2..]);
        self.convolve(Conv {
            filters: channels,
            kernel: [side, side],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: Padding::Explicit([side / 2; 4]),
            bias: true,
        });
        if self.chance(50) {
            self.normalize();
        }
        self.node("Add", "sum", &[&entry], vec![]);
        self.activate();
    }

    fn pool(&mut self) {
        if self.size.iter().any(|&side| side < 4) {
            return;
        }
        let op = self.pick(&["MaxPool", "AveragePool"]);
        let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        self.node(op, "pool", &[], attributes);
        self.size = self.size.map(|side| side / 2);
    }

    fn finish(mut self) -> ModelProto {
        let batch = Dim::Symbol("N");
        if self.chance(50) {
            let shape = [
                batch,
                Dim::Size(self.channels),
                Dim::Size(self.size[0]),
                Dim::Size(self.size[1]),
            ];
            // The plane under a name of its own: an output may not be an input.
            self.node("Relu", "plane", &[], vec![]);
            return self.net.finish(&self.x, &shape);
        }
        self.node("GlobalAveragePool", "mean", &[], vec![]);
        self.node("Flatten", "flat", &[], vec![]);
        let weight = self.weights("linear.weight", &[self.channels, 5], 0.0, 1.0);
        self.node("Gemm", "linear", &[&weight], vec![]);
        self.net.finish(&self.x, &[batch, Dim::Size(5)])
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        kind: Some(AttributeType::String as i32),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}
