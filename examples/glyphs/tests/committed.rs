//! The data files in the repository are what the generator draws today.

use std::path::{Path, PathBuf};

use glyphs::{Split, archive};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../data")
        .join(name)
}

#[test]
fn test_images_are_the_generators() {
    let committed = archive::read(&data("glyphs-test.npz")).unwrap();
    assert_eq!(committed.len(), 2000);
    assert!(committed == glyphs::samples(Split::Test, 0, 2000));
}

#[test]
fn calibration_images_are_the_generators() {
    let committed = archive::read(&data("glyphs-calib.npz")).unwrap();
    assert_eq!(committed.len(), 300);
    assert!(committed == glyphs::samples(Split::Calibration, 0, 300));
}

#[test]
fn writing_twice_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let samples = glyphs::samples(Split::Train, 0, 20);
    let bytes = ["a.npz", "b.npz"].map(|name| {
        let path = folder.path().join(name);
        archive::write(&path, &samples).unwrap();
        assert!(archive::read(&path).unwrap() == samples);
        std::fs::read(path).unwrap()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn an_absent_file_is_named() {
    let error = archive::read(&data("absent.npz")).unwrap_err();
    assert!(format!("{error:#}").contains("absent.npz"));
}
