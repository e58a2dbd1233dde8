//! Checksums that are bound to the place they protect.
//!
//! `checksum = crc32(bytes) + context(identity, offset)`, wrapping. The identity is the random
//! number that a file drew when it was created; the offset is where the bytes stand in it. A block
//! that is intact but stale, misplaced or from a sibling file therefore fails its check, while a
//! block that is copied to another place can be rebound by one subtraction and one addition,
//! without reading its bytes again.

use super::sync::OnceLock;
use crc32fast::Hasher;

/// A random number drawn once per file and kept both in the file and in the manifest.
pub type Identity = u64;

/// The part of a checksum that says where the bytes stand.
#[must_use]
pub fn context(identity: Identity, offset: u64) -> u32 {
    // A finaliser in the style of splitmix64 (Steele, Lea and Flood, 2014): two rounds suffice to
    // make neighbouring offsets differ in about half of the bits.
    let mut x = identity ^ offset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (x >> 32) as u32
}

/// The checksum of `bytes` as they stand at `offset` of the file with `identity`.
#[must_use]
pub fn bound(bytes: &[u8], identity: Identity, offset: u64) -> u32 {
    crc32(bytes).wrapping_add(context(identity, offset))
}

fn fresh() -> Hasher {
    // Making one asks what the processor can do, which costs as much as a short record's checksum.
    static FRESH: OnceLock<Hasher> = OnceLock::new();
    FRESH.get_or_init(Hasher::new).clone()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = fresh();
    hasher.update(bytes);
    hasher.finalize()
}

/// The checksum of bytes that come piece by piece.
#[derive(Clone, Debug)]
pub struct Pieces(Hasher);

impl Default for Pieces {
    fn default() -> Self {
        Pieces(fresh())
    }
}

impl Pieces {
    /// The next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As [`bound`] of all of them.
    #[must_use]
    pub fn bound(self, identity: Identity, offset: u64) -> u32 {
        self.0.finalize().wrapping_add(context(identity, offset))
    }
}

/// Moves a checksum from one place to another without reading the bytes again.
#[must_use]
pub fn rebind(checksum: u32, from: (Identity, u64), to: (Identity, u64)) -> u32 {
    checksum.wrapping_sub(context(from.0, from.1)).wrapping_add(context(to.0, to.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_depends_on_bytes_file_and_offset() {
        let base = bound(b"ridge", 7, 4096);
        assert_ne!(base, bound(b"ridgf", 7, 4096));
        assert_ne!(base, bound(b"ridge", 8, 4096));
        assert_ne!(base, bound(b"ridge", 7, 4097));
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let mut pieces = Pieces::default();
        pieces.push(b"rid");
        pieces.push(b"ge");
        assert_eq!(pieces.bound(7, 4096), bound(b"ridge", 7, 4096));
    }

    #[test]
    fn rebinding_equals_hashing_at_the_new_place() {
        let moved = rebind(bound(b"ridge", 7, 4096), (7, 4096), (9, 0));
        assert_eq!(moved, bound(b"ridge", 9, 0));
    }
}
