//! Every rule fires on a minimal model, says its number, and is silent on a
//! near miss.

use std::path::Path;

use compiler::model::Model;
use compiler::onnx::schema::{ModelProto, StringStringEntryProto};

use super::*;
use crate::config::{Config, FILE_NAME, Overrides};
use crate::study::Options;
use crate::testing::{A, Net};

/// A rule's minimal model, what its message must hold, and a near miss.
struct Case {
    code: &'static str,
    config: &'static str,
    before: Option<u64>,
    fires: fn() -> ModelProto,
    says: &'static str,
    silent: fn() -> ModelProto,
}

const PLAIN: Case = Case {
    code: "",
    config: "",
    before: None,
    fires: || Net::new().proto(),
    says: "",
    silent: || Net::new().proto(),
};

/// What `lint` says of a model under a configuration.
pub(super) fn findings(proto: ModelProto, config: &str, before: Option<u64>) -> Vec<Finding> {
    let model = Model::from_proto(proto, Path::new("test.onnx")).unwrap();
    let config = Config::parse(config, Path::new(FILE_NAME))
        .unwrap()
        .unwrap();
    let settings = config.settings(Path::new("test.onnx"), &Overrides::default());
    let options = Options {
        weights: settings.needs_weights(),
        ..Options::default()
    };
    let study = Study::new(&model, &options).unwrap();
    let analysis = study.analysis();
    let before = before.map(|macs| Figures {
        macs: Some(macs),
        ..Figures::default()
    });
    lint(&study, &analysis, &settings, before.as_ref())
}

/// Numbers without structure between -0.5 and 0.5.
fn noise(count: i64) -> Vec<f32> {
    let mut state = 7u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(next).collect()
}

/// An image of so many channels, 32x32.
fn image(channels: &str) -> Net {
    Net::new().input("x", &["1", channels, "32", "32"])
}

