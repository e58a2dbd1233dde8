//! Who writes next: the queue in front of the log.
//!
//! # Protocol
//! - A writer that finds nobody leading leads at once, with its own request as the group.
//! - Any other writer queues its request and waits on its own seat.
//! - A leader that has finished its group takes as many waiting requests as fit into the next one,
//!   in order, and hands them to the first of their writers, who leads. If none wait, nobody leads.
//! - A writer that waits looks for its result a little while before it goes to sleep: a group that no sync
//!   belongs to takes a microsecond or two, being woken fifty.
//! - If the writer whose turn comes is asleep, the leader leads for it, up to [`GROUPS_IN_A_TURN`] groups
//!   and as much as one group may hold: otherwise everybody would wait for one to wake up, one after the
//!   other (a lock convoy: Blasgen, Gray, Mitoma and Price, 1979).
//! - Every member of a group gets its result from the group's leader.
//!
//! # Invariants
//! - At most one thread leads at any time: leadership is the `leading` flag, set by whoever starts
//!   and passed on, never shared.
//! - Requests are led in the order in which they were queued.
//! - If somebody waits, somebody leads: nobody is forgotten.
//!
//! Rejected: a leader that goes on with later groups itself for as long as there are any. It makes one writer
//! pay for all others without a bound.

use crate::base::sync::quiet::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex, thread};

/// So many groups a leader writes before it wakes another to go on.
const GROUPS_IN_A_TURN: usize = 8;
/// How often a writer looks for its result with nothing but a pause between; some microseconds.
const LOOKS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 100 };
/// How often it then looks after it has let others run, whom it may be waiting for.
const YIELDS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 8 };

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
    /// Whether a look at the outcome is worth its lock; nothing else depends on it.
    settled: AtomicBool,
}

#[derive(Debug)]
enum Outcome<T, R> {
    Waiting { asleep: bool },
    Lead(Group<T, R>),
    Done(R),
}

impl<T, R> Default for Seat<T, R> {
    fn default() -> Self {
        let outcome = Mutex::new(Outcome::Waiting { asleep: false });
        Seat { outcome, changed: Condvar::new(), settled: AtomicBool::new(false) }
    }
}

impl<T, R> Seat<T, R> {
    fn set(&self, outcome: Outcome<T, R>) {
        *self.outcome.lock() = outcome;
        self.settled.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Hands a group over to be led, or gives it back if its writer is asleep and need not be woken.
    fn hand_over(&self, group: Group<T, R>, wake: bool) -> Option<Group<T, R>> {
        let mut outcome = self.outcome.lock();
        if !wake && matches!(*outcome, Outcome::Waiting { asleep: true }) {
            return Some(group);
        }
        *outcome = Outcome::Lead(group);
        drop(outcome);
        self.settled.store(true, Ordering::Release);
        self.changed.notify_one();
        None
    }

    fn wait(&self) -> Outcome<T, R> {
        for look in 0..LOOKS + YIELDS {
            if self.settled.load(Ordering::Acquire) {
                break;
            }
            if look < LOOKS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let mut outcome = self.outcome.lock();
        loop {
            match std::mem::replace(&mut *outcome, Outcome::Waiting { asleep: true }) {
                Outcome::Waiting { .. } => self.changed.wait(&mut outcome),
                settled => return settled,
            }
        }
    }
}

/// Requests that are written together.
#[derive(Debug)]
struct Group<T, R> {
    /// The requests in commit order.
    requests: Vec<T>,
    /// The seats of their writers, that of the first left out if it leads.
    seats: Vec<Arc<Seat<T, R>>>,
    size: usize,
}

impl<T, R> Default for Queue<T, R> {
    fn default() -> Self {
        Queue { line: Mutex::new(Line { leading: false, waiting: Default::default() }) }
    }
}

impl<T, R> Queue<T, R> {
    /// Submits a request and returns its result. `lead` is called when it is this thread's turn to
    /// write a group; it gives each request its result. `size` and `limit` bound a group.
    ///
    /// If `lead` panics, every member of the group gets `lost()` and the queue goes on.
    #[inline]
    pub fn submit(
        &self,
        request: T,
        size: impl Fn(&T) -> usize,
        limit: usize,
        lost: impl Fn() -> R,
        mut lead: impl FnMut(&mut [T], &mut [Option<R>]),
    ) -> R {
        let mut turn = Turn {
            queue: self,
            size: &size,
            limit,
            lost: &lost,
            seats: Vec::new(),
            leads: true,
            left: limit,
        };
        match self.join(request) {
            Ok(request) => {
                // Most writers are alone: their group needs no memory of its own.
                let mut result = [None];
                lead(&mut [request], &mut result);
                turn.go_on(Vec::new(), &mut lead);
                let [result] = result;
                result.unwrap_or_else(&lost)
            }
            Err(seat) => {
                turn.leads = false;
                match seat.wait() {
                    Outcome::Done(result) => result,
                    Outcome::Lead(group) => {
                        turn.leads = true;
                        let mut results = turn.lead(group, &mut lead);
                        let own = results.remove(0);
                        turn.go_on(results, &mut lead);
                        own.unwrap_or_else(&lost)
                    }
                    Outcome::Waiting { .. } => unreachable!("wait returns a settled outcome"),
                }
            }
        }
    }

    /// How many wait for their turn.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub fn waiting(&self) -> usize {
        self.line.lock().waiting.len()
    }

    /// Leads at once, with the request that comes back, or takes a seat.
    #[inline]
    fn join(&self, request: T) -> Result<T, Arc<Seat<T, R>>> {
        let mut line = self.line.lock();
        if !line.leading {
            line.leading = true;
            return Ok(request);
        }
        let seat = Arc::new(Seat::default());
        line.waiting.push_back((request, seat.clone()));
        Err(seat)
    }

    /// Takes the next group, all seats with it. If nobody waits, nobody leads from here on.
    #[inline]
    fn take(&self, size: &dyn Fn(&T) -> usize, limit: usize) -> Option<Group<T, R>> {
        let mut line = self.line.lock();
        if line.waiting.is_empty() {
            line.leading = false;
            return None;
        }
        Some(line.take(size, limit))
    }
}

impl<T, R> Line<T, R> {
    /// The next group of those who wait; some do.
    fn take(&mut self, size: &dyn Fn(&T) -> usize, limit: usize) -> Group<T, R> {
        let mut group = Group { requests: Vec::new(), seats: Vec::new(), size: 0 };
        while let Some((next, _)) = self.waiting.front() {
            let size = size(next);
            if group.size + size > limit && !group.requests.is_empty() {
                break;
            }
            group.size += size;
            if let Some((request, seat)) = self.waiting.pop_front() {
                group.requests.push(request);
                group.seats.push(seat);
            }
        }
        group
    }
}

/// The turn of a leader; ends by passing leadership on, also when leading panicked.
struct Turn<'q, T, R> {
    queue: &'q Queue<T, R>,
    size: &'q dyn Fn(&T) -> usize,
    limit: usize,
    lost: &'q dyn Fn() -> R,
    /// Of those who wait for a result of the group that is being led.
    seats: Vec<Arc<Seat<T, R>>>,
    /// Whether leadership is still here.
    leads: bool,
    /// How much may yet be written for writers who are asleep.
    left: usize,
}

