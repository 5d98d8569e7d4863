//! External data: what is read, what is refused, and what a crash leaves.

mod codec_support;

use std::fs::{self, File};
use std::path::Path;

use bytes::Bytes;
use codec_support::{chain, corpus};
use compiler::onnx::schema::*;
use compiler::onnx::{
    ExternalData, ExternalError, ExternalOptions, ReadMode, SIDE_FILE_ALIGNMENT, WriteOptions,
    encode, is_external, little_endian, open, reference, split, write_external,
};

/// A float vector of four elements whose data are said to be at `entries`.
fn outside(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some((*key).into()),
        value: Some((*value).into()),
    };
    TensorProto {
        name: Some("w".into()),
        dims: vec![4],
        data_type: Some(DataType::Float as i32),
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }
}

fn at(location: &str) -> TensorProto {
    outside(&[("location", location)])
}

fn beside(folder: &Path) -> ExternalData {
    ExternalData::beside(&folder.join("m.onnx"), ExternalOptions::default())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The model with all its weights in it again.
fn whole(path: &Path) -> ModelProto {
    let mut model = open(path).unwrap().model;
    ExternalData::beside(path, ExternalOptions::default())
        .inline(&mut model)
        .unwrap();
    model
}

/// Of the bytes 0, 1, … 255 again and again, 200 000 in all (`sha1sum`).
const SHA1: &str = "00B8486452834934362997f9841e1315e36d99c0";

#[test]
fn a_checksum_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0; 16]).unwrap();
    let tensor = outside(&[("location", "w.bin"), ("checksum", SHA1)]);
    let error = beside(folder.path()).read(&tensor).unwrap_err().to_string();
    assert!(
        error.contains(SHA1) && error.contains("e129f27c"),
        "{error}"
    );
    // Whoever asks for the place alone does not read the file.
    assert!(beside(folder.path()).locate(&tensor).is_ok());
}

#[test]
fn data_are_slices_of_one_map() {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/w.bin"), &content).unwrap();
    let first = outside(&[("location", "sub/w.bin"), ("length", "16")]);
    let second = outside(&[
        ("location", "./sub/w.bin"),
        ("offset", "4096"),
        ("checksum", SHA1),
    ]);
    for mode in [ReadMode::Map, ReadMode::Memory] {
        let options = ExternalOptions {
            mode,
            ..ExternalOptions::default()
        };
        let data = ExternalData::beside(&folder.path().join("m.onnx"), options);
        let (a, b) = (data.read(&first).unwrap(), data.read(&second).unwrap());
        assert_eq!((&a[..], &b[..]), (&content[..16], &content[4096..4112]));
        assert_eq!(b.as_ptr() as usize - a.as_ptr() as usize, 4096);
        // The map outlives the reader.
        drop(data);
        assert_eq!(a[5], 5);
    }
    assert_eq!(reference(&second).unwrap().checksum.as_deref(), Some(SHA1));
}

#[test]
fn absent_files_can_be_told_from_refused_ones() {
    let folder = tempfile::tempdir().unwrap();
    let error = beside(folder.path()).read(&at("gone.bin")).unwrap_err();
    assert!(matches!(&error, ExternalError::Absent { tensor, .. } if tensor == "w"));
    assert!(error.to_string().contains("gone.bin"), "{error}");
    fs::create_dir(folder.path().join("dir")).unwrap();
    let error = beside(folder.path()).read(&outside(&[("location", "dir"), ("length", "16")]));
    assert!(error.is_err() && !matches!(error, Err(ExternalError::Absent { .. })));
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.path().join("secret"), [0; 16]).unwrap();
    let absolute = folder.path().join("secret");
    let escapes = [
        "../secret",
        "a/../../secret",
        "..",
        "/etc/passwd",
        absolute.to_str().unwrap(),
    ];
    for trust_symlinks in [false, true] {
        let options = ExternalOptions {
            trust_symlinks,
            ..ExternalOptions::default()
        };
        let data = ExternalData::beside(&inner.join("m.onnx"), options);
        for escape in escapes {
            let error = data.read(&at(escape)).unwrap_err();
            assert!(
                matches!(error, ExternalError::Outside { by_link: false, .. }),
                "{error}"
            );
        }
    }
    for nonsense in ["secret\0", ""] {
        assert!(beside(folder.path()).read(&at(nonsense)).is_err());
    }
}

