//! Options that change while a store is open.

use super::store::START_MS;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::sim::{Fault, Image, OperationKind, Phase};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Changes, Db, Durability, FamilyChanges, Options, Result, StoredOptions, Ttl};
use std::time::Duration;

const DIR: &str = "/db";

fn builder(sim: &SimFs) -> Builder {
    let clock = Clock::Manual(ManualClock::new(START_MS));
    Db::builder(DIR).fs(Fs::Sim(sim.clone())).clock(clock).memory_budget(16 << 20).deterministic(1)
}

fn stored(sim: &SimFs) -> Result<Options> {
    Ok(StoredOptions::load(&Fs::Sim(sim.clone()), DIR)?.options)
}

fn fill(db: &Db, from: u32) -> Result<()> {
    let mut batch = esker::WriteBatch::new();
    for i in from..from + 1_000 {
        batch.put(db, format!("{i:06}"), [i as u8; 1_000]);
    }
    db.write(batch, Durability::Os)
}

#[test]
fn the_budget_changes_what_is_held_and_what_is_stored() -> Result<()> {
    let sim = SimFs::new();
    let db = builder(&sim).open()?;
    fill(&db, 0)?;
    db.compact()?;
    for i in 0..1_000 {
        db.get(format!("{i:06}"))?;
    }
    let before = db.memory_report();
    assert!(before.cache_bytes > 900_000, "{before}");
    fill(&db, 1_000)?;
    let changed = db.change_options(Changes { memory_budget: Some(1 << 20), ..Changes::default() })?;
    assert_eq!(changed.len(), 1, "{changed:?}");
    let after = db.memory_report();
    assert_eq!((after.budget_bytes, after.block_budget_bytes), (1 << 20, 1 << 19), "{after}");
    assert!(after.cache_bytes <= 1 << 19, "{after}");
    assert_eq!(after.active_budget_bytes, 2 << 16);
    assert_eq!((db.options().memory_budget, stored(&sim)?.memory_budget), (1 << 20, 1 << 20));
    db.flush()?;
    let flushes = db.stats().flushes;
    fill(&db, 2_000)?;
    db.flush()?;
    assert!(db.stats().flushes > flushes);
    assert!(db.change_options(Changes::default())?.is_empty());
    db.close()?;
    let db = builder(&sim).stored_options().open()?;
    assert_eq!(db.memory_report().budget_bytes, 1 << 20);
    Ok(())
}

#[test]
fn all_changes_are_made_or_none() -> Result<()> {
    let sim = SimFs::new();
    let db = builder(&sim).open()?;
    let (before, file) = (db.options(), db.options_file());
    let good = Changes { time_one_in: Some(5), ..Changes::default() };
    let wrong = Changes { memory_budget: Some(5), ..good };
    let error = db.change_options(wrong).unwrap_err();
    assert!(error.to_string().contains("memory_budget"), "{error}");
    let wrong = Changes { sync_interval: Some(Duration::ZERO), ..good };
    assert!(db.change_options(wrong).unwrap_err().to_string().contains("sync_interval"));
    for kind in [OperationKind::Create, OperationKind::Write, OperationKind::Sync] {
        sim.set_fault(Box::new(move |op| {
            (op.kind == kind && op.path.to_string_lossy().contains("OPTIONS")).then_some(Fault::ENOSPC)
        }));
        assert!(db.change_options(good).is_err(), "{kind}");
        assert_eq!(
            (db.options(), db.options_file(), db.metrics().time_one_in),
            (before.clone(), file.clone(), 0)
        );
    }
    sim.clear_fault();
    assert!(db.health().is_well());
    assert_eq!(db.change_options(good)?[0].name, "time_one_in");
    assert_eq!((db.metrics().time_one_in, stored(&sim)?.time_one_in), (5, 5));

    let family = db.default_family();
    let before = family.options()?;
    let wrong = FamilyChanges { zstd_level: Some(Some(99)), block_bytes: Some(4096), ..Default::default() };
    let error = family.change_options(wrong).unwrap_err();
    assert!(error.to_string().contains("zstd_level") && family.options()? == before, "{error}");
    Ok(())
}

