//! Sessions on small models made on the spot: no corpus needed.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use common::onnx::*;
use runtime::{Array, Control, DataOptions, Dataset, Error, Model, Session};
use tract_onnx::pb::{StringStringEntryProto, TensorProto};

/// `count` samples of `shape`, 0, 1, 2, ... throughout.
fn counting(count: usize, shape: &[usize]) -> Dataset {
    let shape = [&[count], shape].concat();
    let data = (0..shape.iter().product::<usize>())
        .map(|i| i as f32)
        .collect();
    let array = Array::new(shape, data).expect("counts agree");
    Dataset::from_arrays("counting", vec![array], None, &DataOptions::default()).expect("valid")
}

/// The outputs of each sample.
fn run(bytes: &[u8], data: &Dataset) -> Result<Vec<Vec<Array>>, Error> {
    let session = Session::load(Model::new("tiny.onnx", bytes), data.shapes())?;
    collect(&session, data)
}

fn collect(session: &Session, data: &Dataset) -> Result<Vec<Vec<Array>>, Error> {
    let mut samples = Vec::new();
    session.stream(data, &Control::default(), |_, s| s, |_, s| samples.push(s))?;
    Ok(samples)
}

/// x → 2x + 1, with the given first axis.
fn double(batch: &str) -> Vec<u8> {
    graph(13)
        .input("x", FLOAT, &[batch, "3"])
        .floats("two", &[1], &[2.0])
        .floats("one", &[1], &[1.0])
        .node("mul", "Mul", &["x", "two"], "doubled", vec![])
        .node("add", "Add", &["doubled", "one"], "y", vec![])
        .output("y")
        .bytes()
}

#[test]
fn any_batch_gives_the_same_outputs_in_order() {
    let data = counting(7, &[3]);
    for batch in ["1", "4", "N", "None", "?"] {
        let samples = run(&double(batch), &data).unwrap_or_else(|e| panic!("{batch}: {e}"));
        assert_eq!(samples.len(), 7, "{batch}");
        for (i, sample) in samples.iter().enumerate() {
            let expected: Vec<f32> = (3 * i..3 * i + 3).map(|x| 2.0 * x as f32 + 1.0).collect();
            let expected = Array::new(vec![1, 3], expected).expect("counts agree");
            assert_eq!(sample, &[expected], "batch {batch}, sample {i}");
        }
    }
}

#[test]
fn a_free_batch_runs_several_samples_at_a_time() {
    let load = |bytes: &[u8]| {
        Session::load(Model::new("tiny.onnx", bytes), &[vec![3]]).unwrap_or_else(|e| panic!("{e}"))
    };
    assert!(load(&double("N")).batch() > 1);
    assert_eq!(load(&double("4")).batch(), 4);
}

#[test]
fn a_batch_of_one_inside_a_free_batch_is_noticed() {
    let bytes = graph(13)
        .input("x", FLOAT, &["N", "3"])
        .ints("shape", &[1, -1])
        .node("flat", "Reshape", &["x", "shape"], "y", vec![])
        .output("y")
        .bytes();
    let samples = run(&bytes, &counting(5, &[3])).expect("runs");
    assert_eq!(
        samples[4][0],
        Array::new(vec![1, 3], vec![12.0, 13.0, 14.0]).expect("fits")
    );
}

#[test]
fn a_baked_batch_that_an_output_does_not_have_is_refused() {
    let bytes = graph(13)
        .input("x", FLOAT, &["4", "3"])
        .node(
            "sum",
            "ReduceMean",
            &["x"],
            "y",
            vec![ints("axes", &[0]), int("keepdims", 1)],
        )
        .output("y")
        .bytes();
    let message = run(&bytes, &counting(4, &[3])).unwrap_err().to_string();
    assert!(
        message.contains("\"y\"") && message.contains("4 samples"),
        "{message}"
    );
}

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
fn initializers_among_the_inputs_are_no_inputs() {
    let bytes = graph(7)
        .input("two", FLOAT, &["1"])
        .input("x", FLOAT, &["1", "3"])
        .floats("two", &[1], &[2.0])
        .node("mul", "Mul", &["x", "two"], "y", vec![])
        .output("y")
        .bytes();
    let samples = run(&bytes, &counting(2, &[3])).expect("runs");
    assert_eq!(samples[1][0].data, [6.0, 8.0, 10.0]);
}

#[test]
fn names_may_repeat() {
    let bytes = graph(13)
        .input("x", FLOAT, &["1", "3"])
        .floats("a", &[1], &[2.0])
        .node("a", "Mul", &["x", "a"], "b", vec![])
        .node("a", "Add", &["b", "a"], "x.mean", vec![])
        .node("x", "Neg", &["x.mean"], "y", vec![])
        .output("y")
        .bytes();
    assert_eq!(
        run(&bytes, &counting(1, &[3])).expect("runs")[0][0].data,
        [-2.0, -4.0, -6.0]
    );
}

