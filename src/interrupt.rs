//! Ctrl-C: the first asks the work to stop, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of an interrupted run: 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

static FLAG: AtomicBool = AtomicBool::new(false);

/// The flag that long work polls.
pub fn flag() -> &'static AtomicBool {
    &FLAG
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// Stops here if the user has asked to.
///
/// # Errors
/// That the user has.
pub fn check() -> anyhow::Result<()> {
    anyhow::ensure!(!requested(), "interrupted");
    Ok(())
}

/// Takes over SIGINT and SIGTERM. Where the system refuses, they keep their
/// default: the process ends at once.
pub fn install() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
        return;
    };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if FLAG.swap(true, Ordering::Relaxed) {
                compiler::onnx::discard_unfinished();
                std::process::exit(EXIT_CODE.into());
            }
        }
    });
}
