//! Tells what a file is that is no ONNX model.

use prost::Message;

use super::decode::{DecodeError, Limits};
use super::descriptor::{GRAPH, TENSOR};
use super::scan::scan;
use super::schema::{DataType, GraphProto, TensorProto};

/// So many bytes are looked at to tell text from binary.
const HEAD: usize = 1024;

/// First bytes of other model and container formats, their offset and names.
const FORMATS: &[(usize, &[u8], &str)] = &[
    (
        0,
        b"PK\x03\x04",
        "a zip archive (PyTorch .pt, Keras .keras, .npz)",
    ),
    (0, b"\x89HDF\r\n", "an HDF5 file (Keras .h5)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "a model in ONNX Runtime's own format (.ort)"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"\x80\x02", "a Python pickle (PyTorch .pth)"),
    (0, b"\x80\x04", "a Python pickle"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\x7fELF", "a program"),
    (8, b"{\"", "a safetensors file: weights without a graph"),
];

/// What `bytes` are, where they are something known that is no model.
pub(super) fn recognize(bytes: &[u8], limits: &Limits) -> Option<DecodeError> {
    if bytes.is_empty() {
        return Some(DecodeError::Empty);
    }
    if let Some(text) = text(bytes) {
        return Some(text_error(text));
    }
    let format = FORMATS.iter().find(|(offset, magic, _)| {
        bytes
            .get(*offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    });
    if let Some((_, _, what)) = format {
        return Some(DecodeError::OtherFormat { what });
    }
    if is_tensor(bytes, limits) {
        let what = "a single tensor, such as the input_0.pb of a test data set";
        return Some(DecodeError::OtherFormat { what });
    }
    if is_graph(bytes, limits) {
        let what = "a graph without the model around it; wrap it with onnx.helper.make_model";
        return Some(DecodeError::OtherFormat { what });
    }
    None
}

/// The beginning of a text file; `None` for binary.
fn text(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("");
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end inside a character.
        Err(e) if e.valid_up_to() + 4 > HEAD => {
            std::str::from_utf8(&head[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b');
    text.chars().all(printable).then_some(text)
}

fn text_error(text: &str) -> DecodeError {
    if let Some(pointer) = text.strip_prefix("version https://git-lfs.github.com/spec/") {
        let size = pointer
            .lines()
            .find_map(|line| line.strip_prefix("size ")?.trim().parse().ok());
        return DecodeError::GitLfsPointer { size };
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower: String = text.chars().take(16).collect::<String>().to_lowercase();
    let what = if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        "an HTML page, perhaps of a failed download"
    } else if lower.starts_with("<?xml") {
        "XML"
    } else if lower.starts_with('{') || lower.starts_with('[') {
        "JSON, perhaps"
    } else if lower.starts_with("ir_version") || lower.starts_with("graph {") {
        "a model in protobuf's text form; convert it with onnx.load(…, format=\"textproto\")"
    } else {
        "no more is known of it"
    };
    DecodeError::Text { what }
}

fn is_tensor(bytes: &[u8], limits: &Limits) -> bool {
    scan(bytes, &TENSOR, limits).is_ok_and(|found| found.unknown.is_empty())
        && TensorProto::decode(bytes).is_ok_and(|tensor| {
            let code = tensor.data_type.unwrap_or(0);
            code != 0 && DataType::try_from(code).is_ok()
        })
}

fn is_graph(bytes: &[u8], limits: &Limits) -> bool {
    scan(bytes, &GRAPH, limits).is_ok_and(|found| found.unknown.is_empty())
        && GraphProto::decode(bytes).is_ok_and(|graph| {
            let named = |op_type: &Option<String>| op_type.as_ref().is_some_and(|t| !t.is_empty());
            !graph.node.is_empty() && graph.node.iter().all(|node| named(&node.op_type))
        })
}
