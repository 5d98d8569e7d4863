//! Writing: the old file or the new one, never half of one, never the input.

mod codec_support;

use std::fs;
use std::path::Path;

use codec_support::{chain, corpus};
use compiler::onnx::{
    WriteError, WriteOptions, decode, encode, is_same_file, open, write_atomically,
    write_atomically_with,
};

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn guarding(input: &Path) -> WriteOptions {
    WriteOptions {
        inputs: vec![input.to_owned()],
        force: false,
    }
}

#[test]
fn encoding_is_deterministic_and_loses_nothing() {
    let model = chain(3, 4);
    let bytes = encode(&model).unwrap();
    assert_eq!(bytes, encode(&model.clone()).unwrap());
    assert_eq!(decode(bytes).unwrap(), model);
    for path in corpus() {
        let file = open(&path).unwrap();
        let bytes = encode(&file.model).unwrap();
        assert_eq!(
            decode(bytes.clone()).unwrap(),
            file.model,
            "{}",
            path.display()
        );
        assert_eq!(encode(&decode(bytes.clone()).unwrap()).unwrap(), bytes);
    }
}

#[test]
fn a_model_beyond_two_gibibytes_is_refused_before_it_is_built() {
    // The same 64 MiB forty times over.
    let mut model = chain(1, 1);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer[0].raw_data = Some(vec![0; 64 << 20].into());
    graph.initializer = vec![graph.initializer[0].clone(); 40];
    let error = encode(&model).unwrap_err();
    assert!(error.to_string().contains("external data"), "{error}");
}

#[test]
fn replaces_in_one_step_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    for contents in ["old", "new and longer"] {
        write_atomically(&path, contents.as_bytes(), &WriteOptions::default()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        assert_eq!(names(folder.path()), ["out.onnx"]);
    }
}

#[test]
fn the_input_survives_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.onnx");
    fs::write(&input, "input").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let mut same = vec![input.clone(), folder.path().join("sub/../in.onnx")];
    #[cfg(unix)]
    {
        let links = [folder.path().join("soft"), folder.path().join("hard")];
        std::os::unix::fs::symlink(&input, &links[0]).unwrap();
        fs::hard_link(&input, &links[1]).unwrap();
        same.extend(links);
    }
    for output in &same {
        let error = write_atomically(output, b"x", &guarding(&input)).unwrap_err();
        assert!(matches!(error, WriteError::IsInput { .. }), "{error}");
        assert!(is_same_file(output, &input));
        assert_eq!(fs::read_to_string(&input).unwrap(), "input");
    }
    let other = folder.path().join("other.onnx");
    assert!(!is_same_file(&other, &input) && !is_same_file(&other, &other));
    write_atomically(&other, b"x", &guarding(&input)).unwrap();
    let forced = WriteOptions {
        force: true,
        ..guarding(&input)
    };
    write_atomically(&input, b"forced", &forced).unwrap();
    assert_eq!(fs::read_to_string(&input).unwrap(), "forced");
}

#[test]
fn forced_over_the_mapped_input_the_map_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.onnx");
    let model = chain(3, 32);
    fs::write(&path, encode(&model).unwrap()).unwrap();
    let file = open(&path).unwrap();
    let options = WriteOptions {
        force: true,
        ..guarding(&path)
    };
    write_atomically(&path, &encode(&chain(1, 1)).unwrap(), &options).unwrap();
    assert_eq!(file.model, model);
    assert_eq!(open(&path).unwrap().model, chain(1, 1));
}

#[test]
fn failures_are_typed_and_leave_the_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old"), "old").unwrap();
    let before = names(folder.path());
    let write = |path: &Path| write_atomically(path, b"x", &WriteOptions::default()).unwrap_err();
    assert!(matches!(write(folder.path()), WriteError::IsFolder { .. }));
    assert!(matches!(write(Path::new("/")), WriteError::IsFolder { .. }));
    assert!(matches!(
        write(&at("absent/out")),
        WriteError::NoFolder { .. }
    ));
    assert!(matches!(
        write(&at("old/out")),
        WriteError::NoFolder { .. } | WriteError::Io { .. }
    ));
    let stopped = write_atomically_with(&at("old"), &WriteOptions::default(), |file| {
        file.write_all(b"half of")?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(matches!(stopped, Err(WriteError::DiskFull { .. })));
    assert_eq!(fs::read_to_string(at("old")).unwrap(), "old");
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_panic_on_the_way_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let panicked = std::panic::catch_unwind(|| {
        write_atomically_with(&path, &WriteOptions::default(), |_| panic!("on the way"))
    });
    assert!(panicked.is_err());
    assert!(names(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_what_a_user_expects() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    // A new file is as open as one that the standard library creates.
    fs::write(at("plain"), "").unwrap();
    write_atomically(&at("new"), b"x", &WriteOptions::default()).unwrap();
    assert_eq!(mode(&at("new")), mode(&at("plain")));
    fs::set_permissions(at("new"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("new", at("link")).unwrap();
    write_atomically(&at("link"), b"y", &WriteOptions::default()).unwrap();
    assert!(at("link").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(at("new")).unwrap(), "y");
    assert_eq!(mode(&at("new")), 0o640);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_to_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let null = Path::new("/dev/null");
    write_atomically(null, b"x", &WriteOptions::default()).unwrap();
    assert!(null.metadata().unwrap().file_type().is_char_device());
    let full = write_atomically(Path::new("/dev/full"), b"x", &WriteOptions::default());
    assert!(matches!(full, Err(WriteError::DiskFull { .. })), "{full:?}");
}

/// Real faults in a mount namespace of its own: a full disk, one that is
/// read-only. Skips, loudly, where the kernel does not let us make one.
#[cfg(target_os = "linux")]
#[test]
fn full_and_read_only_disks() {
    const FOLDER: &str = "CONVFOLD_TEST_SMALL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        return on_a_small_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$0\" || exit 77; exec \"$1\" --exact \
                  full_and_read_only_disks --nocapture";
    let run = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", script])
        .args([folder.path(), &std::env::current_exe().unwrap()])
        .env(FOLDER, folder.path())
        .output();
    match run {
        Ok(run) if run.status.success() => {
            assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"));
        }
        Ok(run) if run.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&run.stderr))
        }
        other => eprintln!("SKIPPED: no private mount to be had: {other:?}"),
    }
}

#[cfg(target_os = "linux")]
fn on_a_small_disk(folder: &Path) {
    let path = folder.join("out.onnx");
    let options = WriteOptions::default();
    write_atomically(&path, b"old", &options).unwrap();
    let error = write_atomically(&path, &[1; 1 << 20], &options).unwrap_err();
    assert!(matches!(error, WriteError::DiskFull { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder), ["out.onnx"]);
    let remount = std::process::Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(folder)
        .status()
        .unwrap();
    assert!(remount.success());
    let error = write_atomically(&path, b"new", &options).unwrap_err();
    assert!(matches!(error, WriteError::Denied { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}
