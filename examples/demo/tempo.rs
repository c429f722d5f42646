//! How fast the demo's world goes: lets tokio's paused clock follow the machine's, so many times as fast. It must not let time
//! pass while a call is being answered.
//!
//! The clock of the runtime is paused, and everything in the world goes by it: both simulators and the operator. Every few
//! milliseconds of real time it may go on to the moment that is due. It goes from timer to timer, and tokio moves it only
//! when no task has anything to do: so a call in process is answered before its deadline comes, however short that is in
//! real time, and a world that is too busy falls behind instead of failing. Meanwhile sockets are served as usual.

use std::{str::FromStr, time::Duration};

use genesys_oauth_operator::api::duration::UnitDuration;

/// How often the world may go on, in real time.
const TICK: Duration = Duration::from_millis(10);

/// So much of the world's time in so much real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    world: Duration,
    real: Duration,
}

/// Why a text is no speed; says what to write instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no speed: write what passes in what, such as 1d=10s; 1s=1s is real time, and nothing is slower")]
pub struct NoSpeed(String);

impl FromStr for Speed {
    type Err = NoSpeed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = |text: &str| text.parse::<UnitDuration>().ok().map(UnitDuration::as_duration);
        let both = text.split_once('=').and_then(|(world, real)| Some(Self { world: length(world)?, real: length(real)? }));
        both.filter(|speed| !speed.real.is_zero() && speed.world >= speed.real).ok_or_else(|| NoSpeed(text.to_owned()))
    }
}

impl Speed {
    /// Real time.
    pub const REAL: Self = Self { world: Duration::from_secs(1), real: Duration::from_secs(1) };

    /// How many seconds of the world pass in one real second.
    pub fn pace(self) -> f64 {
        self.world.as_secs_f64() / self.real.as_secs_f64()
    }

    /// The same as a whole number.
    pub fn whole_pace(self) -> u32 {
        u32::try_from(self.world.as_secs().div_ceil(self.real.as_secs().max(1))).unwrap_or(u32::MAX)
    }

    /// How long so much of the world's time takes.
    pub fn takes(self, world: Duration) -> Duration {
        world.div_f64(self.pace())
    }

    /// What of the world's time passes in so much real time.
    pub fn passes_in(self, real: Duration) -> Duration {
        real.mul_f64(self.pace())
    }
}

/// Drives the runtime's clock, which must be paused, for as long as the runtime lives.
pub async fn drive(speed: Speed) {
    let (begun, start) = (std::time::Instant::now(), tokio::time::Instant::now());
    loop {
        // While a blocking task runs, tokio leaves a paused clock alone.
        if tokio::task::spawn_blocking(|| std::thread::sleep(TICK)).await.is_err() {
            return;
        }
        tokio::time::sleep_until(start + speed.passes_in(begun.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_says_what_passes_in_what() {
        let pace = |text: &str| text.parse::<Speed>().map(Speed::pace);
        assert_eq!((pace("1s=1s"), pace("1d=10s"), pace("1h=30m")), (Ok(1.0), Ok(8640.0), Ok(2.0)));
        assert_eq!("1d=7s".parse::<Speed>().map(Speed::whole_pace), Ok(12_343));
        for text in ["", "1d", "1d=", "1d=0s", "1s=2s", "fast", "1d=10s=1s"] {
            assert!(pace(text).unwrap_err().to_string().contains("such as 1d=10s"), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_passes_in_its_time_and_timers_ring_in_their_order() {
        let speed: Speed = "1d=1s".parse().expect("a speed");
        let began = std::time::Instant::now();
        tokio::spawn(drive(speed));
        let start = tokio::time::Instant::now();
        let (mut rung, mut last) = (0, start);
        while start.elapsed() < Duration::from_secs(86_400) {
            tokio::time::sleep(Duration::from_secs(600)).await;
            // Whoever waits ten minutes is not woken an hour later: the clock goes from timer to timer.
            assert_eq!(last.elapsed(), Duration::from_secs(600));
            last = tokio::time::Instant::now();
            rung += 1;
        }
        assert_eq!(rung, 144);
        assert!(began.elapsed() + TICK >= Duration::from_secs(1), "the world ran ahead of its speed");
    }
}
