//! An independent decoder (`onnx-protobuf`, on another protobuf library and
//! another schema) must find in every file what ours finds.

#[path = "../codec_support/mod.rs"]
mod codec_support;
mod compare;
mod random;

use bytes::Bytes;
use codec_support::{chain, corpus};
use compare::differences;
use compiler::onnx::schema::*;
use compiler::onnx::{decode, decode_with, encode, open, unknown_fields};
use onnx_protobuf::Message as _;
use proptest::prelude::*;
use random::{Random, Source};

fn theirs(bytes: &[u8]) -> onnx_protobuf::ModelProto {
    onnx_protobuf::ModelProto::parse_from_bytes(bytes).expect("the other decoder reads it")
}

fn assert_agree(ours: &ModelProto, theirs: &onnx_protobuf::ModelProto, what: &str) {
    let found = differences(ours, theirs);
    let shown = found
        .iter()
        .take(10)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        found.is_empty(),
        "{what}: {} differences\n{shown}",
        found.len()
    );
}

#[test]
fn every_corpus_file_as_it_is_and_as_we_write_it() {
    for path in corpus() {
        let file = open(&path).unwrap();
        assert_agree(
            &file.model,
            &theirs(&file.bytes),
            &path.display().to_string(),
        );
        let written = encode(&file.model).unwrap();
        assert_agree(
            &file.model,
            &theirs(&written),
            &format!("{} written", path.display()),
        );
        // What they write is what we read.
        let again = theirs(&file.bytes).write_to_bytes().unwrap();
        assert_agree(
            &decode(again.into()).unwrap(),
            &theirs(&file.bytes),
            "as they write it",
        );
    }
}

/// The comparison itself can fail: each kind of change is seen, with its path.
#[test]
fn the_comparison_sees_changes() {
    let model = chain(2, 2);
    let other = theirs(&encode(&model).unwrap());
    assert_agree(&model, &other, "unchanged");
    let seen = |change: fn(&mut GraphProto), path: &str| {
        let mut changed = model.clone();
        change(changed.graph.as_mut().unwrap());
        let found = differences(&changed, &other);
        assert!(
            found.len() == 1 && found[0].starts_with(path),
            "{path}: {found:?}"
        );
    };
    seen(|g| g.node[1].op_type = None, "model.graph.node[1].op_type");
    seen(
        |g| g.node[0].attribute[0].ints[1] = 5,
        "model.graph.node[0].attribute[0].ints[1]",
    );
    seen(|g| drop(g.output.pop()), "model.graph.output.len()");
    seen(
        |g| g.initializer[1].raw_data = Some(Bytes::new()),
        "model.graph.initializer[1].raw_data",
    );
    seen(|g| g.input[0].kind = None, "model.graph.input[0].kind");
    seen(
        |g| g.node[0].device_configurations.push(Default::default()),
        "model.graph.node[0]: unknown fields",
    );
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..4000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Ours, to them, from them, to us: nothing is lost on the way.
    #[test]
    fn any_model_survives_the_other_library(entropy in entropy()) {
        let model = ModelProto {
            graph: Some(Random::random(&mut Source::new(&entropy, false))),
            ..Random::random(&mut Source::new(&entropy, false))
        };
        let bytes = encode(&model).unwrap();
        let other = theirs(&bytes);
        assert_agree(&model, &other, "random model");
        let back = decode(other.write_to_bytes().unwrap().into()).unwrap();
        // As bytes, since NaN equals nothing.
        prop_assert_eq!(encode(&back).unwrap(), bytes);
    }

    /// Presence is kept too: a field that says 0 says so again.
    #[test]
    fn any_model_survives_our_own_way(entropy in entropy()) {
        let model = ModelProto {
            graph: Some(Random::random(&mut Source::new(&entropy, true))),
            ..Random::random(&mut Source::new(&entropy, true))
        };
        let bytes = encode(&model).unwrap();
        let decoded = decode_with(bytes.clone(), &Default::default()).unwrap();
        prop_assert!(decoded.unknown.is_empty(), "{:?}", decoded.unknown);
        prop_assert_eq!(encode(&decoded.model).unwrap(), bytes.clone());
        // What is cut off is never read as if it were whole.
        let cut = bytes.len() / 2;
        if let Ok(model) = decode(bytes.slice(..cut)) {
            prop_assert!(encode(&model).unwrap().len() <= cut);
        }
    }
}

/// The generator reaches every message: a property over models that are all
/// alike would hold nothing.
#[test]
fn random_models_are_rich() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut text = String::new();
    for _ in 0..300 {
        let tree = entropy().new_tree(&mut runner).unwrap();
        let entropy = proptest::strategy::ValueTree::current(&tree);
        let model = ModelProto::random(&mut Source::new(&entropy, true));
        text.push_str(&format!("{model:?}"));
    }
    for message in [
        "AttributeProto",
        "NodeProto",
        "TensorProto",
        "SparseTensorProto",
        "Segment",
        "ValueInfoProto",
        "TensorType",
        "SparseTensorType",
        "SequenceType",
        "OptionalType",
        "MapType",
        "OpaqueType",
        "Dimension",
        "DimParam",
        "OperatorSetIdProto",
        "StringStringEntryProto",
        "TensorAnnotation",
        "TrainingInfoProto",
        "FunctionProto",
        "DeviceConfigurationProto",
        "NodeDeviceConfigurationProto",
        "ShardingSpecProto",
        "IntIntListEntryProto",
        "ShardedDimProto",
        "SimpleShardedDimProto",
    ] {
        assert!(
            text.contains(&format!("{message} {{")) || text.contains(&format!("{message}(")),
            "{message}"
        );
    }
}

/// Both see the same unknown fields in a file from the future.
#[test]
fn unknown_fields_are_unknown_to_both() {
    let mut bytes = encode(&chain(2, 2)).unwrap().to_vec();
    bytes.extend(codec_support::field(777, b"new"));
    bytes.extend(codec_support::field(
        7,
        &codec_support::field(888, b"newer"),
    ));
    let ours = unknown_fields(&bytes).unwrap();
    let numbers: Vec<_> = ours
        .listed
        .iter()
        .map(|f| (f.path.as_str(), f.number))
        .collect();
    assert_eq!(numbers, [("", 777), ("graph", 888)]);
    let other = theirs(&bytes);
    let model: Vec<u32> = other
        .special_fields
        .unknown_fields()
        .iter()
        .map(|f| f.0)
        .collect();
    let graph: Vec<u32> = other
        .graph
        .special_fields
        .unknown_fields()
        .iter()
        .map(|f| f.0)
        .collect();
    assert_eq!((model, graph), (vec![777], vec![888]));
}
