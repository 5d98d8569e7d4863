//! Data files of every kind, whole and damaged.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use prost::Message;
use runtime::{DataError, DataOptions, Dataset};
use tract_onnx::pb::TensorProto;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// An array as NumPy writes it.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn npz(path: &Path, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> String {
    let mut zip = ZipWriter::new(File::create(path).expect("created"));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options)
            .expect("started");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("finished");
    path.to_str().expect("UTF-8").into()
}

/// Four 2x3 images of bytes, and labels.
fn images() -> Vec<u8> {
    npy("|u1", "(4, 2, 3)", &(0..24).collect::<Vec<u8>>())
}

fn labels(labels: &[i64]) -> Vec<u8> {
    let bytes: Vec<u8> = labels.iter().flat_map(|l| l.to_le_bytes()).collect();
    npy("<i8", &format!("({},)", labels.len()), &bytes)
}

fn open(spec: &str) -> Result<Dataset, DataError> {
    Dataset::open(spec, &DataOptions::default())
}

#[track_caller]
fn refused(spec: &str, parts: &[&str]) {
    let message = match open(spec) {
        Err(error) => error.to_string(),
        Ok(data) => panic!("{spec} was read: {:?}", data.shapes()),
    };
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn stored_and_deflated_archives_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let names = npy("<U2", "(1,)", &[0; 8]);
        let arrays = [
            ("names", names),
            ("images", images()),
            ("labels", labels(&[3, 1, 4, 1])),
        ];
        let spec = npz(&folder.path().join("d.npz"), method, &arrays);
        let data = open(&spec).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((data.len(), data.shapes()), (4, &[vec![2, 3]][..]));
        assert_eq!(
            (0..4).map(|i| data.label(i)).collect::<Vec<_>>(),
            [3, 1, 4, 1].map(Some)
        );
        let batch = data.batch(1..3).expect("read");
        assert_eq!(batch[0].shape, [2, 2, 3]);
        assert_eq!(batch[0].data, (6..18).map(|v| v as f32).collect::<Vec<_>>());
    }
}

#[test]
fn arrays_are_named_after_a_colon() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = npy("<f4", "(4, 1)", &[0; 16]);
    let small = npy("|u1", "(4,)", &[5, 6, 7, 8]);
    let arrays = [
        ("x", other),
        ("y", labels(&[0; 4])),
        ("x_test", images()),
        ("y_test", small),
    ];
    let spec = npz(
        &folder.path().join("a:b.npz"),
        CompressionMethod::Deflated,
        &arrays,
    );
    assert_eq!(open(&spec).expect("read").shapes(), [vec![1]]);
    let named = open(&format!("{spec}:x_test,y_test")).expect("read");
    assert_eq!(
        (named.shapes(), named.label(3)),
        (&[vec![2, 3]][..], Some(8))
    );
    refused(
        &format!("{spec}:x_train"),
        &["a:b.npz", "\"x_train\"", "x_test (uint8 4x2x3)"],
    );
}

#[test]
fn preprocessing_and_a_limit_apply() {
    let folder = tempfile::tempdir().expect("a folder");
    let arrays = [("images", images()), ("labels", labels(&[0, 1, 2, 3]))];
    let spec = npz(
        &folder.path().join("d.npz"),
        CompressionMethod::Deflated,
        &arrays,
    );
    let mut options = DataOptions {
        limit: Some(2),
        ..DataOptions::default()
    };
    options
        .preprocess("scale=1/2,mean=1,std=0.5,crop=1x1")
        .expect("valid");
    let data = Dataset::open(&spec, &options).expect("read");
    // Evenly spaced: images 0 and 2, so that sorted classes do not vanish.
    assert_eq!([data.label(0), data.label(1)], [Some(0), Some(2)]);
    assert_eq!(data.batch(0..2).expect("read")[0].data, [-1.0, 11.0]);
}