impl<T, R> Turn<'_, T, R> {
    /// Leads a group and returns the results of its requests.
    fn lead(
        &mut self,
        mut group: Group<T, R>,
        lead: &mut impl FnMut(&mut [T], &mut [Option<R>]),
    ) -> Vec<Option<R>> {
        self.seats = group.seats;
        let mut results: Vec<Option<R>> = group.requests.iter().map(|_| None).collect();
        lead(&mut group.requests, &mut results);
        results
    }

    /// Goes on when a group has been led, with the results of those who wait for one of it.
    #[inline]
    fn go_on(&mut self, mut results: Vec<Option<R>>, lead: &mut impl FnMut(&mut [T], &mut [Option<R>])) {
        for led in 1.. {
            let next = self.pass_on(led == GROUPS_IN_A_TURN);
            // A next leader may have started before the members of this group are told.
            self.answer(results);
            let Some(group) = next else { break };
            results = self.lead(group, lead);
        }
    }

    /// Passes leadership on, or gives it up. A group whose first writer is asleep comes back, to be led
    /// here, unless writers are to be woken.
    #[inline]
    fn pass_on(&mut self, wake: bool) -> Option<Group<T, R>> {
        self.leads = false;
        let group = self.queue.take(self.size, self.limit)?;
        self.offer(group, wake)
    }

    /// Offers a group to its first writer; see [`Turn::pass_on`].
    fn offer(&mut self, mut group: Group<T, R>, wake: bool) -> Option<Group<T, R>> {
        let first = group.seats.remove(0);
        let wake = wake || group.size > self.left;
        let mut group = first.hand_over(group, wake)?;
        group.seats.insert(0, first);
        self.left -= group.size;
        self.leads = true;
        Some(group)
    }

    /// Gives the members of the group that was led their results.
    #[inline]
    fn answer(&mut self, results: Vec<Option<R>>) {
        let mut results = results.into_iter();
        for seat in std::mem::take(&mut self.seats) {
            seat.set(Outcome::Done(results.next().flatten().unwrap_or_else(self.lost)));
        }
    }
}

impl<T, R> Drop for Turn<'_, T, R> {
    fn drop(&mut self) {
        if self.leads {
            // Leading panicked.
            self.pass_on(true);
            self.answer(Vec::new());
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
            |requests, results| {
                assert!(requests.len() <= 3);
                for (request, result) in requests.iter().zip(results) {
                    let mut led = led.lock();
                    led.push(*request);
                    *result = Some(Some(led.len() as u64));
                }
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
            queue.submit(1, |_| 1, 3, || None, |_, _| panic!("a planted panic"))
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
                    |requests, results| {
                        assert!(!shared.leading.swap(true, Ordering::AcqRel), "two leaders at once");
                        let mut seq = shared.visible.load(Ordering::Relaxed);
                        for (count, result) in requests.iter().zip(results) {
                            seq += *count;
                            *result = Some(seq);
                        }
                        shared.visible.store(seq, Ordering::Release);
                        shared.leading.store(false, Ordering::Release);
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