#[cfg(unix)]
#[test]
fn links_are_resolved_then_checked() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("snapshot");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.path().join("blob"), [7; 16]).unwrap();
    fs::write(inner.join("real"), [8; 16]).unwrap();
    symlink("../blob", inner.join("out")).unwrap();
    symlink(folder.path(), inner.join("up")).unwrap();
    symlink("real", inner.join("in")).unwrap();
    symlink("/dev/zero", inner.join("endless")).unwrap();
    symlink("gone", inner.join("dangling")).unwrap();
    let data = beside(&inner);
    assert_eq!(data.read(&at("in")).unwrap()[..], [8; 16]);
    for link in ["out", "up/blob", "endless"] {
        let error = data.read(&at(link)).unwrap_err();
        assert!(
            matches!(error, ExternalError::Outside { by_link: true, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("--trust-symlinks"), "{error}");
    }
    assert!(matches!(
        data.read(&at("dangling")),
        Err(ExternalError::Absent { .. })
    ));
    let options = ExternalOptions {
        trust_symlinks: true,
        ..ExternalOptions::default()
    };
    let trusting = ExternalData::beside(&inner.join("m.onnx"), options);
    for link in ["out", "up/blob"] {
        assert_eq!(trusting.read(&at(link)).unwrap()[..], [7; 16]);
    }
    // Even then only regular files.
    assert!(trusting.read(&at("endless")).is_err());
    // The model's own folder may be reached by a link.
    symlink(&inner, folder.path().join("alias")).unwrap();
    assert!(beside(&folder.path().join("alias")).read(&at("in")).is_ok());
}

#[test]
fn ranges_are_checked_against_the_file_and_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w"), [1; 20]).unwrap();
    let data = beside(folder.path());
    let read = |offset: &str, length: &str| {
        data.read(&outside(&[
            ("location", "w"),
            ("offset", offset),
            ("length", length),
        ]))
    };
    assert_eq!(read("4", "16").unwrap().len(), 16);
    let max = u64::MAX.to_string();
    for (offset, length) in [
        ("5", "16"),
        ("0", "12"),
        ("0", "20"),
        (&max, "16"),
        ("0", &max),
    ] {
        let error = read(offset, length).unwrap_err();
        assert!(
            matches!(error, ExternalError::Range { available: 20, .. }),
            "{error}"
        );
    }
    for (offset, length) in [("-1", "16"), ("x", "16"), ("", "16"), ("0", "1e3")] {
        let error = read(offset, length).unwrap_err();
        assert!(matches!(error, ExternalError::Entry { .. }), "{error}");
    }
    let missing = data.read(&outside(&[("offset", "0")])).unwrap_err();
    assert!(matches!(
        missing,
        ExternalError::Entry {
            key: "location",
            ..
        }
    ));
    // Dimensions that lie, or overflow: nothing is allocated.
    let huge = TensorProto {
        dims: vec![1 << 40],
        ..at("w")
    };
    assert!(matches!(data.read(&huge), Err(ExternalError::Range { .. })));
    let beyond = TensorProto {
        dims: vec![1 << 62, 8],
        ..at("w")
    };
    assert!(matches!(data.read(&beyond), Err(ExternalError::Tensor(_))));
    // Nothing is needed of nothing.
    let none = TensorProto {
        dims: vec![0],
        ..at("w")
    };
    assert!(data.read(&none).unwrap().is_empty());
}

#[test]
fn absent_weights_of_the_corpus_are_told_as_absent() {
    for path in corpus()
        .iter()
        .filter(|path| path.parent().unwrap().ends_with("structure"))
    {
        let file = open(path).unwrap();
        let data = ExternalData::beside(path, ExternalOptions::default());
        let graph = file.model.graph.unwrap();
        let external: Vec<_> = graph
            .initializer
            .iter()
            .filter(|t| is_external(t))
            .collect();
        assert!(!external.is_empty(), "{}", path.display());
        for tensor in external {
            assert!(matches!(
                data.read(tensor),
                Err(ExternalError::Absent { .. })
            ));
        }
    }
}

