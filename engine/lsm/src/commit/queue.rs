//! Who writes next: the queue in front of the log.
//!
//! # Protocol
//! - A writer that finds nobody leading leads at once, with its own request as the group.
//! - Any other writer queues its request and waits on its own seat.
//! - A leader that has finished its group takes as many waiting requests as fit into the next one,
//!   in order, and hands them to the first of their writers, who leads. If none wait, nobody leads.
//! - Every member of a group gets its result from the group's leader.
//!
//! # Invariants
//! - At most one thread leads at any time: leadership is the `leading` flag, set by whoever starts
//!   and passed on, never shared.
//! - Requests are led in the order in which they were queued.
//! - If somebody waits, somebody leads: nobody is forgotten.
//!
//! Rejected: a leader that goes on with later groups itself. It saves the hand-over but makes one
//! writer pay for all others without a bound.

use crate::base::sync::{Arc, Condvar, Mutex};

/// The queue. `T` is a request, `R` the result of one.
#[derive(Debug)]
pub struct Queue<T, R> {
    line: Mutex<Line<T, R>>,
}

#[derive(Debug)]
struct Line<T, R> {
    leading: bool,
    waiting: std::collections::VecDeque<(T, Arc<Seat<T, R>>)>,
}

/// Where a writer waits for its result or for its turn to lead.
#[derive(Debug)]
struct Seat<T, R> {
    outcome: Mutex<Outcome<T, R>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Outcome<T, R> {
    Waiting,
    Lead(Group<T, R>),
    Done(R),
}

impl<T, R> Seat<T, R> {
    fn set(&self, outcome: Outcome<T, R>) {
        *self.outcome.lock() = outcome;
        self.changed.notify_one();
    }

    fn wait(&self) -> Outcome<T, R> {
        let mut outcome = self.outcome.lock();
        loop {
            match std::mem::replace(&mut *outcome, Outcome::Waiting) {
                Outcome::Waiting => self.changed.wait(&mut outcome),
                settled => return settled,
            }
        }
    }
}

/// The requests that are written together; the leader's own is the first.
#[derive(Debug)]
pub struct Group<T, R> {
    /// The requests in commit order.
    pub requests: Vec<T>,
    /// The seats of all but the leader.
    followers: Vec<Arc<Seat<T, R>>>,
}

impl<T, R> Default for Queue<T, R> {
    fn default() -> Self {
        Queue { line: Mutex::new(Line { leading: false, waiting: Default::default() }) }
    }
}

impl<T, R> Queue<T, R> {
    /// Submits a request and returns its result. `lead` is called when it is this thread's turn to
    /// write a group; it returns one result per request. `size` and `limit` bound a group.
    ///
    /// If `lead` panics, every member of the group gets `lost()` and the queue goes on.
    pub fn submit(
        &self,
        request: T,
        size: impl Fn(&T) -> usize,
        limit: usize,
        lost: impl Fn() -> R,
        lead: impl FnOnce(&mut Vec<T>) -> Vec<R>,
    ) -> R {
        let mut group = match self.join(request) {
            Ok(group) => group,
            Err(seat) => match seat.wait() {
                Outcome::Done(result) => return result,
                Outcome::Lead(group) => group,
                Outcome::Waiting => unreachable!("wait returns a settled outcome"),
            },
        };
        let followers = std::mem::take(&mut group.followers);
        let mut turn =
            Turn { queue: self, size: &size, limit, lost: &lost, followers, results: Vec::new().into_iter() };
        turn.results = lead(&mut group.requests).into_iter();
        turn.results.next().unwrap_or_else(&lost)
    }

    /// How many wait for their turn.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub fn waiting(&self) -> usize {
        self.line.lock().waiting.len()
    }

    /// Leads at once, or takes a seat.
    fn join(&self, request: T) -> Result<Group<T, R>, Arc<Seat<T, R>>> {
        let mut line = self.line.lock();
        if !line.leading {
            line.leading = true;
            return Ok(Group { requests: vec![request], followers: Vec::new() });
        }
        let seat = Arc::new(Seat { outcome: Mutex::new(Outcome::Waiting), changed: Condvar::new() });
        line.waiting.push_back((request, seat.clone()));
        Err(seat)
    }

