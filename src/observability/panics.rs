//! Tells of a panic in the log, where it was and for which object. Never repeats its words, which may hold a secret.

use std::panic::{self, PanicHookInfo};

/// Replaces the library's hook, which prints whatever a panic says, to standard error. How the program ends is not changed.
pub fn are_logged() {
    panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    // Words of the source alone are harmless. Others were formatted from values: `unwrap` of an error repeats all of it.
    let words = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("its words are withheld, because they may hold a secret");
    tracing::error!(place, "the operator panicked, which is a defect of it: {words}; report it with this line");
}
