//! Reading changes: all that was written to a store, one put a batch, in the order of commits.

use super::report::Row;
use crate::changes;
use crate::process::{Fallible, Usage};
use crate::workload::Workload;
use esker::{Db, Durability};
use std::path::Path;

/// Fills a store that keeps its changes, and measures how fast they are read.
pub(super) fn read(dir: &Path, memory_bytes: u64, workload: &Workload, name: &'static str) -> Fallible<Row> {
    let builder = Db::builder(dir).memory_budget(memory_bytes).feed(changes::all_kept());
    let db = builder.default_durability(Durability::Os).open()?;
    let order = workload.shuffled();
    let written = order.len() as u64;
    order.iter().try_for_each(|&i| db.put(workload.key(i), workload.value(i, 0)))?;
    db.sync()?;
    db.flush()?;
    crate::process::wait_until_idle(std::time::Duration::MAX);
    let before = Usage::now();
    let (mut read, mut bytes) = (0, 0);
    changes::read(&db, |key, value| {
        read += 1;
        bytes += key.len() + value.len();
        true
    })?;
    if read != written || bytes == 0 {
        return Err(format!("{read} of {written} changes were read").into());
    }
    let row = Row::until_now(name, read, &before, None);
    db.close()?;
    Ok(row)
}
