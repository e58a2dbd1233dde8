//! Shuttle's locks behind the signatures of parking_lot's, and waiting with a time limit.
//!
//! Shuttle knows no time. A wait that has a limit is therefore a loop that lets others run: it ends
//! when somebody notifies, or when shuttle's random numbers say that the limit has passed; so
//! schedules with either outcome are tried. The time on the clock is the sum of the limits that have
//! passed. A limit of half an hour or more never passes: tests use that to turn timers off, so that no
//! timer covers up for a wake-up that was lost.

use shuttle::rand::{Rng, thread_rng};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A wait with such a limit ends only when it is notified.
const NEVER: Duration = Duration::from_secs(1800);

/// A limit passes with one in so many chances each time that the waiting thread gets its turn.
const CHANCES: u32 = 6;

thread_local! {
    // All threads of a schedule are coroutines of one thread of the system's.
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that has passed on this thread of the system's: what its schedules waited for in vain.
#[must_use]
pub fn elapsed() -> Duration {
    ELAPSED.get()
}

/// A lock, as parking_lot's.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

/// What holds a lock; empty while its thread waits for a condition.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// A lock on `value`.
    pub const fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { mutex: self, guard: Some(guard) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.guard.as_ref().expect("a guard is only empty while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("a guard is only empty while it waits")
    }
}

/// A condition variable, as parking_lot's.
#[derive(Debug, Default)]
pub struct Condvar {
    waiting: shuttle::sync::Condvar,
    /// Counts notifications, for those who wait with a limit.
    notified: AtomicU64,
}

/// Whether the limit of a wait has passed.
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether it has.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// One that nobody waits for.
    pub const fn new() -> Self {
        Condvar { waiting: shuttle::sync::Condvar::new(), notified: AtomicU64::new(0) }
    }

    /// Waits until it is notified.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inner = guard.guard.take().expect("a guard is only empty while it waits");
        guard.guard = Some(self.waiting.wait(inner).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until it is notified, or `limit` has passed.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> WaitTimeoutResult {
        if limit >= NEVER {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        let seen = self.notified.load(Ordering::Relaxed);
        loop {
            guard.guard = None;
            shuttle::thread::yield_now();
            guard.guard = Some(guard.mutex.0.lock().unwrap_or_else(PoisonError::into_inner));
            if self.notified.load(Ordering::Relaxed) != seen {
                return WaitTimeoutResult(false);
            }
            if thread_rng().gen_range(0..CHANCES) == 0 {
                ELAPSED.set(ELAPSED.get() + limit);
                return WaitTimeoutResult(true);
            }
        }
    }

    /// Wakes one who waits without a limit, and all who wait with one.
    pub fn notify_one(&self) {
        self.waiting.notify_one();
        self.notified.fetch_add(1, Ordering::Relaxed);
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.waiting.notify_all();
        self.notified.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reader-writer lock, as parking_lot's.
#[derive(Debug, Default)]
pub struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock on `value`.
    pub const fn new(value: T) -> Self {
        RwLock(shuttle::sync::RwLock::new(value))
    }

    /// Takes the lock for reading.
    pub fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock for writing.
    pub fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
