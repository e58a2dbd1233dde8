//! How long a store's operations take.
//!
//! Writes, gets, looks for many keys and seeks are timed one in so many, if at all: a look at the clock costs
//! as much as a tenth of a get from memory. Who is not timed pays one look at a number that hardly ever
//! changes. What uses the disk in the background is always timed.

use super::histogram::Recorder;
use crate::base::clock::Clock;
use crate::base::sync::quiet::{AtomicU32, Ordering};
use std::cell::Cell;
use std::time::Duration;

/// An operation that is being timed, or is not.
pub type Timed = Option<Duration>;

/// The times of a store.
#[derive(Debug, Default)]
pub struct Timings {
    one_in: AtomicU32,
    /// From the call of a write to its return, as durable as asked for.
    pub write: Recorder,
    /// Look-ups of one key.
    pub get: Recorder,
    /// Look-ups of many keys at once.
    pub multi_get: Recorder,
    /// Movements of cursors to a key or an end, and the first steps of iterators.
    pub seek: Recorder,
    /// Syncs of the log.
    pub sync: Recorder,
    /// Flushes.
    pub flush: Recorder,
    /// Compactions that rewrote tables.
    pub compaction: Recorder,
    /// Waits of writers that were slowed or stopped.
    pub stall: Recorder,
}

impl Timings {
    /// Times one in so many from now on; 0 for none.
    pub fn set_one_in(&self, one_in: u32) {
        self.one_in.store(one_in, Ordering::Relaxed);
    }

    /// One in how many is timed.
    #[must_use]
    pub fn one_in(&self) -> u32 {
        self.one_in.load(Ordering::Relaxed)
    }

    /// Begins to time an operation, if its turn has come.
    #[inline]
    #[must_use]
    pub fn begin(&self, clock: &Clock) -> Timed {
        match self.one_in.load(Ordering::Relaxed) {
            0 => None,
            one_in => begin_in_turn(one_in, clock),
        }
    }
}

/// Threads count for themselves, so that they do not fight over a number.
#[cold]
fn begin_in_turn(one_in: u32, clock: &Clock) -> Timed {
    thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
    let count = COUNT.with(|count| {
        count.set(count.get().wrapping_add(1));
        count.get()
    });
    count.is_multiple_of(one_in).then(|| clock.monotonic())
}

impl Recorder {
    /// Ends what [`Timings::begin`] began.
    #[inline]
    pub fn end(&self, timed: Timed, clock: &Clock) {
        if let Some(begun) = timed {
            self.end_timed(begun, clock);
        }
    }

    /// Ends it when what this gives is dropped: an answer that is kept until then would be copied.
    #[inline]
    #[must_use]
    pub fn ends<'a>(&'a self, timed: Timed, clock: &'a Clock) -> Ends<'a> {
        Ends { recorder: self, timed, clock }
    }

    #[cold]
    fn end_timed(&self, begun: Duration, clock: &Clock) {
        self.record_time(clock.monotonic().saturating_sub(begun));
    }
}

/// Ends what [`Timings::begin`] began.
#[derive(Debug)]
pub struct Ends<'a> {
    recorder: &'a Recorder,
    timed: Timed,
    clock: &'a Clock,
}

impl Drop for Ends<'_> {
    #[inline]
    fn drop(&mut self) {
        self.recorder.end(self.timed, self.clock);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    #[test]
    fn one_in_so_many_is_timed_and_by_default_none() {
        let (timings, manual) = (Timings::default(), ManualClock::new(0));
        let clock = Clock::Manual(manual.clone());
        let run = |times: u32| {
            for _ in 0..times {
                let timed = timings.begin(&clock);
                manual.advance(Duration::from_nanos(7));
                timings.get.end(timed, &clock);
            }
            (timings.get.read().count(), timings.get.read().sum())
        };
        assert_eq!(run(100), (0, 0));
        timings.set_one_in(10);
        assert_eq!(run(100), (10, 70));
        timings.set_one_in(1);
        assert_eq!(run(5), (15, 105));
    }
}
