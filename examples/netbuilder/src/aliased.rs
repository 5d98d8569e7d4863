//! A network with known faults, one of each kind that a linter should find.

use compiler::onnx::schema::ModelProto;
use rand_pcg::{Pcg64, rand_core::Rng};

use crate::{Builder, Dim, int, ints};

/// A random classifier, `image` (N, 3, 64, 64) to `logits` (N, 10), with these
/// faults:
///
/// - `stem` (7x7, stride 2) is followed at once by a max-pool of stride 2;
/// - `stem` and both branches of the block end in BatchNormalization, not folded;
/// - `shortcut` is 1x1 with stride 2: it never looks at three quarters of its input;
/// - `shift_2x2` and `shift_4x4` are even kernels padded on one side more than on the
///   other, so that the image moves by half a pixel each;
/// - `narrow_pool` is 2x2 with stride 2: no overlap;
/// - in `shift_2x2` filters 4 and 5 are twins (5 is twice 4), and filter 7 is dead;
/// - `serial_a` and `serial_b` are convolutions with nothing between them;
/// - `wide_5x5` is a large kernel that smaller ones can replace;
/// - `forgotten` is an initializer that no node uses.
pub fn model() -> ModelProto {
    let mut net = Faulty::new();
    let x = net.convolution("stem", "image", [8, 3, 7], 2, [3; 4]);
    let x = net.normalization("stem_norm", &x, 8);
    let x = net.pointwise("Relu", "stem_relu", &[&x]);
    let x = net.max_pool("stem_pool", &x, 3, [1, 1, 1, 1]);

    let main = net.convolution("branch", &x, [16, 8, 3], 2, [1; 4]);
    let main = net.normalization("branch_norm", &main, 16);
    let short = net.convolution("shortcut", &x, [16, 8, 1], 2, [0; 4]);
    let short = net.normalization("shortcut_norm", &short, 16);
    let x = net.pointwise("Add", "block_add", &[&main, &short]);
    let x = net.pointwise("Relu", "block_relu", &[&x]);

    let x = net.twin_and_dead("shift_2x2", &x, [16, 16, 2], [0, 0, 1, 1]);
    let x = net.pointwise("Relu", "shift_2x2_relu", &[&x]);
    let x = net.convolution("shift_4x4", &x, [8, 16, 4], 1, [1, 1, 2, 2]);
    let x = net.pointwise("Relu", "shift_4x4_relu", &[&x]);
    let x = net.max_pool("narrow_pool", &x, 2, [0; 4]);

    let x = net.convolution("serial_a", &x, [8, 8, 3], 1, [1; 4]);
    let x = net.convolution("serial_b", &x, [8, 8, 1], 1, [0; 4]);
    let x = net.pointwise("Relu", "serial_relu", &[&x]);
    let x = net.convolution("wide_5x5", &x, [16, 8, 5], 1, [2; 4]);
    let x = net.pointwise("Relu", "wide_5x5_relu", &[&x]);

    net.random_weights("forgotten", &[4, 4], 1.0);
    net.classify(&x, 16)
}

/// Filters, input channels, kernel size.
type Size = [i64; 3];

struct Faulty {
    net: Builder,
    random: Pcg64,
}

impl Faulty {
    fn new() -> Self {
        let side = Dim::Size(64);
        let shape = [Dim::Symbol("N"), Dim::Size(3), side, side];
        Self {
            net: Builder::new("aliased", "image", &shape),
            random: Pcg64::new(1, 1),
        }
    }

    /// Between -reach and reach; the same numbers on every platform.
    fn values(&mut self, count: i64, reach: f32) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / (1u32 << 24) as f32;
        (0..count)
            .map(|_| reach * (2.0 * unit(self.random.next_u64()) - 1.0))
            .collect()
    }

    /// Kernels of uniform noise with He's variance, 2 / fan-in.
    fn kernels(&mut self, [filters, channels, size]: Size) -> Vec<f32> {
        let fan_in = channels * size * size;
        self.values(filters * fan_in, (6.0 / fan_in as f32).sqrt())
    }

    fn random_weights(&mut self, name: &str, shape: &[i64], reach: f32) -> String {
        let values = self.values(shape.iter().product(), reach);
        self.net.weights(name, shape, values)
    }

    fn convolution(
        &mut self,
        name: &str,
        x: &str,
        size: Size,
        stride: i64,
        pads: [i64; 4],
    ) -> String {
        let kernels = self.kernels(size);
        self.convolve(name, x, size, kernels, stride, pads)
    }

    /// Filter 5 is twice filter 4; filter 7 is zero.
    fn twin_and_dead(&mut self, name: &str, x: &str, size: Size, pads: [i64; 4]) -> String {
        let mut kernels = self.kernels(size);
        let length = (size[1] * size[2] * size[2]) as usize;
        kernels.copy_within(4 * length..5 * length, 5 * length);
        kernels[5 * length..6 * length]
            .iter_mut()
            .for_each(|weight| *weight *= 2.0);
        kernels[7 * length..8 * length].fill(0.0);
        self.convolve(name, x, size, kernels, 1, pads)
    }

    fn convolve(
        &mut self,
        name: &str,
        x: &str,
        [filters, channels, size]: Size,
        kernels: Vec<f32>,
        stride: i64,
        pads: [i64; 4],
    ) -> String {
        let shape = [filters, channels, size, size];
        let weight = self.net.weights(&format!("{name}.weight"), &shape, kernels);
        let attributes = vec![
            ints("kernel_shape", &[size, size]),
            ints("strides", &[stride, stride]),
            ints("pads", &pads),
        ];
        self.net.node("Conv", name, &[x, &weight], attributes)
    }

    fn normalization(&mut self, name: &str, x: &str, channels: i64) -> String {
        let mut vector = |part: &str, middle: f32| {
            let values = self
                .values(channels, 0.25)
                .into_iter()
                .map(|value| value + middle);
            let values = values.collect();
            self.net
                .weights(&format!("{name}.{part}"), &[channels], values)
        };
        let parts = [
            vector("scale", 1.0),
            vector("shift", 0.0),
            vector("mean", 0.0),
            vector("variance", 1.0),
        ];
        let [scale, shift, mean, variance] = &parts;
        let inputs = [x, scale, shift, mean, variance];
        self.net.node("BatchNormalization", name, &inputs, vec![])
    }

    fn pointwise(&mut self, op_type: &str, name: &str, inputs: &[&str]) -> String {
        self.net.node(op_type, name, inputs, vec![])
    }

    fn max_pool(&mut self, name: &str, x: &str, size: i64, pads: [i64; 4]) -> String {
        let attributes = vec![
            ints("kernel_shape", &[size, size]),
            ints("strides", &[2, 2]),
            ints("pads", &pads),
        ];
        self.net.node("MaxPool", name, &[x], attributes)
    }

    fn classify(mut self, x: &str, channels: i64) -> ModelProto {
        let weight = self.random_weights("logits.weight", &[10, channels], 0.5);
        let bias = self.random_weights("logits.bias", &[10], 0.1);
        let x = self.net.node("GlobalAveragePool", "average", &[x], vec![]);
        let x = self
            .net
            .node("Flatten", "features", &[&x], vec![int("axis", 1)]);
        let attributes = vec![int("transB", 1)];
        let x = self
            .net
            .node("Gemm", "logits", &[&x, &weight, &bias], attributes);
        self.net.finish(&x, &[Dim::Symbol("N"), Dim::Size(10)])
    }
}
