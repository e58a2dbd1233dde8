//! Every limit that a user can meet, named once.

/// The longest user key, in bytes (128 KiB). The empty key is allowed.
pub const MAX_KEY_BYTES: usize = 128 << 10;

/// The longest value, in bytes (1 GiB).
pub const MAX_VALUE_BYTES: usize = 1 << 30;

/// The largest encoded write batch, in bytes (2 GiB).
pub const MAX_BATCH_BYTES: usize = 2 << 30;

/// The most that a write batch may add on a full disk if it says that it makes room, in bytes (64 KiB).
pub const MAX_ROOM_MAKING_BYTES: usize = 64 << 10;

/// The most operations on ranges in one write batch.
pub const MAX_BATCH_RANGES: usize = 4096;

/// The longest column-family name, in bytes.
pub const MAX_FAMILY_NAME_BYTES: usize = 255;

/// The longest name of a feed consumer, in bytes.
pub const MAX_CONSUMER_NAME_BYTES: usize = 255;

/// The longest name of a prepared transaction, in bytes.
pub const MAX_PREPARED_NAME_BYTES: usize = 512;

/// The greatest number in the name of a file. No store comes near it; what names a greater one is
/// not ours, or damaged, and adding to a number that was read never overflows.
pub const MAX_FILE_NUMBER: u64 = 1 << 62;

/// Levels of a column family's tree: L0 and six sorted levels below it.
pub const LEVELS: usize = 7;

/// Sequence numbers are reserved in the manifest in blocks of this many. Tests with `invariants` reserve
/// so few that to run out of them is part of every history.
pub const RESERVED_SEQS: u64 = if cfg!(feature = "invariants") { 1 << 6 } else { 1 << 24 };

// A largest key with a largest value must fit into one batch.
const _: () = assert!(MAX_KEY_BYTES + MAX_VALUE_BYTES + 64 < MAX_BATCH_BYTES);
