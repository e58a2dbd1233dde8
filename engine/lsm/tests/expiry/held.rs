//! What stands in the way of erasure, and what must not: snapshots, transactions, hooks that panic.

use crate::store::{HOUR_MS, STEP, files_with, live, now, of_family, open, raw, settle, small};
use esker::base::clock::ManualClock;
use esker::base::random::Random;
use esker::fs::SimFs;
use esker::hooks::{
    CompactionFilter, CompactionFilterFactory, FilterContext, MergeError, MergeOperator, Verdict,
};
use esker::{ColumnFamily, Db, FamilyOptions, Result, TransactionOptions};
use std::time::Duration;

const SECRET: &str = "secret-of-one-test";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where values may have operands on them, a snapshot keeps also those that had ended before it.
fn plain() -> FamilyOptions {
    FamilyOptions { merge_operator: None, ..raw(DAY) }
}

/// Writes and removes the secret in ways of all kinds, in tables that hold other things, too.
fn write_and_remove(db: &Db, family: &ColumnFamily) -> Result<()> {
    let secret = |n: u32| format!("{SECRET}-{n}");
    for n in 0..40 {
        family.put(format!("key-{n:02}"), if n < 8 { secret(n) } else { "stays".into() })?;
    }
    family.put_with_ttl("key-90", secret(90), Duration::from_secs(60))?;
    db.flush()?;
    for n in 0..4 {
        family.delete(format!("key-{n:02}"))?;
    }
    db.flush()?;
    family.delete_range("key-04".."key-08")?;
    db.flush()
}

#[test]
fn a_snapshot_or_transaction_that_does_not_see_it_delays_nothing() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 11)?;
    let family = db.create_column_family("f", plain())?;
    // What the snapshot sees shares its tables with what comes later.
    family.put("key-20", "seen")?;
    family.put("key-30", "seen")?;
    let snapshot = db.snapshot();
    let transaction = db.begin(TransactionOptions::default())?;
    write_and_remove(&db, &family)?;
    clock.advance(STEP);
    let after = db.snapshot();
    assert!(!files_with(&sim, SECRET).is_empty());
    live(&db, &clock, 24)?;
    assert_eq!(files_with(&sim, SECRET), [""; 0]);
    assert_eq!(snapshot.iter(&family)?.count(), 2);
    // Nothing more is to be had, and nobody goes on trying.
    let compactions = db.stats().compactions;
    live(&db, &clock, 48)?;
    assert_eq!(db.stats().compactions, compactions);
    drop((snapshot, transaction, after));
    live(&db, &clock, 24)?;
    let stats = of_family(&db, "f");
    assert_eq!((stats.hidden_since_ms, stats.erase_due_bytes), (None, 0));
    assert_eq!(family.iter()?.count(), 32);
    Ok(())
}

/// Values that were written, when and until when, and who sees them.
#[derive(Default)]
struct Written {
    /// Written, hidden (if it is), and when the last snapshot that saw it was released.
    values: Vec<(u64, u64, u64)>,
    newest: std::collections::BTreeMap<u64, usize>,
}

impl Written {
    fn hide(&mut self, key: u64, now: u64) {
        if let Some(n) = self.newest.remove(&key) {
            let hidden = &mut self.values[n].1;
            *hidden = now.min(*hidden);
        }
    }

    /// A new value of a key that has none, which ends at `end_ms`.
    fn value(&mut self, key: u64, now: u64, end_ms: u64) -> String {
        self.newest.insert(key, self.values.len());
        self.values.push((now, end_ms, 0));
        format!("secret-{:08}-{}", self.values.len() - 1, "x".repeat(40))
    }

    /// A snapshot from `taken` is gone.
    fn release(&mut self, taken: u64, now: u64) {
        for (written, hidden, released) in &mut self.values {
            if *written <= taken && taken <= *hidden {
                *released = now;
            }
        }
    }

    /// The longest that something was found after it was hidden from everybody.
    fn longest_found(&self, sim: &SimFs, held: &[u64], now: u64) -> u64 {
        let mut longest = 0;
        for path in sim.paths() {
            let bytes = sim.read_raw(&path).unwrap();
            for at in memchr_all(&bytes, b"secret-") {
                let digits = bytes.get(at + 7..at + 15).unwrap_or_default();
                let Ok(n) = std::str::from_utf8(digits).unwrap_or("").parse::<usize>() else { continue };
                let (written, hidden, released) = self.values[n];
                if !held.iter().any(|taken| written <= *taken && *taken <= hidden) {
                    longest = longest.max(now.saturating_sub(hidden.max(released)));
                }
            }
        }
        longest
    }
}

fn memchr_all<'a>(bytes: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(needle.len()).enumerate().filter(move |(_, window)| *window == needle).map(|(at, _)| at)
}

