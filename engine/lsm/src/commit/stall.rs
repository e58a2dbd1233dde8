//! Backpressure: how much a writer must wait so that flushes and compactions keep up.
//!
//! The decision is a pure function of a few numbers. Between the point where it starts and the point
//! where it stops, writers are slowed smoothly: the rate that they are held to falls with the square
//! of the distance left, and no single wait is longer than ten milliseconds. Writes on ranges wait as long as
//! all that they hold costs, one behind the other: each of a batch's ranges takes a place of its own.

use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Condvar, Mutex};
pub use crate::hooks::Stall;
use crate::hooks::StallReason;
use std::time::Duration;

/// What presses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Sealed memtables of the family that has the most.
    pub sealed: usize,
    /// Tables in level 0 of the family that has the most.
    pub level0: usize,
    /// Bytes that compactions have yet to move.
    pub debt_bytes: u64,
    /// The dead share of the blob files of that family of which the most is dead, in thousandths.
    pub dead: u64,
    /// How full the registry of ranges of that family is that has the fullest, in thousandths. It presses
    /// only on those who delete or drop ranges.
    pub ranges: u64,
}

/// From where to where writers are slowed; at the second number they stop.
#[derive(Clone, Copy, Debug)]
pub struct StallLimits {
    /// Sealed memtables.
    pub sealed: (usize, usize),
    /// Tables in level 0.
    pub level0: (usize, usize),
    /// Bytes that compactions have yet to move.
    pub debt_bytes: (u64, u64),
    /// The dead share of blob files, in thousandths. Nobody is stopped for that: what cannot be collected,
    /// for a damaged file, say, would keep writers from going on for good.
    pub dead: (u64, u64),
    /// How full the registry of ranges is, in thousandths.
    pub ranges: (u64, u64),
    /// The rate at which slowing starts, in bytes per second.
    pub rate: u64,
}

impl Default for StallLimits {
    fn default() -> Self {
        StallLimits {
            sealed: (2, 4),
            level0: (12, 36),
            debt_bytes: (4 << 30, 32 << 30),
            dead: (600, 950),
            ranges: (2_000, 8_000),
            rate: 256 << 20,
        }
    }
}

const SLOWEST: u64 = 1 << 20;

/// How far `now` has come between two limits.
fn share(now: u64, (start, stop): (u64, u64)) -> f64 {
    if now < start { 0.0 } else { (now - start + 1) as f64 / (stop - start + 1).max(1) as f64 }
}

/// What an operation on a range counts for at the gate of ranges, in bytes.
pub const RANGE_COST_BYTES: u64 = 64 << 10;
/// The rate that those who delete or drop ranges keep at least: a hundred ranges a second.
const SLOWEST_RANGES: u64 = 100 * RANGE_COST_BYTES;

/// Decides for those who delete or drop ranges. They are slowed and never stopped: what a held snapshot
/// still reads cannot be cleaned away, and its holder may be the one who writes.
#[must_use]
pub fn stall_ranges(pressure: Pressure, limits: &StallLimits) -> Stall {
    let share = share(pressure.ranges, limits.ranges);
    if share <= 0.0 {
        return Stall::None;
    }
    let left = (1.0 - share).max(0.0);
    Stall::Slow(((limits.rate as f64 * left * left) as u64).max(SLOWEST_RANGES))
}

/// What dead values press at most: so much that the slowest rate is reached.
const MOST_OF_DEAD: f64 = 0.99;

/// How far each pressure on all writers has come, and what it is.
fn shares(pressure: Pressure, limits: &StallLimits) -> [(f64, StallReason); 4] {
    let pair = |(a, b): (usize, usize)| (a as u64, b as u64);
    let Pressure { sealed, level0, debt_bytes, dead, .. } = pressure;
    [
        (share(sealed as u64, pair(limits.sealed)), StallReason::Memtables(sealed)),
        (share(level0 as u64, pair(limits.level0)), StallReason::Level0(level0)),
        (share(debt_bytes, limits.debt_bytes), StallReason::Debt(debt_bytes)),
        (share(dead, limits.dead).min(MOST_OF_DEAD), StallReason::DeadValues(dead)),
    ]
}

