//! Nodes that run, though tract alone would not, and those that are named because they do not.

use tract_onnx::pb::{StringStringEntryProto, TensorProto};

use super::*;

#[test]
fn a_missing_operator_is_named_and_values_before_it_can_be_probed() {
    let bytes = graph(13)
        .input("x", FLOAT, &["N", "3"])
        .floats("two", &[1], &[2.0])
        .node("", "Mul", &["x", "two"], "doubled", vec![])
        .node("odd", "Frobnicate", &["doubled"], "z", vec![])
        .node("odd2", "my.own:Relu", &["z"], "y", vec![])
        .output("y")
        .bytes();
    let data = counting(2, &[3]);
    let message = run(&bytes, &data).unwrap_err().to_string();
    for part in [
        "tiny.onnx",
        "Frobnicate",
        "\"odd\"",
        "my.own:Relu",
        "\"odd2\"",
        "onnxruntime",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let model = Model::new("tiny.onnx", &bytes);
    let values = ["doubled".into(), "x".into(), "two".into()];
    let session = Session::probe(model, &values, data.shapes()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(session.outputs(), values);
    let samples = collect(&session, &data).expect("runs");
    assert_eq!(samples[1][0].data, [6.0, 8.0, 10.0]);
    assert_eq!(samples[1][1].data, [3.0, 4.0, 5.0]);
    assert_eq!(samples[1][2].data, [2.0]);
    let missing = Session::probe(model, &["nowhere".into()], data.shapes());
    assert!(matches!(missing, Err(Error::NoValue { value, .. }) if value == "nowhere"));
}

#[test]
fn a_misfit_inside_the_model_names_its_node() {
    let bytes = graph(13)
        .input("x", FLOAT, &["N", "2", "4", "4"])
        .floats("w", &[1, 3, 1, 1], &[1.0; 3])
        .node("first/conv", "Conv", &["x", "w"], "y", vec![])
        .output("y")
        .bytes();
    let message = run(&bytes, &counting(1, &[2, 4, 4]))
        .unwrap_err()
        .to_string();
    for part in [
        "tiny.onnx",
        "Conv",
        "first/conv",
        "rewriting and export still work",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn what_is_no_model_is_refused() {
    for bytes in [
        &b"version https://git-lfs.github.com/spec/v1\n"[..],
        b"",
        &[8, 8],
    ] {
        let error = Session::load(Model::new("x.onnx", bytes), &[])
            .err()
            .expect("refused");
        assert!(matches!(error, Error::NotAModel { .. }), "{error}");
    }
}

#[test]
fn files_that_a_model_names_are_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = folder.path().join("w.bin");
    std::fs::write(&there, [0; 12]).expect("written");
    let there = there.to_str().expect("UTF-8");
    let with = |location: &str| {
        let location = StringStringEntryProto {
            key: "location".into(),
            value: location.into(),
        };
        graph(13)
            .input("x", FLOAT, &["N", "3"])
            .tensor(TensorProto {
                name: "w".into(),
                data_type: FLOAT,
                dims: vec![3],
                data_location: Some(1),
                external_data: vec![location],
                ..<_>::default()
            })
            .node("mul", "Mul", &["x", "w"], "y", vec![])
            .output("y")
            .bytes()
    };
    for location in [there, "w.bin", "../w.bin", "/etc/hostname"] {
        let bytes = with(location);
        assert!(Session::load(Model::new("m.onnx", &bytes), &[vec![3]]).is_err());
    }
}

#[test]
fn operators_that_onnx_dropped_still_run() {
    let bytes = graph(7)
        .input("x", FLOAT, &["N", "2", "4", "5"])
        .node(
            "",
            "ImageScaler",
            &["x"],
            "a",
            vec![float("scale", 2.0), floats("bias", &[1.0, -1.0])],
        )
        .node(
            "",
            "Affine",
            &["a"],
            "b",
            vec![float("alpha", 0.5), float("beta", 3.0)],
        )
        .node("", "Crop", &["b"], "c", vec![ints("border", &[1, 0, 2, 1])])
        .node(
            "",
            "Crop",
            &["b"],
            "d",
            vec![ints("border", &[3, 1, 0, 0]), ints("scale", &[2, 1])],
        )
        .output("c")
        .output("d")
        .bytes();
    let samples = run(&bytes, &counting(2, &[2, 4, 5])).expect("runs");
    let value = |i: usize, c: usize, y: usize, x: usize| {
        let raw = (((i * 2 + c) * 4 + y) * 5 + x) as f32;
        0.5 * (2.0 * raw + [1.0, -1.0][c]) + 3.0
    };
    for (i, sample) in samples.iter().enumerate() {
        assert_eq!(sample[0].shape, [1, 2, 3, 2]);
        assert_eq!(sample[1].shape, [1, 2, 2, 1]);
        for c in 0..2 {
            for y in 0..3 {
                for x in 0..2 {
                    assert_eq!(sample[0].data[(c * 3 + y) * 2 + x], value(i, c, y, x + 1));
                }
            }
            for y in 0..2 {
                assert_eq!(sample[1].data[c * 2 + y], value(i, c, y + 1, 3));
            }
        }
    }
}

#[test]
fn upsample_of_both_operator_sets_runs() {
    let scales = [1.0, 1.0, 2.0, 3.0];
    let seven = graph(7)
        .input("x", FLOAT, &["N", "1", "2", "2"])
        .node(
            "up",
            "Upsample",
            &["x"],
            "y",
            vec![floats("scales", &scales), string("mode", "nearest")],
        )
        .output("y")
        .bytes();
    let nine = graph(9)
        .input("x", FLOAT, &["N", "1", "2", "2"])
        .floats("scales", &[4], &scales)
        .node(
            "up",
            "Upsample",
            &["x", "scales"],
            "y",
            vec![string("mode", "nearest")],
        )
        .output("y")
        .bytes();
    for bytes in [seven, nine] {
        let sample = run(&bytes, &counting(1, &[1, 2, 2])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(sample[0][0].shape, [1, 1, 4, 6]);
        let rows = [
            [0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
            [2.0, 2.0, 2.0, 3.0, 3.0, 3.0],
        ];
        assert_eq!(
            sample[0][0].data,
            [rows[0], rows[0], rows[1], rows[1]].concat()
        );
    }
}

/// A model of three nodes, the middle one as given, for inputs of 1x2x6x6.
fn around(op: &str, attributes: Vec<tract_onnx::pb::AttributeProto>) -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &["1", "2", "6", "6"])
        .floats("w", &[2, 2, 3, 3], &[0.5; 36])
        .node("before", "Relu", &["x"], "a", vec![])
        .node(
            "bad",
            op,
            &["a", "w"][..if op == "Conv" { 2 } else { 1 }],
            "b",
            attributes,
        )
        .node("after", "Relu", &["b"], "y", vec![])
        .output("y")
        .bytes()
}

#[test]
fn whatever_tract_makes_of_a_node_the_node_is_named() {
    let data = counting(1, &[2, 6, 6]);
    let hostile = [
        ("Conv", vec![ints("strides", &[0, 0])]),
        ("Conv", vec![ints("dilations", &[0, 1])]),
        ("Conv", vec![ints("pads", &[-9, 0, 0, 0])]),
        ("Conv", vec![ints("kernel_shape", &[0, 0])]),
        ("Conv", vec![int("group", 0)]),
        ("Conv", vec![int("group", -1)]),
        (
            "MaxPool",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[0, 1])],
        ),
        ("AveragePool", vec![ints("kernel_shape", &[])]),
        ("Transpose", vec![ints("perm", &[0, 1, 2, 9])]),
        ("Softmax", vec![int("axis", 77)]),
        ("Flatten", vec![int("axis", -77)]),
        ("DepthToSpace", vec![int("blocksize", 0)]),
        ("LRN", vec![int("size", -3)]),
        ("ReduceMean", vec![ints("axes", &[5, -9])]),
    ];
    let (mut refused, mut panicked) = (0, 0);
    for (op, attributes) in hostile {
        let told = format!("{op} {attributes:?}");
        match run(&around(op, attributes), &data) {
            // What tract makes sense of is no error.
            Ok(_) => {}
            Err(Error::Tract {
                node,
                operator,
                panicked: p,
                ..
            }) => {
                assert_eq!(node.as_deref(), Some("bad"), "{told}");
                assert_eq!(operator.as_deref(), Some(op), "{told}");
                refused += 1;
                panicked += usize::from(p);
            }
            Err(other) => panic!("{told}: {other}"),
        }
    }
    assert!(
        refused >= 8 && panicked >= 2,
        "{refused} refused, {panicked} by a panic"
    );
}

#[test]
fn same_padding_is_that_of_the_stride_in_the_file() {
    // 2x2 with stride 2 pads a plane of 3 by one; merged with the stride of the
    // 1x1 after it, it would pad by none.
    let bytes = graph(13)
        .input("x", FLOAT, &["1", "1", "3", "3"])
        .floats("corner", &[1, 1, 2, 2], &[0.0, 0.0, 0.0, 1.0])
        .floats("one", &[1, 1, 1, 1], &[1.0])
        .node(
            "pick",
            "Conv",
            &["x", "corner"],
            "a",
            vec![ints("strides", &[2, 2]), string("auto_pad", "SAME_LOWER")],
        )
        .node("", "Relu", &["a"], "b", vec![])
        .node(
            "",
            "Conv",
            &["b", "one"],
            "y",
            vec![ints("strides", &[2, 2])],
        )
        .output("y")
        .bytes();
    let samples = run(&bytes, &counting(1, &[1, 3, 3])).expect("it runs");
    // The corner of the padded plane's first window: the first element, 0; not 4.
    assert_eq!(samples[0][0].data, [0.0]);
}
