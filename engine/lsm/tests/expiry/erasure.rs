//! Weeks of a store's life on a simulated disk and clock, in which every file is searched again and again
//! for the bytes of what was deleted or has expired.

use crate::store::{HOUR_MS, STEP, live, now, of_family, open, raw, settle, small};
use esker::base::clock::ManualClock;
use esker::base::random::Random;
use esker::fs::SimFs;
use esker::{
    ColumnFamily, CompactionStyle, Db, Durability, FamilyOptions, PinKind, Result, Tiered, WriteBatch,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes that occur nowhere but in the keys and values of this test.
const MARK: &[u8] = b"secret-";
const DIGITS: usize = 8;

/// What was written, by its number: when it was deleted or expires, if ever.
#[derive(Default)]
struct Written {
    hidden_ms: Vec<u64>,
    /// By key: the numbers of all its versions.
    versions: BTreeMap<u64, Vec<usize>>,
}

impl Written {
    /// A key or value that carries a new number.
    fn mark(&mut self, key: u64, until_ms: u64) -> String {
        let n = self.hidden_ms.len();
        self.hidden_ms.push(until_ms);
        self.versions.entry(key).or_default().push(n);
        format!("secret-{n:08}-{}", "x".repeat(40))
    }

    /// An operand that carries a new number: it lives as long as what it changes.
    fn mark_operand(&mut self, key: u64, now_ms: u64) -> String {
        let newest = self.versions.get(&key).and_then(|versions| versions.last());
        let until = newest.map_or(u64::MAX, |n| self.hidden_ms[*n]);
        self.mark(key, if until > now_ms { until } else { u64::MAX })
    }

    fn delete(&mut self, key: u64, now_ms: u64) {
        for n in self.versions.remove(&key).unwrap_or_default() {
            self.hidden_ms[n] = self.hidden_ms[n].min(now_ms);
        }
    }

    /// The longest that anything was found after it was deleted or had expired, in ms.
    fn longest_found(&self, sim: &SimFs, now_ms: u64) -> u64 {
        let mut longest = 0;
        for path in sim.paths() {
            let bytes = sim.read_raw(&path).unwrap();
            for at in bytes.windows(MARK.len()).enumerate().filter(|(_, w)| *w == MARK).map(|(at, _)| at) {
                let digits = bytes.get(at + MARK.len()..at + MARK.len() + DIGITS).unwrap_or_default();
                let Ok(n) = std::str::from_utf8(digits).unwrap_or("").parse::<usize>() else { continue };
                longest = longest.max(now_ms.saturating_sub(self.hidden_ms[n]));
            }
        }
        longest
    }
}

/// A family that promises erasure within an hour, with fifty values.
fn fifty(db: &Db) -> Result<(ColumnFamily, Written)> {
    let family = db.create_column_family("f", raw(Duration::from_secs(3600)))?;
    let mut written = Written::default();
    for key in 0..50 {
        family.put(format!("key-{key:03}"), written.mark(key, u64::MAX))?;
    }
    Ok((family, written))
}

fn write_some(
    family: &ColumnFamily,
    random: &Random,
    written: &mut Written,
    busy: bool,
    now_ms: u64,
) -> Result<()> {
    for _ in 0..if busy { 12 } else { random.below(2) } {
        let key = random.below(2_000);
        let name = format!("key-{key}");
        match random.below(10) {
            0..4 => family.put(name, written.mark(key, u64::MAX))?,
            4 => family.merge(name, written.mark_operand(key, now_ms))?,
            5 | 6 => {
                let ttl = Duration::from_secs(600 * (1 + random.below(400)));
                let until = now_ms + ttl.as_millis() as u64;
                family.put_with_ttl(name, written.mark(key, until), ttl)?;
                // What is older than an expired value is hidden with it.
                let versions = written.versions.remove(&key).unwrap_or_default();
                let newest = versions.last().copied();
                versions.iter().for_each(|n| written.hidden_ms[*n] = written.hidden_ms[*n].min(until));
                written.versions.insert(key, newest.into_iter().collect());
            }
            7 if random.below(40) == 0 => {
                // A tenth of all keys at once, deleted or given up for good; both begin anew afterwards.
                let digit = random.below(10);
                let prefix = format!("key-{digit}");
                if random.below(2) == 0 {
                    family.delete_prefix(prefix)?
                } else {
                    family.drop_prefix(prefix)?
                }
                let gone = |key: &u64| *key < 1 << 32 && key.to_string().starts_with(&digit.to_string());
                for key in written.versions.keys().copied().filter(gone).collect::<Vec<_>>() {
                    written.delete(key, now_ms);
                }
            }
            _ => {
                family.delete(&name)?;
                written.delete(key, now_ms);
                // Some begin anew at once: the deletion never reaches a table by itself.
                match random.below(4) {
                    0 => family.put(name, written.mark(key, u64::MAX))?,
                    1 => family.merge(name, written.mark_operand(key, now_ms))?,
                    _ => {}
                }
            }
        }
        // Keys that occur once, so that the manifest and indexes have something to forget, too.
        let once = written.mark(1 << 32 | random.below(1 << 31), u64::MAX);
        family.put(&once, "v")?;
        let n = written.hidden_ms.len() - 1;
        family.delete(&once)?;
        written.hidden_ms[n] = now_ms;
    }
    Ok(())
}

#[test]
fn what_was_deleted_or_has_expired_is_gone_from_every_file_within_a_day_for_three_weeks() -> Result<()> {
    live_for(21, CompactionStyle::Leveled)
}

#[test]
fn so_it_is_in_tiers() -> Result<()> {
    live_for(9, CompactionStyle::Tiered(Tiered::default()))
}

fn live_for(days: u64, compaction: CompactionStyle) -> Result<()> {
    let (sim, clock, random) = (SimFs::new(), ManualClock::new(1_700_000_000_000), Random::seeded(7));
    let mut db = open(&sim, &clock, 7)?;
    let day = raw(Duration::from_secs(24 * 3600));
    db.create_column_family("f", FamilyOptions { compaction, ..day })?;
    let (mut written, mut longest, mut looks) = (Written::default(), 0, 0);
    for step in 0..days * 144 {
        let family = db.open_column_family("f")?;
        let now_ms = now(&clock);
        // Busy days and idle ones, on which nothing but time brings work about.
        let busy = step / 144 % 3 != 2;
        write_some(&family, &random, &mut written, busy && step % 4 == 0, now_ms)?;
        settle(&db)?;
        if step % 18 == 17 {
            longest = longest.max(written.longest_found(&sim, now_ms));
            looks += 1;
            assert!(
                longest <= 24 * HOUR_MS,
                "found {} h after it was hidden, step {step}",
                longest / HOUR_MS
            );
        }
        if step % 500 == 499 {
            drop(family);
            db.close()?;
            db = open(&sim, &clock, step)?;
        }
        clock.advance(STEP);
    }
    let hidden = written.hidden_ms.iter().filter(|at| **at < now(&clock)).count();
    println!("{hidden} things hidden, found at most {} h later, looked {looks} times", longest / HOUR_MS);
    assert!(hidden > 200 * days as usize && longest > 0);
    // A quiet day later nothing at all is left, and the store says so.
    for _ in 0..150 {
        clock.advance(STEP);
        settle(&db)?;
    }
    let family = of_family(&db, "f");
    let now_ms = now(&clock);
    assert!(family.hidden_since_ms.is_none_or(|since| now_ms - since <= 24 * HOUR_MS), "{family:?}");
    assert_eq!((family.erase_due_bytes, family.erase_held_bytes), (0, 0));
    Ok(())
}

#[test]
fn what_a_snapshot_holds_is_said_and_goes_once_it_is_released() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 3)?;
    let (family, mut written) = fifty(&db)?;
    db.flush()?;
    let snapshot = db.snapshot();
    for key in 0..50 {
        family.delete(format!("key-{key:03}"))?;
        written.delete(key, now(&clock));
    }
    live(&db, &clock, 3)?;
    assert!(written.longest_found(&sim, now(&clock)) >= 2 * HOUR_MS, "the snapshot still reads it");
    assert_eq!(snapshot.iter(&family)?.count(), 50);
    let stats = of_family(&db, "f");
    assert!(stats.erase_held_bytes > 0 && stats.erase_held_bytes == stats.erase_due_bytes, "{stats:?}");
    assert!(now(&clock) - stats.hidden_since_ms.unwrap() >= 3 * HOUR_MS);
    let pins = db.pins();
    assert_eq!((pins.len(), pins[0].kind), (1, PinKind::Snapshot));
    assert!(pins[0].age >= Duration::from_secs(3 * 3600));
    drop(snapshot);
    live(&db, &clock, 1)?;
    assert_eq!(written.longest_found(&sim, now(&clock)), 0);
    let stats = of_family(&db, "f");
    assert_eq!((stats.hidden_since_ms, stats.erase_due_bytes), (None, 0));
    Ok(())
}

