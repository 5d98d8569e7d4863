//! A file's bytes, without copying them: the one place with `unsafe`.
//!
//! A map shows the file as it is, not as it was opened. A file that is
//! *replaced* is no danger, since the map keeps the old one alive, and
//! everything that this tool writes is written beside the old file and renamed
//! over it. A file that another program rewrites *in place* is:
//!
//! - if it is cut short, reading a page that is gone raises SIGBUS. With
//!   [`stop_on_map_fault`] the thread then stands still instead of the process
//!   ending, and [`map_has_failed`] tells who watches;
//! - if its bytes change, what was read is a mixture of two files. Every map
//!   remembers length and time of change; [`changed_files`] names the files that
//!   are not what they were, and is asked before any result is published.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use super::file::Stamp;

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
/// may never end, a device may have no length); `Other` where the file changes
/// while it is read.
pub(super) fn read(path: &Path, mode: ReadMode) -> io::Result<Bytes> {
    // Asked before opening: opening a pipe without a writer blocks for ever.
    regular(&path.metadata()?)?;
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    let stamp = Stamp::of(&metadata);
    let small = mode == ReadMode::Memory || metadata.len() < SMALL_FILE;
    let watch = |file| Watch {
        path: path.to_owned(),
        file,
        stamp,
    };
    if small {
        let mut bytes = Vec::new();
        // A file that grows for ever ends here too.
        let limit = metadata.len().saturating_add(1);
        Read::by_ref(&mut file)
            .take(limit)
            .read_to_end(&mut bytes)?;
        let watch = watch(file);
        if watch.has_changed() || bytes.len() as u64 != metadata.len() {
            return Err(io::Error::other("it changed while it was being read"));
        }
        return Ok(Bytes::from(bytes));
    }
    // SAFETY: the map is private to the returned `Bytes`, read-only, and lives
    // as long as they do. That nobody rewrites the file meanwhile cannot be
    // enforced by any system call; the module's text says what is done about it.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    let watch = Arc::new(watch(file));
    let mut watched = lock(&WATCHED);
    watched.retain(|file| file.strong_count() > 0);
    watched.push(Arc::downgrade(&watch));
    Ok(Bytes::from_owner(Mapped { map, _watch: watch }))
}

/// A map, and who watches its file.
struct Mapped {
    map: memmap2::Mmap,
    _watch: Arc<Watch>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

/// A file that is being read, and how it was.
struct Watch {
    path: PathBuf,
    file: File,
    stamp: Option<Stamp>,
}

impl Watch {
    /// Whether the very file (not what is now at its path) is another.
    fn has_changed(&self) -> bool {
        let now = self.file.metadata();
        // Without times of change there is no telling.
        now.is_ok_and(|now| self.stamp.is_some() && Stamp::of(&now) != self.stamp)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.has_changed() {
            lock(&CHANGED).insert(std::mem::take(&mut self.path));
        }
    }
}

/// The files that are mapped.
static WATCHED: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());

/// Those that were mapped and had changed when they were let go.
static CHANGED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files that another program has rewritten in place while, or after, they
/// were mapped by this process: what was read of them may be of two minds.
pub fn changed_files() -> Vec<PathBuf> {
    // No map is dropped while the list is locked: that would lock the other.
    let watched: Vec<Arc<Watch>> = lock(&WATCHED).iter().filter_map(Weak::upgrade).collect();
    let live = watched.iter().filter(|file| file.has_changed());
    let mut changed: BTreeSet<PathBuf> = live.map(|file| file.path.clone()).collect();
    changed.extend(lock(&CHANGED).iter().cloned());
    changed.into_iter().collect()
}

static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether a thread has come upon a page of a map that is gone. It stands
/// still, so the process is to be ended.
pub fn map_has_failed() -> bool {
    FAILED.load(Ordering::SeqCst)
}

/// From now on, a thread that reads a page of a map that is gone stands still
/// for good, for whoever asks [`map_has_failed`] to end the process in order.
/// Only for programs: it takes SIGBUS for the whole process.
pub fn stop_on_map_fault() {
    #[cfg(unix)]
    {
        extern "C" fn stand_still(_: libc::c_int) {
            FAILED.store(true, Ordering::SeqCst);
            loop {
                // SAFETY: no memory is involved, and a handler may call it.
                unsafe { libc::pause() };
            }
        }
        let handler = stand_still as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler stores to an atomic and waits, which handlers may
        // do, and never returns to the instruction that failed.
        unsafe { libc::signal(libc::SIGBUS, handler) };
    }
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
