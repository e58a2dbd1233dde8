//! Places for the pieces of a table, one beside each entry of an index: whoever has found the entry has
//! found the piece, without looking it up anywhere.
//!
//! # Protocol
//! A slot is one word. It is empty, or holds a reference to a piece: the address, which is a multiple of
//! eight, and two bits. `LOCKED` is set for the few instructions in which a reader makes a reference of its
//! own from the slot's, and nobody else changes the word while it is. `USED` says that somebody has read
//! the piece since the cache last asked. Whoever takes a piece out does so by one exchange that expects the
//! word not to be locked, and gets the slot's reference with it: from then on no reader can come by that
//! reference any more, and none is about to. An empty slot may remember when it was emptied (`GHOST`).
//!
//! A reader writes to a slot's word, not to a lock that others share. It waits only for another one
//! that reads the same piece, and only for those few instructions.

use super::blocks::Weigh;
use crate::base::memory::prefetch;
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicUsize, Ordering};
use crate::base::sync::thread;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// A reader is making a reference of its own.
const LOCKED: usize = 1;
/// The piece was read since the cache last asked.
const USED: usize = 2;
/// The slot is empty, and the rest of the word is a time; see [`Slots::sweep`].
const GHOST: usize = 4;
const BITS: usize = LOCKED | USED | GHOST;

/// So often a reader looks again before it lets others run.
const SPINS: u32 = 64;

/// A counted reference that fits into a word and leaves its lowest three bits alone.
pub trait Counted: Weigh + Send + Sync + 'static {
    /// Gives the reference up for a number, which is a multiple of eight and not zero.
    fn into_word(self) -> usize;

    /// Takes it back.
    ///
    /// # Safety
    /// `word` must come from [`Counted::into_word`], and nobody may have taken it back yet.
    unsafe fn from_word(word: usize) -> Self;
}

impl<T: Send + Sync + 'static> Counted for Arc<T>
where
    Arc<T>: Weigh,
{
    #[inline]
    fn into_word(self) -> usize {
        const { assert!(align_of::<T>() > BITS, "the bits of a slot lie below the address") };
        Arc::into_raw(self).expose_provenance()
    }

    #[inline]
    unsafe fn from_word(word: usize) -> Self {
        // SAFETY: the caller says that `word` is of `into_word`, and that the reference is there to be taken.
        unsafe { Arc::from_raw(std::ptr::with_exposed_provenance(word)) }
    }
}

/// What became of a slot that was asked whether it can be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// It was read since it was last asked.
    Used,
    /// It was emptied of a piece that counted for so much.
    Emptied(u64),
    /// There was nothing in it.
    Gone,
}

/// Slots for the pieces that the entries of one index name. Empty ones cost a word each.
pub struct Slots<P: Counted> {
    words: Box<[AtomicUsize]>,
    pieces: PhantomData<P>,
}

impl<P: Counted> fmt::Debug for Slots<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("count", &self.words.len()).finish_non_exhaustive()
    }
}

/// The address in a word; `None` if the slot is empty.
#[inline]
fn address(word: usize) -> Option<usize> {
    if word & GHOST != 0 || word == 0 { None } else { Some(word & !BITS) }
}

impl<P: Counted> Slots<P> {
    /// `count` empty slots.
    #[must_use]
    pub fn new(count: usize) -> Slots<P> {
        Slots { words: (0..count).map(|_| AtomicUsize::new(0)).collect(), pieces: PhantomData }
    }

