//! Workloads that write.

use super::context::{Context, Probe};
use crate::arena::row::Row;
use crate::process::Fallible;
use crate::workload::Workload;

pub(super) fn fill(context: &Context<'_>, in_order: bool, batch: usize) -> Fallible<Row> {
    let ascending: Vec<u32>;
    let order = if in_order {
        ascending = (0..context.entries()).collect();
        &ascending
    } else {
        context.keys.shuffled()
    };
    put_all(context, order, batch.max(context.engine.writes_at_once()))
}

pub(super) fn overwrite(context: &Context<'_>) -> Fallible<Row> {
    // The order of the load would meet tables whose ranges hardly overlap.
    let later = Workload::new(context.entries(), context.seed + u64::from(context.version));
    let row = put_all(context, later.shuffled(), context.engine.writes_at_once())?;
    Ok(Row { live_bytes: whole_bytes(context), ..row })
}

/// Puts entries in the given order, until the cap. What is live afterwards is what was put.
fn put_all(context: &Context<'_>, order: &[u32], batch: usize) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    for numbers in order.chunks(batch) {
        context.put(numbers, context.version)?;
        if !probe.meter.lap(numbers.len() as u64) {
            break;
        }
    }
    let bytes = probe.meter.operations() * context.keys.entry_bytes();
    Ok(Row { live_bytes: bytes, ..probe.end(bytes) })
}

fn whole_bytes(context: &Context<'_>) -> u64 {
    (u64::from(context.entries()) + u64::from(context.inserted())) * context.keys.entry_bytes()
}

pub(super) fn delete(context: &Context<'_>) -> Fallible<Row> {
    let later = Workload::new(context.entries(), context.seed + u64::from(context.version));
    let mut probe = Probe::start(context);
    for numbers in later.shuffled().chunks(context.engine.writes_at_once()) {
        if let [i] = *numbers {
            context.engine.delete(&context.keys.key(i))?;
        } else {
            let keys: Vec<_> = numbers.iter().map(|&i| context.keys.key(i)).collect();
            context.engine.delete_batch(&keys.iter().map(|key| &**key).collect::<Vec<_>>())?;
        }
        if !probe.meter.lap(numbers.len() as u64) {
            break;
        }
    }
    let deleted = probe.meter.operations();
    let row = probe.end(deleted * context.keys.key(0).len() as u64);
    let left = u64::from(context.entries()) + u64::from(context.inserted()) - deleted;
    expect_entries(context, left)?;
    Ok(row)
}

pub(super) fn expect_entries(context: &Context<'_>, expected: u64) -> Fallible<()> {
    match context.count_all()? {
        found if found == expected => Ok(()),
        found => Err(format!("{found} entries where there are {expected}").into()),
    }
}

pub(super) fn delete_range(context: &Context<'_>) -> Fallible<Row> {
    let entries = context.entries();
    let width = (entries / 20).clamp(1, 1000);
    let mut probe = Probe::start(context);
    let (mut deleted, mut given_bytes) = (0, 0);
    for from in (0..entries - width).step_by(2 * width as usize) {
        let (from, to) = (context.keys.key(from), context.keys.key(from + width));
        context.engine.delete_range(&from, &to)?;
        deleted += u64::from(width);
        given_bytes += (from.len() + to.len()) as u64;
        if !probe.meter.lap(1) {
            break;
        }
    }
    let left = u64::from(entries) + u64::from(context.inserted()) - deleted;
    expect_entries(context, left)?;
    // The read takes time, and is none of the operations.
    probe.meter.skip();
    Ok(probe.end(given_bytes))
}

pub(super) fn synced(context: &Context<'_>, batch: usize) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let (order, threads) = (context.keys.shuffled(), context.phase.threads);
    context.on_threads(&mut probe, |thread, meter| {
        for numbers in order.chunks(batch).skip(thread).step_by(threads) {
            context.put(numbers, context.version)?;
            if !meter.lap(numbers.len() as u64) {
                break;
            }
        }
        Ok(())
    })?;
    let bytes = probe.meter.operations() * context.keys.entry_bytes();
    let row = probe.end(bytes);
    expect_entries(context, row.operations)?;
    Ok(row)
}

pub(super) fn settle(context: &Context<'_>) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    context.engine.settle(context.cap)?;
    let entries = u64::from(context.entries()) + u64::from(context.inserted());
    probe.meter.lap(entries);
    let bytes = entries * context.keys.entry_bytes();
    let row = probe.end(0);
    Ok(Row { live_bytes: bytes, latency: None, ..row })
}
