//! A file's bytes, without copying them: the one place with `unsafe`.
//!
//! A map is sound only while nobody shortens the file in place: reading a page
//! that is no longer there ends the process (SIGBUS). A file that is *replaced*
//! is no danger, since the map keeps the old one alive, and everything that
//! this tool writes is written beside the old file and renamed over it. Who
//! must read files that others rewrite in place chooses [`ReadMode::Memory`].
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

/// Files below this are read into memory: cheaper than a map, and safe from
/// being rewritten in place.
pub const SMALL_FILE: u64 = 64 * 1024;

/// How a file gets into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// Files of [`SMALL_FILE`] bytes and more are mapped, others are read.
    #[default]
    Map,
    /// Every file is read, whatever its size.
    Memory,
}

/// The whole of a regular file.
///
/// # Errors
/// The operating system's; `InvalidInput` for what is no regular file (a pipe
/// may never end, a device may have no length).
pub(super) fn read(path: &Path, mode: ReadMode) -> io::Result<Bytes> {
    // Asked before opening: opening a pipe without a writer blocks for ever.
    regular(&path.metadata()?)?;
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    if mode == ReadMode::Memory || metadata.len() < SMALL_FILE {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok(Bytes::from(bytes));
    }
    // SAFETY: the map is private to the returned `Bytes`, read-only, and lives
    // as long as they do. That nobody shortens the file meanwhile cannot be
    // enforced by any system call; the module's text says what is done about it.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

fn regular(metadata: &std::fs::Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "it is a folder"
    } else {
        "it is no regular file"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
