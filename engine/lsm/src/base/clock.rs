//! The only module that reads time.
//!
//! Expiry must never take back what it once said: an entry that a read found expired may not come
//! back because somebody set the wall clock. The [`ExpiryClock`] therefore returns
//! `max(wall clock, mark)`, where the mark is what it last returned, advanced by monotonic time until
//! the wall clock catches up. It never goes back and, while the process runs, never stands still.
//! Across restarts the mark is what was last made durable: with each group of the log and each edit
//! of the manifest, at a close, and once a minute while entries can expire. Only a crash together
//! with a wall clock set back may therefore show up to a minute of expiries again.

use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Arc, Mutex};
use std::time::Duration;
#[cfg(not(shuttle))]
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system.
    #[default]
    System,
    /// A clock that a test moves.
    Manual(Arc<ManualClock>),
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(Mutex<ManualTime>);

#[derive(Debug, Default)]
struct ManualTime {
    wall_ms: u64,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that shows `wall_ms` milliseconds since the epoch.
    #[must_use]
    pub fn new(wall_ms: u64) -> Arc<ManualClock> {
        Arc::new(ManualClock(Mutex::new(ManualTime { wall_ms, monotonic: Duration::ZERO })))
    }

    /// Lets time pass on both the wall clock and the monotonic one.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock();
        time.wall_ms = time.wall_ms.saturating_add(by.as_millis() as u64);
        time.monotonic += by;
    }

    /// Sets the wall clock, as an administrator would; monotonic time goes on undisturbed.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.0.lock().wall_ms = wall_ms;
    }
}

impl Clock {
    /// Milliseconds since the epoch, as the wall clock has it. It may jump either way.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        match self {
            #[cfg(shuttle)]
            Clock::System => super::sync::elapsed().as_millis() as u64,
            #[cfg(not(shuttle))]
            Clock::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
            }
            Clock::Manual(clock) => clock.0.lock().wall_ms,
        }
    }

    /// Time since some fixed moment; never goes back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match self {
            #[cfg(shuttle)]
            Clock::System => super::sync::elapsed(),
            #[cfg(not(shuttle))]
            Clock::System => {
                static START: super::sync::OnceLock<Instant> = super::sync::OnceLock::new();
                START.get_or_init(Instant::now).elapsed()
            }
            Clock::Manual(clock) => clock.0.lock().monotonic,
        }
    }
}

/// The clock against which entries expire.
///
/// It is monotonic time plus an offset, and the offset only ever grows: it is the greatest
/// difference between wall clock and monotonic time that was seen. One atomic number holds it, so
/// that reads take no lock.
#[derive(Debug)]
pub struct ExpiryClock {
    clock: Clock,
    offset_ms: AtomicU64,
}

impl ExpiryClock {
    /// Starts at `persisted_ms`, the greatest time that an earlier run is known to have shown.
    #[must_use]
    pub fn new(clock: Clock, persisted_ms: u64) -> Self {
        let offset_ms = AtomicU64::new(persisted_ms.saturating_sub(monotonic_ms(&clock)));
        let clock = ExpiryClock { clock, offset_ms };
        // From the first on, what is shown by one clock is near the time.
        let _ = clock.look();
        clock
    }

    /// Milliseconds since the epoch for the purposes of expiry.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.look().0
    }

    /// [`ExpiryClock::now_ms`], and the monotonic time that it was made from.
    #[must_use]
    pub fn look(&self) -> (u64, Duration) {
        // In this order: a thread that is held up between the two sees too small a difference, which the next
        // look corrects, and never one that is too large, which would stay for good.
        let wall = self.clock.wall_ms();
        let elapsed = self.clock.monotonic();
        let monotonic = elapsed.as_millis() as u64;
        let seen = wall.saturating_sub(monotonic);
        let mut offset = self.offset_ms.load(Ordering::Acquire);
        if seen > offset {
            offset = self.offset_ms.fetch_max(seen, Ordering::AcqRel).max(seen);
        }
        (monotonic.saturating_add(offset), elapsed)
    }

    /// No less than any time that was shown before, and no more than [`ExpiryClock::now_ms`] would show: it
    /// looks at one clock in place of two, and so misses what the wall clock was set ahead since the last
    /// look.
    #[must_use]
    pub fn shown_ms(&self) -> u64 {
        monotonic_ms(&self.clock).saturating_add(self.offset_ms.load(Ordering::Acquire))
    }

    /// How far this clock is ahead of the wall clock, in milliseconds; zero when they agree. (Both
    /// are cut to whole milliseconds: a difference of one is none.)
    #[must_use]
    pub fn skew_ms(&self) -> u64 {
        let ahead = self.now_ms().saturating_sub(self.clock.wall_ms());
        if ahead > 1 { ahead } else { 0 }
    }

    /// The clock that this one is built on.
    #[must_use]
    pub fn source(&self) -> &Clock {
        &self.clock
    }
}

