//! The trained network in the repository is as good as `examples/README.md` says.

use std::path::Path;

use glyphs::{SIDE, Split};
use runtime::{Array, Model, Session};

/// Right answers on the 2,000 test images: 97.60 %.
const RIGHT: usize = 1952;

#[test]
fn the_network_names_the_glyphs_as_well_as_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/glyphs.onnx");
    let bytes = std::fs::read(path).unwrap();
    let session = Session::load(Model::new("glyphs", &bytes), &[vec![1, SIDE, SIDE]]).unwrap();
    let samples = glyphs::samples(Split::Test, 0, 2000);
    let levels = samples.iter().flat_map(|sample| sample.image.iter());
    let images = levels.map(|&level| f32::from(level)).collect();
    let images = Array::new(vec![samples.len(), 1, SIDE, SIDE], images).unwrap();
    let (outputs, _) = session.run(&[images]).unwrap();
    assert_eq!(outputs.len(), samples.len());
    let right = outputs.iter().zip(&samples).filter(|(output, sample)| {
        let logits = &output[0].data;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        best == Some(sample.label)
    });
    let right = right.count();
    // Another order of additions may turn a tie.
    assert!(right.abs_diff(RIGHT) <= 2, "{right} right");
    println!("{right} of {} right", samples.len());
}