/// What presses most on all writers.
#[must_use]
pub fn presses_most(pressure: Pressure, limits: &StallLimits) -> StallReason {
    let most = |a: &(f64, StallReason), b: &(f64, StallReason)| a.0.total_cmp(&b.0);
    shares(pressure, limits).into_iter().max_by(most).map_or(StallReason::Nothing, |(_, reason)| reason)
}

/// Decides.
#[must_use]
pub fn stall(pressure: Pressure, limits: &StallLimits) -> Stall {
    let share = shares(pressure, limits).into_iter().fold(0.0, |most, (share, _)| f64::max(most, share));
    if share <= 0.0 {
        Stall::None
    } else if share >= 1.0 {
        Stall::Stop
    } else {
        let left = 1.0 - share;
        Stall::Slow(((limits.rate as f64 * left * left) as u64).max(SLOWEST))
    }
}

/// Longest single wait of a slowed writer.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// After so long one who waits for all of a write looks whether there is a reason to give up.
const LONGEST_SLICE: Duration = Duration::from_millis(100);
/// Shorter waits are saved up until they are worth a system call.
const SHORTEST_WAIT_NS: u64 = 500_000;

/// No more than this much waiting is passed on to later writes.
const LARGEST_DEBT_NS: u64 = 1_000_000_000;

const FREE: u64 = u64::MAX;
const STOPPED: u64 = 0;

/// What a rate stands for.
fn stall_of(rate: u64) -> Stall {
    match rate {
        FREE => Stall::None,
        STOPPED => Stall::Stop,
        rate => Stall::Slow(rate),
    }
}

/// The gate that writers pass.
#[derive(Debug)]
pub struct Gate {
    /// Bytes per second; [`FREE`] without pressure, [`STOPPED`] when writers must wait.
    rate: AtomicU64,
    owed_ns: AtomicU64,
    /// Held by the one who pays for all of a write; the others wait behind it.
    paying: Mutex<()>,
    lock: Mutex<()>,
    opened: Condvar,
    slowed_ns: AtomicU64,
    stops: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            rate: AtomicU64::new(FREE),
            owed_ns: AtomicU64::new(0),
            paying: Mutex::new(()),
            lock: Mutex::new(()),
            opened: Condvar::new(),
            slowed_ns: AtomicU64::new(0),
            stops: AtomicU64::new(0),
        }
    }
}

impl Gate {
    /// Sets what writers must do from now on. Returns what they had to do.
    pub fn set(&self, stall: Stall) -> Stall {
        let rate = match stall {
            Stall::None => FREE,
            Stall::Slow(rate) => rate,
            Stall::Stop => STOPPED,
        };
        let _lock = self.lock.lock();
        let before = self.rate.swap(rate, Ordering::AcqRel);
        self.opened.notify_all();
        stall_of(before)
    }

    /// What writers must do now.
    #[must_use]
    pub fn get(&self) -> Stall {
        stall_of(self.rate.load(Ordering::Acquire))
    }