#[test]
fn a_dropped_million_is_gone_within_its_time_and_nothing_reads_it() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = small(&sim, &clock, 5)
        .memory_budget(32 << 20)
        .memtable_bytes(1 << 20)
        .target_file_bytes(1 << 20)
        .level_base_bytes(4 << 20)
        .wal_segment_bytes(1 << 20)
        .open()?;
    let family = db.create_column_family("f", raw(Duration::from_secs(24 * 3600)))?;
    family.put("a", "stays")?;
    family.put("z", "stays")?;
    let mut written = Written::default();
    for first in (0..1_000_000u64).step_by(1_000) {
        let mut batch = WriteBatch::new();
        for n in first..first + 1_000 {
            written.hidden_ms.push(u64::MAX);
            // All over the tree, and in the log at last.
            batch.put(&family, format!("key-{:07}", n * 611_953 % 1_000_000), format!("secret-{n:08}"));
        }
        db.write(batch, Durability::Os)?;
    }
    // What is due anyway is no work of the range.
    db.flush()?;
    for _ in 0..20 {
        settle(&db)?;
    }
    let before = db.stats();
    family.drop_prefix("key-")?;
    let dropped_ms = now(&clock);
    written.hidden_ms.fill(dropped_ms);
    let mut found_ms = Some(0);
    while let Some(found) = found_ms.filter(|found| *found <= 24 * HOUR_MS) {
        clock.advance(STEP);
        settle(&db)?;
        let longest = written.longest_found(&sim, now(&clock));
        found_ms = (longest > found).then_some(longest);
    }
    let gone_ms = now(&clock) - dropped_ms;
    println!("the bytes of a dropped million are gone {} min later", gone_ms / 60_000);
    assert!(gone_ms <= 24 * HOUR_MS);
    let (after, table) = (db.stats(), 1u64 << 20);
    let read = after.compacted_bytes_in - before.compacted_bytes_in;
    // What lies beside the range shares a table with it at either end, at most once on each level.
    assert!(read <= 4 * table, "{read} bytes were read to be rid of what nobody may read");
    assert_eq!(family.iter()?.count(), 2);
    assert!(family.get("a")?.unwrap() == "stays" && family.get("z")?.unwrap() == "stays");
    Ok(())
}

