//! The block cache: pieces of tables in slots beside the indexes that name them, and values of blob files,
//! within a number of bytes.
//!
//! A look-up does not come here: it finds a piece in its slot ([`Slots`]). What is decided here is which
//! piece has to go when another one comes, by S3-FIFO (Yang, Zhang, Qiu, Yue and Vinjamuri: FIFO queues are
//! all you need for cache eviction, 2023). A new piece joins a small queue. If it was read again by the time
//! it has come to its end, it moves to the large queue, else it goes: what a scan reads once passes through
//! the small queue only. In the large queue a piece that was read goes round again. What left the small queue
//! not long ago joins the large one when it comes back; that it did is remembered in its empty slot.

use super::slots::{Counted, Slots, Sweep, Swept};
use crate::base::memory::Account;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

/// What can be cached: cheap to clone, with a size.
pub trait Weigh: Clone {
    /// Bytes that it takes in memory.
    fn size_bytes(&self) -> usize;
}

/// How far a load goes: whether it looks into the cache, and whether it fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// Look and fill.
    Cache,
    /// Look, but leave no trace.
    Peek,
    /// Read the file.
    File,
}

/// What a piece takes besides its bytes: its place in a queue, the counts and the struct behind them.
const OVERHEAD_BYTES: u64 = 160;
/// The small queue's share is one part in so many.
const SMALL_SHARE: u64 = 10;
/// The unit in which slots remember how much was emptied before them, in bytes.
const GHOST_UNIT: u64 = 1 << 10;
/// Queues are not looked through for what is gone before it is so many.
const FEW: usize = 64;
/// Counters are kept apart by this many cache lines, so that threads do not fight over one.
const STRIPES: usize = 8;

/// What a piece counts for.
pub(super) fn weight(piece: &impl Weigh) -> u64 {
    piece.size_bytes() as u64 + OVERHEAD_BYTES
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache did and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Lookups that found their piece.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Bytes that the cache holds.
    pub cached_bytes: u64,
    /// Of these the pieces themselves, without what it takes to find them.
    pub piece_bytes: u64,
    /// Bytes of all pieces alive: cached, or held by readers only.
    pub alive_bytes: u64,
    /// Bytes that the cache may hold.
    pub capacity_bytes: u64,
}

/// A piece in a queue.
struct Resident {
    slots: Arc<dyn Sweep>,
    at: usize,
    weight: u64,
}

/// Pieces in the order in which they came.
#[derive(Default)]
struct Queue {
    residents: VecDeque<Resident>,
    /// Of all that stand in it, those included whose slots were emptied by others.
    bytes: u64,
}

impl Queue {
    fn push(&mut self, resident: Resident) {
        self.bytes += resident.weight;
        self.residents.push_back(resident);
    }

    fn pop(&mut self) -> Option<Resident> {
        let resident = self.residents.pop_front()?;
        self.bytes -= resident.weight;
        Some(resident)
    }

    fn forget_gone(&mut self) {
        let bytes = &mut self.bytes;
        self.residents.retain(|resident| {
            let holds = resident.slots.holds(resident.at);
            *bytes -= if holds { 0 } else { resident.weight };
            holds
        });
        self.residents.shrink_to(2 * self.residents.len() + FEW);
    }
}

#[derive(Default)]
struct Queues {
    small: Queue,
    large: Queue,
    capacity: u64,
    /// Bytes of the pieces in slots.
    bytes: u64,
    /// How many stand in the queues whose slots were emptied by others.
    gone: usize,
    /// How much has left the small queue for good, in bytes.
    left: u64,
}

