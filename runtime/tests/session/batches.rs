//! How many samples go at a time, and what is told meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

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
