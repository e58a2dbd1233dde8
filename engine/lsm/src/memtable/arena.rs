//! Memory that is handed out piece by piece and freed all at once.
//!
//! Invariant: a piece, once handed out, neither moves nor is freed before the arena is dropped.
//! The chunks are separate allocations, so that growing the list of chunks moves none of them.
//! Only the holder of `&mut Arena` allocates; who may read a piece is the business of its user.

use super::spare::Spare;
use crate::base::sync::Arc;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The first chunk, in bytes. Chunks double from here, so that a small family stays small.
const FIRST_CHUNK_BYTES: usize = 64 << 10;

/// The largest ordinary chunk, and the size of a huge page: chunks of this size are aligned to it
/// and ask for one (a random insert otherwise spends a good part of its time in the page walker).
const HUGE_CHUNK_BYTES: usize = 2 << 20;

/// Every piece is aligned to this, which is enough for nodes and entries alike.
pub(super) const ALIGN: usize = 16;

/// A bump allocator over chunks that never move.
pub(super) struct Arena {
    chunks: Vec<Chunk>,
    /// The free part of the last ordinary chunk.
    free: *mut u8,
    free_bytes: usize,
    next_chunk_bytes: usize,
    max_chunk_bytes: usize,
    used_bytes: usize,
    /// From where chunks for huge pages are taken, and where they go.
    spare: Option<Arc<Spare>>,
}

/// Memory that is freed when it is dropped.
pub(super) struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the chunk owns its memory, which is bound to no thread.
unsafe impl Send for Chunk {}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.layout.size()
    }
}

// SAFETY: the arena owns its chunks; the raw pointers are to them alone and nothing about them is
// bound to a thread.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena that is expected to grow to about `expected_bytes`, from which the size of its
    /// chunks follows. Nothing is allocated yet.
    pub(super) fn new(expected_bytes: usize) -> Arena {
        let max_chunk_bytes =
            (expected_bytes / 8).next_power_of_two().clamp(FIRST_CHUNK_BYTES, HUGE_CHUNK_BYTES);
        Arena {
            chunks: Vec::new(),
            free: std::ptr::null_mut(),
            free_bytes: 0,
            next_chunk_bytes: FIRST_CHUNK_BYTES,
            max_chunk_bytes,
            used_bytes: 0,
            spare: None,
        }
    }

    /// Takes chunks from there from now on, and leaves them there.
    pub(super) fn set_spare(&mut self, spare: &Arc<Spare>) {
        self.spare = Some(spare.clone());
    }

    /// Bytes handed out, padding included.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// `bytes` bytes aligned to [`ALIGN`], not initialised. They stay where they are until the
    /// arena is dropped.
    pub(super) fn allocate(&mut self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes.next_multiple_of(ALIGN);
        self.used_bytes += bytes;
        if bytes > self.free_bytes {
            let chunk_bytes = self.next_chunk_bytes;
            if bytes > chunk_bytes / 4 {
                // A chunk of its own, so that the rest of the current one is not lost.
                return self.add_chunk(bytes);
            }
            self.next_chunk_bytes = (chunk_bytes * 2).min(self.max_chunk_bytes);
            self.free = self.add_chunk(chunk_bytes).as_ptr();
            self.free_bytes = chunk_bytes;
        }
        // What follows is only sound if this holds; next to an allocation it costs nothing.
        assert!(bytes <= self.free_bytes, "a piece is no larger than the chunk that it is cut from");
        let piece = self.free;
        // SAFETY: `bytes <= free_bytes`, so that the result is within the chunk or one past it.
        self.free = unsafe { piece.add(bytes) };
        self.free_bytes -= bytes;
        // SAFETY: `piece` points into a chunk, and chunks start at a non-null address.
        unsafe { NonNull::new_unchecked(piece) }
    }

    fn add_chunk(&mut self, bytes: usize) -> NonNull<u8> {
        if bytes == HUGE_CHUNK_BYTES
            && let Some(chunk) = self.spare.as_ref().and_then(|spare| spare.take())
        {
            let start = chunk.start;
            self.chunks.push(chunk);
            return start;
        }
        let align = if bytes == HUGE_CHUNK_BYTES { HUGE_CHUNK_BYTES } else { 64 };
        let layout = Layout::from_size_align(bytes, align).expect("chunk sizes are far below isize::MAX");
        // SAFETY: the layout is not empty: no piece is, and chunks are no smaller.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        advise_huge_pages(start, bytes);
        self.chunks.push(Chunk { start, layout });
        start
    }
}

