//! What presses on writers, and what takes the pressure away.

use crate::store::{eventually, fill, key, small};
use esker::fs::SimFs;
use esker::fs::sim::{Fault, OperationKind};
use esker::{Error, Result};

/// No table can be written from now on.
fn refuse_tables(sim: &SimFs) {
    sim.set_fault(Box::new(|op| {
        let table = op.path.extension().is_some_and(|extension| extension == "sst");
        (table && op.kind == OperationKind::Create).then_some(Fault::EMFILE)
    }));
}

#[test]
fn dropping_the_family_that_stops_writers_lets_them_go_on() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    let family = db.column_family("heavy")?;
    refuse_tables(&sim);
    let stopped = (0..).find_map(|i| family.put(key(i), vec![b'v'; 1_000]).err()).unwrap();
    assert!(matches!(stopped, Error::Io(_)), "{stopped}");
    assert_eq!(db.health().slowed_to, Some(0));
    assert!(db.put("k", "v").is_err(), "all writers share the gate");
    db.drop_column_family("heavy")?;
    assert_ne!(db.health().slowed_to, Some(0));
    db.put("k", "v")?;
    sim.clear_fault();
    db.flush()?;
    eventually("getting well", || db.health().is_well());
    db.close()
}

#[test]
fn pressure_that_has_gone_is_not_remembered() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    for _ in 0..5 {
        refuse_tables(&sim);
        let stopped = (0..).find_map(|i| fill(&db, i, i + 1).err()).unwrap();
        assert!(matches!(stopped, Error::Io(_)), "{stopped}");
        sim.clear_fault();
        db.flush()?;
        eventually("full speed", || db.health().slowed_to.is_none());
        fill(&db, 0, 100)?;
    }
    db.close()
}

#[test]
fn the_family_that_presses_most_is_compacted_first() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).deterministic(3).open()?;
    let families = (0..4).map(|i| db.column_family(&format!("f{i}"))).collect::<Result<Vec<_>>>()?;
    // The last that was created is the one that presses; it must not wait for the others' turns.
    for turn in 0..200 {
        for (at, family) in families.iter().enumerate() {
            let bytes = if at == 3 { 2_000 } else { 200 };
            (0..8).try_for_each(|i| family.put(key(turn * 8 + i), vec![b'v'; bytes]))?;
        }
        let level0 = |name: &str| {
            let stats = db.stats();
            stats.families.iter().find(|f| f.name == name).map_or(0, |f| f.levels[0].files)
        };
        assert!(level0("f3") <= 13, "turn {turn}: {} tables", level0("f3"));
    }
    db.close()
}
