//! How much of the process's memory answers of the platform may take: while they are read, and as lists that are kept. It must not ask
//! the system more than once.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const MIB: usize = 1024 * 1024;
/// What is taken for the limit where nobody set one.
const UNLIMITED: usize = 512 * MIB;
/// What is taken for a limit that is larger: no list needs more.
const LARGEST: usize = 4096 * MIB;
/// Where Linux tells a container's limit: of the second version of control groups, and of the first.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The container's limit; 512 MiB where it has none.
static LIMIT: LazyLock<usize> = LazyLock::new(|| {
    let told = LIMITS.iter().find_map(|path| std::fs::read_to_string(path).ok());
    limit(told.as_deref())
});

/// The lists of clients that this process keeps, of all organizations.
static KEPT: LazyLock<Pool> = LazyLock::new(|| Pool::new(kept(*LIMIT)));

fn limit(told: Option<&str>) -> usize {
    // The word `max` is no number, and without a limit the first version tells a huge one.
    told.and_then(|text| text.trim().parse::<usize>().ok()).filter(|limit| *limit > 0).map_or(UNLIMITED, |limit| limit.min(LARGEST))
}

/// Three sixteenths of the limit: 48 MiB of 256.
fn reading(limit: usize) -> usize {
    (limit / 16 * 3).max(32 * MIB)
}

/// Three eighths of the limit: 96 MiB of 256.
fn kept(limit: usize) -> usize {
    (limit / 8 * 3).max(32 * MIB)
}

/// What all answers together may take while they are read.
pub(super) fn for_reading() -> usize {
    reading(*LIMIT)
}

/// An amount of memory that many share.
#[derive(Debug)]
struct Pool {
    all: usize,
    taken: AtomicUsize,
}

impl Pool {
    const fn new(all: usize) -> Self {
        Self { all, taken: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.all);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// A part of the memory for lists that are kept, given back when it is dropped.
#[derive(Debug)]
pub struct Kept {
    pool: &'static Pool,
    bytes: usize,
    most: usize,
}

impl Default for Kept {
    /// Of a list that was not read from a platform.
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl Kept {
    /// Nothing yet, and never more than this.
    pub(super) fn at_most(most: usize) -> Self {
        Self { pool: &KEPT, bytes: 0, most }
    }

    /// Takes more, or says why not.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), String> {
        let all = self.bytes.saturating_add(bytes);
        if all > self.most {
            return Err(format!("what it holds takes more than {} MiB of memory", self.most / MIB));
        }
        if !self.pool.take(bytes) {
            return Err(format!(
                "the lists of clients of all organizations take the {} MiB of memory that there are for them; give the operator a higher memory limit",
                self.pool.all / MIB
            ));
        }
        self.bytes = all;
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.pool.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_follow_the_containers_limit() {
        for (told, expected) in
            [(None, UNLIMITED), (Some("max\n"), UNLIMITED), (Some("268435456\n"), 256 * MIB), (Some("9223372036854771712"), LARGEST)]
        {
            assert_eq!(limit(told), expected, "{told:?}");
        }
        assert_eq!((reading(256 * MIB), kept(256 * MIB)), (48 * MIB, 96 * MIB));
        assert_eq!((reading(MIB), kept(MIB)), (32 * MIB, 32 * MIB), "less would be of no use");
    }

    #[test]
    fn what_is_dropped_is_given_back_and_nobody_takes_more_than_there_is() {
        static SMALL: Pool = Pool::new(10 * MIB);
        let part = |most| Kept { pool: &SMALL, bytes: 0, most };
        let mut first = part(8 * MIB);
        assert_eq!(first.take(6 * MIB), Ok(()));
        assert!(first.take(3 * MIB).expect_err("its own bound").contains("8 MiB"));
        let mut second = part(8 * MIB);
        assert!(second.take(5 * MIB).expect_err("the bound of all").contains("10 MiB"));
        assert_eq!(second.take(4 * MIB), Ok(()));
        drop(first);
        assert_eq!(second.take(4 * MIB), Ok(()));
        drop(second);
        assert_eq!(SMALL.taken.load(Ordering::Relaxed), 0);
    }
}