#[test]
fn split_models_come_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    let mut model = chain(3, 16);
    let graph = model.graph.as_mut().unwrap();
    // One small, one in a typed field, one of strings, one in a subgraph.
    graph
        .initializer
        .push(codec_support::weights("small", &[4]));
    graph.initializer.push(TensorProto {
        name: Some("typed".into()),
        dims: vec![1000],
        data_type: Some(DataType::Float16 as i32),
        int32_data: (0..1000).collect(),
        doc_string: Some("kept".into()),
        ..TensorProto::default()
    });
    graph.initializer.push(TensorProto {
        data_type: Some(DataType::String as i32),
        dims: vec![1],
        string_data: vec![Bytes::from(vec![b'a'; 5000])],
        ..TensorProto::default()
    });
    graph.node[0].attribute.push(AttributeProto {
        g: Some(Box::new(GraphProto {
            initializer: vec![codec_support::weights("inner", &[999])],
            ..GraphProto::default()
        })),
        ..AttributeProto::default()
    });
    let side = write_external(&path, &model, &WriteOptions::default())
        .unwrap()
        .unwrap();
    let written = open(&path).unwrap().model;
    let tensors = &written.graph.as_ref().unwrap().initializer;
    let external: Vec<bool> = tensors.iter().map(is_external).collect();
    assert_eq!(external, [true, true, true, false, true, false]);
    for tensor in tensors.iter().filter(|t| is_external(t)) {
        let place = reference(tensor).unwrap();
        assert_eq!(place.offset % SIDE_FILE_ALIGNMENT, 0);
        assert_eq!(place.location, side.file_name().unwrap().to_str().unwrap());
    }
    assert_eq!(tensors[4].doc_string.as_deref(), Some("kept"));
    // Raw bytes and types are what they were; only the field has changed.
    let back = whole(&path);
    let (old, new) = (model.graph.as_ref().unwrap(), back.graph.as_ref().unwrap());
    for (old, new) in old.initializer.iter().zip(&new.initializer) {
        assert_eq!(
            (&old.name, &old.dims, old.data_type),
            (&new.name, &new.dims, new.data_type)
        );
        assert_eq!(little_endian(old), little_endian(new));
    }
    let inner = |g: &GraphProto| g.node[0].attribute[2].g.as_ref().unwrap().initializer[0].clone();
    assert_eq!(little_endian(&inner(old)), little_endian(&inner(new)));
    // The same model gives the same two files.
    let (a, b) = (fs::read(&path).unwrap(), fs::read(&side).unwrap());
    assert_eq!(
        write_external(&path, &model, &WriteOptions::default()).unwrap(),
        Some(side)
    );
    assert_eq!(fs::read(&path).unwrap(), a);
    assert_eq!(names(folder.path()).len(), 2);
    assert_eq!(b.len() as u64, split(model, |_| "x".into()).1.len());
}

#[test]
fn a_model_of_small_tensors_needs_no_side_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    let model = chain(2, 2);
    assert_eq!(
        write_external(&path, &model, &WriteOptions::default()).unwrap(),
        None
    );
    assert_eq!(open(&path).unwrap().model, model);
}

#[test]
fn a_crash_between_the_two_files_leaves_the_old_pair() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    let (old, new) = (chain(3, 16), chain(3, 20));
    write_external(&path, &old, &WriteOptions::default()).unwrap();
    // The new side file is there, the new model not yet.
    let (_, side) = split(new.clone(), |side| side.name_for("out.onnx"));
    let left = folder.path().join(side.name_for("out.onnx"));
    side.write_to(&mut File::create(&left).unwrap()).unwrap();
    assert_eq!(whole(&path), old);
    assert_eq!(names(folder.path()).len(), 3);
    // The next run completes, and clears what the old pair leaves behind.
    write_external(&path, &new, &WriteOptions::default()).unwrap();
    assert_eq!(whole(&path), new);
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn side_files_that_an_input_uses_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    let copy = folder.path().join("copy.onnx");
    let (old, new) = (chain(3, 16), chain(3, 20));
    write_external(&path, &old, &WriteOptions::default()).unwrap();
    fs::copy(&path, &copy).unwrap();
    let stranger = folder.path().join("out.onnx.not-ours.data");
    fs::write(&stranger, "").unwrap();
    let options = WriteOptions {
        inputs: vec![copy.clone()],
        force: false,
    };
    write_external(&path, &new, &options).unwrap();
    assert_eq!(whole(&copy), old);
    assert_eq!(whole(&path), new);
    assert!(stranger.exists());
}

#[test]
fn a_refused_model_leaves_no_side_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.onnx");
    fs::write(&path, encode(&chain(3, 16)).unwrap()).unwrap();
    let options = WriteOptions {
        inputs: vec![path.clone()],
        force: false,
    };
    assert!(write_external(&path, &chain(3, 20), &options).is_err());
    assert!(write_external(folder.path(), &chain(3, 20), &options).is_err());
    assert_eq!(names(folder.path()), ["in.onnx"]);
    assert_eq!(whole(&path), chain(3, 16));
}

/// Above two gibibytes: the weights are one shared buffer, so the model takes
/// little memory, and nothing of its size is built.
#[cfg(unix)]
#[test]
fn models_above_two_gibibytes_are_written_in_pieces() {
    let shared = Bytes::from(vec![3u8; 128 << 20]);
    let mut model = chain(18, 1);
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        tensor.dims = vec![32 << 20];
        tensor.raw_data = Some(shared.clone());
    }
    assert!(encode(&model).is_err());
    let (small, side) = split(model, |side| side.name_for("big.onnx"));
    assert!(encode(&small).unwrap().len() < 10_000);
    assert_eq!(side.len(), 18 * (128 << 20));
    let mut counted = Counted(0);
    side.write_to(&mut counted).unwrap();
    assert_eq!(counted.0, side.len());
}

struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
