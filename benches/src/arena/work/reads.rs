//! Workloads that read, some of them while something is written.

use super::context::{Context, Probe};
use crate::arena::engine::{Direction, Unsupported};
use crate::arena::keys::{GROUP, Pick};
use crate::arena::phases::Mix;
use crate::arena::row::Row;
use crate::process::Fallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest of the short scans.
const SHORT_SCAN: u64 = 100;
/// Entries of a scan that are timed together.
const SCANNED_AT_ONCE: u64 = 1000;
/// How often all is scanned at most.
const SCANS: u32 = 3;

pub(super) fn mixed(context: &Context<'_>, mix: Mix, pick: Pick) -> Fallible<Row> {
    let writes = mix != Mix { scans: mix.scans, ..Mix::default() };
    if writes && context.engine.writes_at_once() > 1 {
        return Err(Unsupported.into());
    }
    let mut probe = Probe::start(context);
    let written = AtomicU64::new(0);
    let operations = context.reads as usize / context.phase.threads;
    context.on_threads(&mut probe, |thread, meter| {
        let (mut next, mut puts) = (context.rng(thread), 0);
        for _ in 0..operations {
            let wrote = one(context, mix, pick, &mut next)?;
            puts += u64::from(wrote);
            if !meter.lap(1) {
                break;
            }
        }
        written.fetch_add(puts, Ordering::Relaxed);
        Ok(())
    })?;
    Ok(probe.end(written.into_inner() * context.keys.entry_bytes()))
}

/// One operation of a mix; returns whether it wrote.
fn one(context: &Context<'_>, mix: Mix, pick: Pick, next: &mut impl FnMut() -> u64) -> Fallible<bool> {
    let die = (next() % 100) as u32;
    let changes = mix.updates + mix.changes;
    if die < mix.inserts {
        // Two threads would insert the same entry; the mixes with inserts have one.
        let i = context.entries() + context.inserted();
        context.put(&[i], context.version)?;
        context.inserted.store(i + 1 - context.entries(), Ordering::Release);
        return Ok(true);
    }
    let i = context.choose(pick, next());
    if die < mix.inserts + mix.scans {
        let entries = next() % SHORT_SCAN + 1;
        some(context, i, entries)?;
        return Ok(false);
    }
    if die >= mix.inserts + mix.scans + mix.updates {
        context.get(i)?;
    }
    let write = (mix.inserts + mix.scans..mix.inserts + mix.scans + changes).contains(&die);
    if write {
        context.put(&[i], context.version)?;
    }
    Ok(write)
}

/// Reads up to so many entries from entry `i` on, of which there must be at least one.
fn some(context: &Context<'_>, i: u32, entries: u64) -> Fallible<()> {
    let from = context.keys.key(i);
    let (mut found, mut good) = (0, true);
    context.engine.scan(Some(&from), Direction::Forward, &mut |key, value| {
        good &= if found == 0 { *key == *from && context.is_value(i, value) } else { *key > *from };
        found += 1;
        found < entries
    })?;
    if found > 0 && good { Ok(()) } else { Err(format!("a seek to entry {i} found something else").into()) }
}

pub(super) fn missing(context: &Context<'_>) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let mut next = context.rng(0);
    for _ in 0..context.reads {
        let i = context.choose(Pick::Uniform, next());
        if context.engine.get(&context.keys.missing_key(i), &mut |_| ())? {
            return Err("a key that was never put was found".into());
        }
        if !probe.meter.lap(1) {
            break;
        }
    }
    Ok(probe.end(0))
}