/// Asks for huge pages under a large chunk; only advice, so that a refusal means nothing.
fn advise_huge_pages(start: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes == HUGE_CHUNK_BYTES {
        // SAFETY: the range is memory of ours, and the advice changes only how it is paged.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

impl Drop for Arena {
    fn drop(&mut self) {
        let Some(spare) = &self.spare else { return };
        let huge = |chunk: &mut Chunk| chunk.bytes() == HUGE_CHUNK_BYTES;
        self.chunks.extract_if(.., huge).for_each(|chunk| spare.give(chunk));
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `add_chunk`, and dropped once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A piece of 64 KiB to 512 KiB was once cut from a first chunk of 64 KiB.
    #[test]
    fn pieces_of_every_size_are_cut_from_chunks_that_hold_them() {
        for expected in [0, 64 << 10, 1 << 20, 32 << 20, 1 << 30] {
            for power in 0..=22u32 {
                for bytes in [(1usize << power) - 1, 1 << power, (1 << power) + 1] {
                    let mut arena = Arena::new(expected);
                    for bytes in [1, bytes.max(1), 7, bytes.max(1)] {
                        let piece = arena.allocate(bytes);
                        // SAFETY: the piece has so many bytes, and nothing else refers to it.
                        unsafe { piece.as_ptr().write_bytes(0xa5, bytes) };
                    }
                }
            }
        }
    }

    #[test]
    fn huge_chunks_go_round_until_nobody_wants_them() {
        let spare = Spare::new(3 * HUGE_CHUNK_BYTES);
        let filled = |chunks: usize| {
            let mut arena = Arena::new(64 << 20);
            arena.set_spare(&spare);
            for _ in 0..chunks {
                arena.add_chunk(HUGE_CHUNK_BYTES);
            }
            arena.add_chunk(FIRST_CHUNK_BYTES);
            arena
        };
        let held = || spare.bytes() / HUGE_CHUNK_BYTES;
        drop(filled(5));
        assert_eq!(held(), 3, "no more than may be");
        let two = filled(2);
        assert_eq!(held(), 1);
        drop(two);
        let seconds = std::time::Duration::from_secs;
        spare.tidy(seconds(10));
        spare.tidy(seconds(10));
        assert_eq!(held(), 3, "used a moment ago");
        spare.tidy(seconds(11));
        assert_eq!(held(), 0);
        drop(filled(3));
        spare.set_most_bytes(HUGE_CHUNK_BYTES);
        assert_eq!(held(), 0);
        drop(filled(3));
        assert_eq!(held(), 1);
    }

    #[test]
    fn pieces_are_aligned_keep_their_bytes_and_do_not_overlap() {
        let mut arena = Arena::new(1 << 20);
        let sizes = [1, 16, 17, 100, 5000, 70_000, 300_000, 3 << 20, 24];
        let mut pieces = Vec::new();
        for round in 0..40u8 {
            for bytes in sizes {
                let piece = arena.allocate(bytes);
                assert_eq!(piece.as_ptr() as usize % ALIGN, 0);
                // SAFETY: the piece is `bytes` long and ours.
                unsafe { piece.as_ptr().write_bytes(round ^ bytes as u8, bytes) };
                pieces.push((piece, bytes, round ^ bytes as u8));
            }
        }
        for (piece, bytes, fill) in pieces {
            // SAFETY: written above, and the arena is still there.
            let piece = unsafe { std::slice::from_raw_parts(piece.as_ptr(), bytes) };
            assert!(piece.iter().all(|byte| *byte == fill));
        }
        let least: usize = 40 * sizes.iter().sum::<usize>();
        assert!(arena.used_bytes() >= least && arena.used_bytes() < least + 40 * sizes.len() * ALIGN);
    }
}