#[test]
fn what_is_wrong_with_an_archive_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, arrays: &[(&str, Vec<u8>)]| {
        npz(
            &folder.path().join(name),
            CompressionMethod::Deflated,
            arrays,
        )
    };
    let count = write(
        "count.npz",
        &[("images", images()), ("labels", labels(&[0; 3]))],
    );
    refused(
        &count,
        &["count.npz", "3 labels", "\"labels\"", "4 samples"],
    );
    refused(
        &write("none.npz", &[("labels", labels(&[0; 3]))]),
        &["no float or uint8", "int64 3"],
    );
    refused(&write("empty.npz", &[]), &["no arrays"]);
    let text = write("text.npz", &[("t", npy("<U2", "(1, 1)", &[0; 8]))]);
    refused(&format!("{text}:t"), &["\"t\"", "<U2", "float32"]);
    let float_labels = write(
        "f.npz",
        &[("x", images()), ("y", npy("<f4", "(4,)", &[0; 16]))],
    );
    refused(&format!("{float_labels}:x,y"), &["float32", "int64"]);
    let table = write(
        "t.npz",
        &[("x", images()), ("y", npy("<i4", "(4, 2)", &[0; 32]))],
    );
    refused(&format!("{table}:x,y"), &["4x2", "vector"]);
    let short = write("short.npz", &[("x", npy("<f4", "(4, 2)", &[0; 20]))]);
    refused(&short, &["short.npz", "cannot read x", "it ends before"]);
    let bomb = write(
        "bomb.npz",
        &[("x", npy("<f8", "(99999999999, 99)", &[0; 8]))],
    );
    refused(&bomb, &["79199999999208 bytes", "limit"]);
    let garbage = write("garbage.npz", &[("x", b"not an array at all".to_vec())]);
    refused(&garbage, &["garbage.npz", "no NumPy array"]);

    let pointer = folder.path().join("pointer.npz");
    fs::write(
        &pointer,
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    )
    .expect("written");
    refused(
        pointer.to_str().expect("UTF-8"),
        &["pointer.npz", "Git LFS", "git lfs pull"],
    );
    let cut = folder.path().join("cut.npz");
    let whole = fs::read(&count).expect("read");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    refused(cut.to_str().expect("UTF-8"), &["cut.npz", "archive"]);
    let mut flipped = whole.clone();
    flipped[whole.len() / 8] ^= 0xff;
    let bad = folder.path().join("flipped.npz");
    fs::write(&bad, flipped).expect("written");
    refused(bad.to_str().expect("UTF-8"), &["flipped.npz"]);
    refused(
        folder.path().join("missing.npz").to_str().expect("UTF-8"),
        &["missing.npz", "image"],
    );
}

#[test]
fn a_single_array_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    fs::write(&path, images()).expect("written");
    let data = open(path.to_str().expect("UTF-8")).expect("read");
    assert_eq!((data.len(), data.has_labels()), (4, false));
}

#[test]
fn folders_of_images_have_a_class_a_subfolder() {
    let folder = tempfile::tempdir().expect("a folder");
    let save = |class: &str, name: &str, size: (u32, u32), colour: [u8; 3]| {
        let path = folder.path().join(class).join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        image::RgbImage::from_pixel(size.0, size.1, image::Rgb(colour))
            .save(path)
            .expect("saved");
    };
    save("dog", "b.png", (4, 3), [10, 20, 30]);
    save("dog", "a.png", (4, 3), [40, 50, 60]);
    save("cat", "c.PNG", (4, 3), [70, 80, 90]);
    fs::write(folder.path().join("dog/notes.txt"), "no image").expect("written");
    let spec = folder.path().to_str().expect("UTF-8");
    let data = open(spec).expect("read");
    assert_eq!(data.shapes(), [vec![3, 3, 4]]);
    assert_eq!(
        [data.label(0), data.label(1), data.label(2)],
        [0, 1, 1].map(Some)
    );
    let first: Vec<f32> = data.batch(0..3).expect("read")[0]
        .data
        .chunks(12)
        .map(|c| c[0])
        .collect();
    assert_eq!(
        first,
        [70.0, 80.0, 90.0, 40.0, 50.0, 60.0, 10.0, 20.0, 30.0]
    );

    let mut bgr = DataOptions::default();
    bgr.preprocess("channels=bgr,layout=nhwc,resize=6,crop=5x6,scale=1/10")
        .expect("valid");
    let data = Dataset::open(spec, &bgr).expect("read");
    assert_eq!(data.shapes(), [vec![5, 6, 3]]);
    assert_eq!(
        data.batch(0..1).expect("read")[0].data[..3],
        [9.0, 8.0, 7.0]
    );

    save("cat", "d.png", (5, 3), [0; 3]);
    let data = open(spec).expect("the first image is read");
    let message = data.batch(0..4).unwrap_err().to_string();
    assert!(
        message.contains("d.png") && message.contains("3x3x5"),
        "{message}"
    );
    fs::write(folder.path().join("cat/a.jpg"), "no image").expect("written");
    refused(spec, &["a.jpg"]);
    let empty = tempfile::tempdir().expect("a folder");
    refused(
        empty.path().to_str().expect("UTF-8"),
        &["neither input_0.pb nor"],
    );
}

