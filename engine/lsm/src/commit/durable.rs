//! The durable watermark: which writes survive a loss of power.
//!
//! # Protocol
//! - A thread that needs a sequence number to be durable, and finds that it is not, syncs the log
//!   itself if nobody else is syncing; otherwise it waits. So all threads that arrive while a sync
//!   is under way share the next one.
//! - The one who syncs first notes what has been written, then syncs, then raises the watermark to
//!   what it had noted: a write that arrived meanwhile is not counted.
//! - Callbacks are not run by whoever raises the watermark, who may be in the middle of a flush, but
//!   by [`Durable::run_callbacks`], on a thread that nothing else waits for. They may do anything,
//!   dropping the last handle of the store included.
//! - Wakers are woken by whoever raises the watermark: a thread less between a sync and who waits for it.
//!   What is dropped with a waker may be the last handle of the store, too, so that wakers that were woken
//!   are dropped where callbacks run.
//! - The first failure is kept for good: nothing is ever reported durable after it, and every
//!   waiter gets it. A sync that failed must not be retried (see the contract in [`crate::fs`]).

use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Condvar, Mutex};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Called once the sequence number that it waits for is durable, or never will be.
pub type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// Wakers that were woken are dropped together, once they are so many; or by the upkeep.
const SPENT: usize = 64;

/// The watermark.
pub struct Durable {
    seq: AtomicU64,
    lsn: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    panicked: AtomicU64,
}

#[derive(Default)]
struct State {
    syncing: bool,
    failure: Option<Error>,
    callbacks: Vec<(SeqNum, Callback)>,
    settled: Vec<(Callback, Result<()>)>,
    /// Whom to wake from which number on, by what the waker is made of: one that asks again is kept once.
    wakers: HashMap<(usize, usize), (SeqNum, Waker)>,
    /// Wakers that were woken.
    spent: Vec<Waker>,
}

/// What a sync made durable.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    /// The last sequence number that was written before the sync began.
    pub seq: SeqNum,
    /// The log position behind it.
    pub lsn: u64,
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("seq", &self.seq()).finish_non_exhaustive()
    }
}

impl Durable {
    /// Starts with everything up to `seq` durable.
    #[must_use]
    pub fn new(seq: SeqNum) -> Durable {
        Durable {
            seq: AtomicU64::new(seq),
            lsn: AtomicU64::new(0),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            panicked: AtomicU64::new(0),
        }
    }