    /// Bytes that the slots take in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.words.len() * size_of::<usize>()
    }

    /// Has the processor fetch the slot.
    #[inline]
    pub fn prefetch(&self, at: usize) {
        if let Some(word) = self.words.get(at) {
            prefetch(word);
        }
    }

    /// Has the processor fetch the beginning of the piece in the slot, if there is one.
    #[inline]
    pub fn prefetch_piece(&self, at: usize) {
        if let Some(slot) = self.words.get(at)
            && let Some(address) = address(slot.load(Ordering::Relaxed))
        {
            // It may be gone by now: nothing depends on it.
            let piece: *const u8 = std::ptr::without_provenance(address);
            prefetch(piece);
            prefetch(piece.wrapping_add(64));
        }
    }

    /// The piece in slot `at`, if there is one. `mark` is whether it counts as used from now on.
    #[inline]
    pub(super) fn get(&self, at: usize, mark: bool) -> Option<P> {
        self.get_if(at, mark, |_| true)
    }

    /// As [`Slots::get`], if the piece is as `wanted`; another one is left as it was.
    #[inline]
    pub(super) fn get_if(&self, at: usize, mark: bool, wanted: impl FnOnce(&P) -> bool) -> Option<P> {
        let slot = self.words.get(at)?;
        let word = slot.load(Ordering::Relaxed);
        address(word)?;
        let word = if word & LOCKED == 0
            && slot.compare_exchange(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            word
        } else {
            Self::lock(slot)?
        };
        // SAFETY: the word holds a reference, as `lock` and the check above see to; it is taken back and
        // given up again at once, while the slot is locked: nobody else takes it back in between.
        let own = ManuallyDrop::new(unsafe { P::from_word(word & !BITS) });
        let piece = wanted(&own).then(|| P::clone(&own));
        let word = ManuallyDrop::into_inner(own).into_word()
            | (word & USED)
            | if mark && piece.is_some() { USED } else { 0 };
        slot.store(word, Ordering::Release);
        piece
    }

    /// Locks a slot that others read, too, and shows its word; `None` if it is empty.
    #[cold]
    fn lock(slot: &AtomicUsize) -> Option<usize> {
        let mut spins = 0;
        let mut word = slot.load(Ordering::Relaxed);
        loop {
            address(word)?;
            if word & LOCKED == 0 {
                let locked = word | LOCKED;
                match slot.compare_exchange(word, locked, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Some(word),
                    Err(now) => word = now,
                }
                continue;
            }
            spins += 1;
            if spins % SPINS == 0 || cfg!(loom) {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
            word = slot.load(Ordering::Relaxed);
        }
    }

    /// Puts a piece into slot `at`, unless there is one or no such slot. Returns whether it did, and if so
    /// with what was remembered when the slot was emptied.
    pub(super) fn fill(&self, at: usize, piece: P) -> Option<Option<u64>> {
        let slot = self.words.get(at)?;
        let new = piece.into_word();
        let mut word = slot.load(Ordering::Relaxed);
        loop {
            if address(word).is_some() {
                // SAFETY: it was given up above, and was not put where anybody could take it.
                drop(unsafe { P::from_word(new) });
                return None;
            }
            match slot.compare_exchange_weak(word, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Some((word & GHOST != 0).then_some((word / (BITS + 1)) as u64)),
                Err(now) => word = now,
            }
        }
    }

    /// Takes a piece out. With `unused`, one that was used since it was last asked stays, but has to be used
    /// again to stay the next time.
    fn take(&self, at: usize, unused: bool, empty: usize) -> Result<P, Swept> {
        let Some(slot) = self.words.get(at) else { return Err(Swept::Gone) };
        let mut word = slot.load(Ordering::Relaxed);
        loop {
            let Some(address) = address(word) else { return Err(Swept::Gone) };
            if word & LOCKED != 0 {
                thread::yield_now();
                word = slot.load(Ordering::Relaxed);
                continue;
            }
            let spared = unused && word & USED != 0;
            let new = if spared { word & !USED } else { empty };
            // Acquire: what readers did before they unlocked comes before what is done with the piece.
            match slot.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if spared => return Err(Swept::Used),
                // SAFETY: the word held the slot's reference, and the exchange gave it to this thread alone.
                // It was not locked: no reader is making one from it.
                Ok(_) => return Ok(unsafe { P::from_word(address) }),
                Err(now) => word = now,
            }
        }
    }

    /// Empties slot `at`; returns the bytes of the piece that was in it.
    pub(super) fn clear(&self, at: usize) -> Option<u64> {
        self.take(at, false, 0).ok().map(|piece| super::blocks::weight(&piece))
    }

    /// Empties every slot; returns the number of pieces and their bytes.
    pub(super) fn empty(&self) -> (usize, u64) {
        let taken = (0..self.words.len()).filter_map(|at| self.take(at, false, 0).ok());
        taken.fold((0, 0), |(count, bytes), piece| (count + 1, bytes + super::blocks::weight(&piece)))
    }
}

impl<P: Counted> Drop for Slots<P> {
    fn drop(&mut self) {
        let _ = self.empty();
    }
}

/// Slots of whatever pieces, as the cache sees them.
pub(super) trait Sweep: Send + Sync {
    /// Empties slot `at`; with `unused`, only if it was not read since it was last asked. `remember` is a
    /// time to be told when it is filled again.
    fn sweep(&self, at: usize, remember: Option<u64>, unused: bool) -> Swept;

