//! An unrolled skiplist: one thread inserts at a time, any number read without locks.
//!
//! # Shape
//! The entries stand in fat nodes (`node`) of up to 15; the nodes are the elements of a skiplist
//! (Pugh, 1990), each owning the entries from its `low` to the next node's. A search goes down the
//! links, which carry the head of the node behind them, then looks into one node: for 600,000
//! entries the links that it touches fit into a second-level cache, and what is left is a miss or
//! two in the node and one for the entry that it finds.
//!
//! # Heads
//! The head of a key is eight bytes of it behind what it has in common with others (`heads`).
//! `head(a) < head(b)` implies `a < b` for every pair of keys; equal heads decide nothing.
//!
//! # Invariants
//! 1. Memory is freed only with the list: a node or entry that was reachable once stays readable.
//! 2. An entry never changes. A node's `low` never changes, and the next node of a given node, at
//!    any level, only ever gets smaller: nodes are inserted and never removed.
//! 3. A node's order names only written slots. A slot that some order named is written again only
//!    after a split took it out of the order and the node's version went up.
//! 4. An entry that was inserted is at every moment in a node that a search for it can reach: a
//!    split publishes the upper half in the new node before it takes it out of the old one.
//!
//! # Publication
//! Insert: write the entry, write a free slot, store the order (release). Split: build the new
//! node, publish it bottom-up (each link: pointer, then head, both release), shorten the old node's
//! order, raise its version, release fence. Readers load in the opposite direction: version, order,
//! *then* the level-0 link; if the next node starts before the key sought they move right (Lehman
//! and Yao, 1981: the link is the way from a node to what a split took out of it); then the slots;
//! then the version again, and start over if it has changed (a seqlock; the entries that a doomed
//! reader meets are whole, only their order may be wrong, so its comparisons are harmless).
//! A reader that starts over has lost to a split, so that the system as a whole always advances.
//!
//! What a reader must see: everything that was inserted before something that it has synchronised
//! with (the published sequence number). It may or may not see later insertions.
//!
//! # Tried or rejected
//! - A plain skiplist with a head beside each link: one miss per node entered, 10 to 12 for 600,000
//!   random keys, where this has about four (a random insertion of 16 + 100 bytes takes 0.4 us on a
//!   2 GHz core; 1.4 us if heads decide nothing because the prefix is too short).
//! - Walking without fetching ahead: a miss per entry, 100 ns instead of 28.
//! - Copying a node at each split or insertion instead of writing slots again: needs no version, but
//!   leaves a dead node behind for every eight insertions, more memory than all live nodes take.
//! - Concurrent inserters: they need compare-and-swap at every level and a lock per node for the
//!   splits; one leader that inserts for its group does not wait for anyone.
//! - A way back from a node to the one before it: it would be one more word to keep right in a
//!   split. Stepping back within a node is free, and over its start costs a search.

use super::arena::Arena;
use super::entry::Entry;
use super::heads::Heads;
use super::node::NodeRef;
use super::order::{Order, SLOTS};
use super::spare::Spare;
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::sync::quiet::{AtomicUsize, Ordering};
use crate::base::sync::{Arc, Mutex, MutexGuard};

/// Levels of links. A node is in one more level with a chance of one in four.
const MAX_HEIGHT: usize = if cfg!(loom) { 2 } else { 12 };

/// An internal key to search for, with its head in this list.
#[derive(Clone, Copy)]
pub(super) struct Target<'k> {
    pub(super) head: u64,
    pub(super) key: &'k [u8],
    pub(super) trailer: Trailer,
}

/// Where a reader stands: an entry, and how it was found.
#[derive(Clone, Copy)]
pub(super) struct Position<'a> {
    node: NodeRef<'a>,
    version: u64,
    order: Order,
    rank: usize,
    entry: Entry<'a>,
}