    /// Whether nobody need wait.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rate.load(Ordering::Acquire) == FREE
    }

    /// Wakes stopped writers, so that they see an error or the end.
    pub fn wake(&self) {
        let _lock = self.lock.lock();
        self.opened.notify_all();
    }

    /// Waits as long as a write of `bytes` must. `check` is asked while writers are stopped: an
    /// error ends the wait.
    #[inline]
    pub fn admit(&self, bytes: u64, check: impl Fn() -> Result<()>) -> Result<()> {
        match self.get() {
            Stall::None => Ok(()),
            stall => self.wait(stall, bytes, check),
        }
    }

    #[inline(never)]
    fn wait(&self, stall: Stall, bytes: u64, check: impl Fn() -> Result<()>) -> Result<()> {
        if let Stall::Slow(rate) = stall {
            self.slow(bytes, rate);
        } else {
            self.stops.fetch_add(1, Ordering::Relaxed);
            let mut lock = self.lock.lock();
            while self.get() == Stall::Stop {
                check()?;
                self.opened.wait_for(&mut lock, Duration::from_millis(100));
            }
        }
        Ok(())
    }

    fn slow(&self, bytes: u64, rate: u64) {
        let ns = (u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1))) as u64;
        let owed = self.owed_ns.fetch_add(ns, Ordering::AcqRel) + ns;
        if owed < SHORTEST_WAIT_NS || self.owed_ns.swap(0, Ordering::AcqRel) < SHORTEST_WAIT_NS {
            return;
        }
        let wait = Duration::from_nanos(owed).min(LONGEST_WAIT);
        // What a large write owes beyond one wait is left to the writes that follow, within bounds.
        let rest = owed.saturating_sub(wait.as_nanos() as u64).min(LARGEST_DEBT_NS);
        self.owed_ns.fetch_add(rest, Ordering::AcqRel);
        self.slowed_ns.fetch_add(wait.as_nanos() as u64, Ordering::Relaxed);
        let mut lock = self.lock.lock();
        // Woken early when the pressure changes: the next write is judged anew.
        self.opened.wait_for(&mut lock, wait);
    }

    /// Waits for all that a write of `bytes` must, behind those who came before: over all threads no more
    /// goes through than the rate allows. What is left of it when the pressure has gone need not be waited
    /// for. `check` is asked now and then: an error ends the wait.
    pub fn admit_whole(&self, bytes: u64, check: impl Fn() -> Result<()>) -> Result<()> {
        if self.get() == Stall::None {
            return Ok(());
        }
        let _turn = self.paying.lock();
        // In bytes times nanoseconds in a second, so that nothing is lost when the rate changes.
        let mut left = u128::from(bytes) * 1_000_000_000;
        let mut lock = self.lock.lock();
        while left > 0
            && let Stall::Slow(rate) = self.get()
        {
            check()?;
            let rate = u128::from(rate.max(1));
            let all = Duration::from_nanos(left.div_ceil(rate).min(u128::from(u64::MAX)) as u64);
            let (wait, begun) = (all.min(LONGEST_SLICE), Clock::System.monotonic());
            let woken = !self.opened.wait_for(&mut lock, wait).timed_out();
            // Woken when the pressure has changed: what is left is waited for at the new rate.
            let waited = if woken { (Clock::System.monotonic() - begun).min(wait) } else { wait };
            self.slowed_ns.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
            left = left.saturating_sub(waited.as_nanos() * rate);
        }
        Ok(())
    }

    /// How long writers were slowed in all, and how often one was stopped.
    #[must_use]
    pub fn waits(&self) -> (Duration, u64) {
        let slowed = Duration::from_nanos(self.slowed_ns.load(Ordering::Relaxed));
        (slowed, self.stops.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn pressure_slows_smoothly_and_then_stops() {
        let limits = StallLimits::default();
        let at = |level0| stall(Pressure { level0, ..Pressure::default() }, &limits);
        assert_eq!(at(11), Stall::None);
        assert_eq!(at(36), Stall::Stop);
        let rates: Vec<u64> = (12..36)
            .map(|level0| match at(level0) {
                Stall::Slow(rate) => rate,
                other => panic!("{level0}: {other:?}"),
            })
            .collect();
        assert!(rates.is_sorted_by(|a, b| a > b), "{rates:?}");
        assert!(rates[0] > limits.rate * 9 / 10 && rates[23] >= SLOWEST);
    }

    #[test]
    fn dead_values_slow_writers_and_stop_nobody() {
        let limits = StallLimits::default();
        let at = |dead| stall(Pressure { dead, ..Pressure::default() }, &limits);
        assert_eq!(at(599), Stall::None);
        assert!(matches!(at(600), Stall::Slow(rate) if rate > limits.rate * 9 / 10));
        assert!(matches!(at(775), Stall::Slow(rate) if rate < limits.rate / 3));
        assert_eq!((at(950), at(1_000)), (Stall::Slow(SLOWEST), Stall::Slow(SLOWEST)));
        let pressure = Pressure { dead: 700, level0: 12, ..Pressure::default() };
        assert_eq!(presses_most(pressure, &limits), StallReason::DeadValues(700));
    }

    #[test]
    fn the_worst_pressure_decides() {
        let limits = StallLimits::default();
        let pressure = Pressure { sealed: 4, level0: 20, ..Pressure::default() };
        assert_eq!(stall(pressure, &limits), Stall::Stop);
        assert_eq!(presses_most(pressure, &limits), StallReason::Memtables(4));
    }

    #[test]
    fn ranges_slow_those_who_write_them_and_stop_nobody() {
        let limits = StallLimits::default();
        let at = |ranges| {
            let pressure = Pressure { ranges, ..Pressure::default() };
            assert_eq!(stall(pressure, &limits), Stall::None);
            stall_ranges(pressure, &limits)
        };
        assert_eq!(at(1_999), Stall::None);
        assert!(matches!(at(2_000), Stall::Slow(rate) if rate > limits.rate / 2));
        let slowest = Stall::Slow(100 * RANGE_COST_BYTES);
        assert_eq!((at(8_000), at(1 << 40)), (slowest, slowest));
    }

    /// Waits too short for a system call are saved up, those that are longer than one wait are split.
    #[test]
    fn a_slowed_writer_waits_as_long_in_all_as_its_bytes_take() {
        let gate = Gate::default();
        gate.set(Stall::Slow(1_000_000));
        let waited_us = |bytes| {
            gate.admit(bytes, || Ok(())).unwrap();
            gate.waits().0.as_micros() as u64
        };
        assert_eq!((waited_us(100), waited_us(399)), (0, 0));
        assert_eq!(waited_us(1), 500, "the 500 bytes of three writes");
        assert_eq!(waited_us(499), 500);
        assert_eq!(waited_us(25_000), 500 + 10_000);
        assert_eq!(waited_us(1), 500 + 20_000, "the rest is left to the writes that follow");
        assert_eq!(waited_us(500), 500 + 25_000 + 1_000);
        assert_eq!(gate.waits().1, 0, "nobody was stopped");
    }

    /// A batch of ranges waited as long as one range, and what it still owed was forgiven.
    #[test]
    fn a_write_that_is_paid_for_whole_waits_for_all_of_it() {
        let gate = Gate::default();
        let waited_ms = |bytes| {
            gate.admit_whole(bytes, || Ok(())).unwrap();
            gate.waits().0.as_millis()
        };
        assert_eq!(waited_ms(1 << 40), 0, "nothing presses");
        gate.set(Stall::Slow(1_000_000));
        assert_eq!(waited_ms(1_000), 1);
        assert_eq!(waited_ms(250_000), 251, "longer than any single wait");
        assert_eq!(waited_ms(0), 251, "and it owes nothing");
        let closed = || Err(crate::base::error::Error::Closed);
        assert!(gate.admit_whole(1 << 40, closed).is_err());
        std::thread::scope(|scope| {
            let writers = [(); 2].map(|()| scope.spawn(|| gate.admit_whole(1 << 40, || Ok(()))));
            gate.set(Stall::None);
            assert!(writers.into_iter().all(|writer| writer.join().unwrap().is_ok()));
        });
    }

    #[test]
    fn a_stopped_writer_goes_on_when_the_gate_opens_and_ends_on_an_error() {
        let gate = Gate::default();
        gate.set(Stall::Stop);
        let closed = || Err(crate::base::error::Error::Closed);
        assert!(gate.admit(1, closed).is_err());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| gate.admit(1, || Ok(())));
            gate.set(Stall::None);
            assert!(writer.join().unwrap().is_ok());
        });
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::sync::atomic::AtomicBool;
    use crate::base::sync::{Arc, thread};

    /// A stopped writer hears of the gate's opening and of the store's end, without the limit of its
    /// wait, which here never passes.
    #[test]
    fn loom_a_stopped_writer_is_woken() {
        loom::model(|| {
            let gate = Arc::new(Gate::default());
            let closed = Arc::new(AtomicBool::new(false));
            gate.set(Stall::Stop);
            let writer = {
                let (gate, closed) = (gate.clone(), closed.clone());
                thread::spawn(move || {
                    let check = || if closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) };
                    let _ = gate.admit(1, check);
                })
            };
            let closing = {
                let (gate, closed) = (gate.clone(), closed.clone());
                thread::spawn(move || {
                    closed.store(true, Ordering::Release);
                    gate.wake();
                })
            };
            writer.join().unwrap();
            closing.join().unwrap();
        });
        loom::model(|| {
            let gate = Arc::new(Gate::default());
            gate.set(Stall::Stop);
            let opening = {
                let gate = gate.clone();
                thread::spawn(move || gate.set(Stall::None))
            };
            assert!(gate.admit(1, || Ok(())).is_ok());
            opening.join().unwrap();
        });
    }
}