#[test]
fn numbered_subfolders_are_their_labels() {
    let folder = tempfile::tempdir().expect("a folder");
    for class in ["7", "10"] {
        let path = folder.path().join(class);
        fs::create_dir(&path).expect("a folder");
        image::GrayImage::new(2, 2)
            .save(path.join("x.png"))
            .expect("saved");
    }
    let data = open(folder.path().to_str().expect("UTF-8")).expect("read");
    assert_eq!([data.label(0), data.label(1)], [Some(10), Some(7)]);
}

#[test]
fn test_data_sets_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |set: &str, index: usize, tensor: TensorProto| {
        let set = folder.path().join(set);
        fs::create_dir_all(&set).expect("a folder");
        fs::write(
            set.join(format!("input_{index}.pb")),
            tensor.encode_to_vec(),
        )
        .expect("written");
    };
    let floats = |dims: &[i64], data: &[f32]| TensorProto {
        dims: dims.to_vec(),
        data_type: 1,
        float_data: data.to_vec(),
        ..TensorProto::default()
    };
    let raw = |dims: &[i64], data: &[i64]| TensorProto {
        dims: dims.to_vec(),
        data_type: 7,
        raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    for (i, set) in ["test_data_set_0", "test_data_set_1"].iter().enumerate() {
        let at = i as f32;
        write(set, 0, floats(&[2, 2], &[at, at + 1.0, at + 2.0, at + 3.0]));
        write(set, 1, raw(&[2, 1], &[10, 20]));
    }
    let all = open(folder.path().to_str().expect("UTF-8")).expect("read");
    assert_eq!((all.len(), all.shapes()), (4, &[vec![2], vec![1]][..]));
    let batch = all.batch(2..4).expect("read");
    assert_eq!(
        (&batch[0].data[..], &batch[1].data[..]),
        (&[1.0, 2.0, 3.0, 4.0][..], &[10.0, 20.0][..])
    );
    let one = open(
        folder
            .path()
            .join("test_data_set_1")
            .to_str()
            .expect("UTF-8"),
    )
    .expect("read");
    assert_eq!(one.len(), 2);

    // Inputs of unlike first axes: the set is one sample.
    write("odd", 0, floats(&[1, 3], &[1.0, 2.0, 3.0]));
    write("odd", 1, raw(&[2], &[4, 5]));
    let odd = folder.path().join("odd");
    let spec = odd.to_str().expect("UTF-8");
    assert_eq!(open(spec).expect("read").shapes(), [vec![1, 3], vec![2]]);
    write("odd", 1, raw(&[3], &[4, 5]));
    refused(spec, &["input_1.pb"]);
    fs::write(odd.join("input_1.pb"), b"\xff\xff").expect("written");
    refused(spec, &["input_1.pb"]);
}

#[test]
fn random_input_repeats_with_its_seed() {
    let data = |seed| {
        Dataset::random(&[vec![3, 8]], 4, seed)
            .batch(0..4)
            .expect("made")
    };
    assert_eq!(data(1), data(1));
    assert_ne!(data(1), data(2));
}
