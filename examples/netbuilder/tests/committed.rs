//! The models in the repository are what this crate builds and says of them.

use std::{fs, path::Path};

use compiler::onnx::schema::ModelProto;
use netbuilder::aliased;
use prost::Message;

fn committed(name: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    fs::read(models.join(name)).unwrap()
}

#[test]
fn aliased_is_what_its_program_builds() {
    let bytes = committed("aliased.onnx");
    assert!(bytes == aliased::model().encode_to_vec());
    assert!(bytes.len() < 60_000, "{}", bytes.len());
}

/// The README's commands and the tests of the command line count on these.
#[test]
fn glyphs_keeps_what_the_passes_work_on() {
    let bytes = committed("glyphs.onnx");
    assert!(bytes.len() < 300_000, "{}", bytes.len());
    let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
    let count = |op: &str| {
        graph
            .node
            .iter()
            .filter(|node| node.op_type() == op)
            .count()
    };
    assert_eq!(
        (count("Conv"), count("BatchNormalization"), count("Add")),
        (4, 2, 1)
    );
    let kernels: Vec<i64> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.dims.len() == 4)
        .map(|tensor| tensor.dims[3])
        .collect();
    assert_eq!(kernels, [7, 5, 5, 3]);
}
