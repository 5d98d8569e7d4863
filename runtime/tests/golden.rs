//! Every trained model of the corpus against what onnxruntime returns for it.

mod common;

use common::{array, bytes, data, relative_error};
use runtime::{Array, Control, Dataset, Model, Session};

/// Runs `model` on `data`; output by output, the samples one after another.
fn outputs(model: &str, data: &Dataset) -> Option<Vec<Vec<f32>>> {
    let bytes = bytes(&format!("{model}.onnx"))?;
    let session =
        Session::load(Model::new(model, &bytes), data.shapes()).unwrap_or_else(|e| panic!("{e}"));
    let mut outputs = vec![Vec::new(); session.outputs().len()];
    let append = |_, sample: Vec<Array>| {
        for (all, one) in outputs.iter_mut().zip(sample) {
            all.extend(one.data);
        }
    };
    session
        .stream(data, &Control::default(), |_, s| s, append)
        .unwrap_or_else(|e| panic!("{e}"));
    Some(outputs)
}

#[track_caller]
fn agrees(model: &str) {
    if common::corpus().is_none() {
        return;
    }
    let golden = format!("golden/{model}.npz");
    let data = data(&format!("{golden}:input"), &[]);
    let outputs = outputs(model, &data).expect("the corpus is there");
    for (index, output) in outputs.iter().enumerate() {
        let expected = array(&format!("{golden}:output_{index}"));
        let error = relative_error(output, &expected.data);
        let worst = output
            .iter()
            .zip(&expected.data)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{model} output {index}: {error:.1e} of the deviation, at most {worst:.1e}");
        // Both runtimes approximate the sigmoid to some 1e-7, which is much of
        // the deviation where all scores of a detector are close to 0.
        assert!(
            error < 1e-4 || worst < 1e-6,
            "{model} output {index}: {error}, {worst}"
        );
    }
}

#[test]
fn mnist() {
    agrees("mnist");
}

#[test]
fn cifar10_cnn() {
    agrees("cifar10_cnn");
}

#[test]
fn squeezenet() {
    agrees("squeezenet");
}

#[test]
fn squeezenet_knows_the_kitten_and_the_fish() {
    if common::corpus().is_none() {
        return;
    }
    let options = [("channels", "bgr"), ("mean", "103.939,116.779,123.68")];
    let outputs = outputs("squeezenet", &data("photos.npz", &options)).expect("checked before");
    let best = |scores: &[f32]| (0..1000).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let classes: Vec<_> = outputs[0].chunks(1000).map(best).collect();
    assert_eq!(classes, [Some(281), Some(389)]);
    assert!((outputs[0][281] - 0.943).abs() < 5e-4 && (outputs[0][1389] - 0.648).abs() < 5e-4);
}

#[test]
fn super_resolution() {
    agrees("super_resolution");
}

#[test]
fn ultraface() {
    agrees("ultraface-slim-320");
}

#[test]
fn yunet() {
    agrees("yunet_n_320");
}

#[test]
fn blazeface() {
    agrees("blazeface");
}

#[test]
fn candy() {
    if common::corpus().is_none() {
        return;
    }
    let resize = [("resize", "720x720"), ("filter", "nearest"), ("limit", "1")];
    let photo = data("photos.npz", &resize);
    let output = outputs("candy", &photo)
        .expect("the corpus is there")
        .remove(0);
    let crop: Vec<f32> = (0..3)
        .flat_map(|channel| (312..408).map(move |y| (channel * 720 + y) * 720 + 312))
        .flat_map(|row| output[row..row + 96].to_vec())
        .collect();
    let error = relative_error(&crop, &array("golden/candy.npz:output_0").data);
    println!("candy: {error:.1e} of the deviation");
    assert!(error < 1e-4, "candy: {error}");
}