    /// Whether there is a piece in slot `at`.
    fn holds(&self, at: usize) -> bool;
}

impl<P: Counted> Sweep for Slots<P> {
    fn sweep(&self, at: usize, remember: Option<u64>, unused: bool) -> Swept {
        let ghost = remember.map_or(0, |time| (time as usize).wrapping_mul(BITS + 1) | GHOST);
        match self.take(at, unused, ghost) {
            Ok(piece) => Swept::Emptied(super::blocks::weight(&piece)),
            Err(swept) => swept,
        }
    }

    fn holds(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|slot| address(slot.load(Ordering::Relaxed)).is_some())
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::{TrackedArc, TrackedCell};

    /// A piece whose counts loom follows.
    #[derive(Clone)]
    struct Piece(TrackedArc<TrackedCell<u64>>);

    impl Weigh for Piece {
        fn size_bytes(&self) -> usize {
            8
        }
    }

    // SAFETY: the cell is written to before the piece is shared, and only read from then on.
    unsafe impl Send for Piece {}
    // SAFETY: as above.
    unsafe impl Sync for Piece {}

    impl Counted for Piece {
        fn into_word(self) -> usize {
            TrackedArc::into_raw(self.0).expose_provenance()
        }

        unsafe fn from_word(word: usize) -> Self {
            // SAFETY: as the caller says.
            Piece(unsafe { TrackedArc::from_raw(std::ptr::with_exposed_provenance(word)) })
        }
    }

    fn piece(value: u64) -> Piece {
        let piece = Piece(TrackedArc::new(TrackedCell::new(0)));
        // SAFETY: nobody else has it yet. Loom knows of the write, and that reads must come behind it.
        piece.0.with_mut(|cell| unsafe { *cell = value });
        piece
    }

    fn value(piece: &Piece) -> u64 {
        // SAFETY: nobody writes to the cell once the piece is shared.
        piece.0.with(|value| unsafe { *value })
    }

    fn model(check: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.max_branches = 10_000;
        builder.check(check);
    }

    fn read(slots: &Slots<Piece>) -> Option<u64> {
        slots.get(0, true).map(|piece| value(&piece))
    }

    /// One reads what another takes out: it reads a piece that is alive, whole, and counted right.
    #[test]
    fn loom_a_piece_outlives_its_slot_for_those_who_read_it() {
        model(|| {
            let slots = Arc::new(Slots::new(1));
            assert_eq!(slots.fill(0, piece(7)), Some(None));
            let sweeper = {
                let slots = slots.clone();
                thread::spawn(move || {
                    let asked = [slots.sweep(0, Some(3), true), slots.sweep(0, Some(3), true)];
                    asked.iter().any(|swept| matches!(swept, Swept::Emptied(_)))
                })
            };
            assert!(matches!(read(&slots), None | Some(7)));
            let emptied = sweeper.join().unwrap();
            assert_eq!(slots.holds(0), !emptied);
        });
    }

    /// Two read one piece: each has a reference of its own, and the slot keeps its.
    #[test]
    fn loom_two_read_one_piece() {
        model(|| {
            let slots = Arc::new(Slots::new(1));
            assert_eq!(slots.fill(0, piece(7)), Some(None));
            let other = {
                let slots = slots.clone();
                thread::spawn(move || assert_eq!(read(&slots), Some(7)))
            };
            assert_eq!(read(&slots), Some(7));
            other.join().unwrap();
            assert_eq!(slots.empty().0, 1);
        });
    }

    /// A slot that is emptied and filled again shows the one or the other.
    #[test]
    fn loom_a_slot_is_filled_once_and_what_is_in_it_was_published() {
        model(|| {
            let slots = Arc::new(Slots::new(1));
            let fill = |slots: &Slots<Piece>, number| slots.fill(0, piece(number)).is_some();
            let other = {
                let slots = slots.clone();
                thread::spawn(move || fill(&slots, 1))
            };
            let first = fill(&slots, 2);
            let seen = slots.get(0, false).map(|piece| value(&piece));
            assert_eq!(seen, Some(if first { 2 } else { 1 }));
            assert_eq!(slots.empty().0, 1);
            // The other one may still come.
            let second = other.join().unwrap();
            assert!(first || second);
            assert_eq!(slots.holds(0), first && second);
        });
    }
}
