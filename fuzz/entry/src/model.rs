//! Model files.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::{self, Decoded, Limits, SIDE_FILE_THRESHOLD};
use compiler::plan::{Compilation, Options, PASSES};
use prost::Message;

/// What decoding may take in these runs, so that libFuzzer's own limit finds
/// what goes beyond.
const MEMORY: u64 = 256 << 20;

pub(crate) fn read(data: &[u8]) -> Option<Decoded> {
    let limits = Limits {
        memory: MEMORY,
        ..Limits::default()
    };
    onnx::decode_with(Bytes::copy_from_slice(data), &limits).ok()
}

/// Decodes a model, reads its tensors, takes its weights out and writes it.
///
/// # Panics
/// Where what decodes does not survive being written and read again.
pub fn decode(data: &[u8]) {
    let walked = onnx::unknown_fields(data);
    let Some(Decoded { mut model, unknown }) = read(data) else {
        return;
    };
    assert_eq!(walked.as_ref(), Ok(&unknown), "two walks differ");
    let written = model.encode_to_vec();
    let again = read(&written).expect("what was written can be read");
    assert!(again.unknown.is_empty());
    assert_eq!(again.model.encode_to_vec(), written, "writing is stable");
    let mut bytes = 0;
    let outcome = onnx::try_for_each_tensor_mut::<()>(&mut model, &mut |tensor| {
        if let Ok(elements) = onnx::little_endian(tensor) {
            bytes += elements.len();
        }
        let _ = (onnx::strings(tensor), onnx::reference(tensor));
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    let limit = data.len() * 8 + SIDE_FILE_THRESHOLD;
    assert!(bytes <= limit, "{bytes} bytes of tensors");
    let (_, side) = onnx::split(model, |side| side.name_for("model"));
    let mut sink = std::io::sink();
    side.write_to(&mut sink).expect("a sink takes all");
}

/// Imports a model and analyzes it, weights included.
pub fn facts(data: &[u8]) {
    let Some(decoded) = read(data) else { return };
    let Ok(model) = Model::from_proto(decoded.model, Path::new("model.onnx")) else {
        return;
    };
    let options = analyzer::Options {
        weights: true,
        ..analyzer::Options::default()
    };
    let _ = analyzer::analyze(&model, &options);
}

/// Imports a model, runs a pass, exports, and reads the result again. The first
/// byte chooses the pass; with its highest bit all passes run.
///
/// # Panics
/// Where the result is no model any more.
pub fn rewrite(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let Some(decoded) = read(data) else { return };
    let path = Path::new("model.onnx");
    let Ok(model) = Model::from_proto(decoded.model, path) else {
        return;
    };
    let versions = (model.proto.ir_version, model.proto.opset_import.clone());
    let never = AtomicBool::new(false);
    let mut compilation = Compilation::new(model, Options::new(&never), Scope::default());
    let one = usize::from(choice) % PASSES.len();
    for (index, pass) in PASSES.iter().enumerate() {
        if (choice >= 0x80 || index == one) && compilation.run(pass).is_err() {
            return;
        }
    }
    let proto = compilation.model().to_proto();
    assert_eq!(versions, (proto.ir_version, proto.opset_import.clone()));
    let bytes = onnx::encode(&proto).expect("small");
    let again = onnx::decode(bytes).expect("what was written can be read");
    Model::from_proto(again, path).expect("what was rewritten is a model");
}
