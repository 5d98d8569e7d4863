//! Real faults: a full disk, limits of the system, read-only folders, files
//! rewritten while they are read, signals. A clear end, no half-written file,
//! the input as it was.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{convfold, run, small_model, stderr, within};
use compiler::onnx::schema::{DataType, TensorProto};
use netbuilder::{Builder, Dim, ints};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_convfold");

/// A folder with a model, whose bytes are remembered.
struct Place {
    folder: TempDir,
    model: String,
    before: Vec<u8>,
}

impl Place {
    fn small() -> Self {
        Self::with(small_model)
    }

    /// A model of so many MiB of weights that no pass touches, and a 5x5
    /// convolution of so many channels.
    fn large(mebibytes: i64, channels: i64) -> Self {
        Self::with(|path| {
            let side = Dim::Size(16);
            let shape = [Dim::Size(1), Dim::Size(channels), side, side];
            let mut net = Builder::new("large", "image", &shape);
            let noise = |count: i64| (0..count).map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5);
            let kernel = [channels, channels, 5, 5];
            let values = noise(kernel.iter().product()).collect();
            let kernel = net.weights("kernel", &kernel, values);
            let attributes = vec![ints("kernel_shape", &[5, 5]), ints("pads", &[2; 4])];
            let x = net.node("Conv", "conv", &["image", &kernel], attributes);
            let x = net.node("Add", "sum", &[&x, "ballast"], vec![]);
            let mut model = net.finish(&x, &shape);
            let graph = model.graph.as_mut().expect("it has one");
            graph.initializer.push(TensorProto {
                name: Some("ballast".into()),
                dims: vec![mebibytes << 8, 1, 1, 1024],
                data_type: Some(DataType::Float as i32),
                raw_data: Some(vec![0x3d; (mebibytes << 20) as usize].into()),
                ..TensorProto::default()
            });
            netbuilder::write(path, &model).expect("writable");
        })
    }

    fn with(make: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let model = within(&folder, "model.onnx");
        make(Path::new(&model));
        let before = fs::read(&model).expect("readable");
        Self {
            folder,
            model,
            before,
        }
    }

    fn path(&self, name: &str) -> String {
        within(&self.folder, name)
    }

    fn factorize<'a>(&'a self, out: &'a str) -> [&'a str; 6] {
        ["factorize", &self.model, "-o", out, "--pass", "5x5-to-3x3"]
    }

    /// Starts a rewriting to `out.onnx`, and waits until it has mapped the model.
    fn begin(&self, out: &str) -> Child {
        let child = Command::new(PROGRAM)
            .args(self.factorize(out))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let maps = format!("/proc/{}/maps", child.id());
        wait("the model is mapped", || {
            fs::read_to_string(&maps).is_ok_and(|maps| maps.contains(&self.model))
        });
        child
    }

    /// The input is as it was, and nothing is there besides what is named.
    fn holds(&self, names: &[&str]) {
        assert!(fs::read(&self.model).expect("readable") == self.before);
        assert_eq!(listing(self.folder.path()), names);
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let start = Instant::now();
    while !until() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|s| s.success()), "kill -{name}");
}

fn end(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

/// Exit 2 and one line that holds all of `words`.
fn refused(output: &Output, words: &[&str]) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{:?} {line}", output.status);
    assert_eq!(line.lines().count(), 1, "{line}");
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
}

/// A file system of its own, for as long as the value lives.
struct Mount(PathBuf);