#[test]
fn durability_and_times_to_live_hold_from_the_next_write_on() -> Result<()> {
    let sim = SimFs::new();
    let db = builder(&sim).open()?;
    let logged = db.stats().logged_bytes;
    db.put("a", "v")?;
    let before = db.stats().logged_bytes;
    assert!(before > logged);
    db.change_options(Changes { default_durability: Some(Durability::None), ..Changes::default() })?;
    db.put("b", "v")?;
    assert_eq!(db.stats().logged_bytes, before, "it does not enter the log");
    let family = db.default_family();
    let ttl = Duration::from_secs(7);
    family.change_options(FamilyChanges { default_ttl: Some(Some(ttl)), ..Default::default() })?;
    db.put("c", "v")?;
    assert_eq!((db.ttl("b")?, db.ttl("c")?), (Some(Ttl::Never), Some(Ttl::Remaining(ttl))));
    family.change_options(FamilyChanges { default_ttl: Some(None), ..Default::default() })?;
    db.put("d", "v")?;
    assert_eq!((db.ttl("c")?, db.ttl("d")?), (Some(Ttl::Remaining(ttl)), Some(Ttl::Never)));
    Ok(())
}

#[test]
fn how_tables_are_written_changes_with_the_next_ones() -> Result<()> {
    let sim = SimFs::new();
    let db = builder(&sim).open()?;
    let family = db.default_family();
    fill(&db, 0)?;
    db.compact()?;
    let last = |db: &Db| db.stats().families[0].levels[6];
    let compressed = last(&db);
    let changes = FamilyChanges { zstd_level: Some(None), ..Default::default() };
    family.change_options(changes)?;
    let size = Changes { target_file_bytes: Some(Some(100_000)), ..Changes::default() };
    db.change_options(size)?;
    fill(&db, 0)?;
    db.compact()?;
    let raw = last(&db);
    assert!(compressed.bytes < 500_000 && raw.bytes > 1_000_000, "{compressed:?}, {raw:?}");
    assert!(compressed.files == 1 && raw.files >= 10, "{compressed:?}, {raw:?}");
    db.close()?;
    let db = builder(&sim).open()?;
    assert_eq!(db.default_family().options()?.zstd_level, None, "the manifest keeps it");
    let dropped = db.column_family("dropped")?;
    db.drop_column_family("dropped")?;
    assert!(matches!(dropped.change_options(changes), Err(esker::Error::FamilyDropped { .. })));
    Ok(())
}

/// Changes both, and loses power behind each operation: what a call has returned for stays.
#[test]
fn a_loss_of_power_leaves_what_was_changed() -> Result<()> {
    let original = SimFs::new();
    builder(&original).open()?.close()?;
    let change = |sim: &SimFs, done: &mut (bool, bool)| -> Result<()> {
        let db = builder(sim).open()?;
        db.change_options(Changes { max_ranges: Some(Some(77)), ..Changes::default() })?;
        done.0 = true;
        let bytes = FamilyChanges { block_bytes: Some(1234), ..Default::default() };
        db.default_family().change_options(bytes)?;
        done.1 = true;
        Ok(())
    };
    let probe = original.kill_image();
    change(&probe, &mut (false, false))?;
    for at in 0..probe.stats().total() {
        for image in [Image::Nothing, Image::All, Image::LaterKept] {
            let (sim, mut done) = (original.kill_image(), (false, false));
            sim.crash_at(at, Phase::After);
            let _ = change(&sim, &mut done);
            let left = sim.image(image, 0);
            let found = stored(&left)?.max_ranges;
            assert!(found == Some(77) || (found.is_none() && !done.0), "operation {at}: {found:?}");
            let db = builder(&left).stored_options().open()?;
            let found = db.default_family().options()?.block_bytes;
            assert!(found == 1234 || (found == 8 << 10 && !done.1), "operation {at}: {found}");
        }
    }
    Ok(())
}

/// Each waited for what the other one held.
#[test]
fn options_change_while_copies_are_made() -> Result<()> {
    let sim = SimFs::new();
    let db = Db::builder(DIR).fs(Fs::Sim(sim)).memory_budget(16 << 20).open()?;
    db.put("a", "1")?;
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            (0..300u64).try_for_each(|i| {
                let changes = Changes { memory_budget: Some((16 + i) << 20), ..Changes::default() };
                db.change_options(changes).map(drop)
            })
        });
        let mut copies = 0;
        while copies < 10 || !changing.is_finished() {
            db.checkpoint(format!("/copy{copies}"))?;
            copies += 1;
        }
        changing.join().unwrap()
    })
}
