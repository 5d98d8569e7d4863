//! Decoding: what is shared, what is lost, and what each kind of file is told.

mod codec_support;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use codec_support::{chain, corpus, field, varint};
use compiler::onnx::schema::*;
use compiler::onnx::{
    DecodeError, LISTED_UNKNOWN_FIELDS, OnnxError, OpenOptions, ReadMode, WireProblem, decode,
    decode_with, open, open_with, unknown_fields,
};
use prost::Message;

fn told(bytes: &[u8]) -> DecodeError {
    decode(Bytes::copy_from_slice(bytes)).expect_err("this is no model")
}

fn assert_inside(file: &[u8], raw: &[u8]) {
    assert!(
        file.as_ptr_range().start <= raw.as_ptr_range().start,
        "before the map"
    );
    assert!(
        raw.as_ptr_range().end <= file.as_ptr_range().end,
        "beyond the map"
    );
}

#[test]
fn weights_stay_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, chain(3, 32).encode_to_vec()).unwrap();
    for mode in [ReadMode::Map, ReadMode::Memory] {
        let options = OpenOptions {
            mode,
            ..OpenOptions::default()
        };
        let file = open_with(&path, &options).unwrap();
        assert!(file.bytes.len() > 64 * 1024);
        let graph = file.model.graph.as_ref().unwrap();
        assert_eq!(graph.initializer.len(), 3);
        for tensor in &graph.initializer {
            assert_inside(&file.bytes, tensor.raw_data.as_ref().unwrap());
        }
        assert!(file.unknown.is_empty());
    }
}

#[test]
fn corpus_weights_stay_in_the_file() {
    for path in corpus() {
        let file = open(&path).unwrap();
        let graph = file.model.graph.as_ref().unwrap();
        for raw in graph
            .initializer
            .iter()
            .filter_map(|tensor| tensor.raw_data.as_ref())
        {
            assert_inside(&file.bytes, raw);
        }
        assert!(
            file.unknown.is_empty(),
            "{}: {:?}",
            path.display(),
            file.unknown
        );
        assert!(!file.has_changed());
    }
}

#[test]
fn a_replaced_file_leaves_the_map_alone_and_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let model = chain(3, 32);
    fs::write(&path, model.encode_to_vec()).unwrap();
    let file = open(&path).unwrap();
    assert!(!file.has_changed());
    fs::write(folder.path().join("new"), b"short").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(file.has_changed());
    assert_eq!(file.model, model);
    fs::remove_file(&path).unwrap();
    assert!(file.has_changed());
}

#[test]
fn every_kind_of_text_is_told_as_text() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let error = told(pointer);
    assert_eq!(error, DecodeError::GitLfsPointer { size: Some(12345) });
    assert!(error.to_string().contains("git lfs pull"), "{error}");
    let texts: [&[u8]; 10] = [
        b"hello",
        b":",
        b"z\n",
        b"# A readme\n\nwith words.\n",
        b"<!DOCTYPE html>\n<html>404</html>",
        b"{\"a\": 1}",
        b"ir_version: 8\ngraph {\n}\n",
        "ein Märchen, größer als nichts".as_bytes(),
        b"\xff\xfeh\0i\0",
        &b"2 lines of numbers\n0.25 0.5\n".repeat(500),
    ];
    for text in texts {
        assert!(
            matches!(told(text), DecodeError::Text { .. }),
            "{:?}",
            told(text)
        );
    }
    // The head that is looked at ends inside a character.
    let mut long = vec![b'a'; 1023];
    long.extend("ä".repeat(100).as_bytes());
    assert!(matches!(told(&long), DecodeError::Text { .. }));
}

#[test]
fn other_formats_are_named() {
    let named = |bytes: &[u8]| match told(bytes) {
        DecodeError::OtherFormat { what } => what,
        other => panic!("{other}"),
    };
    assert!(named(b"PK\x03\x04\x14\0\0\0").contains("zip"));
    assert!(named(b"\x89HDF\r\n\x1a\n\0\0").contains("HDF5"));
    assert!(named(b"\x1c\0\0\0TFL3\0\0").contains("TensorFlow Lite"));
    let tensor = codec_support::weights("input_0", &[1, 3, 8, 8]).encode_to_vec();
    assert!(named(&tensor).contains("tensor"));
    let graph = chain(2, 4).graph.unwrap().encode_to_vec();
    assert!(named(&graph).contains("make_model"));
}

#[test]
fn no_model_no_bytes() {
    assert_eq!(told(b""), DecodeError::Empty);
    let without = ModelProto {
        graph: None,
        ..chain(1, 2)
    }
    .encode_to_vec();
    assert_eq!(told(&without), DecodeError::NoGraph);
    assert!(matches!(
        told(&[0; 100]),
        DecodeError::Malformed { offset: 0, .. }
    ));
}