/// One snapshot is held all the time, others come and go.
#[test]
fn with_snapshots_of_all_ages_what_none_of_them_sees_is_gone_within_a_day() -> Result<()> {
    let (sim, clock, random) = (SimFs::new(), ManualClock::new(1_700_000_000_000), Random::seeded(13));
    let db = open(&sim, &clock, 13)?;
    let family = db.create_column_family("f", plain())?;
    let (mut written, mut longest) = (Written::default(), 0);
    let mut snapshots = Vec::new();
    for step in 0..6 * 144u64 {
        let now_ms = now(&clock);
        for _ in 0..if step / 144 % 3 == 2 { random.below(2) } else { 6 } {
            let key = random.below(600);
            written.hide(key, now_ms);
            // What is merely overwritten is no business of erasure.
            let name = format!("key-{key}");
            match random.below(16) {
                0 => family.delete_range(name.clone()..format!("{name}\0"))?,
                _ => family.delete(&name)?,
            }
            let ttl = Duration::from_secs(600 * (1 + random.below(200)));
            match random.below(8) {
                0..3 => family.put(name, written.value(key, now_ms, u64::MAX))?,
                3 => {
                    let value = written.value(key, now_ms, now_ms + ttl.as_millis() as u64);
                    family.put_with_ttl(name, value, ttl)?;
                }
                _ => {}
            }
        }
        clock.advance(Duration::from_millis(1));
        if step == 20 || step % 7 == 0 {
            let until = if step == 20 { u64::MAX } else { step + 1 + random.below(200) };
            snapshots.push((until, now(&clock), db.snapshot()));
        }
        clock.advance(STEP);
        let (gone, left): (Vec<_>, Vec<_>) = snapshots.into_iter().partition(|(until, ..)| *until <= step);
        gone.iter().for_each(|(_, taken, _)| written.release(*taken, now(&clock)));
        snapshots = left;
        drop(gone);
        settle(&db)?;
        if step % 18 == 17 {
            let held: Vec<_> = snapshots.iter().map(|(_, taken, _)| *taken).collect();
            longest = longest.max(written.longest_found(&sim, &held, now(&clock)));
            assert!(longest <= 24 * HOUR_MS, "found {} h after it was hidden", longest / HOUR_MS);
        }
    }
    let (values, compactions) = (written.values.len(), db.stats().compactions);
    println!("{values} values, found at most {} h later, {compactions} compactions", longest / HOUR_MS);
    assert!(written.values.len() > 1_000 && longest > 0);
    // No one writes, no one lets go: the store comes to rest.
    live(&db, &clock, 48)?;
    let compactions = db.stats().compactions;
    live(&db, &clock, 24)?;
    assert_eq!(db.stats().compactions, compactions);
    Ok(())
}

/// As a filter and as an operator it always panics.
#[derive(Debug)]
struct Panics;

impl CompactionFilterFactory for Panics {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        Box::new(|_: &[u8], _: &[u8], _: u64| -> Verdict { panic!("as always") })
    }
}

impl MergeOperator for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn full(&self, _: &[u8], _: Option<&[u8]>, _: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        panic!("as always")
    }
}

#[test]
fn a_hook_that_always_panics_does_not_keep_what_was_deleted() -> Result<()> {
    for operator in [false, true] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let builder = small(&sim, &clock, 17);
        let builder = match operator {
            true => builder.merge_operator("f", Panics),
            false => builder.compaction_filter("f", Panics),
        };
        let db = builder.open()?;
        let merge_operator = operator.then(|| "panics".into());
        let family = db.create_column_family("f", FamilyOptions { merge_operator, ..raw(DAY) })?;
        if operator {
            // One that is kept, and one that is deleted with what it changes.
            family.merge("key-50", "kept")?;
            family.put("key-51", format!("{SECRET}-51"))?;
            family.merge("key-51", format!("{SECRET}-operand"))?;
            db.flush()?;
            family.delete("key-51")?;
        }
        write_and_remove(&db, &family)?;
        live(&db, &clock, 24)?;
        assert_eq!(files_with(&sim, SECRET), [""; 0], "operator: {operator}");
        // What is left is as it was.
        assert_eq!(family.get("key-20")?.unwrap(), "stays");
        assert!(!operator || family.get("key-50").is_err() && !files_with(&sim, "kept").is_empty());
        let compactions = db.stats().compactions;
        live(&db, &clock, 12)?;
        assert_eq!(db.stats().compactions, compactions, "nothing is left to erase");
        assert!(db.verify()?.problems.is_empty());
    }
    Ok(())
}

#[test]
fn what_is_hidden_is_known_before_it_is_flushed_and_until_it_is_gone_from_tables() -> Result<()> {
    for dropped in [false, true] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let db = open(&sim, &clock, 19)?;
        let family = db.create_column_family("f", raw(DAY))?;
        family.put("key", SECRET)?;
        db.flush()?;
        assert_eq!(of_family(&db, "f").hidden_since_ms, None);
        clock.advance(STEP);
        let since = Some(now(&clock));
        if dropped {
            family.drop_range("a".."z")?
        } else {
            family.delete_range("a".."z")?
        }
        assert_eq!(of_family(&db, "f").hidden_since_ms, since);
        db.flush()?;
        clock.advance(STEP);
        db.compact()?;
        assert_eq!(of_family(&db, "f").hidden_since_ms, None);
        assert!(files_with(&sim, SECRET).iter().all(|path| !path.ends_with(".sst")));
    }
    Ok(())
}
