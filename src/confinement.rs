//! Keeps what the process holds in memory from being written to a file or read by its neighbours. It must not fail a start: the operator works
//! without it too, and says so.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps, and other processes of the same user to attach or to read this one's memory (`prctl(2)`, `PR_SET_DUMPABLE`).
///
/// What the system refuses is logged, with what follows from it.
pub fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    for (what, result) in [
        ("core dumps are not forbidden", setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })),
        ("processes of the same user may read this one's memory", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
    ] {
        if let Err(error) = result {
            tracing::warn!(%error, "{what}: secrets in memory are less protected than they should be");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn the_process_says_of_itself_that_nobody_may_dump_it() {
        keep_memory_private();
        assert_eq!(dumpable_behavior().expect("Linux tells"), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
