//! Discarding unfinished files touches every write of the process, so this is
//! a process of its own.

use std::fs;

use compiler::onnx::{WriteOptions, discard_unfinished, write_atomically, write_atomically_with};

#[test]
fn an_interrupt_on_the_way_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let count = || folder.path().read_dir().unwrap().count();
    write_atomically(&path, b"old", &WriteOptions::default()).unwrap();
    let interrupted = write_atomically_with(&path, &WriteOptions::default(), |file| {
        file.write_all(b"half of")?;
        assert_eq!(count(), 2);
        discard_unfinished();
        assert_eq!(count(), 1);
        Ok(())
    });
    assert!(interrupted.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    // What is finished is not discarded.
    discard_unfinished();
    assert_eq!(count(), 1);
}