impl<'a> Position<'a> {
    pub(super) fn entry(&self) -> Entry<'a> {
        self.entry
    }

    /// Forgets what the position borrows.
    ///
    /// # Safety
    /// The list must outlive every use of the result.
    pub(super) unsafe fn erase(self) -> Position<'static> {
        // SAFETY: as the caller says; both point into the list's arenas.
        let (node, entry) = unsafe { (self.node.erase(), Entry::from_raw(self.entry.into_raw())) };
        Position { node, version: self.version, order: self.order, rank: self.rank, entry }
    }
}

/// The list. It owns the memory of its nodes and entries.
pub(super) struct SkipList {
    heads: Heads,
    /// The node that starts before every key; of the full height.
    first: NodeRef<'static>,
    /// Levels in use.
    height: AtomicUsize,
    inserter: Mutex<Inserter>,
}

/// What only the inserting thread touches.
struct Inserter {
    entries: Arena,
    nodes: Arena,
    random: u64,
    /// The node of the last insertion: the next one of an ascending run belongs there, too.
    finger: NodeRef<'static>,
    /// Whether the last insertion was at the end of `finger`.
    ascending: bool,
}

/// The right to insert.
pub(super) struct ListWriter<'a> {
    list: &'a SkipList,
    inserter: MutexGuard<'a, Inserter>,
}

impl SkipList {
    /// An empty list that is searched by these heads and whose entries are expected to take
    /// `expected_bytes`. `seed` decides the heights of its nodes.
    pub(super) fn new(heads: Heads, seed: u64, expected_bytes: usize) -> SkipList {
        let mut nodes = Arena::new(expected_bytes / 4);
        // SAFETY: the list owns the arena and hands the node out for no longer than its own borrow.
        let first = unsafe { NodeRef::allocate(&mut nodes, MAX_HEIGHT, &[]) };
        let entries = Arena::new(expected_bytes);
        let inserter = Inserter { entries, nodes, random: seed, finger: first, ascending: true };
        SkipList { heads, first, height: AtomicUsize::new(1), inserter: Mutex::new(inserter) }
    }

    /// Takes memory from there from now on, and leaves it there.
    pub(super) fn set_spare(&self, spare: &Arc<Spare>) {
        let mut inserter = self.inserter.lock();
        inserter.entries.set_spare(spare);
        inserter.nodes.set_spare(spare);
    }