impl Queues {
    fn admit(&mut self, resident: Resident, left_at: Option<u64>) {
        self.bytes += resident.weight;
        let now = self.left / GHOST_UNIT;
        let lately = |then: u64| now.saturating_sub(then) <= self.capacity / GHOST_UNIT;
        if left_at.is_some_and(lately) {
            self.large.push(resident)
        } else {
            self.small.push(resident)
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        // Readers may use pieces as fast as they are asked: nobody gets more than two chances.
        let mut chances = 2 * (self.small.residents.len() + self.large.residents.len());
        while self.bytes > self.capacity {
            let from_small =
                self.small.bytes > self.capacity / SMALL_SHARE || self.large.residents.is_empty();
            let queue = if from_small { &mut self.small } else { &mut self.large };
            let Some(resident) = queue.pop() else { return };
            let remember = from_small.then_some(self.left / GHOST_UNIT);
            match resident.slots.sweep(resident.at, remember, chances > 0) {
                Swept::Used => {
                    chances -= 1;
                    self.large.push(resident);
                }
                // Of what stands there now: another piece may have taken the place of the one that came.
                Swept::Emptied(weight) => {
                    self.bytes -= weight;
                    self.left += if from_small { weight } else { 0 };
                }
                Swept::Gone => self.gone = self.gone.saturating_sub(1),
            }
        }
    }
}

/// A cache of pieces of tables. All methods may be called from several threads at once.
pub struct BlockCache {
    queues: Mutex<Queues>,
    /// As the queues have it, for who asks without their lock.
    capacity: AtomicU64,
    account: Arc<Account>,
    counters: [Counters; STRIPES],
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockCache").field(&self.stats()).finish()
    }
}