#[test]
fn truncation_and_corruption_are_told_apart() {
    let bytes = chain(2, 8).encode_to_vec();
    let cut = told(&bytes[..bytes.len() / 2]);
    let DecodeError::Truncated {
        field: "graph",
        missing: Some(missing),
    } = cut
    else {
        panic!("{cut}");
    };
    let whole = bytes.len() as u64;
    assert!(
        missing > whole / 3 && missing <= whole.div_ceil(2),
        "{missing} of {whole}"
    );
    // A node that claims to be longer than its graph.
    let mut graph = field(1, &field(4, b"Relu"));
    graph.extend([0x0a, 0x7f]);
    let bytes = field(7, &graph);
    let DecodeError::Malformed { path, problem, .. } = told(&bytes) else {
        panic!()
    };
    assert_eq!((path.as_str(), problem), ("graph", WireProblem::PastEnd));
    // A name that is no text, in the second node's only attribute.
    let mut graph = field(1, b"");
    graph.extend(field(1, &field(5, &field(1, b"\xff\xfe"))));
    let error = told(&[vec![8, 1], field(7, &graph)].concat());
    let DecodeError::Malformed { path, problem, .. } = &error else {
        panic!()
    };
    assert_eq!(path, "graph.node[1].attribute[0].name");
    assert_eq!(*problem, WireProblem::Utf8);
    assert!(
        error
            .to_string()
            .contains("graph.node[1].attribute[0].name"),
        "{error}"
    );
    // raw_data as a number.
    let bytes = field(7, &field(5, &[9 << 3, 1]));
    let DecodeError::Malformed { problem, .. } = told(&bytes) else {
        panic!()
    };
    assert_eq!(problem, WireProblem::FieldType);
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.onnx");
    let told = |path: &Path| open(path).unwrap_err().to_string();
    assert!(told(&path).contains("absent.onnx"));
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(&error, OnnxError::Read { .. }));
    assert!(error.to_string().ends_with("it is a folder"), "{error}");
    fs::write(&path, "words").unwrap();
    assert!(
        told(&path).contains("absent.onnx: this is a text file"),
        "{}",
        told(&path)
    );
    #[cfg(unix)]
    assert!(told(Path::new("/dev/zero")).contains("no regular file"));
}

#[test]
fn unknown_fields_are_found_wherever_they_are() {
    let number = |number: u32| [varint(u64::from(number << 3)), vec![1]].concat();
    let mut bytes = chain(4, 2).encode_to_vec();
    assert!(unknown_fields(&bytes).unwrap().is_empty());
    bytes.extend(number(99));
    // Merged into the graph: one more node, with a field of length, a fixed
    // one of 64 bits in its attribute's tensor, and a group with a group inside.
    let tensor = [varint(2000 << 3 | 1), vec![0; 8]].concat();
    let attribute = field(5, &tensor);
    let group = [vec![0x63, 0x08, 0x05], vec![0x6b, 0x6c], vec![0x64]].concat();
    let node = [field(50, b"new"), field(5, &attribute), group].concat();
    bytes.extend(field(7, &field(1, &node)));
    let unknown = unknown_fields(&bytes).unwrap();
    let found: Vec<_> = unknown
        .listed
        .iter()
        .map(|f| (f.path.as_str(), f.number, f.bytes))
        .collect();
    let expected = [
        ("", 99, 3),
        ("graph.node[0]", 50, 6),
        ("graph.node[0].attribute[0].t", 2000, 10),
        ("graph.node[0]", 12, 6),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        unknown.listed[1].to_string(),
        "graph.node[0]: field 50 (6 bytes)"
    );
    assert_eq!(
        unknown.listed[0].to_string(),
        "the model: field 99 (3 bytes)"
    );
    // The decoder agrees that it can be read, and merges the two graphs.
    let decoded = decode_with(bytes.into(), &Default::default()).unwrap();
    assert_eq!(decoded.unknown, unknown);
    assert_eq!(decoded.model.graph.unwrap().node.len(), 5);
}

#[test]
fn a_flood_of_unknown_fields_is_counted_not_kept() {
    let mut bytes = chain(1, 1).encode_to_vec();
    for _ in 0..10_000 {
        bytes.extend([0xf8, 0x07, 1]);
    }
    let unknown = unknown_fields(&bytes).unwrap();
    assert_eq!(
        (unknown.count, unknown.listed.len()),
        (10_000, LISTED_UNKNOWN_FIELDS)
    );
}

#[test]
fn repeated_singular_fields_mean_what_protobuf_says() {
    let mut first = chain(1, 2);
    first.graph.as_mut().unwrap().doc_string = Some("kept".into());
    let second = ModelProto {
        ir_version: Some(9),
        graph: Some(GraphProto {
            name: Some("last".into()),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let bytes = [first.encode_to_vec(), second.encode_to_vec()].concat();
    let model = decode(bytes.into()).unwrap();
    assert_eq!(model.ir_version, Some(9));
    let graph = model.graph.unwrap();
    assert_eq!(graph.name.as_deref(), Some("last"));
    assert_eq!(graph.doc_string.as_deref(), Some("kept"));
    assert_eq!(graph.node.len(), 1);
}