    /// By what it is searched.
    pub(super) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Waits for the right to insert.
    pub(super) fn writer(&self) -> ListWriter<'_> {
        ListWriter { list: self, inserter: self.inserter.lock() }
    }

    /// What to search for to find `key` as of `trailer`.
    pub(super) fn target<'k>(&self, key: &'k [u8], trailer: Trailer) -> Target<'k> {
        Target { head: self.heads.head(key), key, trailer }
    }

    /// The least internal key after that of `entry`. Trailers of entries are never zero.
    fn beyond<'k>(&self, entry: Entry<'k>) -> Target<'k> {
        self.target(entry.key(), Trailer(entry.trailer().0 - 1))
    }

    fn first(&self) -> NodeRef<'_> {
        self.first
    }

    /// The last node that the links show to start before `target`.
    #[inline]
    fn descend<'n>(&self, first: NodeRef<'n>, target: &Target<'_>) -> NodeRef<'n> {
        self.descend_to(0, first, target)
    }

    /// As [`SkipList::descend`], down to a level and not further.
    #[inline]
    fn descend_to<'n>(&self, lowest: usize, first: NodeRef<'n>, target: &Target<'_>) -> NodeRef<'n> {
        let mut node = first;
        // A height that is out of date only makes the way longer.
        for level in (lowest..self.height.load(Ordering::Relaxed)).rev() {
            // SAFETY: the first node has every level, and any other was reached in this one.
            while let Some(next) = unsafe { node.link_at(level) }.next_before(target) {
                node = next;
            }
        }
        node
    }

    /// The node that `target` belongs to, at `node` or behind it, a snapshot of it, and how many of
    /// its entries sort before `target`. `node` must start before `target`.
    // Left to itself the compiler takes it out of `get`, which costs a look-up 6 % more instructions.
    #[inline(always)]
    fn locate<'n>(&self, mut node: NodeRef<'n>, target: &Target<'_>) -> (NodeRef<'n>, u64, Order, usize) {
        loop {
            let (version, order) = node.snapshot();
            // After the snapshot: if a split has shortened the order, its new node is seen here.
            if let Some(next) = node.link().next_before(target) {
                node = next;
                continue;
            }
            let rank = node.rank(order, target);
            if node.still_at(version) {
                return (node, version, order, rank);
            }
        }
    }

    /// The newest entry of `key` with a sequence number of at most `seq`.
    pub(super) fn get(&self, key: &[u8], seq: SeqNum) -> Option<Entry<'_>> {
        let target = self.target(key, Trailer::seek(seq));
        let mut start = self.descend(self.first(), &target);
        loop {
            let (node, version, order, rank) = self.locate(start, &target);
            if rank < order.len() {
                let slot = order.slot(rank);
                let (head, entry) = (node.head(slot), node.entry(slot));
                if !node.still_at(version) {
                    continue;
                }
                return (head == target.head && entry.key() == key).then_some(entry);
            }
            if node.link().next_head() > target.head {
                return None;
            }
            let next = node.link().next()?;
            if !next.starts_before(&target) {
                return next.low().filter(|low| low.key() == key);
            }
            // It is being linked: the head beside the pointer is still that of the node behind it.
            start = next;
        }
    }

    /// The first entry at or after `target`.
    pub(super) fn at_or_after(&self, target: &Target<'_>) -> Option<Position<'_>> {
        let mut start = self.descend(self.first(), target);
        loop {
            let (node, version, order, rank) = self.locate(start, target);
            if rank < order.len() {
                let entry = node.entry(order.slot(rank));
                if node.still_at(version) {
                    node.prefetch_entries(order, rank + 1..order.len());
                    return Some(Position { node, version, order, rank, entry });
                }
                continue;
            }
            let next = node.link().next()?;
            if !next.starts_before(target) {
                return start_of(next);
            }
            start = next;
        }
    }

    /// The last entry before `target`.
    pub(super) fn before(&self, target: &Target<'_>) -> Option<Position<'_>> {
        let start = self.descend(self.first(), target);
        loop {
            let (node, version, order, rank) = self.locate(start, target);
            // Only in the first node may no entry be smaller: any other starts before `target`.
            let rank = rank.checked_sub(1)?;
            node.prefetch_entries(order, 0..rank);
            let entry = node.entry(order.slot(rank));
            if node.still_at(version) {
                return Some(Position { node, version, order, rank, entry });
            }
        }
    }

    /// The first entry.
    pub(super) fn first_position(&self) -> Option<Position<'_>> {
        start_of(self.first())
    }

    /// The last entry.
    pub(super) fn last_position(&self) -> Option<Position<'_>> {
        let mut node = self.first();
        for level in (0..self.height.load(Ordering::Relaxed)).rev() {
            // SAFETY: the first node has every level, and any other was reached in this one.
            while let Some(next) = unsafe { node.link_at(level) }.next() {
                node = next;
            }
        }
        loop {
            let (version, order) = node.snapshot();
            if let Some(next) = node.link().next() {
                node = next;
                continue;
            }
            let rank = order.len().checked_sub(1)?;
            let entry = node.entry(order.slot(rank));
            if node.still_at(version) {
                return Some(Position { node, version, order, rank, entry });
            }
        }
    }

    /// Some of the keys in their order, so many or a few times as many: the lowest of the nodes of a level.
    /// All keys, if there are not more than that.
    pub(super) fn sample(&self, about: usize) -> Vec<&[u8]> {
        let mut keys = Vec::new();
        for level in (0..self.height.load(Ordering::Relaxed)).rev() {
            keys.clear();
            let mut node = self.first();
            // SAFETY: the first node has every level, and any other was reached in this one.
            while let Some(next) = unsafe { node.link_at(level) }.next() {
                keys.extend(next.low().map(Entry::key));
                node = next;
            }
            if keys.len() >= about {
                return keys;
            }
        }
        keys.clear();
        let mut at = self.first_position();
        while let Some(position) = at {
            keys.push(position.entry().key());
            at = self.after(&position);
        }
        keys
    }

    /// The entry after `at`.
    pub(super) fn after<'a>(&'a self, at: &Position<'a>) -> Option<Position<'a>> {
        let rank = at.rank + 1;
        if rank < at.order.len() {
            let entry = at.node.entry(at.order.slot(rank));
            if at.node.still_at(at.version) {
                return Some(Position { rank, entry, ..*at });
            }
        } else {
            let next = at.node.link().next()?;
            // A split may have moved the entry that we stand on into `next`.
            if !next.starts_before(&self.beyond(at.entry)) {
                return start_of(next);
            }
        }
        self.at_or_after(&self.beyond(at.entry))
    }

    /// The entry before `at`.
    pub(super) fn before_position<'a>(&'a self, at: &Position<'a>) -> Option<Position<'a>> {
        if let Some(rank) = at.rank.checked_sub(1) {
            let entry = at.node.entry(at.order.slot(rank));
            if at.node.still_at(at.version) {
                return Some(Position { rank, entry, ..*at });
            }
        }
        self.before(&self.target(at.entry.key(), at.entry.trailer()))
    }
}