    /// The last sequence number that survives a loss of power.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.seq.load(Ordering::Acquire)
    }

    /// The log position up to which the log is synced.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        self.lsn.load(Ordering::Acquire)
    }

    /// Waits until `seq` is durable; `sync` makes everything written so far durable.
    pub fn wait(&self, seq: SeqNum, sync: impl Fn() -> Result<Synced>) -> Result<()> {
        if self.seq() >= seq {
            return Ok(());
        }
        let mut state = self.state.lock();
        loop {
            if self.seq() >= seq {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.syncing {
                self.changed.wait(&mut state);
                continue;
            }
            state.syncing = true;
            drop(state);
            let turn = SyncTurn { durable: self, result: None };
            turn.end(sync());
            state = self.state.lock();
        }
    }

    /// Runs `run` while nobody syncs: what it says it has synced is durable then. If it says nothing, nothing
    /// has changed.
    ///
    /// # Errors
    /// That of an earlier failure, and then `run` was not called; what `run` gives.
    pub fn turn<R>(&self, run: impl FnOnce() -> (Result<R>, Option<Synced>)) -> Result<R> {
        let mut state = self.state.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if !state.syncing {
                break;
            }
            self.changed.wait(&mut state);
        }
        state.syncing = true;
        drop(state);
        let turn = SyncTurn { durable: self, result: None };
        let (result, synced) = run();
        turn.end(Ok(synced.unwrap_or(Synced { seq: 0, lsn: 0 })));
        result
    }

    /// Waits until more is durable than `seq` and `lsn`, or for so long. Returns whether it is.
    ///
    /// # Errors
    /// The first failure, behind which nothing becomes durable any more.
    pub fn wait_beyond(&self, seq: SeqNum, lsn: u64, limit: Duration) -> Result<bool> {
        let is_beyond = || self.seq() > seq || self.lsn() > lsn;
        if is_beyond() {
            return Ok(true);
        }
        let mut state = self.state.lock();
        // Syncs that make nothing durable that was not wake, too: they are not counted against the limit.
        loop {
            if is_beyond() {
                return Ok(true);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if self.changed.wait_for(&mut state, limit).timed_out() {
                return Ok(is_beyond());
            }
        }
    }

    /// Has `callback` called once `seq` is durable or can no longer become so; at once, on this
    /// thread, if it is known.
    pub fn on_durable(&self, seq: SeqNum, callback: Callback) {
        let mut state = self.state.lock();
        let known = if self.seq() >= seq { Some(Ok(())) } else { state.failure.clone().map(Err) };
        match known {
            None => state.callbacks.push((seq, callback)),
            Some(result) => {
                drop(state);
                callback(result);
            }
        }
    }

    /// Whether `seq` is durable, or can no longer become so. If that is not known yet, `waker` is woken once
    /// it is, or before.
    pub fn poll(&self, seq: SeqNum, waker: &Waker) -> Poll<Result<()>> {
        if self.seq() >= seq {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if self.seq() >= seq {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = &state.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        // By what the kept one is made of, which nobody else can be while it is kept.
        let waker = waker.clone();
        let name = (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr());
        let waiting = state.wakers.entry(name).or_insert((seq, waker));
        waiting.0 = waiting.0.min(seq);
        Poll::Pending
    }

    /// Keeps a failure for good, unless there is one already.
    pub fn fail(&self, error: Error) {
        self.fail_and(error, || ());
    }

    /// As [`Durable::fail`]; `then` is called once the watermark stands still for good, and before anybody
    /// hears of the failure from here.
    pub fn fail_and(&self, error: Error, then: impl FnOnce()) {
        self.settle(Err(error), false, then);
    }

    fn settle(&self, result: Result<Synced>, end_turn: bool, then: impl FnOnce()) {
        let mut state = self.state.lock();
        if end_turn {
            state.syncing = false;
        }
        match result {
            // A failure that somebody else met meanwhile leaves this sync's success in doubt.
            Ok(synced) if state.failure.is_none() => {
                // Who finds a number durable reads the log up to it.
                self.lsn.fetch_max(synced.lsn, Ordering::AcqRel);
                self.seq.fetch_max(synced.seq, Ordering::AcqRel);
            }
            Ok(_) => {}
            Err(error) => {
                state.failure.get_or_insert(error);
            }
        }
        then();
        let durable = self.seq();
        let failure = state.failure.clone();
        let waiting = std::mem::take(&mut state.callbacks);
        for (seq, callback) in waiting {
            if seq <= durable {
                state.settled.push((callback, Ok(())));
            } else if let Some(failure) = &failure {
                state.settled.push((callback, Err(failure.clone())));
            } else {
                state.callbacks.push((seq, callback));
            }
        }
        let due = |(seq, _): &(SeqNum, Waker)| *seq <= durable || failure.is_some();
        let woken: Vec<Waker> = state.wakers.extract_if(|_, of| due(of)).map(|(_, of)| of.1).collect();
        drop(state);
        self.changed.notify_all();
        if !woken.is_empty() {
            woken.iter().for_each(|waker| self.catching(|| waker.wake_by_ref()));
            self.state.lock().spent.extend(woken);
        }
    }

    fn catching(&self, run: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            self.panicked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether [`Durable::run_callbacks`] should be called: there are callbacks to be run, or many wakers to
    /// be dropped.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        let state = self.state.lock();
        !state.settled.is_empty() || state.spent.len() >= SPENT
    }

    /// Whether there is anything to drop.
    #[must_use]
    pub fn has_spent(&self) -> bool {
        !self.state.lock().spent.is_empty()
    }

    /// Runs the callbacks whose answer is known, and drops the wakers that were woken. A panic in one is
    /// caught and counted.
    pub fn run_callbacks(&self) {
        let (settled, spent) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.settled), std::mem::take(&mut state.spent))
        };
        for (callback, result) in settled {
            self.catching(|| callback(result));
        }
        for waker in spent {
            self.catching(|| drop(waker));
        }
    }

    /// How many callbacks and wakers have panicked.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// The turn of the thread that syncs. A panic in between counts as a failed sync.
