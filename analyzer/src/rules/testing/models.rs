//! Minimal models.

use compiler::onnx::schema::{ModelProto, StringStringEntryProto};

use super::super::IGNORE_KEY;
use crate::testing::{A, Net};

/// Numbers without structure between -0.5 and 0.5.
pub fn noise(count: i64) -> Vec<f32> {
    let mut state = 7u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(next).collect()
}

/// An image of so many channels, 32x32.
pub fn image(channels: &str) -> Net {
    Net::new().input("x", &["1", channels, "32", "32"])
}

pub trait Layers: Sized {
    /// A convolution with weights `w` + its output's name.
    fn conv(self, from: &str, to: &str, weights: [i64; 4], attributes: &[(&str, A)]) -> Self;
    /// The same with a bias.
    fn biased(self, from: &str, to: &str, weights: [i64; 4]) -> Self;
    fn relu(self, from: &str, to: &str) -> Self;
    fn batchnorm(self, from: &str, to: &str, channels: i64) -> Self;
    fn pool(self, op: &str, from: &str, to: &str, attributes: &[(&str, A)]) -> Self;
}

impl Layers for Net {
    fn conv(self, from: &str, to: &str, weights: [i64; 4], attributes: &[(&str, A)]) -> Self {
        let w = format!("w{to}");
        let data = noise(weights.iter().product());
        self.weight(&w, &weights, &data)
            .node("Conv", &[from, &w], &[to], attributes)
    }
    fn biased(self, from: &str, to: &str, weights: [i64; 4]) -> Self {
        let (w, b) = (format!("w{to}"), format!("b{to}"));
        self.weight(&w, &weights, &noise(weights.iter().product()))
            .weight(&b, &weights[..1], &noise(weights[0]))
            .node("Conv", &[from, &w, &b], &[to], &[])
    }
    fn relu(self, from: &str, to: &str) -> Self {
        self.node("Relu", &[from], &[to], &[])
    }
    fn batchnorm(self, from: &str, to: &str, channels: i64) -> Self {
        let ones = vec![1.0; usize::try_from(channels).unwrap()];
        self.weight("ones", &[channels], &ones).node(
            "BatchNormalization",
            &[from, "ones", "ones", "ones", "ones"],
            &[to],
            &[],
        )
    }
    fn pool(self, op: &str, from: &str, to: &str, attributes: &[(&str, A)]) -> Self {
        self.node(op, &[from], &[to], attributes)
    }
}

pub const SAME5: &[(&str, A)] = &[("pads", A::Is(&[2, 2, 2, 2]))];
pub const SAME3: &[(&str, A)] = &[("pads", A::Is(&[1, 1, 1, 1]))];
pub const STRIDE2: &[(&str, A)] = &[("strides", A::Is(&[2, 2]))];
pub const SAME3_STRIDE2: &[(&str, A)] =
    &[("pads", A::Is(&[1, 1, 1, 1])), ("strides", A::Is(&[2, 2]))];
pub const POOL3: &[(&str, A)] = &[
    ("kernel_shape", A::Is(&[3, 3])),
    ("strides", A::Is(&[2, 2])),
];
pub const POOL2: &[(&str, A)] = &[
    ("kernel_shape", A::Is(&[2, 2])),
    ("strides", A::Is(&[2, 2])),
];
pub const BEFORE2: &[(&str, A)] = &[("pads", A::Is(&[1, 1, 0, 0]))];
pub const AFTER2: &[(&str, A)] = &[("pads", A::Is(&[0, 0, 1, 1]))];

/// A 3x3 whose filters are these, over one channel.
pub fn filters(filters: &[[f32; 9]]) -> ModelProto {
    let count = i64::try_from(filters.len()).unwrap();
    image("1")
        .weight("w", &[count, 1, 3, 3], &filters.concat())
        .node("Conv", &["x", "w"], &["y"], &[])
        .conv("y", "z", [1, count, 3, 3], &[])
        .output("z")
        .proto()
}

/// 16 filters of 16 weights that are sums of so many directions.
pub fn of_rank(rank: usize) -> ModelProto {
    let (a, b) = (noise(16 * 16), noise(32 * 16));
    let rows = (0..16).flat_map(|o| {
        let (a, b) = (&a, &b);
        (0..16).map(move |i| {
            let terms = (0..rank).map(|r| a[o * 16 + r] * b[200 + r * 16 + i]);
            terms.sum::<f32>()
        })
    });
    let data: Vec<f32> = rows.collect();
    image("16")
        .weight("w", &[16, 16, 1, 1], &data)
        .node("Conv", &["x", "w"], &["y"], &[])
        .output("y")
        .proto()
}

/// Two convolutions that are added: the second with these pads.
pub fn branches(attributes: &[(&str, A)]) -> ModelProto {
    image("4")
        .conv("x", "a", [4, 4, 1, 1], STRIDE2)
        .conv("x", "b", [4, 4, 3, 3], attributes)
        .node("Add", &["a", "b"], &["y"], &[])
        .output("y")
        .proto()
}

pub fn with_ignore(mut proto: ModelProto, value: &str) -> ModelProto {
    proto.metadata_props.push(StringStringEntryProto {
        key: Some(IGNORE_KEY.into()),
        value: Some(value.into()),
    });
    proto
}

pub fn transposed(kernel: i64) -> ModelProto {
    image("4")
        .weight("w", &[4, 4, kernel, kernel], &noise(16 * kernel * kernel))
        .node("ConvTranspose", &["x", "w"], &["y"], STRIDE2)
        .output("y")
        .proto()
}

/// A 1x1 convolution and a constant of this shape added to it.
pub fn added(shape: &[i64]) -> ModelProto {
    image("4")
        .conv("x", "a", [4, 4, 1, 1], &[])
        .weight("c", shape, &noise(shape.iter().product()))
        .node("Add", &["a", "c"], &["y"], &[])
        .output("y")
        .proto()
}

/// A convolution after a Pad by these amounts.
pub fn padded(pads: &[i64]) -> ModelProto {
    image("4")
        .ints("pads", pads)
        .node("Pad", &["x", "pads"], &["a"], &[])
        .conv("a", "y", [4, 4 + pads[1] + pads[5], 3, 3], &[])
        .output("y")
        .proto()
}

/// Two filters whose data are elsewhere.
pub fn absent() -> ModelProto {
    let mut proto = filters(&[[1.0; 9], [2.0; 9]]);
    for tensor in &mut proto.graph.as_mut().unwrap().initializer {
        tensor.float_data.clear();
        tensor.data_location = Some(1);
        tensor.external_data = vec![StringStringEntryProto {
            key: Some("location".into()),
            value: Some("absent.bin".into()),
        }];
    }
    proto
}
