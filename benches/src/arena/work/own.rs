//! Workloads on stores of their own: transactions, conditions, counters, expiry, queues.

use super::context::{Context, Probe};
use crate::arena::engine::{Direction, Entry, Unsupported, Use};
use crate::arena::keys::Zipf;
use crate::arena::phases::Work;
use crate::arena::row::Row;
use crate::process::Fallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Accounts, counters and the like, at most.
const MANY: u32 = 100_000;
/// What an account holds at first.
const BALANCE: i64 = 1000;
/// Entries of a queue, at most.
const QUEUED: u32 = 10_000;
/// How far behind the last put a get reads.
const RECENT: usize = 100;
/// What an expiring entry lives.
const LIFE: Duration = Duration::from_secs(1);

/// What the store of a phase is opened for.
pub(crate) fn purpose(work: Work) -> Use {
    match work {
        Work::Synced(_) => Use::Synced,
        Work::Transfer | Work::CompareAndSet => Use::Transactions,
        Work::Count { .. } => Use::Counters,
        Work::Churn => Use::Expiring(LIFE),
        Work::Feed => Use::Changes,
        _ => Use::Plain,
    }
}

impl Context<'_> {
    /// How many small things there are.
    fn many(&self) -> u32 {
        self.entries().min(MANY)
    }

    /// Puts the number `value` under each of the first keys.
    fn put_numbers(&self, value: i64) -> Fallible<()> {
        let all: Vec<u32> = (0..self.many()).collect();
        for numbers in all.chunks(1000) {
            let keys: Vec<_> = numbers.iter().map(|&i| self.keys.key(i)).collect();
            let bytes = value.to_le_bytes();
            let entries: Vec<Entry<'_>> = keys.iter().map(|key| (&**key, &bytes[..])).collect();
            self.engine.put_batch(&entries)?;
        }
        Ok(())
    }

    /// The sum of all numbers must be this.
    fn expect_sum(&self, expected: i64) -> Fallible<()> {
        let mut sum = 0;
        self.engine.scan(None, Direction::Forward, &mut |_, value| {
            sum += number(value);
            true
        })?;
        if sum == expected { Ok(()) } else { Err(format!("the sum is {sum} instead of {expected}").into()) }
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(-(1 << 40), i64::from_le_bytes)
}

/// What a number takes with its key.
fn number_bytes(context: &Context<'_>) -> u64 {
    context.keys.key(0).len() as u64 + 8
}

pub(super) fn transfer(context: &Context<'_>) -> Fallible<Row> {
    context.put_numbers(BALANCE)?;
    let mut probe = Probe::start(context);
    let operations = context.entries() as usize / context.phase.threads;
    context.on_threads(&mut probe, |thread, meter| {
        let mut next = context.rng(thread);
        for _ in 0..operations {
            let from = (next() % u64::from(context.many())) as u32;
            let to = (from + 1 + (next() % u64::from(context.many() - 1)) as u32) % context.many();
            let (from, to) = (context.keys.key(from), context.keys.key(to));
            context.engine.transfer([&from, &to], &mut |[from, to]| {
                [(number(from) - 1).to_le_bytes().to_vec(), (number(to) + 1).to_le_bytes().to_vec()]
            })?;
            if !meter.lap(1) {
                break;
            }
        }
        Ok(())
    })?;
    let given_bytes = probe.meter.operations() * 2 * number_bytes(context);
    let row = probe.end(given_bytes);
    context.expect_sum(i64::from(context.many()) * BALANCE)?;
    Ok(row)
}

pub(super) fn compare_and_set(context: &Context<'_>) -> Fallible<Row> {
    context.put_numbers(0)?;
    let mut probe = Probe::start(context);
    let set = AtomicU64::new(0);
    let operations = context.entries() as usize / context.phase.threads;
    context.on_threads(&mut probe, |thread, meter| {
        let mut next = context.rng(thread);
        for _ in 0..operations {
            let key = context.keys.key((next() % u64::from(context.many())) as u32);
            let mut old = 0;
            context.engine.get(&key, &mut |value| old = number(value))?;
            let new = (old + 1).to_le_bytes();
            let done = context.engine.compare_and_set(&key, &old.to_le_bytes(), &new)?;
            set.fetch_add(u64::from(done), Ordering::Relaxed);
            if !meter.lap(1) {
                break;
            }
        }
        Ok(())
    })?;
    let set = set.into_inner();
    let row = probe.end(set * number_bytes(context));
    context.expect_sum(set as i64)?;
    Ok(row)
}

pub(super) fn count(context: &Context<'_>, merge: bool) -> Fallible<Row> {
    let (zipf, order) = (Zipf::new(context.many()), context.keys.shuffled());
    let mut probe = Probe::start(context);
    let mut next = context.rng(0);
    for _ in 0..context.entries() {
        let key = context.keys.key(order[zipf.at(next()).min(context.many() - 1) as usize]);
        if merge {
            context.engine.merge(&key, 1)?;
        } else {
            let mut old = 0;
            context.engine.get(&key, &mut |value| old = number(value))?;
            context.engine.put(&key, &(old + 1).to_le_bytes())?;
        }
        if !probe.meter.lap(1) {
            break;
        }
    }
    let given_bytes = probe.meter.operations() * number_bytes(context);
    let row = probe.end(given_bytes);
    context.expect_sum(row.operations as i64)?;
    Ok(row)
}

pub(super) fn churn(context: &Context<'_>) -> Fallible<Row> {
    let exact = context.engine.expiry().ok_or(Unsupported)?;
    let mut probe = Probe::start(context);
    let order = context.keys.shuffled();
    for (at, &i) in order.iter().enumerate() {
        context.put(&[i], context.version)?;
        if at % 2 == 1 {
            // It may have expired if the engine, or the machine, stood still for a second.
            let recent = order[at.saturating_sub(RECENT)];
            let mut good = true;
            let key = context.keys.key(recent);
            context.engine.get(&key, &mut |value| good = context.is_value(recent, value))?;
            if !good {
                return Err(format!("entry {recent} has a value that it never had").into());
            }
        }
        if !probe.meter.lap(1) {
            break;
        }
    }
    let given_bytes = probe.meter.operations() * context.keys.entry_bytes();
    let row = probe.end(given_bytes);
    if exact {
        thread::sleep(LIFE + LIFE / 20);
        let left = context.count_all()?;
        if left > 0 {
            return Err(format!("{left} entries are there after their time").into());
        }
    }
    Ok(row)
}

pub(super) fn queue(context: &Context<'_>) -> Fallible<Row> {
    let queued = context.entries().div_ceil(10).min(QUEUED);
    let first: Vec<u32> = (0..queued).collect();
    first.chunks(1000).try_for_each(|numbers| context.put(numbers, context.version))?;
    let mut probe = Probe::start(context);
    for front in 0..context.entries() {
        context.put(&[front + queued], context.version)?;
        let (key, mut good) = (context.keys.key(front), false);
        context.engine.scan(None, Direction::Forward, &mut |found, value| {
            good = *found == *key && context.is_value(front, value);
            false
        })?;
        if !good {
            return Err(format!("entry {front} is not the front of the queue").into());
        }
        context.engine.delete(&key)?;
        if !probe.meter.lap(1) {
            break;
        }
    }
    let given = context.keys.entry_bytes() + context.keys.key(0).len() as u64;
    let given_bytes = probe.meter.operations() * given;
    Ok(probe.end(given_bytes))
}
