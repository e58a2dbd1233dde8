//! Every limit that a user can meet, and the sizes at which encodings change.

/// The longest user key, field or member, in bytes (64 KiB).
pub const MAX_NAME_BYTES: usize = 64 << 10;

/// The longest string value or list element, in bytes (512 MiB).
pub const MAX_STRING_BYTES: usize = 512 << 20;

/// The longest string value that bits can make, in bytes: an integer of 64 bits may begin in the last bit of
/// the longest value that can be set.
pub const MAX_BITS_BYTES: usize = MAX_STRING_BYTES + 8;

/// A string up to this size stands in its header, in bytes; a longer one in chunks.
pub const MAX_INLINE_STRING_BYTES: usize = 4 << 10;

/// The size of a chunk of a long string, in bytes. Chunks on disk depend on it: it must never change.
pub const CHUNK_BYTES: usize = 4 << 10;

/// A collection of more elements does not stand in its header.
pub const MAX_INLINE_ELEMENTS: usize = 128;

/// A collection whose elements take more does not stand in its header, in bytes.
pub const MAX_INLINE_BYTES: usize = 2 << 10;

/// A collection with an element longer than this is never shown as one of Redis' compact encodings, in bytes.
pub const COMPACT_ELEMENT_BYTES: usize = 64;

/// A hash of more fields is shown as `hashtable`: Redis' `hash-max-listpack-entries`.
pub const COMPACT_FIELDS: u64 = 512;

/// A set of more integers is shown as `hashtable`: Redis' `set-max-intset-entries`.
pub const COMPACT_INTEGERS: u64 = 512;

/// A sorted set of more members is shown as `skiplist`: Redis' `zset-max-listpack-entries`.
pub const COMPACT_SCORED: u64 = 128;

/// What the reply to a command may have that is made as a whole, in bytes (1 GiB), unless the connection has
/// another limit.
pub const MAX_REPLY_BYTES: usize = 1 << 30;

/// About what the elements that a command holds at once may take, in bytes (512 MiB), unless the store has
/// another limit.
pub const COMMAND_BYTES: usize = 512 << 20;

/// How many members by chance, the same one perhaps more than once, one call returns at most: a reply of
/// members that differ is bounded by what there is, one of repeated members by this alone.
pub const MAX_REPEATED: u64 = 1 << 20;

/// How many bytes the members and values of such a call may have together (256 MiB).
pub const MAX_REPEATED_BYTES: usize = 256 << 20;
