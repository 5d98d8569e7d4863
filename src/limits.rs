//! What a run may take, and what becomes of it when it takes more: one thread
//! watches the clock, the memory and the maps, and ends the process in order.

use std::process;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compiler::onnx::{self, ExternalOptions, OpenOptions};

use crate::failure;

/// How often the watch looks: memory can grow by some ten megabytes between.
const INTERVAL: Duration = Duration::from_millis(20);

/// The limits of this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time on one model.
    pub timeout: Option<Duration>,
    /// Most bytes of memory, maps of files aside.
    pub memory: u64,
    /// Whether links may lead out of a model's folder.
    pub trust_symlinks: bool,
}

static LIMITS: OnceLock<Limits> = OnceLock::new();

/// Milliseconds from the start of the watch to when a model was last begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static START: OnceLock<Instant> = OnceLock::new();

fn limits() -> Limits {
    let unlimited = Limits {
        timeout: None,
        memory: u64::MAX,
        trust_symlinks: false,
    };
    *LIMITS.get().unwrap_or(&unlimited)
}

/// Most bytes of memory that this process may take.
pub fn memory() -> u64 {
    limits().memory
}

/// How models are opened within the limits.
pub fn open_options() -> OpenOptions {
    OpenOptions {
        limits: onnx::Limits {
            memory: memory(),
            ..onnx::Limits::default()
        },
        ..OpenOptions::default()
    }
}

/// How files beside a model are read.
pub fn external_options() -> ExternalOptions {
    ExternalOptions {
        trust_symlinks: limits().trust_symlinks,
        ..ExternalOptions::default()
    }
}

/// A model is begun: its time runs from here.
pub fn begin_model() {
    BEGUN.store(elapsed(), Ordering::Relaxed);
}

fn elapsed() -> u64 {
    let since = START.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sets the limits and begins to watch.
pub fn install(limits: Limits) {
    let _ = LIMITS.set(limits);
    begin_model();
    onnx::stop_on_map_fault();
    // Without a thread the run goes on unwatched: as if nothing were limited.
    let _ = thread::Builder::new().name("watch".into()).spawn(move || {
        loop {
            thread::sleep(INTERVAL);
            if let Some(what) = exceeded(&limits) {
                onnx::discard_unfinished();
                failure::line(&what);
                process::exit(failure::EXIT_CODE.into());
            }
        }
    });
}

fn exceeded(limits: &Limits) -> Option<String> {
    if onnx::map_has_failed() {
        let files = changed().unwrap_or_else(|| "a file that is being read".into());
        return Some(format!(
            "{files} was cut short by another program; nothing was written, run again"
        ));
    }
    let spent = Duration::from_millis(elapsed().saturating_sub(BEGUN.load(Ordering::Relaxed)));
    if let Some(timeout) = limits.timeout.filter(|&limit| spent >= limit) {
        return Some(format!(
            "not done with a model after {} s; give it more with --timeout (0: no limit)",
            timeout.as_secs_f64()
        ));
    }
    let taken = resident().filter(|&taken| taken > limits.memory)?;
    Some(format!(
        "{} of memory are taken, and {} allowed; allow more with --max-memory",
        Size(taken),
        Size(limits.memory)
    ))
}

/// The files that changed under our hands, for a message.
pub fn changed() -> Option<String> {
    let files = onnx::changed_files();
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Fails where what was read has changed since: no result may be published.
///
/// # Errors
/// The files' names.
pub fn unchanged() -> anyhow::Result<()> {
    match changed() {
        None => Ok(()),
        Some(files) => anyhow::bail!(
            "{files}: was rewritten by another program while it was read; nothing was written, \
             run again"
        ),
    }
}

/// Bytes of memory that hold no file; `None` where the system does not tell.
fn resident() -> Option<u64> {
    kilobytes("/proc/self/status", "RssAnon:")
}

/// The value of a line `NAME  123 kB` of one of the kernel's files, in bytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// Three quarters of what the machine or the container has, so that a run ends
/// with a message before the system ends it without one.
pub fn default_memory() -> u64 {
    let container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let allowed = container
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    let machine = kilobytes("/proc/meminfo", "MemTotal:");
    let least = allowed.chain(machine).min();
    least.map_or(u64::MAX, |bytes: u64| bytes / 4 * 3)
}

/// A number of bytes, as options take it: `512M`, `2G`, `1.5GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u32); 5] = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.trim().to_ascii_uppercase();
        let bare = upper.strip_suffix("IB").or(upper.strip_suffix('B'));
        let bare = bare.unwrap_or(&upper);
        let digits = bare.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == &bare[digits.len()..]);
        let number = digits.trim().parse::<f64>().ok();
        match (number, unit) {
            (Some(number), Some((_, shift))) if number > 0.0 && number.is_finite() => {
                Ok(Self((number * (1u64 << shift) as f64) as u64))
            }
            _ => Err("give a number of bytes, such as 512M or 2G".into()),
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = |(_, shift): &&(&str, u32)| self.0 >= 1 << shift;
        match UNITS.iter().skip(1).rev().find(fits) {
            Some((unit, shift)) => {
                write!(f, "{:.1} {unit}iB", self.0 as f64 / (1u64 << shift) as f64)
            }
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512", 512),
            ("2K", 2048),
            ("1.5GiB", 3 << 29),
            ("64 MB", 64 << 20),
            ("1t", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "0", "1X", "nan", "infG", "1 2"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!(Size(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(Size(100).to_string(), "100 bytes");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells() {
        assert!(resident().is_some_and(|bytes| bytes > 0));
        assert!(default_memory() < u64::MAX);
    }
}
