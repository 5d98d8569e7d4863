//! No bytes make the codec panic, overflow its stack or take memory out of
//! proportion to the input.

mod codec_support;

use bytes::Bytes;
use codec_support::{chain, field, nested, varint};
use compiler::onnx::schema::*;
use compiler::onnx::{
    DecodeError, Decoded, Limits, MAX_DEPTH, decode, decode_with, little_endian, unknown_fields,
};
use proptest::prelude::*;
use prost::Message;

/// Everything that is done with a model before anybody looks at its operators.
fn exercise(bytes: &[u8]) -> Result<(), DecodeError> {
    let found = unknown_fields(bytes);
    let decoded = decode_with(Bytes::copy_from_slice(bytes), &Limits::default());
    assert!(
        found.is_ok() || decoded.is_err(),
        "the walk refuses what decodes"
    );
    let Decoded { model, .. } = decoded?;
    for tensor in model.graph.iter().flat_map(|graph| &graph.initializer) {
        let _ = little_endian(tensor);
    }
    assert_eq!(
        ModelProto::decode(model.encode_to_vec().as_slice()).map(|m| m.encode_to_vec()),
        Ok(model.encode_to_vec())
    );
    Ok(())
}

#[test]
fn truncation_at_every_byte() {
    let bytes = chain(2, 2).encode_to_vec();
    for length in 0..bytes.len() {
        let _ = exercise(&bytes[..length]);
    }
    exercise(&bytes).unwrap();
}

#[test]
fn every_byte_changed() {
    let bytes = chain(1, 2).encode_to_vec();
    for place in 0..bytes.len() {
        for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[place] ^= change;
            let _ = exercise(&bytes);
            bytes[place] = change;
            let _ = exercise(&bytes);
        }
    }
}

/// What one mutation of a file does.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Change::Set(at, to)),
        (any::<usize>(), 1usize..40).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<usize>(), 1usize..80).prop_map(|(at, n)| Change::Repeat(at, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: usize| {
        if bytes.is_empty() {
            0
        } else {
            at % bytes.len()
        }
    };
    match change {
        Change::Set(at, to) => {
            let at = place(*at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *to;
            }
        }
        Change::Remove(at, count) => {
            let at = place(*at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Insert(at, new) => {
            let at = place(*at);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Repeat(at, count) => {
            let at = place(*at);
            let run = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, run);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_models(changes in prop::collection::vec(change(), 1..8)) {
        let mut bytes = chain(2, 2).encode_to_vec();
        for change in &changes {
            apply(&mut bytes, change);
        }
        let _ = exercise(&bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = exercise(&bytes);
        let _ = exercise(&field(7, &bytes));
    }

    /// Structure that is right, with numbers that are arbitrary.
    #[test]
    fn any_tensor(
        dims in prop::collection::vec(any::<i64>(), 0..6),
        small in prop::collection::vec(-1i64..5, 0..6),
        data_type in -2i32..32,
        raw in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
        int32_data in prop::collection::vec(any::<i32>(), 0..16),
    ) {
        for dims in [dims, small] {
            let raw_data = raw.clone().map(Bytes::from);
            let tensor = TensorProto {
                dims, data_type: Some(data_type), raw_data, int32_data: int32_data.clone(),
                ..TensorProto::default()
            };
            if let Ok(bytes) = little_endian(&tensor) {
                prop_assert!(bytes.len() <= 64);
            }
        }
    }
}

/// On a thread with little stack, so that what fits here fits anywhere.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}

#[test]
fn nesting_beyond_the_limit_is_an_error() {
    on_a_small_stack(|| {
        for depth in [MAX_DEPTH + 1, 1000, 100_000] {
            let bytes = nested(depth);
            let error = decode(bytes.clone().into()).unwrap_err();
            assert!(
                matches!(
                    error,
                    DecodeError::TooDeep {
                        limit: MAX_DEPTH,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().len() < 400, "{error}");
            assert!(unknown_fields(&bytes).is_err());
        }
        // No limit that is asked for is beyond what the decoder stands.
        let limits = Limits {
            depth: usize::MAX,
            ..Limits::default()
        };
        assert!(decode_with(nested(100_000).into(), &limits).is_err());
    });
}

#[test]
fn nesting_up_to_the_limit_decodes_clones_and_drops() {
    on_a_small_stack(|| {
        let model = decode(nested(MAX_DEPTH).into()).unwrap();
        let copy = model.clone();
        assert!(copy == model);
        assert_eq!(copy.encode_to_vec(), nested(MAX_DEPTH));
        assert!(format!("{model:?}").len() > MAX_DEPTH);
        let limits = Limits {
            depth: 10,
            ..Limits::default()
        };
        assert!(decode_with(nested(10).into(), &limits).is_ok());
        let error = decode_with(nested(11).into(), &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooDeep { limit: 10, .. }));
    });
}

#[test]
fn nested_groups_are_no_way_around_the_limit() {
    on_a_small_stack(|| {
        // Field 12 as a group, 100 000 deep, closed or not.
        let open = vec![0x63; 100_000];
        let closed = [open.clone(), vec![0x64; 100_000]].concat();
        for bytes in [open, closed] {
            assert!(decode(bytes.into()).is_err());
        }
    });
}

#[test]
fn repeated_empty_messages_do_not_become_memory() {
    // Two bytes each in the file, 144 to 712 in memory.
    for number in [1u8, 5, 11, 12, 13, 15] {
        let graph = [number << 3 | 2, 0].repeat(500_000);
        let bytes = field(7, &graph);
        let error = decode(bytes.into()).unwrap_err();
        assert!(
            matches!(error, DecodeError::TooMuchMemory { .. }),
            "field {number}: {error}"
        );
    }
    // Lists of numbers grow eightfold at most, and may.
    let tensor = field(7, &vec![1; 1_000_000]);
    let model = decode(field(7, &field(5, &tensor)).into()).unwrap();
    assert_eq!(
        model.graph.unwrap().initializer[0].int64_data.len(),
        1_000_000
    );
    let limits = Limits {
        memory: 1 << 20,
        ..Limits::default()
    };
    let error = decode_with(field(7, &field(5, &tensor)).into(), &limits).unwrap_err();
    assert!(matches!(
        error,
        DecodeError::TooMuchMemory {
            allowed: 1_048_576,
            ..
        }
    ));
}

#[test]
fn lengths_near_the_end_of_64_bits() {
    for length in [
        u64::MAX,
        u64::MAX - 1,
        1 << 63,
        u64::from(u32::MAX),
        i64::MAX as u64,
    ] {
        for number in [1u64, 6, 7, 8, 99] {
            let bytes = [varint(number << 3 | 2), varint(length), vec![1; 40]].concat();
            assert!(decode(bytes.clone().into()).is_err());
            assert!(decode(field(7, &bytes).into()).is_err());
        }
    }
    // Eleven bytes of varint, and a tenth byte that is too large.
    assert!(decode([vec![8], vec![0xff; 10], vec![1]].concat().into()).is_err());
    assert!(decode([vec![8], vec![0xff; 9], vec![2]].concat().into()).is_err());
}