impl BlockCache {
    /// A cache that holds up to `capacity_bytes`.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> BlockCache {
        BlockCache {
            queues: Mutex::new(Queues { capacity: capacity_bytes, ..Queues::default() }),
            capacity: AtomicU64::new(capacity_bytes),
            account: Account::new(),
            counters: Default::default(),
        }
    }

    /// The piece in a slot, if it is cached.
    #[inline]
    #[must_use]
    pub fn get<P: Counted>(&self, slots: &Slots<P>, at: usize) -> Option<P> {
        let found = slots.get(at, true);
        self.count(at, found.is_some());
        found
    }

    /// The piece, if it is cached, without making it look used: for scans that shall leave no
    /// trace.
    #[must_use]
    pub fn peek<P: Counted>(&self, slots: &Slots<P>, at: usize) -> Option<P> {
        let found = slots.get(at, false);
        self.count(at, found.is_some());
        found
    }

    /// The piece in the first slot of `among` that holds one as `wanted`, for pieces that may stand in one of
    /// several; `mark` as for [`BlockCache::get`] or not, as for [`BlockCache::peek`]. `wanted` is to be
    /// quick: readers of that slot wait for it.
    #[must_use]
    pub fn find<P: Counted>(
        &self,
        slots: &Slots<P>,
        among: Range<usize>,
        mark: bool,
        wanted: impl Fn(&P) -> bool,
    ) -> Option<P> {
        let start = among.start;
        let found = among.into_iter().find_map(|at| slots.get_if(at, mark, &wanted));
        self.count(start, found.is_some());
        found
    }

    #[inline]
    fn count(&self, at: usize, found: bool) {
        let counters = &self.counters[at % STRIPES];
        let counter = if found { &counters.hits } else { &counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Caches a piece in its slot, unless one is there; others may be evicted, or the piece itself. One that
    /// is larger than the cache is left out. Costs a lock.
    pub fn insert<P: Counted>(&self, slots: &Arc<Slots<P>>, at: usize, piece: P) {
        let weight = weight(&piece);
        let mut queues = self.queues.lock();
        if weight > queues.capacity {
            return;
        }
        // Under the lock, so that what stands in a slot stands in a queue.
        if let Some(left_at) = slots.fill(at, piece) {
            queues.admit(Resident { slots: slots.clone(), at, weight }, left_at);
        }
    }

    /// As [`BlockCache::insert`], into the first slot of `among` that is empty, unless one of them holds the
    /// `same`; if none is empty, the piece in the last goes.
    pub fn insert_among<P: Counted>(
        &self,
        slots: &Arc<Slots<P>>,
        among: Range<usize>,
        piece: P,
        same: impl Fn(&P) -> bool,
    ) {
        let weight = weight(&piece);
        let mut queues = self.queues.lock();
        if weight > queues.capacity || among.clone().any(|at| slots.get_if(at, false, &same).is_some()) {
            return;
        }
        let empty = among.clone().find(|at| !slots.holds(*at));
        let Some(at) = empty.or(among.last()) else { return };
        let displaced = slots.clear(at);
        let Some(left_at) = slots.fill(at, piece) else { return };
        match displaced {
            None => queues.admit(Resident { slots: slots.clone(), at, weight }, left_at),
            // Whoever stands in a queue for the slot stands there for the new piece.
            Some(bytes) => {
                queues.bytes = queues.bytes + weight - bytes;
                queues.make_room();
            }
        }
    }

    /// Lets go of every piece in `slots`, which nobody will fill again.
    pub fn forget<P: Counted>(&self, slots: &Slots<P>) {
        let mut queues = self.queues.lock();
        let (count, bytes) = slots.empty();
        queues.bytes -= bytes;
        queues.gone += count;
        let all = queues.small.residents.len() + queues.large.residents.len();
        if queues.gone > FEW && queues.gone > all / 2 {
            queues.small.forget_gone();
            queues.large.forget_gone();
            queues.gone = 0;
        }
    }

    /// Changes the capacity; pieces are evicted at once if it shrinks.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        let mut queues = self.queues.lock();
        queues.capacity = capacity_bytes;
        self.capacity.store(capacity_bytes, Ordering::Relaxed);
        queues.make_room();
    }

    /// Bytes that the cache may hold.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// The account that pieces are charged to when they are loaded.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// What the cache did and holds.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let sum = |of: fn(&Counters) -> &AtomicU64| {
            self.counters.iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum()
        };
        let (cached_bytes, pieces, capacity_bytes) = {
            let queues = self.queues.lock();
            let standing = queues.small.residents.len() + queues.large.residents.len();
            (queues.bytes, standing.saturating_sub(queues.gone) as u64, queues.capacity)
        };
        CacheStats {
            hits: sum(|counters| &counters.hits),
            misses: sum(|counters| &counters.misses),
            cached_bytes,
            piece_bytes: cached_bytes.saturating_sub(pieces * OVERHEAD_BYTES),
            alive_bytes: self.account.bytes(),
            capacity_bytes,
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::base::memory::Charge;

    #[derive(Debug)]
    struct Piece(usize, #[expect(dead_code, reason = "counts until it is dropped")] Charge);

    impl Weigh for Arc<Piece> {
        fn size_bytes(&self) -> usize {
            self.0
        }
    }

    fn piece(cache: &BlockCache, bytes: usize) -> Arc<Piece> {
        Arc::new(Piece(bytes, cache.account().charge(bytes)))
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_shows_what_is_pinned() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(Slots::new(2000));
        let held = piece(&cache, 5000);
        cache.insert(&slots, 0, held.clone());
        for at in 1..2000 {
            cache.insert(&slots, at, piece(&cache, 4096));
        }
        let stats = cache.stats();
        assert!(stats.cached_bytes <= 1 << 20 && stats.cached_bytes > 1 << 19, "{stats:?}");
        assert!(stats.alive_bytes <= stats.cached_bytes + 5000, "{stats:?}");
        cache.insert(&slots, 0, piece(&cache, 2 << 20));
        assert!(cache.stats().cached_bytes <= 1 << 20, "too large for the cache");
        cache.set_capacity_bytes(1 << 16);
        assert!(cache.stats().cached_bytes <= 1 << 16);
        cache.forget(&slots);
        assert_eq!((cache.stats().alive_bytes, cache.stats().cached_bytes), (5000, 0), "evicted, but held");
        drop(held);
        assert_eq!(cache.stats().alive_bytes, 0);
    }

    #[test]
    fn a_piece_that_may_stand_in_several_slots_is_found_in_each_and_takes_the_last() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(Slots::new(10));
        for bytes in [10, 20, 30, 30] {
            cache.insert_among(&slots, 4..6, piece(&cache, bytes), |piece| piece.0 == bytes);
        }
        let of = |bytes: usize| cache.find(&slots, 4..6, true, |piece| piece.0 == bytes).map(|piece| piece.0);
        assert_eq!([of(10), of(20), of(30)], [Some(10), None, Some(30)]);
        assert!(cache.get(&slots, 4).is_some() && cache.get(&slots, 3).is_none());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (3, 2));
        assert_eq!((stats.piece_bytes, stats.alive_bytes), (40, 40), "{stats:?}");
        // However often one takes another's place, one stands in the queues for each slot.
        for round in 0..10_000 {
            cache.insert_among(&slots, 4..6, piece(&cache, 100 + round % 7), |_| false);
        }
        {
            let queues = cache.queues.lock();
            assert_eq!((queues.small.residents.len() + queues.large.residents.len(), queues.gone), (2, 0));
        }
        assert_eq!(cache.stats().piece_bytes, cache.stats().alive_bytes);
        // It counts for itself when it goes, whoever came for it.
        cache.set_capacity_bytes(0);
        assert_eq!((cache.stats().cached_bytes, cache.stats().alive_bytes), (0, 0));
    }

    #[test]
    fn lookups_are_counted() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(Slots::new(10));
        assert!(cache.get(&slots, 7).is_none());
        cache.insert(&slots, 7, piece(&cache, 10));
        assert!(cache.get(&slots, 7).is_some() && cache.peek(&slots, 7).is_some());
        assert!(cache.get(&slots, 8).is_none() && cache.get(&slots, 10).is_none());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (2, 3));
    }

    #[test]
    fn a_scan_does_not_drive_out_what_is_read_often_and_what_comes_back_stays() {
        let cache = BlockCache::new(100 * (1000 + OVERHEAD_BYTES));
        let (often, once) = (Arc::new(Slots::new(50)), Arc::new(Slots::new(10_000)));
        for at in 0..50 {
            cache.insert(&often, at, piece(&cache, 1000));
            assert!(cache.get(&often, at).is_some());
        }
        for at in 0..10_000 {
            cache.insert(&once, at, piece(&cache, 1000));
        }
        let left = (0..50).filter(|&at| cache.peek(&often, at).is_some()).count();
        assert_eq!(left, 50, "read once more before the scan");
        // What was evicted a moment ago and comes back outlives what follows it, unread.
        let back = (0..10_000).rfind(|&at| cache.peek(&once, at).is_none()).unwrap();
        cache.insert(&once, back, piece(&cache, 1000));
        for at in (0..1000).filter(|&at| at != back) {
            cache.insert(&once, at, piece(&cache, 1000));
        }
        assert!(cache.peek(&once, back).is_some());
    }

    #[test]
    fn the_queues_do_not_grow_with_what_is_gone() {
        let cache = BlockCache::new(1 << 30);
        for _ in 0..100 {
            let slots: Arc<Slots<Arc<Piece>>> = Arc::new(Slots::new(100));
            for at in 0..100 {
                cache.insert(&slots, at, piece(&cache, 10));
            }
            cache.forget(&slots);
        }
        let queues = cache.queues.lock();
        assert!(queues.small.residents.len() <= 2 * FEW + 100, "{}", queues.small.residents.len());
        assert_eq!((queues.bytes, queues.large.bytes), (0, 0));
    }

    /// Threads that read, fill and forget, with a cache that is too small: no count is off at the end.
    #[test]
    fn counts_hold_under_threads() {
        let cache = BlockCache::new(40 * (100 + OVERHEAD_BYTES));
        let slots: Arc<Slots<Arc<Piece>>> = Arc::new(Slots::new(100));
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let (cache, slots) = (&cache, &slots);
                scope.spawn(move || {
                    for i in 0..20_000usize {
                        let at = i.wrapping_mul(2 * thread + 1) % 100;
                        match cache.get(slots, at) {
                            Some(piece) => assert_eq!(piece.0, 100),
                            None => cache.insert(slots, at, piece(cache, 100)),
                        }
                        if i % 5000 == 4999 {
                            cache.forget(slots);
                        }
                    }
                });
            }
        });
        let stats = cache.stats();
        assert!(stats.cached_bytes <= stats.capacity_bytes, "{stats:?}");
        cache.forget(&slots);
        assert_eq!((cache.stats().cached_bytes, cache.stats().alive_bytes), (0, 0));
    }
}
