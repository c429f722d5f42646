//! Whether the organization has room for another client: it has none from `auth.too.many.clients` until a delete succeeds, or for ten
//! minutes (protocols §6). Pure: it is told the time, and must not hold back anything but creates.

use std::time::Duration;

use tokio::time::Instant;

/// How long creates wait for a delete of somebody else.
const CLOSED_FOR: Duration = Duration::from_secs(600);

/// The room of one organization.
#[derive(Debug, Default)]
pub struct Room {
    closed_until: Option<Instant>,
}

impl Room {
    /// The platform refused a create for want of room.
    pub fn none_left(&mut self, now: Instant) {
        self.closed_until = Some(now + CLOSED_FOR);
    }

    /// A client was deleted.
    pub fn made(&mut self) {
        self.closed_until = None;
    }

    /// How long creates wait at most; none if there may be room.
    #[must_use]
    pub fn closed(&self, now: Instant) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_wait_for_a_delete_or_ten_minutes() {
        let now = Instant::now();
        let mut room = Room::default();
        assert_eq!(room.closed(now), None);
        room.none_left(now);
        assert_eq!(room.closed(now), Some(CLOSED_FOR));
        assert_eq!(room.closed(now + CLOSED_FOR), None);
        room.made();
        assert_eq!(room.closed(now), None);
    }
}
