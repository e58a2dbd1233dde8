//! What a piece of a backup is called: the hash of its bytes.

use std::fmt;

/// The BLAKE3 hash of an object's bytes, which is its name. Two objects with the same name hold the same bytes,
/// whoever has made them: the hash is one for which nobody knows how to find two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// Of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ObjectId {
        ObjectId(*blake3::hash(bytes).as_bytes())
    }

    /// Of what a hasher has seen.
    pub(super) fn seen(hasher: &blake3::Hasher) -> ObjectId {
        ObjectId(*hasher.finalize().as_bytes())
    }

    /// Reads what [`fmt::Display`] writes: 64 digits, in small letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<ObjectId> {
        let hash = blake3::Hash::from_hex(text).ok()?;
        (hash.to_hex().as_str() == text).then(|| ObjectId(*hash.as_bytes()))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
