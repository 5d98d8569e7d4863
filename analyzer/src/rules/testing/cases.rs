//! A rule's minimal model, what it says, and a near miss.

use super::models::*;
use super::{Case, PLAIN};
use crate::testing::{A, Net};

pub static CASES: &[Case] = &[
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
