//! Why a get answers what it does.

use crate::store::{START_MS, builder, filled, key};
use esker::base::clock::{Clock, ManualClock};
use esker::explain::{Answer, EntryKind, Explanation, HiddenBy, PlaceKind};
use esker::fs::sim::{Fault, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::hooks::Append;
use esker::{Db, Durability, Error, Result};
use std::time::Duration;

/// The kinds of the entries found, from the newest place down, with what hides them.
fn entries(explanation: &Explanation) -> Vec<(EntryKind, u64, Option<HiddenBy>)> {
    let found = explanation.places.iter().filter_map(|place| place.entry);
    found.map(|entry| (entry.kind, entry.seq, entry.hidden_by)).collect()
}

#[test]
fn every_place_that_has_the_key_is_told_newest_first() -> Result<()> {
    let (db, _) = filled(100)?;
    db.put(key(2), "second")?;
    db.flush()?;
    db.delete(key(2))?;
    let explained = db.explain(key(2))?;
    assert!(matches!(explained.answer, Answer::Deleted { seq: 52 }), "{explained}");
    let newer = Some(HiddenBy::Newer);
    // Where all sequence numbers are seen by everybody, the last level has zeros in their place.
    let expected =
        [(EntryKind::Deletion, 52, None), (EntryKind::Value, 51, newer), (EntryKind::Value, 0, newer)];
    assert_eq!(entries(&explained), expected, "{explained}");
    let kinds: Vec<_> = explained.places.iter().map(|place| place.kind).collect();
    let level = |at: usize| match kinds[at] {
        PlaceKind::Table { level, .. } => level,
        _ => usize::MAX,
    };
    assert!(kinds[0] == PlaceKind::ActiveMemtable && level(1) == 0 && level(2) == 6, "{kinds:?}");
    assert!(explained.places[1..].iter().all(|place| place.covers && place.filter == Some(true)));
    assert_eq!((explained.cost.memtables, explained.cost.tables), (1, 0), "the get stopped at the deletion");
    let value = db.explain(key(4))?;
    assert!(matches!(value.answer, Answer::Value { bytes: 100, seq: 0, expires_at_ms: None, operands: 0 }));
    assert!(!value.places[1].covers && value.cost.tables == 1, "{value}");
    Ok(())
}

#[test]
fn nothing_is_explained_too() -> Result<()> {
    let (db, clock) = filled(10_000)?;
    let between = db.explain(key(5_001))?;
    let table = &between.places[1];
    assert!(matches!(between.answer, Answer::Nowhere) && table.covers && table.entry.is_none(), "{between}");
    assert_eq!(table.cached.is_none(), table.filter == Some(false), "the filter spares the block");
    let outside = db.explain("a")?;
    assert_eq!(outside.places[1].kind, PlaceKind::Level { level: 6 });
    assert!(!outside.places[0].covers && !outside.places[1].covers);
    db.put_with_ttl("session", "v", Duration::from_secs(1))?;
    let alive = db.explain("session")?;
    let at = START_MS + 1_000;
    assert!(matches!(alive.answer, Answer::Value { expires_at_ms: Some(ms), .. } if ms == at), "{alive}");
    clock.advance(Duration::from_secs(2));
    let expired = db.explain("session")?;
    assert!(matches!(expired.answer, Answer::Expired { at_ms, .. } if at_ms == at), "{expired}");
    assert_eq!(entries(&expired)[0].2, Some(HiddenBy::Expiry));
    db.delete_range(key(0)..key(10))?;
    let covered = db.explain(key(4))?;
    let range = covered.deleted_range.unwrap();
    assert!(matches!(covered.answer, Answer::RangeDeleted { range: by } if by == range), "{covered}");
    assert_eq!(entries(&covered), [(EntryKind::Value, 0, Some(HiddenBy::Range(range)))]);
    Ok(())
}

#[test]
fn operands_show_with_what_they_change() -> Result<()> {
    let clock = ManualClock::new(START_MS);
    let db = builder(&clock).merge_operator("default", Append::new()).open()?;
    db.put("k", "a")?;
    db.flush()?;
    db.merge("k", "b")?;
    let explained = db.explain("k")?;
    assert!(matches!(explained.answer, Answer::Value { bytes: 2, operands: 1, .. }), "{explained}");
    assert_eq!(entries(&explained), [(EntryKind::Operand, 2, None), (EntryKind::Value, 1, None)]);
    Ok(())
}

#[test]
fn damage_is_part_of_the_explanation() -> Result<()> {
    let sim = SimFs::new();
    let open = || {
        let clock = Clock::Manual(ManualClock::new(START_MS));
        Db::builder("/db").fs(Fs::Sim(sim.clone())).clock(clock).default_durability(Durability::Os).open()
    };
    let db = open()?;
    db.put("k", "v")?;
    db.flush()?;
    db.close()?;
    let db = open()?;
    sim.set_fault(Box::new(|op| {
        let table = op.path.extension().is_some_and(|extension| extension == "sst");
        (table && op.kind == OperationKind::Read).then_some(Fault::EIO)
    }));
    let explained = db.explain("k")?;
    assert!(matches!(explained.answer, Answer::Failed(Error::Io(_))), "{explained}");
    assert!(explained.places[1].error.is_some());
    sim.clear_fault();
    assert!(matches!(db.explain("k")?.answer, Answer::Value { .. }));
    Ok(())
}

#[test]
fn an_explanation_reads_as_text() -> Result<()> {
    let (db, _) = filled(100)?;
    db.delete(key(2))?;
    let text = db.explain(key(2))?.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "\"key000002\" in the family \"default\", at sequence number 51");
    assert_eq!(lines[1], "a get answers: nothing; sequence number 51 deleted it");
    assert_eq!(lines[2], "  the active memtable: a deletion, sequence number 51");
    assert!(lines[3].starts_with("  level 6, table "), "{text}");
    let below = "the filter says maybe, the block was read, a value of 100 bytes, sequence number 0, hidden \
                 by what is newer";
    assert!(lines[3].ends_with(below), "{text}");
    assert!(lines[4].starts_with("cost: 1 memtables and 0 tables looked into; 0 blocks"), "{text}");
    assert_eq!(lines.len(), 5);
    Ok(())
}
