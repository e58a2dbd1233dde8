//! A family that keeps only the newest: what goes, in which order, and what must never be seen.

use esker::base::clock::{Clock, ManualClock};
use esker::base::random::Random;
use esker::fs::sim::{Image, Phase};
use esker::fs::{Fs, SimFs};
use esker::{CompactionStyle, Db, Durability, Error, FamilyChanges, FamilyOptions, Fifo, Result, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const MOST: u64 = 64 << 10;
const SIZED: Fifo = Fifo { bytes: Some(MOST), age: None, runs: 6 };
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(disk: &SimFs, clock: &Arc<ManualClock>, seed: u64) -> Result<Db> {
    let builder = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(seed).memory_budget(16 << 20);
    let builder = builder.clock(Clock::Manual(clock.clone())).reserve_bytes(0);
    let builder = builder.memtable_bytes(4 << 10).target_file_bytes(4 << 10).level_base_bytes(8 << 10);
    builder.default_durability(Durability::Os).open()
}

/// No deadline has anything merged down, and tables take what was written.
fn options(rules: Fifo) -> FamilyOptions {
    let compaction = CompactionStyle::Fifo(rules);
    FamilyOptions { compaction, erase_within: None, zstd_level: None, ..FamilyOptions::default() }
}

fn settle(db: &Db) -> Result<()> {
    (0..400).try_for_each(|_| db.contains_key("nothing").map(drop))
}

fn table_bytes(db: &Db) -> u64 {
    db.stats().families.iter().find(|family| family.name == "f").expect("the family").table_bytes()
}

fn entries(db: &Db, held: Option<&Snapshot>) -> Result<Entries> {
    let family = db.column_family("f")?;
    let all = match held {
        Some(snapshot) => snapshot.iter(&family)?,
        None => family.iter()?,
    };
    all.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect()
}

/// What was last written to each key, in the order of the writes.
#[derive(Default)]
struct Model {
    /// Step and value of each key; no value where it was deleted.
    last: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>,
    /// Keys whose last value has gone.
    gone: BTreeSet<Vec<u8>>,
}

impl Model {
    fn write(&mut self, step: u64, key: &[u8], value: Option<&[u8]>) {
        self.last.insert(key.to_vec(), (step, value.map(<[u8]>::to_vec)));
        self.gone.remove(key);
    }

    /// Holds what is shown against what was written. In `order`, everything that has gone is older than
    /// everything that is there.
    fn check(&mut self, shown: &Entries, order: bool) {
        let (mut newest_gone, mut oldest_shown) = (0, u64::MAX);
        for (key, (step, value)) in &self.last {
            match (shown.get(key), value) {
                (Some(shown), value) => {
                    assert_eq!(Some(shown), value.as_ref(), "an older version of {key:?}");
                    assert!(!self.gone.contains(key), "{key:?} has come back");
                    oldest_shown = oldest_shown.min(*step);
                }
                (None, Some(_)) => {
                    self.gone.insert(key.clone());
                    newest_gone = newest_gone.max(*step);
                }
                (None, None) => {}
            }
        }
        assert!(shown.keys().all(|key| self.last.contains_key(key)));
        assert!(!order || newest_gone < oldest_shown, "{newest_gone} has gone before {oldest_shown}");
    }
}

fn key(random: &Random) -> Vec<u8> {
    format!("key{:04}", random.below(1500)).into_bytes()
}

/// `order`: nothing is ever compacted down, so age alone decides.
fn live(seed: u64, order: bool) -> Result<()> {
    let (mut disk, clock, random) = (SimFs::new(), ManualClock::new(1_700_000_000_000), Random::seeded(seed));
    let mut db = open(&disk, &clock, seed)?;
    db.create_column_family("f", options(SIZED))?;
    let (mut model, mut held): (_, Option<(Snapshot, Entries)>) = (Model::default(), None);
    let (mut outlived, mut losses) = (0, 0);
    for step in 1..=8_000 {
        let (f, key) = (db.open_column_family("f")?, key(&random));
        match random.below(40) {
            0..30 => {
                let value = format!("{step}{}", "v".repeat(random.below(120) as usize)).into_bytes();
                f.put(&key, &value)?;
                model.write(step, &key, Some(&value));
            }
            30..34 => {
                f.delete(&key)?;
                model.write(step, &key, None);
            }
            34 if random.below(20) == 0 => held = Some((db.snapshot(), entries(&db, None)?)),
            35 if random.below(10) == 0 => held = None,
            36 if random.below(40) == 0 && !order => f.compact_range(&key[..]..)?,
            37 if random.below(40) == 0 && !order => {
                // Through another style and back.
                for compaction in [CompactionStyle::Leveled, CompactionStyle::Fifo(SIZED)] {
                    f.change_options(FamilyChanges { compaction: Some(compaction), ..Default::default() })?;
                    settle(&db)?;
                }
            }
            38 if random.below(12) == 0 => {
                held = None;
                outlived += db.stats().outlived_tables;
                drop(f);
                if random.below(2) == 0 {
                    db.close()?;
                } else {
                    db.sync()?;
                    let lost = disk.image(Image::LaterKept, step);
                    drop(db);
                    disk = lost;
                    losses += 1;
                }
                db = open(&disk, &clock, step)?;
            }
            _ => {
                let shown = f.get(&key)?;
                let wanted = model.last.get(&key).and_then(|(_, value)| value.as_deref());
                assert!(shown.is_none() || shown.as_deref() == wanted, "step {step}");
            }
        }
        if step % 200 == 0 {
            let shown = entries(&db, None)?;
            model.check(&shown, order);
            for (key, value) in &shown {
                // It may go meanwhile.
                let found = db.column_family("f")?.get(key)?;
                assert!(found.is_none() || found.as_deref() == Some(&value[..]), "step {step}");
            }
            if let Some((snapshot, model)) = &held {
                assert!(entries(&db, Some(snapshot))? == *model, "step {step}");
            }
        }
    }
    drop(held);
    db.flush()?;
    settle(&db)?;
    model.check(&entries(&db, None)?, order);
    assert!(table_bytes(&db) <= MOST, "{}", table_bytes(&db));
    assert!(db.verify()?.problems.is_empty());
    outlived += db.stats().outlived_tables;
    println!("figure: {outlived} tables went, {} keys, {losses} losses", model.gone.len());
    assert!(outlived > 20 && model.gone.len() > 100 && losses > 0);
    Ok(())
}

#[test]
fn the_oldest_goes_first_and_no_older_version_is_ever_shown() -> Result<()> {
    (0..4).try_for_each(|seed| live(seed, true))
}

#[test]
fn so_it_is_when_all_is_compacted_now_and_then_and_styles_change() -> Result<()> {
    (10..14).try_for_each(|seed| live(seed, false))
}

#[test]
fn a_snapshot_keeps_what_it_shows_and_all_goes_when_it_is_released() -> Result<()> {
    let (disk, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&disk, &clock, 1)?;
    let f = db.create_column_family("f", options(SIZED))?;
    let fill = |round: u8| -> Result<()> {
        (0..100).try_for_each(|i| f.put([round, i], [round; 500]))?;
        db.flush()?;
        settle(&db)
    };
    fill(0)?;
    let (snapshot, before) = (db.snapshot(), entries(&db, None)?);
    (1..8).try_for_each(fill)?;
    assert!(table_bytes(&db) > 5 * MOST);
    assert!(entries(&db, Some(&snapshot))? == before);
    assert_eq!(db.stats().outlived_tables, 0);
    drop(snapshot);
    settle(&db)?;
    assert!(table_bytes(&db) <= MOST, "{}", table_bytes(&db));
    assert_eq!(f.get([7, 99])?.as_deref(), Some(&[7; 500][..]));
    Ok(())
}

/// Writes a key each hour for twenty hours, of which ten are kept. Returns the keys that are there in the
/// end.
fn twenty_hours(runs: u32) -> Result<Vec<u8>> {
    let (disk, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let hour = Duration::from_secs(3600);
    let db = open(&disk, &clock, 1)?;
    let f = db.create_column_family("f", options(Fifo { bytes: None, age: Some(10 * hour), runs }))?;
    for at in 0..20u8 {
        f.put([at], [1; 3000])?;
        db.flush()?;
        settle(&db)?;
        clock.advance(hour);
    }
    settle(&db)?;
    let shown = entries(&db, None)?.into_keys().map(|key| key[0]).collect();
    clock.advance(10 * hour);
    settle(&db)?;
    assert_eq!((entries(&db, None)?.len(), table_bytes(&db)), (0, 0));
    Ok(shown)
}

#[test]
fn tables_go_when_they_are_too_old_though_nobody_writes() -> Result<()> {
    assert_eq!(twenty_hours(64)?, (10..20).collect::<Vec<u8>>());
    // Merged with its neighbours, a table goes when the newest that is in it is too old.
    let merged = twenty_hours(3)?;
    assert!(merged.contains(&10) && merged[0] > 0, "{merged:?}");
    assert_eq!(merged, (merged[0]..20).collect::<Vec<u8>>());
    Ok(())
}

/// Power is lost after each third call of a store that flushes and drops: what is left is one stretch of the
/// writes, without a hole, up to one that was durable or later.
#[test]
fn a_loss_of_power_leaves_a_stretch_of_the_newest() -> Result<()> {
    let (original, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&original, &clock, 1)?;
    let f = db.create_column_family("f", options(SIZED))?;
    (0..200u32).try_for_each(|i| f.put(i.to_be_bytes(), [1; 500]))?;
    db.flush()?;
    settle(&db)?;
    drop(f);
    db.close()?;
    let go_on = |disk: &SimFs| -> Result<u64> {
        let db = open(disk, &clock, 2)?;
        let f = db.open_column_family("f")?;
        (200..300u32).try_for_each(|i| f.put(i.to_be_bytes(), [2; 500]))?;
        db.flush()?;
        settle(&db)?;
        Ok(db.stats().outlived_tables)
    };
    let probe = original.kill_image();
    assert!(go_on(&probe)? > 2);
    for at in (0..probe.stats().total()).step_by(3) {
        for image in [Image::Nothing, Image::LaterKept] {
            let sim = original.kill_image();
            sim.crash_at(at, Phase::After);
            let _ = go_on(&sim);
            let db = open(&sim.image(image, at), &clock, 3)?;
            let shown: Vec<u32> = entries(&db, None)?
                .into_keys()
                .map(|key| u32::from_be_bytes(key.try_into().expect("four bytes")))
                .collect();
            assert!(shown.windows(2).all(|pair| pair[0] + 1 == pair[1]), "call {at}, {image}: {shown:?}");
            assert!(shown.last() >= Some(&199), "call {at}, {image}: {shown:?}");
            assert!(db.verify()?.problems.is_empty(), "call {at}, {image}");
        }
    }
    Ok(())
}

#[test]
fn a_family_with_a_merge_operator_cannot_drop_its_oldest() -> Result<()> {
    let (disk, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&disk, &clock, 1)?;
    let merging = FamilyOptions { merge_operator: Some("esker.append".into()), ..FamilyOptions::default() };
    let both = FamilyOptions { compaction: CompactionStyle::Fifo(SIZED), ..merging.clone() };
    let wrong = |error: Error| assert!(matches!(error, Error::InvalidArgument { what: "compaction", .. }));
    wrong(db.create_column_family("f", both).unwrap_err());
    let f = db.create_column_family("f", merging)?;
    let compaction = Some(CompactionStyle::Fifo(SIZED));
    wrong(f.change_options(FamilyChanges { compaction, ..Default::default() }).unwrap_err());
    Ok(())
}
