//! tract's errors and panics, turned into words that name the node.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use tract_onnx::tract_hir::internal::{TractError, TractResult};

/// A failure inside tract, before it is known which model it belongs to.
pub(super) struct Failure {
    /// tract's innermost error, or the panic's message.
    pub cause: String,
    /// The node that tract named, by tract's name for it.
    pub node: Option<String>,
    /// Whether it was a panic.
    pub panicked: bool,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; an error or a panic of it becomes a [`Failure`].
///
/// The message that Rust prints for a panic is suppressed for this thread and
/// this call only: other panics keep the hook that was in force.
pub(super) fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                previous(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure {
            cause: one_line(&error.root_cause().to_string()),
            node: named_node(&error),
            panicked: false,
        }),
        Err(payload) => {
            let message = payload
                .downcast_ref::<&str>()
                .map(|s| s.to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "without a message".into());
            Err(Failure {
                cause: one_line(&message),
                node: None,
                panicked: true,
            })
        }
    }
}

/// The node named by the innermost error of the chain that names one.
fn named_node(error: &TractError) -> Option<String> {
    error.chain().filter_map(|e| node_in(&e.to_string())).last()
}

/// Finds a node's name in tract's wording: `... #12 "name" Op`,
/// `Building node name (Op)`, `Wiring node "name", ...`.
fn node_in(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix("Building node ") {
        return rest.rsplit_once(" (").map(|(name, _)| name.to_string());
    }
    let rest = match text.strip_prefix("Wiring node \"") {
        Some(rest) => rest,
        None => {
            let (_, rest) = text.split_once('#')?;
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
                .strip_prefix(" \"")?
        }
    };
    rest.split_once('"').map(|(name, _)| name.to_string())
}

/// The first line, cut to a length that a terminal can bear.
fn one_line(text: &str) -> String {
    const LENGTH: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::tract_hir::internal::{anyhow, bail};

    #[test]
    fn a_panic_becomes_a_failure() {
        let Err(failure) = guarded::<()>(|| panic!("index {} out of range", 7)) else {
            panic!("the panic was lost")
        };
        assert!(failure.panicked);
        assert_eq!(failure.cause, "index 7 out of range");
    }

    #[test]
    fn the_innermost_node_is_named() {
        let wordings = [
            ("Failed analyse for node #7 \"conv\" Conv", "conv"),
            ("Building node b (Bob) (Foo)", "b (Bob)"),
            ("Wiring node \"x.mean\", Reduce", "x.mean"),
        ];
        for (wording, node) in wordings {
            let error = anyhow!("cause").context(wording).context("outer");
            assert_eq!(named_node(&error).as_deref(), Some(node));
        }
        let Err(failure) = guarded::<()>(|| bail!("plain\nsecond line")) else {
            panic!("the error was lost")
        };
        assert_eq!((failure.cause.as_str(), failure.node), ("plain", None));
    }
}
