//! The fuzz targets' functions on mutated seeds: no panic, whatever the bytes.
//! `PROPTEST_CASES` runs more of them.
#![allow(missing_docs)]

use fuzz_entry::ENTRIES;
use proptest::prelude::*;
use proptest::sample::Index;

/// What one mutation does to the bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// A run of bytes is copied to another place.
    Copy(Index, Index, usize),
    /// Where a number of a tag, length or size may be, an extreme one.
    Number(Index, u64),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let extremes = vec![
        0,
        1,
        0x7f,
        0xff,
        1 << 31,
        u64::from(u32::MAX),
        1 << 62,
        1 << 63,
        u64::MAX,
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, to)| Change::Set(at, to)),
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (at(), 1usize..40).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        3 => (at(), at(), 1usize..200).prop_map(|(from, to, count)| Change::Copy(from, to, count)),
        3 => (at(), prop::sample::select(extremes)).prop_map(|(at, n)| Change::Number(at, n)),
        1 => at().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match change {
        Change::Set(at, to) => bytes[at.index(length)] = *to,
        Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Change::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + count).min(length));
        }
        Change::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Copy(from, to, count) => {
            let from = from.index(length);
            let run = bytes[from..(from + count).min(length)].to_vec();
            let to = to.index(length);
            bytes.splice(to..to, run);
        }
        Change::Number(at, number) => {
            let (at, mut number) = (at.index(length), *number);
            let mut varint = Vec::new();
            while number >= 0x80 {
                varint.push(number as u8 | 0x80);
                number >>= 7;
            }
            varint.push(number as u8);
            bytes.splice(at..=at, varint);
        }
        Change::Cut(at) => bytes.truncate(at.index(length)),
    }
}

fn mutated(name: &str) {
    let entry = ENTRIES.iter().find(|e| e.name == name).expect("an entry");
    let seeds = (entry.seeds)();
    // Right inputs come through.
    seeds.iter().for_each(|seed| (entry.run)(seed));
    let mutation = (any::<Index>(), prop::collection::vec(change(), 1..6));
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |((seed, changes) in mutation)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        (entry.run)(&bytes);
    });
}

#[test]
fn models_decode_or_are_refused() {
    mutated("decode");
}

#[test]
fn models_are_analyzed_or_refused() {
    mutated("facts");
}

#[test]
fn models_are_linted_or_refused() {
    mutated("lint");
}

#[test]
fn configurations_are_read_or_refused() {
    mutated("config");
}

#[test]
fn models_are_rewritten_or_refused() {
    mutated("rewrite");
}

#[cfg(feature = "data")]
#[test]
fn archives_are_opened_or_refused() {
    mutated("npz");
}
