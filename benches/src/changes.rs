//! Reading what was written to a store from its change feed: one way for `throughput` and `peers`.

use crate::process::Fallible;
use esker::{Db, FeedOptions, Operation};

/// A feed of which nothing goes while something is measured.
pub(crate) fn all_kept() -> FeedOptions {
    FeedOptions { keep_bytes: 1 << 40, consumer_bytes: 1 << 40, ..FeedOptions::default() }
}

/// Visits all puts since the store was made, in the order of commits, until `visit` has enough or there are
/// no more that are durable.
///
/// # Errors
/// What reading gives; a gap.
pub(crate) fn read(db: &Db, mut visit: impl FnMut(&[u8], &[u8]) -> bool) -> Fallible<()> {
    let mut feed = db.changes(db.feed_start()?)?;
    while let Some(batch) = feed.next_batch()? {
        let mut operations = batch.operations();
        while let Some(change) = operations.next()? {
            if let Operation::Put { key, value, .. } = change.operation
                && !visit(key, value)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}
