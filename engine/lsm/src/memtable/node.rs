//! The fat node of the skiplist: up to [`SLOTS`] entries, their heads, and the links.
//!
//! In memory a node of height `h` is its links of levels `h-1` down to 1 and then the [`Node`],
//! which starts with the link of level 0: the link of level `i` stands `i` links before the node's
//! address.

use super::arena::{ALIGN, Arena};
use super::entry::{Entry, Header};
use super::order::{Order, SLOTS};
use super::skiplist::Target;
use crate::base::memory::prefetch;
use crate::base::sync::quiet::{AtomicPtr, AtomicU64, Ordering, fence};
use std::cmp;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// A pointer to the next node of a level, and beside it the head of that node's lowest entry, so
/// that most searches need not touch a node that they will not enter.
///
/// The two words are not changed as one. The writer stores the pointer first, then the head;
/// readers load the head first, then the pointer. Since inserting makes the next node of a given
/// node only ever smaller, a reader may see a head that is too great for the pointer and never one
/// that is too small: it descends too early (the levels below make up for it) and never overshoots.
#[repr(C)]
pub(super) struct Link {
    head: AtomicU64,
    next: AtomicPtr<Node>,
}

/// A node. Its `low` is immutable; what the rest may do is told in `skiplist`.
#[repr(C)]
pub(super) struct Node {
    /// Level 0. Must stay first (see the module).
    link: Link,
    order: AtomicU64,
    /// Counts the splits of this node. A slot is written a second time only after a split.
    version: AtomicU64,
    /// The lowest entry of the node, then and for ever; `None` in the first node of the list.
    low: Option<Entry<'static>>,
    low_head: u64,
    height: usize,
    heads: [AtomicU64; SLOTS],
    entries: [AtomicPtr<Header>; SLOTS],
}

const _: () = assert!(align_of::<Node>() <= ALIGN && size_of::<Link>().is_multiple_of(align_of::<Node>()));

/// A reference to a node in an arena that lives for `'a`.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    node: NonNull<Node>,
    arena: PhantomData<&'a Node>,
}

// SAFETY: a shared reference to a `Node`, whose fields are atomics and references that are `Sync`.
unsafe impl Send for NodeRef<'_> {}
// SAFETY: as above.
unsafe impl Sync for NodeRef<'_> {}

impl Link {
    fn new() -> Link {
        Link { head: AtomicU64::new(u64::MAX), next: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The next node of this level.
    pub(super) fn next(&self) -> Option<NodeRef<'_>> {
        // Acquire makes what was written before publication visible; the node stands in the same
        // arena as this link.
        let node = NonNull::new(self.next.load(Ordering::Acquire))?;
        Some(NodeRef { node, arena: PhantomData })
    }

    /// The next node of this level if its lowest entry sorts before `target`.
    pub(super) fn next_before(&self, target: &Target<'_>) -> Option<NodeRef<'_>> {
        // Acquire: whoever sees a head sees the pointer that it belongs to, or a later one.
        let head = self.head.load(Ordering::Acquire);
        if head > target.head {
            return None;
        }
        let next = self.next()?;
        if head == target.head && !next.starts_before(target) {
            return None;
        }
        Some(next)
    }

    /// The head of the next node's lowest entry, or a greater one if that node is being linked.
    pub(super) fn next_head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Copies `other` into a link that nobody else can see yet.
    pub(super) fn copy_unpublished(&self, other: &Link) {
        self.next.store(other.next.load(Ordering::Relaxed), Ordering::Relaxed);
        self.head.store(other.head.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Publishes `node`, whose lowest entry has `head`, behind this link.
    pub(super) fn publish(&self, node: NodeRef<'_>, head: u64) {
        self.next.store(node.node.as_ptr(), Ordering::Release);
        self.head.store(head, Ordering::Release);
    }
}

impl<'a> NodeRef<'a> {
    /// A node of `height` levels holding `slots` (heads and entries in ascending order), known to
    /// nobody yet.
    ///
    /// # Safety
    /// The caller bounds the lifetime: the arena and that of the entries must outlive every use.
    pub(super) unsafe fn allocate(
        arena: &mut Arena,
        height: usize,
        slots: &[(u64, Entry<'_>)],
    ) -> NodeRef<'a> {
        assert!(height >= 1 && slots.len() <= SLOTS);
        let above = height - 1;
        let piece = arena.allocate(above * size_of::<Link>() + size_of::<Node>()).cast::<Link>();
        let entry = |i: usize| slots.get(i).map_or(std::ptr::null_mut(), |(_, entry)| entry.into_raw());
        // SAFETY: the piece holds `above` links and then a node, is aligned for both, and known to
        // nobody else. The entries live in the table's other arena, dropped together with this one.
        unsafe {
            for i in 0..above {
                piece.add(i).write(Link::new());
            }
            let node = piece.add(above).cast::<Node>();
            node.write(Node {
                link: Link::new(),
                order: AtomicU64::new(Order::sorted(slots.len()).0),
                version: AtomicU64::new(0),
                low: slots.first().map(|(_, entry)| Entry::from_raw(entry.into_raw())),
                low_head: slots.first().map_or(0, |(head, _)| *head),
                height,
                heads: std::array::from_fn(|i| AtomicU64::new(slots.get(i).map_or(0, |(head, _)| *head))),
                entries: std::array::from_fn(|i| AtomicPtr::new(entry(i))),
            });
            NodeRef { node, arena: PhantomData }
        }
    }

    /// Forgets what the reference borrows.
    ///
    /// # Safety
    /// The arena must outlive every use of the result.
    pub(super) unsafe fn erase(self) -> NodeRef<'static> {
        NodeRef { node: self.node, arena: PhantomData }
    }

    fn node(self) -> &'a Node {
        // SAFETY: the type's invariant: the node is initialised and lives for `'a`.
        unsafe { self.node.as_ref() }
    }

    /// The link of level 0, which every node has.
    pub(super) fn link(self) -> &'a Link {
        &self.node().link
    }

    /// The link of any level.
    ///
    /// # Safety
    /// `level` is below the node's height. A node that is linked in a level is that high.
    pub(super) unsafe fn link_at(self, level: usize) -> &'a Link {
        debug_assert!(level < self.node().height);
        // SAFETY: `allocate` put the link of this level there; it lives for `'a`.
        unsafe { self.node.cast::<Link>().sub(level).as_ref() }
    }

    /// The lowest entry of the node; `None` in the first one.
    pub(super) fn low(self) -> Option<Entry<'a>> {
        self.node().low
    }