#[test]
fn inputs_of_other_types_are_converted() {
    let cast = |from, dims: &[&str]| {
        graph(13)
            .input("x", from, dims)
            .node("cast", "Cast", &["x"], "y", vec![int("to", FLOAT.into())])
            .output("y")
            .bytes()
    };
    let data = counting(2, &[3]);
    for elem_type in [UINT8, INT64, FLOAT16] {
        let samples = run(&cast(elem_type, &["N", "3"]), &data).expect("runs");
        assert_eq!(samples[1][0].data, [3.0, 4.0, 5.0], "type {elem_type}");
    }
    let half = Array::new(vec![1, 1], vec![0.5]).expect("fits");
    let half =
        Dataset::from_arrays("half", vec![half], None, &DataOptions::default()).expect("valid");
    let message = run(&cast(UINT8, &["N", "1"]), &half)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("u8") && message.contains("0.5"),
        "{message}"
    );
    let large = run(&cast(UINT8, &["N", "3"]), &counting(100, &[3]))
        .unwrap_err()
        .to_string();
    assert!(large.contains("256"), "{large}");
}

#[test]
fn outputs_of_other_types_are_converted() {
    let bytes = graph(13)
        .input("x", FLOAT, &["N", "3"])
        .node(
            "best",
            "ArgMax",
            &["x"],
            "best",
            vec![int("axis", 1), int("keepdims", 0)],
        )
        .node("shape", "Shape", &["x"], "shape", vec![])
        .output("best")
        .output("shape")
        .bytes();
    let samples = run(&bytes, &counting(1, &[3])).expect("runs");
    assert_eq!(samples[0][0].data, [2.0]);
    assert_eq!(samples[0][1].data, [1.0, 3.0]);
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
fn inputs_and_data_must_be_as_many() {
    let message = Session::load(Model::new("m.onnx", &double("N")), &[])
        .err()
        .expect("refused");
    assert!(message.to_string().contains("x Nx3"), "{message}");
}

#[test]
fn samples_of_another_shape_than_loaded_for_are_refused() {
    let bytes = double("N");
    let session = Session::load(Model::new("m.onnx", &bytes), &[vec![3]]).expect("loads");
    let array = |shape: &[usize]| Array {
        shape: shape.to_vec(),
        data: vec![0.0; shape.iter().product()],
    };
    assert_eq!(session.run(&[array(&[5, 3])]).expect("runs").0.len(), 5);
    for inputs in [
        vec![],
        vec![array(&[])],
        vec![array(&[3, 4])],
        vec![array(&[2, 3]); 2],
    ] {
        assert!(session.run(&inputs).is_err(), "{inputs:?}");
    }
    let lie = Array {
        shape: vec![2, 3],
        data: vec![0.0; 5],
    };
    assert!(session.run(&[lie]).is_err());
}

#[test]
fn a_model_tells_its_inputs() {
    let bytes = graph(13)
        .input("x", FLOAT, &["N", "3", "8", "8"])
        .input("m", UINT8, &["N", "height"])
        .node("n", "Neg", &["x"], "y", vec![])
        .output("y")
        .bytes();
    let inputs = Model::new("m.onnx", &bytes).inputs().expect("decodes");
    assert_eq!(inputs[0].sample(), Some(vec![3, 8, 8]));
    assert_eq!(
        (inputs[1].to_string().as_str(), inputs[1].sample()),
        ("m Nxheight", None)
    );
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

#[test]
fn progress_is_told_and_a_run_can_be_cancelled() {
    let data = counting(100, &[3]);
    let bytes = double("1");
    let session = Session::load(Model::new("m.onnx", &bytes), data.shapes()).expect("loads");
    let seen = Mutex::new(Vec::new());
    let cancel = AtomicBool::new(false);
    let progress = |done, total| {
        seen.lock().expect("not poisoned").push((done, total));
        if done >= 20 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let control = Control {
        progress: Some(&progress),
        cancel: Some(&cancel),
    };
    let mut folded = 0;
    let outcome = session.stream(
        &data,
        &control,
        |i, _| i,
        |index, i| {
            assert_eq!((index, i), (folded, folded));
            folded += 1;
        },
    );
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert!(folded < 100);
    assert!(
        seen.into_inner()
            .expect("not poisoned")
            .iter()
            .all(|s| s.1 == 100)
    );
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
fn samples_without_elements_are_refused_before_they_are_counted() {
    let array = Array {
        shape: vec![usize::MAX, 0],
        data: vec![],
    };
    let opened = Dataset::from_arrays("none", vec![array], None, &DataOptions::default());
    let Err(error) = opened else {
        panic!("it opens")
    };
    assert!(error.to_string().contains("without elements"), "{error}");
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