impl Mount {
    /// `None`, loudly, where the user may not mount.
    fn tmpfs(folder: &TempDir, options: &str) -> Option<Self> {
        let path = folder.path().join("mount");
        fs::create_dir(&path).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: no right to mount a tmpfs");
        None
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").into()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let place = Place::large(4, 4);
    let folder = TempDir::new().expect("a folder");
    let Some(disk) = Mount::tmpfs(&folder, "size=1m") else {
        return;
    };
    let out = disk.path("out.onnx");
    fs::write(&out, b"old").expect("writable");
    let says = ["no space left", out.as_str(), "nothing was written"];
    refused(&run(place.factorize(&out)), &says);
    let external = [&place.factorize(&out)[..], &["--external-data"]].concat();
    refused(&run(external), &["no space left"]);
    assert_eq!(fs::read(&out).expect("readable"), b"old");
    assert_eq!(listing(&disk.0), ["out.onnx"]);
    place.holds(&["model.onnx"]);
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    let place = Place::large(4, 4);
    let out = place.path("out.onnx");
    let output = Command::new("bash")
        .args(["-c", "ulimit -f 1024; exec \"$0\" \"$@\"", PROGRAM])
        .args(place.factorize(&out))
        .output()
        .expect("it starts");
    refused(&output, &["no space left", &out]);
    place.holds(&["model.onnx"]);
}

#[test]
fn a_read_only_folder_is_refused_before_the_work() {
    let place = Place::small();
    let folder = TempDir::new().expect("a folder");
    let Some(disk) = Mount::tmpfs(&folder, "ro") else {
        return;
    };
    let out = disk.path("out.onnx");
    refused(
        &run(place.factorize(&out)),
        &[&out, "choose another folder"],
    );
    let report = ["analyze", &place.model, "-o", &disk.path("report.json")];
    refused(&run(report), &["report.json", "choose another folder"]);
    place.holds(&["model.onnx"]);
}

#[test]
fn the_input_under_another_name_is_the_input() {
    let place = Place::small();
    let names = ["hard.onnx", "soft.onnx"];
    fs::hard_link(&place.model, place.path(names[0])).expect("a link");
    std::os::unix::fs::symlink(&place.model, place.path(names[1])).expect("a link");
    for name in names {
        let out = place.path(name);
        refused(&run(place.factorize(&out)), &[name, "--force"]);
    }
    place.holds(&["hard.onnx", "model.onnx", "soft.onnx"]);
    // With --force the model is replaced in one step; a reader of the old one
    // (here the hard link) keeps it.
    let forced = [&place.factorize(&place.model)[..], &["--force"]].concat();
    assert_eq!(run(forced).status.code(), Some(0));
    assert!(fs::read(place.path("hard.onnx")).expect("readable") == place.before);
    assert!(fs::read(&place.model).expect("readable") != place.before);
    let again = run(["analyze", &place.model]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

#[test]
fn an_input_that_is_cut_short_while_it_is_mapped_ends_the_run() {
    let place = Place::large(64, 32);
    let out = place.path("out.onnx");
    let child = place.begin(&out);
    let file = OpenOptions::new().write(true).open(&place.model);
    file.and_then(|f| f.set_len(4096)).expect("writable");
    refused(&end(child), &[&place.model, "another program"]);
    assert_eq!(listing(place.folder.path()), ["model.onnx"]);
}

#[test]
fn an_input_that_is_rewritten_while_it_is_mapped_ends_the_run() {
    let place = Place::large(64, 48);
    let out = place.path("out.onnx");
    let child = place.begin(&out);
    let mut file = OpenOptions::new()
        .write(true)
        .open(&place.model)
        .expect("writable");
    let middle = place.before.len() as u64 / 2;
    file.seek(SeekFrom::Start(middle)).expect("seekable");
    file.write_all(&[7; 64]).expect("writable");
    drop(file);
    refused(&end(child), &[&place.model, "rewritten by another program"]);
    assert_eq!(listing(place.folder.path()), ["model.onnx"]);
}

#[test]
fn an_input_that_is_replaced_while_it_is_mapped_stays_what_it_was() {
    let place = Place::large(64, 32);
    let (out, other) = (place.path("out.onnx"), place.path("other.onnx"));
    small_model(Path::new(&other));
    let child = place.begin(&out);
    fs::rename(&other, &place.model).expect("renamed");
    let output = end(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The result is the old model's.
    assert!(fs::metadata(&out).expect("written").len() > 64 << 20);
    assert_eq!(listing(place.folder.path()), ["model.onnx", "out.onnx"]);
}

#[test]
fn an_interrupt_during_a_fit_writes_nothing() {
    for (name, times) in [("INT", 1), ("TERM", 1), ("INT", 2)] {
        let place = Place::large(1, 64);
        let out = place.path("out.onnx");
        let child = place.begin(&out);
        std::thread::sleep(Duration::from_millis(50));
        for _ in 0..times {
            signal(&child, name);
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = end(child);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{name}: {line}");
        assert!(times > 1 || line.contains("interrupted"), "{line}");
        place.holds(&["model.onnx"]);
    }
}

#[test]
fn an_interrupt_during_a_write_leaves_the_old_file_or_the_new_one() {
    let place = Place::large(128, 4);
    let out = place.path("out.onnx");
    fs::write(&out, b"old").expect("writable");
    let mut child = place.begin(&out);
    let folder = place.folder.path();
    let writing = |folder: &Path| listing(folder).iter().any(|n| n.starts_with(".convfold-"));
    wait("the write has begun", || {
        writing(folder) || child.try_wait().is_ok_and(|done| done.is_some())
    });
    for _ in 0..2 {
        if child.try_wait().is_ok_and(|done| done.is_none()) {
            signal(&child, "TERM");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = end(child);
    let length = fs::metadata(&out).expect("there").len();
    match output.status.code() {
        Some(130) => assert!(length == 3 || length > 128 << 20, "{length}"),
        Some(0) => assert!(length > 128 << 20, "{length}"),
        other => panic!("{other:?}: {}", stderr(&output)),
    }
    place.holds(&["model.onnx", "out.onnx"]);
}

#[test]
fn time_and_memory_have_limits() {
    let place = Place::large(64, 64);
    let out = place.path("out.onnx");
    let mut arguments = place.factorize(&out).to_vec();
    arguments.extend(["--timeout", "0.05"]);
    refused(&run(&arguments), &["after 0.05 s", "--timeout"]);
    place.holds(&["model.onnx"]);
    // Writing gathers the model in memory.
    let mut arguments = place.factorize(&out).to_vec();
    arguments.extend(["--max-memory", "48M"]);
    refused(&run(&arguments), &["48.0 MiB allowed", "--max-memory"]);
    place.holds(&["model.onnx"]);
    let refused = convfold()
        .args(["analyze", &place.model, "--max-memory", "much"])
        .output();
    assert_eq!(refused.expect("it starts").status.code(), Some(2));
}

#[test]
fn what_decoding_takes_is_limited_too() {
    // Numbers of one byte each that decode to eight.
    let place = Place::with(|path| {
        let mut net = Builder::new("numbers", "x", &[Dim::Size(1)]);
        let y = net.node("Relu", "y", &["x"], vec![]);
        let mut model = net.finish(&y, &[Dim::Size(1)]);
        if let Some(graph) = &mut model.graph {
            graph.initializer.push(TensorProto {
                name: Some("numbers".into()),
                dims: vec![4 << 20],
                data_type: Some(DataType::Int64 as i32),
                int64_data: vec![1; 4 << 20],
                ..Default::default()
            });
        }
        netbuilder::write(path, &model).expect("writable");
    });
    let output = run(["analyze", &place.model, "--max-memory", "16M"]);
    refused(
        &output,
        &[&place.model, "decoding takes more than 16777216"],
    );
    assert_eq!(run(["analyze", &place.model]).status.code(), Some(0));
}

/// Nodes on which tract allocates without end, or more than there is.
#[test]
fn what_tract_would_allocate_is_limited() {
    let hungry = [
        ("Transpose", vec![ints("perm", &[0, 0, 0, 0])]),
        ("MaxPool", vec![ints("kernel_shape", &[1 << 40, 1 << 40])]),
        ("Expand", vec![]),
    ];
    for (op, attributes) in hungry {
        let place = Place::with(|path| {
            let shape = [1, 2, 6, 6].map(Dim::Size);
            let mut net = Builder::new("hungry", "x", &shape);
            let mut inputs = vec!["x"];
            if op == "Expand" {
                net.integers("shape", &[1 << 24, 2, 6, 6]);
                inputs.push("shape");
            }
            let y = net.node(op, "y", &inputs, attributes);
            netbuilder::write(path, &net.finish(&y, &shape)).expect("writable");
        });
        let output = run([
            "bench",
            &place.model,
            "--max-memory",
            "256M",
            "--rounds",
            "1",
        ]);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{op}: {line}");
        let clear = line.contains("memory") || line.contains("tract cannot");
        assert!(clear, "{op}: {line}");
        assert!(
            op != "Expand" || line.contains("Expand \"y\" makes"),
            "{line}"
        );
        // It can be analyzed and rewritten none the less.
        let (model, out) = (place.model.as_str(), place.path("out.onnx"));
        assert_eq!(run(["analyze", model]).status.code(), Some(0), "{op}");
        assert_eq!(
            run(["fold", model, "-o", &out]).status.code(),
            Some(0),
            "{op}"
        );
    }
}
