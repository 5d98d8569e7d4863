//! Ctrl-C: the first asks the work to stop, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGABRT, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// Exit code of an interrupted run: 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

static FLAG: AtomicBool = AtomicBool::new(false);
static ALWAYS: AtomicBool = AtomicBool::new(true);
static TOO_LARGE: AtomicBool = AtomicBool::new(false);

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

/// Exit code of a run that could not be done, for the handler of an abort.
const ABORTED: i32 = crate::failure::EXIT_CODE as i32;

/// Takes over SIGINT and SIGTERM. Where the system refuses, they keep their
/// default: the process ends at once.
///
/// A file beyond `ulimit -f` is an error of the write, not the end of the
/// process; and an abort (an allocation that the system refuses, a stack that
/// overflows: Rust has said so on standard error) is exit 2 like every other
/// run that could not be done.
pub fn install() {
    let _ = flag::register(SIGXFSZ, &TOO_LARGE);
    let _ = flag::register_conditional_shutdown(SIGABRT, ABORTED, &ALWAYS);
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