struct SyncTurn<'d> {
    durable: &'d Durable,
    result: Option<Result<Synced>>,
}

impl SyncTurn<'_> {
    fn end(mut self, result: Result<Synced>) {
        self.result = Some(result);
    }
}

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        let panicked = || Error::Poisoned { why: "a sync of the log panicked".into() };
        self.durable.settle(self.result.take().unwrap_or_else(|| Err(panicked())), true, || ());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[test]
    fn threads_share_syncs_and_no_one_returns_too_early() {
        let (durable, written, syncs) = (Durable::new(0), AtomicU64::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let seq = written.fetch_add(1, Ordering::AcqRel) + 1;
                        durable
                            .wait(seq, || {
                                let seq = written.load(Ordering::Acquire);
                                syncs.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                                Ok(Synced { seq, lsn: seq * 10 })
                            })
                            .unwrap();
                        assert!(durable.seq() >= seq && durable.lsn() >= seq * 10);
                    }
                });
            }
        });
        assert!(syncs.into_inner() <= 2_000);
    }

    #[test]
    fn the_first_failure_is_final_and_reaches_callbacks() {
        let durable = Durable::new(3);
        let heard = Arc::new(Mutex::new(Vec::new()));
        for seq in [3, 4] {
            let heard = heard.clone();
            durable.on_durable(seq, Box::new(move |result| heard.lock().push((seq, result.is_ok()))));
        }
        durable.on_durable(4, Box::new(|_| panic!("a planted panic")));
        let fail = || Err(Error::Poisoned { why: "planted".into() });
        assert!(durable.wait(4, fail).is_err());
        assert!(durable.wait(4, || Ok(Synced { seq: 9, lsn: 9 })).is_err());
        assert!(durable.wait(3, fail).is_ok());
        assert_eq!(*heard.lock(), [(3, true)], "the other is run by somebody else");
        assert!(durable.has_settled());
        durable.run_callbacks();
        assert_eq!(*heard.lock(), [(3, true), (4, false)]);
        assert_eq!((durable.has_settled(), durable.panicked()), (false, 1));
    }

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            assert!(self.0.fetch_add(1, Ordering::AcqRel) < 2, "a planted panic");
        }
    }

    #[test]
    fn wakers_are_woken_once_it_is_worth_asking_again() {
        let durable = Durable::new(3);
        let raise = |seq| durable.wait(seq, || Ok(Synced { seq, lsn: seq })).unwrap();
        let woken = Arc::new(Woken::default());
        let (waker, count) = (Waker::from(woken.clone()), || woken.0.load(Ordering::Acquire));
        let ready = |seq| match durable.poll(seq, &waker) {
            Poll::Ready(result) => Some(result.is_ok()),
            Poll::Pending => None,
        };
        assert_eq!([ready(3), ready(9), ready(5), ready(7), ready(5)], [Some(true), None, None, None, None]);
        assert_eq!(durable.state.lock().wakers.len(), 1, "one that asks again is kept once");
        raise(4);
        assert_eq!(count(), 0);
        raise(6);
        assert_eq!((count(), ready(6), ready(7)), (1, Some(true), None));
        durable.fail(Error::Closed);
        assert_eq!((count(), ready(6), ready(7)), (2, Some(true), Some(false)));
        // They are dropped by whoever runs callbacks.
        assert!(durable.has_spent() && !durable.has_settled());
        assert_eq!(Arc::strong_count(&woken), 4);
        durable.run_callbacks();
        assert_eq!((durable.has_spent(), Arc::strong_count(&woken)), (false, 2));
        let durable = Durable::new(3);
        assert!(durable.poll(4, &waker).is_pending());
        durable.fail(Error::Closed);
        assert_eq!((count(), durable.panicked()), (3, 1));
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_durable_never_runs_ahead_of_the_sync() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let durable = Arc::new(Durable::new(0));
            let written = Arc::new(AtomicU64::new(0));
            let synced = Arc::new(AtomicU64::new(0));
            let run = |durable: Arc<Durable>, written: Arc<AtomicU64>, synced: Arc<AtomicU64>| {
                let seq = written.fetch_add(1, Ordering::AcqRel) + 1;
                let sync = || {
                    let seq = written.load(Ordering::Acquire);
                    synced.fetch_max(seq, Ordering::AcqRel);
                    Ok(Synced { seq, lsn: seq })
                };
                durable.wait(seq, sync).unwrap();
                assert!(synced.load(Ordering::Acquire) >= seq, "reported before it was synced");
            };
            let other = {
                let (d, w, s) = (durable.clone(), written.clone(), synced.clone());
                thread::spawn(move || run(d, w, s))
            };
            run(durable.clone(), written, synced);
            other.join().unwrap();
            assert_eq!(durable.seq(), 2);
        });
    }

    /// A callback that is given while its number becomes durable is run once, by whoever runs them.
    #[test]
    fn loom_callbacks_are_run_once() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let durable = Arc::new(Durable::new(0));
            let calls = Arc::new(AtomicU64::new(0));
            let syncing = {
                let durable = durable.clone();
                thread::spawn(move || {
                    durable.wait(1, || Ok(Synced { seq: 1, lsn: 1 })).unwrap();
                    durable.run_callbacks();
                })
            };
            let counted = calls.clone();
            durable.on_durable(
                1,
                Box::new(move |result| {
                    assert!(result.is_ok());
                    counted.fetch_add(1, Ordering::AcqRel);
                }),
            );
            durable.run_callbacks();
            syncing.join().unwrap();
            durable.run_callbacks();
            assert_eq!(calls.load(Ordering::Acquire), 1);
        });
    }

    /// Who asks while its number becomes durable is told so, or woken.
    #[test]
    fn loom_who_asks_is_told_or_woken() {
        struct Woken(AtomicU64);
        impl std::task::Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, Ordering::AcqRel);
            }
        }
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let durable = Arc::new(Durable::new(0));
            let syncing = {
                let durable = durable.clone();
                thread::spawn(move || durable.wait(1, || Ok(Synced { seq: 1, lsn: 1 })).unwrap())
            };
            let woken = std::sync::Arc::new(Woken(AtomicU64::new(0)));
            let told = durable.poll(1, &woken.clone().into()).is_ready();
            syncing.join().unwrap();
            assert_eq!(woken.0.load(Ordering::Acquire), u64::from(!told));
            durable.run_callbacks();
        });
    }

    /// Behind a failure nothing becomes durable any more, and everyone who waits hears of it.
    #[test]
    fn loom_a_failure_is_final() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let durable = Arc::new(Durable::new(0));
            let failing = {
                let durable = durable.clone();
                thread::spawn(move || {
                    durable.fail(Error::Closed);
                    durable.seq()
                })
            };
            let waited = durable.wait(1, || Ok(Synced { seq: 1, lsn: 1 }));
            let at_failure = failing.join().unwrap();
            assert_eq!(durable.seq(), at_failure, "durable behind a failure");
            assert_eq!(waited.is_ok(), at_failure == 1);
            assert!(durable.wait(2, || Ok(Synced { seq: 2, lsn: 2 })).is_err());
        });
    }
}
