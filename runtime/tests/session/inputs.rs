//! What a model is fed with: names, numbers, types and shapes.

use super::*;

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