/// A value that was deleted and put anew before the first flush was forgotten: its deletion went with the
/// flush, and nothing was left that asked for the old value.
#[test]
fn what_was_deleted_and_put_anew_at_once_is_gone_within_its_time() -> Result<()> {
    for anew in ["put", "merge", "merge twice"] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let db = open(&sim, &clock, 3)?;
        let (family, mut written) = fifty(&db)?;
        db.compact()?;
        for key in (0..50).step_by(7) {
            let name = format!("key-{key:03}");
            family.delete(&name)?;
            written.delete(key, now(&clock));
            match anew {
                "put" => family.put(name, "anew")?,
                "merge" => family.merge(name, "anew")?,
                _ => {
                    family.merge(&name, "a")?;
                    family.merge(name, "new")?;
                }
            }
        }
        live(&db, &clock, 2)?;
        assert_eq!(written.longest_found(&sim, now(&clock)), 0, "{anew}");
        assert_eq!(family.get("key-007")?.unwrap(), b"anew");
        assert_eq!(family.iter()?.count(), 50);
        // Nothing is left to remind of.
        let stats = of_family(&db, "f");
        assert_eq!((stats.hidden_since_ms, stats.erase_due_bytes), (None, 0), "{anew}");
    }
    Ok(())
}

/// The same while a snapshot reads the old value: with nothing below, the deletion went with the first
/// merge, and when the snapshot was released nobody asked for the value that it had kept.
#[test]
fn what_was_put_anew_under_a_snapshot_is_gone_when_that_is_released() -> Result<()> {
    for (anew, flushed) in [("put", true), ("merge", true), ("put", false), ("delete", true)] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let db = open(&sim, &clock, 3)?;
        let (family, mut written) = fifty(&db)?;
        if flushed {
            db.compact()?;
        }
        let snapshot = db.snapshot();
        for key in 0..50 {
            let name = format!("key-{key:03}");
            family.delete(&name)?;
            written.delete(key, now(&clock));
            match anew {
                "put" => family.put(name, "anew")?,
                "merge" => family.merge(name, "anew")?,
                _ => {}
            }
        }
        live(&db, &clock, 3)?;
        assert_eq!(snapshot.iter(&family)?.count(), 50);
        let stats = of_family(&db, "f");
        assert!(stats.hidden_since_ms.is_some_and(|since| now(&clock) - since >= 3 * HOUR_MS), "{stats:?}");
        drop(snapshot);
        live(&db, &clock, 2)?;
        assert_eq!(written.longest_found(&sim, now(&clock)), 0, "{anew}, flushed: {flushed}");
    }
    Ok(())
}