    /// Passes leadership on, or gives it up.
    fn pass_on(&self, size: &dyn Fn(&T) -> usize, limit: usize) {
        let mut line = self.line.lock();
        let Some((first, leader)) = line.waiting.pop_front() else {
            line.leading = false;
            return;
        };
        let mut bytes = size(&first);
        let mut group = Group { requests: vec![first], followers: Vec::new() };
        while let Some((next, _)) = line.waiting.front() {
            bytes += size(next);
            if bytes > limit {
                break;
            }
            if let Some((request, seat)) = line.waiting.pop_front() {
                group.requests.push(request);
                group.followers.push(seat);
            }
        }
        drop(line);
        leader.set(Outcome::Lead(group));
    }
}

/// The turn of a leader; ends by passing leadership on, also when leading panicked.
struct Turn<'q, T, R> {
    queue: &'q Queue<T, R>,
    size: &'q dyn Fn(&T) -> usize,
    limit: usize,
    lost: &'q dyn Fn() -> R,
    followers: Vec<Arc<Seat<T, R>>>,
    results: std::vec::IntoIter<R>,
}

impl<T, R> Drop for Turn<'_, T, R> {
    fn drop(&mut self) {
        // The next group may start before the followers of this one have been woken.
        self.queue.pass_on(self.size, self.limit);
        for seat in self.followers.drain(..) {
            seat.set(Outcome::Done(self.results.next().unwrap_or_else(self.lost)));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::sync::atomic::{AtomicU64, Ordering};

    /// Each request is answered with the position at which it was led.
    fn submit(queue: &Queue<u64, Option<u64>>, led: &Mutex<Vec<u64>>, request: u64) -> Option<u64> {
        queue.submit(
            request,
            |_| 1,
            3,
            || None,
            |requests| {
                assert!(requests.len() <= 3);
                requests
                    .iter()
                    .map(|request| {
                        let mut led = led.lock();
                        led.push(*request);
                        Some(led.len() as u64)
                    })
                    .collect()
            },
        )
    }

    #[test]
    fn every_request_of_many_threads_is_led_once() {
        let (queue, led, answered) = (Queue::default(), Mutex::new(Vec::new()), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (queue, led, answered) = (&queue, &led, &answered);
                scope.spawn(move || {
                    for i in 0..2_000 {
                        assert!(submit(queue, led, thread * 10_000 + i).is_some());
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(answered.into_inner(), 8_000);
        let led = led.lock();
        assert_eq!(led.len(), 8_000);
        for thread in 0..4 {
            let own: Vec<_> = led.iter().filter(|r| **r / 10_000 == thread).collect();
            assert!(own.is_sorted(), "requests of one thread keep their order");
        }
    }

    #[test]
    fn a_leader_that_panics_takes_nobody_with_it() {
        let queue: Queue<u64, Option<u64>> = Queue::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            queue.submit(1, |_| 1, 3, || None, |_| panic!("a planted panic"))
        }));
        assert!(panicked.is_err());
        assert_eq!(submit(&queue, &Mutex::new(Vec::new()), 2), Some(1));
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use loom::thread;

    /// Three writers: nobody is forgotten, no two lead at once, publishing is in order, and each
    /// sees its own write published when its call returns.
    #[test]
    fn loom_commit_publishes_in_order() {
        struct Shared {
            queue: Queue<u64, u64>,
            leading: AtomicBool,
            visible: AtomicU64,
        }
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let shared = Arc::new(Shared {
                queue: Queue::default(),
                leading: AtomicBool::new(false),
                visible: AtomicU64::new(0),
            });
            let write = |shared: Arc<Shared>| {
                let seq = shared.queue.submit(
                    1,
                    |_| 1,
                    2,
                    || 0,
                    |requests| {
                        assert!(!shared.leading.swap(true, Ordering::AcqRel), "two leaders at once");
                        let mut results = Vec::new();
                        let mut seq = shared.visible.load(Ordering::Relaxed);
                        for count in requests.iter() {
                            seq += count;
                            results.push(seq);
                        }
                        shared.visible.store(seq, Ordering::Release);
                        shared.leading.store(false, Ordering::Release);
                        results
                    },
                );
                assert!(seq > 0 && shared.visible.load(Ordering::Acquire) >= seq);
            };
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || write(shared))
                })
                .collect();
            write(shared.clone());
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(shared.visible.load(Ordering::Acquire), 3);
        });
    }
}
