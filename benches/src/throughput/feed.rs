//! Reading changes: all that was written to a store, one put a batch, in the order of commits.

use super::report::Row;
use crate::process::{Fallible, Usage};
use crate::workload::Workload;
use esker::{Db, Durability, FeedOptions, Operation};
use std::path::Path;

/// Fills a store that keeps its changes, and measures how fast they are read.
pub(super) fn read(dir: &Path, memory_bytes: u64, workload: &Workload, name: &'static str) -> Fallible<Row> {
    let feed = FeedOptions { keep_bytes: 1 << 40, consumer_bytes: 1 << 40, ..FeedOptions::default() };
    let builder = Db::builder(dir).memory_budget(memory_bytes).feed(feed);
    let db = builder.default_durability(Durability::Os).open()?;
    let order = workload.shuffled();
    let written = order.len() as u64;
    order.iter().try_for_each(|&i| db.put(workload.key(i), workload.value(i, 0)))?;
    db.sync()?;
    db.flush()?;
    crate::process::wait_until_idle(std::time::Duration::MAX);
    let before = Usage::now();
    let (mut feed, mut read, mut bytes) = (db.changes(db.feed_start()?)?, 0, 0);
    while let Some(batch) = feed.next_batch()? {
        let mut operations = batch.operations();
        while let Some(change) = operations.next()? {
            if let Operation::Put { key, value, .. } = change.operation {
                read += 1;
                bytes += key.len() + value.len();
            }
        }
    }
    if read != written || bytes == 0 {
        return Err(format!("{read} of {written} changes were read").into());
    }
    let row = Row::until_now(name, read, &before, None);
    drop(feed);
    db.close()?;
    Ok(row)
}
