//! Numbers for new collections, each handed out once in the life of the store.
//!
//! They are reserved in blocks: before the first number of a block is used, a record that names the block's
//! end is in the log, in front of everything that uses the block. A log survives as a prefix, so whatever is
//! recovered of the uses, the reservation is there.

use crate::base::error::Result;
use crate::encoding::key;
use esker::{ColumnFamily, Db, Durability, WriteBatch};
use parking_lot::Mutex;

/// How many numbers are reserved at once. Tests run out of them often.
const BLOCK: u64 = if cfg!(any(test, feature = "invariants")) { 16 } else { 1 << 20 };

/// The name of the record.
pub(super) const CEILING: &str = "ceiling";

#[derive(Debug)]
pub(super) struct Incarnations {
    /// The next number, and the end of what is reserved.
    next: Mutex<(u64, u64)>,
}

impl Incarnations {
    /// Goes on at `ceiling`, up to which numbers may have been used.
    pub(super) fn new(ceiling: u64) -> Incarnations {
        Incarnations { next: Mutex::new((ceiling, ceiling)) }
    }

    /// A number that was never handed out before.
    pub(super) fn next(&self, db: &Db, index: &ColumnFamily) -> Result<u64> {
        let mut state = self.next.lock();
        if state.0 == state.1 {
            let ceiling = state.1 + BLOCK;
            let mut batch = WriteBatch::new();
            batch.put(index, key::system(CEILING), ceiling.to_le_bytes());
            db.write(batch, Durability::Os)?;
            state.1 = ceiling;
        }
        let number = state.0;
        state.0 += 1;
        Ok(number)
    }
}