/// The first entry of a node. Only the first node of an empty list has none.
fn start_of(node: NodeRef<'_>) -> Option<Position<'_>> {
    loop {
        let (version, order) = node.snapshot();
        if order.len() == 0 {
            return None;
        }
        node.prefetch_entries(order, 1..order.len());
        node.prefetch_next();
        let entry = node.entry(order.slot(0));
        if node.still_at(version) {
            return Some(Position { node, version, order, rank: 0, entry });
        }
    }
}

/// How many insertions go in step. A processor waits for about a dozen cache lines at once.
pub(super) const IN_STEP: usize = 16;

/// How far the search for an entry's node has come.
#[derive(Clone, Copy)]
struct Way<'t> {
    target: Target<'t>,
    node: NodeRef<'static>,
}

/// Whether a target belongs to a node, as far as its link shows.
#[inline]
fn covers(node: NodeRef<'_>, target: &Target<'_>) -> bool {
    node.starts_before(target) && node.link().next_before(target).is_none()
}

/// Goes the rest of the ways in the lowest level, which has most of the nodes: each takes a step when its
/// turn comes, and the node that it came to is fetched until then.
fn go_in_step(ways: &mut [Way<'_>]) {
    let mut walking: [usize; IN_STEP] = std::array::from_fn(|at| at);
    let mut left = ways.len();
    while left > 0 {
        let mut still = 0;
        for at in 0..left {
            let walker = walking[at];
            let way = &mut ways[walker];
            if let Some(next) = way.node.link().next_before(&way.target) {
                way.node = next;
                next.prefetch_link();
                walking[still] = walker;
                still += 1;
            } else {
                way.node.prefetch();
            }
        }
        left = still;
    }
}

impl ListWriter<'_> {
    /// Inserts a copy of `entry`. Its internal key must not be in the list.
    pub(super) fn insert(&mut self, entry: &EntryRef<'_>) {
        let list = self.list;
        let target = list.target(entry.key, entry.trailer());
        let finger = self.inserter.finger;
        let at_finger = covers(finger, &target);
        let node = if at_finger { finger } else { list.descend(list.first, &target) };
        self.insert_at(node, at_finger, &target, entry);
    }

    /// Inserts copies of entries, at most [`IN_STEP`], as [`ListWriter::insert`] does one after the other.
    /// The ways to their nodes are gone in step, so that they wait for memory together.
    pub(super) fn insert_in_step(&mut self, entries: &[EntryRef<'_>]) {
        let (list, finger) = (self.list, self.inserter.finger);
        let nowhere = Target { head: 0, key: &[], trailer: Trailer::LAST };
        let mut ways = [Way { target: nowhere, node: finger }; IN_STEP];
        let ways = &mut ways[..entries.len()];
        for (way, entry) in ways.iter_mut().zip(entries) {
            way.target = list.target(entry.key, entry.trailer());
            if !covers(finger, &way.target) {
                way.node = list.descend_to(1, list.first, &way.target);
            }
        }
        go_in_step(ways);
        for (way, entry) in ways.iter().zip(entries) {
            let mut node = way.node;
            // Those inserted just before may have split it.
            while let Some(next) = node.link().next_before(&way.target) {
                node = next;
            }
            self.insert_at(node, node.is(self.inserter.finger), &way.target, entry);
        }
    }

    /// Inserts a copy of `entry`, which belongs to `node`; `at_finger` says that this is where the last one
    /// was inserted.
    #[inline(always)]
    fn insert_at(
        &mut self,
        mut node: NodeRef<'static>,
        at_finger: bool,
        target: &Target<'_>,
        entry: &EntryRef<'_>,
    ) {
        // SAFETY: the list owns the arena and hands the entry out for no longer than its own borrow.
        let copy = unsafe { Entry::write(&mut self.inserter.entries, entry) };
        let mut rank = node.rank(node.order(), target);
        if node.order().len() == SLOTS {
            let last = node.link().next().is_none();
            if rank == SLOTS && (last || at_finger && self.inserter.ascending) {
                // An ascending run fills its nodes.
                let node = self.link_behind(node, &[(target.head, copy)]);
                (self.inserter.finger, self.inserter.ascending) = (node, true);
                return;
            }
            let upper = self.split(node);
            if upper.starts_before(target) {
                node = upper;
            }
            rank = node.rank(node.order(), target);
        }
        node.place(rank, target.head, copy);
        self.inserter.ascending = rank + 1 == node.order().len();
        self.inserter.finger = node;
    }

    /// Moves the upper half of a full node into a new one behind it, which is returned.
    fn split(&mut self, node: NodeRef<'static>) -> NodeRef<'static> {
        let order = node.order();
        let half = SLOTS / 2;
        let slots: [_; SLOTS] = std::array::from_fn(|rank| {
            let slot = order.slot(rank);
            (node.head(slot), node.entry(slot))
        });
        let new = self.link_behind(node, &slots[half..]);
        node.shorten(half);
        new
    }

    /// Publishes a node of the entries `slots` right behind `node`.
    fn link_behind(&mut self, node: NodeRef<'static>, slots: &[(u64, Entry<'_>)]) -> NodeRef<'static> {
        let height = self.random_height();
        // SAFETY: the list owns the arena and hands the node out for no longer than its own borrow.
        let new = unsafe { NodeRef::allocate(&mut self.inserter.nodes, height, slots) };
        let (head, low) = slots[0];
        if height == 1 {
            new.link().copy_unpublished(node.link());
            node.link().publish(new, head);
            return new;
        }
        let target = Target { head, key: low.key(), trailer: low.trailer() };
        let mut before = [self.list.first; MAX_HEIGHT];
        let mut at = self.list.first;
        for level in (1..MAX_HEIGHT).rev() {
            // SAFETY: the first node has every level, and any other was reached in this one.
            while let Some(next) = unsafe { at.link_at(level) }.next_before(&target) {
                at = next;
            }
            before[level] = at;
        }
        before[0] = node;
        for (level, before) in before.iter().enumerate().take(height) {
            // SAFETY: both nodes are at least `level + 1` high: the new one by construction, the
            // other because it was reached in this level.
            let (behind, link) = unsafe { (before.link_at(level), new.link_at(level)) };
            link.copy_unpublished(behind);
        }
        for (level, before) in before.iter().enumerate().take(height) {
            // SAFETY: as above.
            unsafe { before.link_at(level) }.publish(new, head);
        }
        if height > self.list.height.load(Ordering::Relaxed) {
            self.list.height.store(height, Ordering::Relaxed);
        }
        new
    }

    fn random_height(&mut self) -> usize {
        // splitmix64 (Steele, Lea and Flood, 2014).
        let inserter = &mut *self.inserter;
        inserter.random = inserter.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = inserter.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        // Two bits a level.
        (1 + x.trailing_zeros() as usize / 2).min(MAX_HEIGHT)
    }

    /// Bytes that entries and nodes take.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.inserter.entries.used_bytes() + self.inserter.nodes.used_bytes()
    }
}