trait Layers: Sized {
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

const SAME5: &[(&str, A)] = &[("pads", A::Is(&[2, 2, 2, 2]))];
const SAME3: &[(&str, A)] = &[("pads", A::Is(&[1, 1, 1, 1]))];
const STRIDE2: &[(&str, A)] = &[("strides", A::Is(&[2, 2]))];
const SAME3_STRIDE2: &[(&str, A)] = &[("pads", A::Is(&[1, 1, 1, 1])), ("strides", A::Is(&[2, 2]))];
const POOL3: &[(&str, A)] = &[
    ("kernel_shape", A::Is(&[3, 3])),
    ("strides", A::Is(&[2, 2])),
];
const POOL2: &[(&str, A)] = &[
    ("kernel_shape", A::Is(&[2, 2])),
    ("strides", A::Is(&[2, 2])),
];
const BEFORE2: &[(&str, A)] = &[("pads", A::Is(&[1, 1, 0, 0]))];
const AFTER2: &[(&str, A)] = &[("pads", A::Is(&[0, 0, 1, 1]))];

/// A 3x3 whose filters are these, over one channel.
fn filters(filters: &[[f32; 9]]) -> ModelProto {
    let count = i64::try_from(filters.len()).unwrap();
    image("1")
        .weight("w", &[count, 1, 3, 3], &filters.concat())
        .node("Conv", &["x", "w"], &["y"], &[])
        .conv("y", "z", [1, count, 3, 3], &[])
        .output("z")
        .proto()
}

/// 16 filters of 16 weights that are sums of so many directions.
fn of_rank(rank: usize) -> ModelProto {
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
fn branches(attributes: &[(&str, A)]) -> ModelProto {
    image("4")
        .conv("x", "a", [4, 4, 1, 1], STRIDE2)
        .conv("x", "b", [4, 4, 3, 3], attributes)
        .node("Add", &["a", "b"], &["y"], &[])
        .output("y")
        .proto()
}

fn with_ignore(mut proto: ModelProto, value: &str) -> ModelProto {
    proto.metadata_props.push(StringStringEntryProto {
        key: Some(IGNORE_KEY.into()),
        value: Some(value.into()),
    });
    proto
}

fn transposed(kernel: i64) -> ModelProto {
    image("4")
        .weight("w", &[4, 4, kernel, kernel], &noise(16 * kernel * kernel))
        .node("ConvTranspose", &["x", "w"], &["y"], STRIDE2)
        .output("y")
        .proto()
}

/// A 1x1 convolution and a constant of this shape added to it.
fn added(shape: &[i64]) -> ModelProto {
    image("4")
        .conv("x", "a", [4, 4, 1, 1], &[])
        .weight("c", shape, &noise(shape.iter().product()))
        .node("Add", &["a", "c"], &["y"], &[])
        .output("y")
        .proto()
}

/// A convolution after a Pad by these amounts.
fn padded(pads: &[i64]) -> ModelProto {
    image("4")
        .ints("pads", pads)
        .node("Pad", &["x", "pads"], &["a"], &[])
        .conv("a", "y", [4, 4 + pads[1] + pads[5], 3, 3], &[])
        .output("y")
        .proto()
}

static CASES: &[Case] = &[
    Case {
        code: "CF001",
        fires: || {
            image("16")
                .conv("x", "y", [16, 16, 5, 5], SAME5)
                .output("y")
                .proto()
        },
        says: "4.61 k weights instead of 6.40 k (-28.0 %)",
        // Depthwise: 25 weights a channel are cheap as they are.
        silent: || {
            let depthwise = &[("pads", A::Is(&[2, 2, 2, 2])), ("group", A::I(16))];
            image("16")
                .conv("x", "y", [16, 1, 5, 5], depthwise)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF002",
        fires: || {
            image("3")
                .conv("x", "y", [64, 3, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        says: "makes 64 channels of 27 numbers (2.37 to one)",
        silent: || {
            image("3")
                .conv("x", "y", [27, 3, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF003",
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 2, 2], AFTER2)
                .output("y")
                .proto()
        },
        says: "0.5 px of the input",
        // The second 2x2 pads the other side: the two cancel.
        silent: || {
            image("4")
                .conv("x", "a", [4, 4, 2, 2], AFTER2)
                .relu("a", "b")
                .conv("b", "y", [4, 4, 2, 2], BEFORE2)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF004",
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 1, 1], STRIDE2)
                .output("y")
                .proto()
        },
        says: "reads 25 %",
        silent: || {
            image("4")
                .conv("x", "y", [4, 4, 3, 3], SAME3_STRIDE2)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF005",
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 1, 1], STRIDE2)
                .output("y")
                .proto()
        },
        says: "folds back 75 % of white energy",
        silent: || {
            image("4")
                .pool("AveragePool", "x", "y", POOL3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF006",
        fires: || {
            image("3")
                .conv("x", "a", [8, 3, 3, 3], SAME3_STRIDE2)
                .relu("a", "b")
                .pool("MaxPool", "b", "y", POOL3)
                .output("y")
                .proto()
        },
        says: "samples by 4x4 in two steps",
        // A convolution between: no longer the stem.
        silent: || {
            image("3")
                .conv("x", "a", [8, 3, 3, 3], SAME3_STRIDE2)
                .conv("a", "b", [8, 8, 3, 3], SAME3)
                .pool("MaxPool", "b", "y", POOL3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF007",
        fires: || {
            Net::new()
                .input("x", &["1", "2", "4", "4"])
                .conv("x", "a", [2, 2, 5, 5], SAME5)
                .relu("a", "b")
                .conv("b", "y", [2, 2, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        says: "see 5x5 of a 4x4 image already",
        silent: || {
            Net::new()
                .input("x", &["1", "2", "5", "5"])
                .conv("x", "a", [2, 2, 5, 5], SAME5)
                .relu("a", "b")
                .conv("b", "y", [2, 2, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF008",
        fires: || {
            image("2")
                .conv("x", "a", [2, 2, 3, 3], SAME3)
                .pool("GlobalAveragePool", "a", "y", &[])
                .output("y")
                .proto()
        },
        says: "sees 3x3 of a 32x32 image (9.4 % of a side)",
        silent: || {
            Net::new()
                .input("x", &["1", "2", "6", "6"])
                .conv("x", "a", [2, 2, 3, 3], SAME3)
                .pool("GlobalAveragePool", "a", "y", &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF009",
        fires: || {
            image("4")
                .conv("x", "a", [16, 4, 3, 3], &[])
                .conv("a", "y", [4, 16, 1, 1], &[])
                .output("y")
                .proto()
        },
        says: "one 3x3 in their place is exact and takes 78 % fewer MACs",
        silent: || {
            image("4")
                .conv("x", "a", [16, 4, 3, 3], &[])
                .relu("a", "b")
                .conv("b", "y", [4, 16, 1, 1], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF010",
        fires: || {
            image("4")
                .conv("x", "a", [4, 4, 3, 3], &[])
                .batchnorm("a", "y", 4)
                .output("y")
                .proto()
        },
        says: "reads and writes 28.9 kB for it",
        // The convolution's output is read elsewhere too.
        silent: || {
            image("4")
                .conv("x", "a", [4, 4, 3, 3], &[])
                .batchnorm("a", "y", 4)
                .output("y")
                .output("a")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF011",
        fires: || {
            image("4")
                .biased("x", "a", [4, 4, 3, 3])
                .batchnorm("a", "y", 4)
                .output("y")
                .proto()
        },
        says: "adds 4 biases",
        silent: || {
            image("4")
                .conv("x", "a", [4, 4, 3, 3], &[])
                .batchnorm("a", "y", 4)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF012",
        fires: || {
            image("3")
                .conv("x", "a", [8, 3, 7, 7], &[])
                .pool("MaxPool", "a", "b", POOL2)
                .conv("b", "y", [64, 8, 1, 1], &[])
                .output("y")
                .proto()
        },
        says: "from 8 to 64 channels (x8)",
        silent: || {
            image("3")
                .conv("x", "a", [8, 3, 7, 7], &[])
                .pool("MaxPool", "a", "b", POOL2)
                .conv("b", "y", [16, 8, 1, 1], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF013",
        fires: || {
            filters(&[
                [1., 2., 3., 4., 5., 6., 7., 8., 9.],
                [2., 4., 6., 8., 10., 12., 14., 16., 18.],
                [1., -1., 1., -1., 1., -1., 1., -1., 1.],
            ])
        },
        says: "0 and 1",
        silent: || {
            filters(&[
                [1., 2., 3., 4., 5., 6., 7., 8., 9.],
                [2., 4., 6., 8., 10., 12., 14., 16., 16.],
                [1., -1., 1., -1., 1., -1., 1., -1., 1.],
            ])
        },
        ..PLAIN
    },
    Case {
        code: "CF014",
        fires: || filters(&[[1., 2., 3., 4., 5., 6., 7., 8., 9.], [1e-9; 9]]),
        says: "1 filter of 2 (50 %)",
        silent: || filters(&[[1., 2., 3., 4., 5., 6., 7., 8., 9.], [1e-3; 9]]),
        ..PLAIN
    },
    Case {
        code: "CF015",
        fires: || of_rank(2),
        says: "of 16 (1",
        silent: || of_rank(16),
        ..PLAIN
    },
    Case {
        code: "CF016",
        fires: || filters(&[[f32::NAN, 2., f32::INFINITY, 4., 5., 6., 7., 8., 9.]]),
        says: "1 NaN and 1 infinite weights",
        silent: || filters(&[[0., 2., f32::MAX, 4., 5., 6., 7., 8., 9.]]),
        ..PLAIN
    },
    Case {
        code: "CF017",
        fires: || {
            branches(&[
                ("auto_pad", A::S("SAME_UPPER")),
                ("strides", A::Is(&[2, 2])),
            ])
        },
        says: "1 px of the input apart, 0.5 of a step of 2 px",
        silent: || branches(SAME3_STRIDE2),
        ..PLAIN
    },
    Case {
        code: "CF018",
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 3, 3], AFTER2)
                .output("y")
                .proto()
        },
        says: "with pads 0,0 before and 1,1 after",
        // An even kernel: that is CF003's.
        silent: || {
            image("4")
                .conv("x", "y", [4, 4, 2, 2], AFTER2)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF019",
        config: "[budget]\nmacs = \"100k\"",
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        says: "147 k MACs, 47.5 % above the budget of 100 k",
        silent: || {
            image("4")
                .conv("x", "y", [2, 4, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF020",
        before: Some(100_000),
        fires: || {
            image("4")
                .conv("x", "y", [4, 4, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        says: "147 k MACs, 47.5 % more than the 100 k of the baseline",
        silent: || {
            image("4")
                .conv("x", "y", [2, 4, 3, 3], SAME3)
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF021",
        fires: || {
            image("4")
                .node_of("acme", "Fancy", &["x"], &["y"], &[])
                .output("y")
                .proto()
        },
        says: "acme::Fancy is not known",
        silent: || image("4").relu("x", "y").output("y").proto(),
        ..PLAIN
    },
    Case {
        code: "CF022",
        fires: || {
            image("4")
                .input("size", &["2"])
                .node("Reshape", &["x", "size"], &["y"], &[])
                .relu("y", "z")
                .output("z")
                .proto()
        },
        says: "Reshape",
        silent: || {
            image("4")
                .ints("size", &[4, -1])
                .node("Reshape", &["x", "size"], &["y"], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF023",
        fires: || image("4").opset(12).relu("x", "y").output("y").proto(),
        says: "operator set 12",
        silent: || image("4").opset(13).relu("x", "y").output("y").proto(),
        ..PLAIN
    },
    Case {
        code: "CF024",
        fires: || {
            image("4")
                .weight("left", &[250], &noise(250))
                .relu("x", "y")
                .output("y")
                .proto()
        },
        says: "1 initializer that nothing reads holds 1.00 kB: left",
        silent: || {
            image("4")
                .weight("left", &[1], &noise(1))
                .node("Add", &["x", "left"], &["y"], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF025",
        fires: || {
            image("1")
                .conv("x", "a", [8, 1, 3, 3], &[])
                .conv("a", "y", [8, 8, 3, 3], &[])
                .output("y")
                .proto()
        },
        says: "take 648 MACs a position, 3.24 times the 200",
        // Two channels between: 162 MACs for 200.
        silent: || {
            image("1")
                .conv("x", "a", [2, 1, 3, 3], &[])
                .conv("a", "y", [8, 2, 3, 3], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF026",
        fires: || transposed(3),
        says: "between 1 and 4 contributions",
        silent: || transposed(4),
        ..PLAIN
    },
    Case {
        code: "CF027",
        fires: || {
            let mut proto = Net::new()
                .input("x", &["1", "4", "8", "8"])
                .input("shift", &["1"])
                .weight("shift", &[1], &[1.0])
                .node("Add", &["x", "shift"], &["y"], &[])
                .output("y")
                .proto();
            proto.ir_version = Some(3);
            proto
        },
        says: "1 of 2 graph inputs are weights",
        silent: || {
            image("4")
                .weight("shift", &[1], &[1.0])
                .node("Add", &["x", "shift"], &["y"], &[])
                .output("y")
                .proto()
        },
        ..PLAIN
    },
    Case {
        code: "CF028",
        fires: || filters(&[[0.5; 9], [0.5; 9]]),
        says: "every element is the same in 1 weight tensor",
        silent: || filters(&[[0.5; 9], [0.25; 9]]),
        ..PLAIN
    },
    Case {
        code: "CF029",
        fires: || with_ignore(image("4").relu("x", "y").output("y").proto(), "CF0O1"),
        says: "did you mean \"CF001\"?",
        silent: || {
            with_ignore(
                image("4").relu("x", "y").output("y").proto(),
                "CF001, bad-weights",
            )
        },
        ..PLAIN
    },
    Case {
        code: "CF030",
        fires: || added(&[4, 1, 1]),
        says: "could be its bias, and reads and writes 32.8 kB",
        // One number a column is no bias.
        silent: || added(&[32]),
        ..PLAIN
    },
    Case {
        code: "CF031",
        fires: || padded(&[0, 0, 0, 0, 0, 0, 1, 1]),
        says: "pads with zeros (0,0,1,1)",
        // Channels are padded too.
        silent: || padded(&[0, 0, 0, 0, 0, 1, 1, 1]),
        ..PLAIN
    },
    Case {
        code: "CF032",
        fires: absent,
        says: "2 tensors are in absent.bin",
        silent: || filters(&[[1.0; 9], [2.0; 9]]),
        ..PLAIN
    },
];

#[test]
fn every_rule_fires_on_its_model_and_is_silent_on_a_near_miss() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let case = CASES.iter().find(|c| c.code == rule.code);
        let Some(case) = case else {
            assert!(
                matches!(rule.check, Check::File),
                "{} has no case",
                rule.code
            );
            continue;
        };
        let of = |proto| {
            let mut all = findings(proto, case.config, case.before);
            all.retain(|f| f.code == rule.code);
            all
        };
        let fired = of((case.fires)());
        let sound = |f: &Finding| {
            f.message.contains(case.says) && !f.help.is_empty() && !f.evidence.is_empty()
        };
        if fired.len() != 1 || !sound(&fired[0]) {
            wrong.push(format!(
                "{} should say {:?}: {fired:#?}",
                rule.code, case.says
            ));
        }
        let silent = of((case.silent)());
        if !silent.is_empty() {
            wrong.push(format!("{} on the near miss: {silent:#?}", rule.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn models_suppress_findings_as_a_whole_and_by_node() {
    let strided = || {
        image("4")
            .conv("x", "a", [4, 4, 1, 1], STRIDE2)
            .relu("a", "b")
            .conv("b", "y", [4, 4, 1, 1], STRIDE2)
            .output("y")
            .proto()
    };
    let nodes = |proto| -> Vec<Option<String>> {
        let all = findings(proto, "select = [\"CF004\"]", None);
        all.into_iter().map(|f| f.node).collect()
    };
    assert_eq!(nodes(strided()).len(), 2);
    assert!(nodes(with_ignore(strided(), "stride-without-overlap")).is_empty());
    assert_eq!(nodes(with_ignore(strided(), "CF005")).len(), 2);
    let mut one = strided();
    let graph = one.graph.as_mut().unwrap();
    graph.node[0].metadata_props.push(StringStringEntryProto {
        key: Some(IGNORE_KEY.into()),
        value: Some("CF00".into()),
    });
    assert_eq!(nodes(one), [Some("y/node".to_owned())]);
}

#[test]
fn what_nobody_reads_is_a_warning() {
    // The first convolution's map is read by a 1x1 at stride 2 alone.
    let proto = image("4")
        .conv("x", "a", [4, 4, 3, 3], SAME3)
        .conv("a", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    let found = findings(proto, "select = [\"CF004\"]", None);
    assert_eq!(found[0].severity, Severity::Warning);
    let proto = image("4")
        .conv("x", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    let found = findings(proto, "select = [\"CF004\"]", None);
    assert_eq!(found[0].severity, Severity::Information);
    let config = "select = [\"CF004\"]\n[rules.CF004]\nseverity = \"error\"";
    let proto = image("4")
        .conv("x", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    assert_eq!(findings(proto, config, None)[0].severity, Severity::Error);
}

#[test]
fn budgets_of_open_sizes_are_told_as_such() {
    let open = |sizes: &[&str]| {
        let net = Net::new().input("x", sizes);
        net.conv("x", "y", [4, 4, 3, 3], SAME3).output("y").proto()
    };
    let config = "select = [\"CF019\"]\n[budget]\nmacs = 200_000\nweight-bytes = \"1 KiB\"";
    assert!(findings(open(&["N", "4", "32", "32"]), config, None).is_empty());
    let found = findings(open(&["N", "4", "H", "W"]), config, None);
    assert!(found[0].message.contains("open"), "{found:?}");
}

#[test]
fn tensors_of_one_value_are_no_twins() {
    let all = findings(filters(&[[0.5; 9], [0.5; 9]]), "", None);
    assert!(
        all.iter()
            .all(|f| !["CF013", "CF014", "CF015"].contains(&f.code.as_str()))
    );
}

/// Two filters whose data are elsewhere.
fn absent() -> ModelProto {
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

#[test]
fn absent_weights_say_nothing_else() {
    let codes: Vec<String> = findings(
        absent(),
        "select = [\"CF013\", \"CF014\", \"CF015\", \"CF016\", \"CF028\"]",
        None,
    )
    .into_iter()
    .map(|f| f.code)
    .collect();
    assert!(codes.is_empty(), "{codes:?}");
}

#[test]
fn a_stage_may_widen_once_all_is_seen() {
    let net = |size: &str| {
        Net::new()
            .input("x", &["1", "3", size, size])
            .conv("x", "a", [8, 3, 7, 7], &[("pads", A::Is(&[3, 3, 3, 3]))])
            .pool("MaxPool", "a", "b", POOL2)
            .conv("b", "y", [64, 8, 1, 1], &[])
            .output("y")
            .proto()
    };
    let codes = |proto| findings(proto, "select = [\"CF012\"]", None).len();
    assert_eq!((codes(net("6")), codes(net("32"))), (0, 1));
}
