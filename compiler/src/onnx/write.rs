//! Files that are either not there, the old one, or whole.
//!
//! Bytes go to a temporary file in the same folder, to the disk, and only then
//! under their name, in one step. A failure on the way removes the temporary
//! file; an interrupt does so through [`discard_unfinished`].

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::encode::EncodeError;

/// What a file may replace.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Files that are being read and must survive: writing over one of them is
    /// refused, under whatever name, link or path it is reached.
    pub inputs: Vec<PathBuf>,
    /// Write over an input none the less. What is mapped of it stays readable.
    pub force: bool,
}

/// Why a file was not written. The old one, if any, is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output is one of the inputs.
    #[error("{} is the input itself; choose another output, or --force to replace it", path.display())]
    IsInput {
        /// The output.
        path: PathBuf,
    },
    /// The output is a folder, or has no file name.
    #[error("{} is a folder; name a file in it", path.display())]
    IsFolder {
        /// The output.
        path: PathBuf,
    },
    /// The folder to write in does not exist.
    #[error("the folder of {} does not exist; create it first", path.display())]
    NoFolder {
        /// The output.
        path: PathBuf,
    },
    /// No right to write there, or a file system that is read-only.
    #[error("no permission to write {}: {error}; choose another folder", path.display())]
    Denied {
        /// The output.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk is full, a quota reached, or the file beyond what may be written.
    #[error("no space left to write {}: {error}; nothing was written", path.display())]
    DiskFull {
        /// The output.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Anything else that the system refuses.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The output.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The model does not fit a protobuf file.
    #[error("cannot write {}: {error}", path.display())]
    Encode {
        /// The output.
        path: PathBuf,
        /// Why.
        error: EncodeError,
    },
}

/// Writes `bytes` as `path`, replacing an older file in one step.
///
/// # Errors
/// See [`WriteError`]; then `path` is as it was and no temporary file is left.
pub fn write_atomically(
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<(), WriteError> {
    write_atomically_with(path, options, |file| file.write_all(bytes))
}

/// [`write_atomically`] for contents that are made on the way.
///
/// # Errors
/// See [`WriteError`]; what `contents` returns counts as the system's refusal.
pub fn write_atomically_with(
    path: &Path,
    options: &WriteOptions,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let target = Target::check(path, options)?;
    target.write(contents).map_err(|error| refused(path, error))
}

/// Removes the temporary files of all writes under way. For the handler of an
/// interrupt, before the process ends; the writes themselves then fail.
pub fn discard_unfinished() {
    for path in std::mem::take(&mut *unfinished()) {
        let _ = fs::remove_file(path);
    }
}

/// Whether two paths lead to the same file. Paths that lead nowhere do not.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
            return (a.dev(), a.ino()) == (b.dev(), b.ino());
        }
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// An output that has been found fit to be written.
pub(super) struct Target {
    /// Where the file is, links resolved, so that a link stays a link.
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
    /// The file that will be replaced.
    pub(super) old: Option<fs::Metadata>,
}

impl Target {
    pub(super) fn check(path: &Path, options: &WriteOptions) -> Result<Self, WriteError> {
        let own = || path.to_owned();
        if path.file_name().is_none() || path.is_dir() {
            return Err(WriteError::IsFolder { path: own() });
        }
        if !options.force && options.inputs.iter().any(|input| is_same_file(input, path)) {
            return Err(WriteError::IsInput { path: own() });
        }
        let old = path.metadata().ok();
        let target = if old.is_some() {
            path.canonicalize().unwrap_or(own())
        } else {
            own()
        };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folder.exists() {
            return Err(WriteError::NoFolder { path: own() });
        }
        Ok(Self {
            path: target,
            folder,
            old,
        })
    }

    fn write(&self, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        // A device or a pipe cannot be replaced, only written to.
        if self.old.as_ref().is_some_and(|old| !old.is_file()) {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            contents(&mut file)?;
            return file.flush();
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".convfold-").suffix(".tmp");
        // As any program would create it: what the umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(&self.folder)?;
        let _listed = Listed::new(file.path());
        if let Some(old) = &self.old {
            file.as_file().set_permissions(old.permissions())?;
        }
        contents(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|refused| refused.error)?;
        // The file is whole under its name; that the name is on the disk too
        // is asked for, but not every file system can be asked.
        #[cfg(unix)]
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

fn refused(path: &Path, error: io::Error) -> WriteError {
    use io::ErrorKind::*;
    let path = path.to_owned();
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => WriteError::DiskFull { path, error },
        PermissionDenied | ReadOnlyFilesystem => WriteError::Denied { path, error },
        _ => WriteError::Io { path, error },
    }
}

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file's place on the list of unfinished ones.
struct Listed(PathBuf);

impl Listed {
    fn new(path: &Path) -> Self {
        unfinished().insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}