pub(super) fn multi_get(context: &Context<'_>, at_once: usize) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let mut next = context.rng(0);
    for _ in 0..(context.reads as usize).div_ceil(at_once) {
        let numbers: Vec<u32> = (0..at_once).map(|_| context.choose(Pick::Uniform, next())).collect();
        let keys: Vec<_> = numbers.iter().map(|&i| context.keys.key(i)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
        let mut good = 0;
        context.engine.multi_get(&keys, &mut |at, value| {
            good += usize::from(context.is_value(numbers[at], value));
        })?;
        if good != at_once {
            return Err(format!("{good} of {at_once} keys have a value of theirs").into());
        }
        if !probe.meter.lap(at_once as u64) {
            break;
        }
    }
    Ok(probe.end(0))
}

pub(super) fn seek(context: &Context<'_>, entries: usize) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let mut next = context.rng(0);
    for _ in 0..context.reads.div_ceil(5) {
        some(context, context.choose(Pick::Uniform, next()), entries as u64)?;
        if !probe.meter.lap(1) {
            break;
        }
    }
    Ok(probe.end(0))
}

pub(super) fn prefix_scan(context: &Context<'_>) -> Fallible<Row> {
    let prefix_bytes = context.keys.prefix_bytes().ok_or("the keys have no prefixes")?;
    let mut probe = Probe::start(context);
    let mut next = context.rng(0);
    for _ in 0..context.reads.div_ceil(5) {
        let random = next();
        let i = context.choose(Pick::Uniform, random);
        // The last bit has no part in the choice.
        let absent = random & 1 == 1;
        let key = if absent { context.keys.missing_key(i) } else { context.keys.key(i) };
        let first = i / GROUP * GROUP;
        let there = if absent { 0 } else { GROUP.min(context.entries() - first) };
        let (mut found, mut good) = (0, true);
        context.engine.scan_prefix(&key[..prefix_bytes], &mut |key, value| {
            good &= found < there && *key == *context.keys.key(first + found);
            good &= good && context.is_value(first + found, value);
            found += 1;
            true
        })?;
        if found != there || !good {
            return Err(format!("a scan of entry {i}'s prefix found {found} entries of {there}").into());
        }
        if !probe.meter.lap(1) {
            break;
        }
    }
    Ok(probe.end(0))
}

pub(super) fn scan(context: &Context<'_>, reverse: bool) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let direction = if reverse { Direction::Reverse } else { Direction::Forward };
    scan_all(context, &mut probe, direction)?;
    Ok(probe.end(0))
}

/// Scans all entries, again and again until the cap.
fn scan_all(context: &Context<'_>, probe: &mut Probe<'_>, direction: Direction) -> Fallible<()> {
    let expected = u64::from(context.entries()) + u64::from(context.inserted());
    for _ in 0..SCANS {
        let (mut found, mut bytes, mut time) = (0, 0, true);
        context.engine.scan(None, direction, &mut |key, value| {
            bytes += key.len() + value.len();
            found += 1;
            if found % SCANNED_AT_ONCE == 0 {
                time = probe.meter.lap(SCANNED_AT_ONCE);
            }
            time
        })?;
        time &= probe.meter.lap(found % SCANNED_AT_ONCE);
        let whole = found == expected || (!time && found < expected);
        if !whole || bytes as u64 != found * context.keys.entry_bytes() {
            return Err(format!("{found} entries of {bytes} bytes where there are {expected}").into());
        }
        if !time {
            break;
        }
    }
    Ok(())
}

pub(super) fn get_while_writing(context: &Context<'_>, rate: Option<u32>) -> Fallible<Row> {
    beside_a_writer(context, rate, |probe| {
        let mut next = context.rng(0);
        for _ in 0..context.reads {
            context.get(context.choose(Pick::Uniform, next()))?;
            if !probe.meter.lap(1) {
                break;
            }
        }
        Ok(())
    })
}

pub(super) fn scan_while_writing(context: &Context<'_>) -> Fallible<Row> {
    beside_a_writer(context, None, |probe| scan_all(context, probe, Direction::Forward))
}

/// Runs `body` while another thread puts entries that are there.
fn beside_a_writer(
    context: &Context<'_>,
    rate: Option<u32>,
    body: impl FnOnce(&mut Probe<'_>) -> Fallible<()>,
) -> Fallible<Row> {
    let mut probe = Probe::start(context);
    let (stop, puts) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(context, rate, &stop, &puts));
        let result = body(&mut probe);
        stop.store(true, Ordering::Release);
        let written: Fallible<()> = writer.join().unwrap_or_else(|_| Err("the writer panicked".into()));
        result.and(written)
    });
    result?;
    let puts = puts.into_inner();
    let row = probe.end(puts * context.keys.entry_bytes());
    Ok(Row { beside_per_second: Some(puts as f64 / row.seconds.max(1e-9)), ..row })
}

/// Puts entries at random, at most `rate` per second, until it is to stop.
fn write_until(
    context: &Context<'_>,
    rate: Option<u32>,
    stop: &AtomicBool,
    puts: &AtomicU64,
) -> Fallible<()> {
    let (began, mut next, mut done) = (Instant::now(), context.rng(1), 0u64);
    let at_once = context.engine.writes_at_once();
    while !stop.load(Ordering::Acquire) {
        let due = rate.map_or(u64::MAX, |rate| (began.elapsed().as_secs_f64() * f64::from(rate)) as u64);
        if done >= due {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        let numbers: Vec<u32> = (0..at_once).map(|_| context.choose(Pick::Uniform, next())).collect();
        context.put(&numbers, context.version)?;
        done += at_once as u64;
        puts.store(done, Ordering::Relaxed);
    }
    Ok(())
}
