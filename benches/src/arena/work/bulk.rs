//! Workloads on stores of their own that move everything at once: files that are taken in, changes that are
//! read.

use super::context::{Context, Probe};
use super::writes::{expect_entries, fill};
use crate::arena::row::Row;
use crate::process::Fallible;
use std::path::PathBuf;
use std::time::Duration;

/// The size of a file that is taken in, in bytes.
const FILE_BYTES: u64 = 64 << 20;
/// Entries that are timed together.
const AT_ONCE: u32 = 1000;
/// How many entries are read afterwards, at most, and compared.
const LOOKED_AT: u32 = 1000;
/// How long it may take to write what is read as changes afterwards, and then to settle.
const FILLED_AFTER: Duration = Duration::from_secs(600);
const CALM_AFTER: Duration = Duration::from_secs(120);

/// How many entries are taken in where others have `entries`.
fn ingested(entries: u32) -> u32 {
    (u64::from(entries) * 10 / 3).try_into().unwrap_or(u32::MAX)
}

pub(super) fn ingest(context: &Context<'_>) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let (mut files, mut next): (Vec<PathBuf>, u32) = (Vec::new(), 0);
    let (all, mut time) = (ingested(context.entries()), true);
    while next < all && time {
        let path = context.outside.join(format!("{}.sst", files.len()));
        let mut file = context.engine.sorted_file(&path)?;
        while next < all && time && file.bytes() < FILE_BYTES {
            let end = all.min(next.saturating_add(AT_ONCE));
            for i in next..end {
                file.put(&context.keys.key(i), &context.keys.value(i, context.version))?;
            }
            time = probe.meter.lap(u64::from(end - next));
            next = end;
        }
        file.finish()?;
        files.push(path);
    }
    context.engine.ingest(&files)?;
    // Writing and taking in are one; this lap is the last of it.
    probe.meter.lap(0);
    let bytes = u64::from(next) * context.keys.entry_bytes();
    let row = Row { live_bytes: bytes, ..probe.end(bytes) };
    if let Some(left) = files.iter().find(|file| file.exists()) {
        return Err(format!("{} was not moved", left.display()).into());
    }
    expect_entries(context, u64::from(next))?;
    let step = next.div_ceil(LOOKED_AT).max(1) as usize;
    (0..next).step_by(step).try_for_each(|i| context.get(i))?;
    Ok(row)
}

pub(super) fn feed(context: &Context<'_>) -> Fallible<Row> {
    // Who has no changes says so before anything is written.
    context.engine.changes(&mut |_, _| false)?;
    // The cap is for reading: all is written, put by put.
    fill(&Context { cap: FILLED_AFTER, ..*context }, false, 1)?;
    context.engine.settle(CALM_AFTER)?;
    let order = context.keys.shuffled();
    let (mut found, mut bytes, mut good, mut time) = (0, 0, true, true);
    let mut probe = Probe::start(context);
    context.engine.changes(&mut |key, value| {
        let Some(&i) = order.get(found) else {
            good = false;
            return false;
        };
        good &= *key == *context.keys.key(i) && context.is_value(i, value);
        bytes += (key.len() + value.len()) as u64;
        found += 1;
        if found % AT_ONCE as usize == 0 {
            time = probe.meter.lap(u64::from(AT_ONCE));
        }
        good && time
    })?;
    time &= probe.meter.lap((found % AT_ONCE as usize) as u64);
    let whole = found == order.len() || !time;
    if !good || !whole || bytes != found as u64 * context.keys.entry_bytes() {
        return Err(format!("{found} changes of {bytes} bytes, not those of {} puts", order.len()).into());
    }
    Ok(probe.end(0))
}