fn monotonic_ms(clock: &Clock) -> u64 {
    clock.monotonic().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_clock_never_goes_back_and_never_stands_still() {
        let manual = ManualClock::new(1_000_000);
        let clock = ExpiryClock::new(Clock::Manual(manual.clone()), 0);
        assert_eq!(clock.now_ms(), 1_000_000);
        manual.set_wall_ms(900_000);
        assert_eq!(clock.now_ms(), 1_000_000);
        assert_eq!(clock.skew_ms(), 100_000);
        manual.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_000_250);
        manual.set_wall_ms(2_000_000);
        assert_eq!(clock.now_ms(), 2_000_000);
        assert_eq!(clock.skew_ms(), 0);
    }

    #[test]
    fn a_persisted_mark_holds_across_a_restart_with_a_wrong_wall_clock() {
        let manual = ManualClock::new(5);
        let clock = ExpiryClock::new(Clock::Manual(manual.clone()), 1_000);
        assert_eq!(clock.now_ms(), 1_000);
        manual.advance(Duration::from_millis(3));
        assert_eq!(clock.now_ms(), 1_003);
    }

    #[test]
    fn one_clock_is_enough_for_what_was_shown() {
        let manual = ManualClock::new(1_000);
        let clock = ExpiryClock::new(Clock::Manual(manual.clone()), 0);
        assert_eq!(clock.shown_ms(), 1_000);
        manual.advance(Duration::from_millis(5));
        assert_eq!(clock.shown_ms(), 1_005);
        manual.set_wall_ms(2_000);
        assert_eq!((clock.shown_ms(), clock.now_ms(), clock.shown_ms()), (1_005, 2_000, 2_000));
        manual.set_wall_ms(10);
        assert_eq!(clock.shown_ms(), 2_000);
    }

    #[test]
    fn rounding_does_not_slow_the_clock_down() {
        let manual = ManualClock::new(0);
        let clock = ExpiryClock::new(Clock::Manual(manual.clone()), 1_000);
        for _ in 0..4 {
            manual.advance(Duration::from_micros(500));
            let _ = clock.now_ms();
        }
        assert_eq!(clock.now_ms(), 1_002);
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::thread;

    /// Time that passes while somebody looks at the clock passes once.
    #[test]
    fn loom_the_expiry_clock_does_not_run_ahead() {
        loom::model(|| {
            let manual = ManualClock::new(100);
            let clock = Arc::new(ExpiryClock::new(Clock::Manual(manual.clone()), 0));
            let reader = {
                let clock = clock.clone();
                thread::spawn(move || clock.now_ms())
            };
            manual.advance(Duration::from_millis(1_000));
            reader.join().unwrap();
            assert_eq!(clock.now_ms(), 1_100);
        });
    }

    /// Whoever hears of a time reads no earlier one, while the wall clock jumps ahead and back.
    #[test]
    fn loom_the_expiry_clock_never_goes_back() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let manual = ManualClock::new(100);
            let clock = Arc::new(ExpiryClock::new(Clock::Manual(manual.clone()), 0));
            let shown = Arc::new(AtomicU64::new(0));
            let look = |clock: &ExpiryClock, shown: &AtomicU64| {
                let before = shown.load(Ordering::Acquire);
                let now = clock.now_ms();
                assert!(now >= before, "{now} after {before}");
                shown.fetch_max(now, Ordering::AcqRel);
            };
            let reader = {
                let (clock, shown) = (clock.clone(), shown.clone());
                thread::spawn(move || look(&clock, &shown))
            };
            let setter = thread::spawn(move || {
                manual.set_wall_ms(200);
                manual.set_wall_ms(50);
            });
            look(&clock, &shown);
            look(&clock, &shown);
            reader.join().unwrap();
            setter.join().unwrap();
        });
    }
}
