//! Results by content: the second run looks at nothing that has not changed.

use std::fs;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use analyzer::{Figures, Settings};
use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use super::examine::Seen;

/// The folder, in the project's root.
pub const FOLDER: &str = ".convfold_cache";
/// Results that nobody has asked for in this time go.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The time of the last use is noted at this grain.
const GRAIN: Duration = Duration::from_secs(24 * 3600);

/// A folder of results.
pub struct Cache {
    folder: PathBuf,
}

/// What a result depends on: the model's bytes, what applies to it, what it is
/// compared with, and this program.
pub struct Key(String);

impl Key {
    /// The key of a model's bytes.
    pub fn new(bytes: &[u8], settings: &Settings, before: Option<&Figures>) -> Self {
        let mut hasher = Hasher::new();
        hasher.write(program().as_bytes());
        hasher.write(format!("{settings:?}{before:?}").as_bytes());
        hasher.write(&Hasher::oneshot(bytes).to_le_bytes());
        Self(format!("{:032x}", hasher.finish_128()))
    }
}

/// A file beside a model, with what it held.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SideFile {
    location: String,
    /// Hash of the content; `None` where there is no such file.
    hash: Option<String>,
}

impl SideFile {
    /// A file in the model's folder.
    pub fn of(folder: &Path, location: String) -> Self {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let safe = Path::new(&location).components().all(inside);
        let hash = if safe {
            hash(&folder.join(&location)).ok()
        } else {
            None
        };
        Self { location, hash }
    }
}

impl Cache {
    /// Opens or makes the folder. Where that cannot be, nothing is kept.
    pub fn open(folder: &Path) -> Self {
        let cache = Self {
            folder: folder.to_owned(),
        };
        if fs::create_dir_all(folder).is_ok() {
            for (name, text) in [
                (".gitignore", "# Made by convfold.\n*\n"),
                (
                    "CACHEDIR.TAG",
                    "Signature: 8a477f597d28d172789f06886806bc55\n# Made by convfold.\n",
                ),
            ] {
                let path = folder.join(name);
                if !path.exists() {
                    let _ = fs::write(path, text);
                }
            }
        }
        cache
    }

    /// The result for a key, if there is one and the files beside the model
    /// are as they were.
    pub fn get(&self, key: &Key, model: &Path) -> Option<Seen> {
        let path = self.path(key);
        let seen: Seen = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let folder = model.parent().unwrap_or(Path::new(""));
        let same = |f: &SideFile| SideFile::of(folder, f.location.clone()) == *f;
        if !seen.side_files.iter().all(same) {
            return None;
        }
        if age(&path).is_some_and(|age| age > GRAIN) {
            let touched = fs::File::options().append(true).open(&path);
            let _ = touched.and_then(|f| f.set_modified(SystemTime::now()));
        }
        Some(seen)
    }

    /// Keeps a result, whole or not at all. Where that fails the next run looks
    /// again.
    pub fn put(&self, key: &Key, seen: &Seen) {
        let keep = || -> std::io::Result<()> {
            let text = serde_json::to_vec(seen)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.persist(self.path(key))?;
            Ok(())
        };
        let _ = keep();
    }

    /// Takes out what has not been asked for in a long time.
    pub fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for path in entries.flatten().map(|e| e.path()) {
            let result = path.extension().is_some_and(|e| e == "json");
            if result && age(&path).is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.json", key.0))
    }
}

/// The hash of a file that may be larger than memory.
fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:032x}", hasher.finish_128())),
            count => hasher.write(&buffer[..count]),
        }
    }
}

fn age(path: &Path) -> Option<Duration> {
    path.metadata().ok()?.modified().ok()?.elapsed().ok()
}

/// This very program: its version, and its file's length and time, so that a
/// new build does not believe an old one's results.
fn program() -> String {
    let file = std::env::current_exe().and_then(fs::metadata).ok();
    let stamp = file.and_then(|m| Some((m.len(), m.modified().ok()?)));
    format!("{} {stamp:?}", env!("CARGO_PKG_VERSION"))
}