    /// Whether the lowest entry of this node sorts before `target`.
    pub(super) fn starts_before(self, target: &Target<'_>) -> bool {
        let head = self.node().low_head;
        match self.low() {
            Some(_) if head != target.head => head < target.head,
            Some(low) => low.compare(target.key, target.trailer) == cmp::Ordering::Less,
            None => true,
        }
    }

    /// What a reader must know to walk the node: its version, then its order.
    pub(super) fn snapshot(self) -> (u64, Order) {
        // Acquire: whoever sees a version sees the shortened order that came with it.
        let version = self.node().version.load(Ordering::Acquire);
        (version, self.order())
    }

    /// The order in which the slots are filled.
    pub(super) fn order(self) -> Order {
        // Acquire: the slots that the order names are written.
        Order(self.node().order.load(Ordering::Acquire))
    }

    /// Whether what was read from the slots since the snapshot was what the snapshot named.
    pub(super) fn still_at(self, version: u64) -> bool {
        // Pairs with the release fence in `shorten`: if a slot was read that was written again
        // after a split, the count of that split is seen.
        fence(Ordering::Acquire);
        self.node().version.load(Ordering::Relaxed) == version
    }

    /// The entry in a slot that an order of this node names.
    pub(super) fn entry(self, slot: usize) -> Entry<'a> {
        // Acquire: the slot may be written again at this moment, and the new entry's bytes must be
        // visible even though the reader is about to find out and start over.
        let header = self.node().entries[slot].load(Ordering::Acquire);
        // SAFETY: a slot that an order names has been written with an entry of this table, and
        // slots are never cleared.
        unsafe { Entry::from_raw(header) }
    }

    /// The head of the entry in a slot.
    pub(super) fn head(self, slot: usize) -> u64 {
        self.node().heads[slot].load(Ordering::Relaxed)
    }

    /// Fetches the entries at `ranks`, which a walk will come to: they lie about in the order of
    /// their insertion, so that each would be a cache miss of its own.
    pub(super) fn prefetch_entries(self, order: Order, ranks: Range<usize>) {
        if cfg!(loom) {
            return;
        }
        for rank in ranks {
            let entry: *const u8 = self.node().entries[order.slot(rank)].load(Ordering::Relaxed).cast();
            prefetch(entry);
            prefetch(entry.wrapping_add(64));
        }
    }

    /// Fetches the link of level 0.
    pub(super) fn prefetch_link(self) {
        if !cfg!(loom) {
            prefetch(self.node.as_ptr());
        }
    }

    /// Whether it is the same node.
    pub(super) fn is(self, other: NodeRef<'_>) -> bool {
        self.node == other.node
    }

    /// Fetches this node.
    pub(super) fn prefetch(self) {
        if cfg!(loom) {
            return;
        }
        let node: *const u8 = self.node.as_ptr().cast();
        for line in (0..size_of::<Node>()).step_by(64) {
            prefetch(node.wrapping_add(line));
        }
    }

    /// Fetches the node behind this one.
    pub(super) fn prefetch_next(self) {
        if cfg!(loom) {
            return;
        }
        let next: *const u8 = self.node().link.next.load(Ordering::Relaxed).cast();
        for line in (0..size_of::<Node>()).step_by(64) {
            prefetch(next.wrapping_add(line));
        }
    }

    /// How many entries sort before `target`.
    pub(super) fn rank(self, order: Order, target: &Target<'_>) -> usize {
        let (mut low, mut high) = (0, order.len());
        while low < high {
            let middle = (low + high) / 2;
            let slot = order.slot(middle);
            let head = self.head(slot);
            let before = if head == target.head {
                self.entry(slot).compare(target.key, target.trailer) == cmp::Ordering::Less
            } else {
                head < target.head
            };
            if before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Writes an entry into a free slot and publishes it at `rank`. The node must not be full.
    /// For the writer only.
    pub(super) fn place(self, rank: usize, head: u64, entry: Entry<'_>) {
        let (slot, order) = self.order().insert(rank);
        let node = self.node();
        node.heads[slot].store(head, Ordering::Relaxed);
        node.entries[slot].store(entry.into_raw(), Ordering::Release);
        node.order.store(order.0, Ordering::Release);
    }

    /// Gives up all but the first `len` entries, which stand in another, published node by now.
    /// For the writer only.
    pub(super) fn shorten(self, len: usize) {
        let node = self.node();
        node.order.store(self.order().shortened(len).0, Ordering::Release);
        node.version.store(node.version.load(Ordering::Relaxed) + 1, Ordering::Release);
        // Whoever sees a slot that is written from here on sees the new version, too.
        fence(Ordering::Release);
    }
}
