//! Prepared transactions beside what else can happen to a store: copies, repair, ingests, a full disk.

use esker::base::clock::{Clock, ManualClock};
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use esker::{
    Backups, Builder, CompactionStyle, Db, Durability, Error, FamilyOptions, Fifo, IngestBatch,
    IngestOptions, Repair, Result, SstSettings, SstWriter, TransactionOptions,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Place {
    sim: SimFs,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Place {
        Place { sim: SimFs::new(), clock: ManualClock::new(1_000_000) }
    }

    fn fs(&self) -> Fs {
        Fs::Sim(self.sim.clone())
    }

    fn builder(&self, dir: &str) -> Builder {
        Db::builder(dir)
            .fs(self.fs())
            .clock(Clock::Manual(self.clock.clone()))
            .memory_budget(4 << 20)
            .reserve_bytes(64 << 10)
            .lock_timeout(Duration::ZERO)
            .deterministic(1)
    }

    fn open(&self, dir: &str) -> Db {
        self.builder(dir).open().unwrap()
    }
}

/// A store with a transaction prepared as `t`, which sets `a` and removes all from `m` to `p`.
fn prepared(place: &Place) -> Db {
    let db = place.open("/db");
    db.put("a", "old").unwrap();
    db.put("n", "old").unwrap();
    let mut transaction = db.begin(TransactionOptions::default()).unwrap();
    transaction.put(&db, "a", "new").unwrap();
    transaction.delete_range(&db, "m".."p").unwrap();
    transaction.prepare("t", Durability::Sync).unwrap();
    db
}

fn is_held<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::HeldByPrepared { name, .. }) if *name == *"t")
}

/// It is there, unseen and held; and then it is committed.
fn must_be_prepared(db: &Db) {
    assert_eq!(db.prepared().iter().map(|prepared| prepared.name.as_str()).collect::<Vec<_>>(), ["t"]);
    assert_eq!(db.get("a").unwrap().unwrap(), b"old");
    assert!(is_held(db.put("a", "theirs")) && is_held(db.put("o", "theirs")));
    db.commit_prepared("t", Durability::Sync).unwrap();
    assert_eq!(db.get("a").unwrap().unwrap(), b"new");
    assert!(db.get("n").unwrap().is_none());
    db.put("a", "theirs").unwrap();
    assert!(db.verify().unwrap().problems.is_empty());
}

#[test]
fn copies_carry_what_is_prepared() {
    for flushed in [false, true] {
        let place = Place::new();
        let db = prepared(&place);
        if flushed {
            db.flush().unwrap();
        }
        db.checkpoint("/checkpoint").unwrap();
        let backups = Backups::at("/backups").fs(place.fs());
        let number = backups.create(&db).unwrap().number;
        db.rollback_prepared("t").unwrap();
        backups.restore(number, "/restored").unwrap();
        for copy in ["/checkpoint", "/restored"] {
            must_be_prepared(&place.open(copy));
        }
        // Of a part of the families it is not known whether they are all that it needs.
        backups.restore_families(number, "/part", &["default"]).unwrap();
        let part = place.open("/part");
        assert!(part.prepared().is_empty());
        part.put("a", "free").unwrap();
        let mut transaction = part.begin(TransactionOptions::default()).unwrap();
        transaction.put(&part, "a", "again").unwrap();
        transaction.prepare("t", Durability::Os).unwrap();
    }
}

#[test]
fn a_repair_keeps_what_is_prepared() {
    for flushed in [false, true] {
        let place = Place::new();
        let db = prepared(&place);
        if flushed {
            db.flush().unwrap();
        }
        db.close().unwrap();
        let repair = Repair::new("/db").fs(place.fs()).deterministic(1);
        let report = repair.write("/repaired").unwrap();
        assert!(report.families.iter().any(|family| family.name == "esker:prepared"), "{report}");
        must_be_prepared(&place.open("/repaired"));
        // Without CURRENT, but with the manifest that it named.
        place.fs().remove(Path::new("/db/CURRENT")).unwrap();
        repair.write("/without").unwrap();
        must_be_prepared(&place.open("/without"));
    }
}

#[test]
fn an_ingest_waits_for_what_is_prepared() {
    let place = Place::new();
    let db = prepared(&place);
    let written = |name: &str, keys: &[&str]| {
        let clock = Clock::Manual(place.clock.clone());
        // Two tables of one identity would be taken for copies.
        let random = Random::seeded(name.bytes().map(u64::from).sum());
        let settings = SstSettings { fs: place.fs(), clock, random };
        place.fs().create_dir_all(Path::new("/outside")).unwrap();
        let mut writer = SstWriter::create_with(name, &FamilyOptions::default(), settings).unwrap();
        keys.iter().for_each(|key| writer.put_until(key, "theirs", u64::MAX).unwrap());
        writer.finish().unwrap();
        let mut batch = IngestBatch::new();
        batch.add(&db, name);
        batch
    };
    for (name, keys) in [("/outside/1", ["a", "b"]), ("/outside/2", ["k", "m"]), ("/outside/3", ["o", "z"])] {
        let held = db.ingest(&written(name, &keys), IngestOptions::default());
        assert!(is_held(held), "{keys:?}");
    }
    db.ingest(&written("/outside/4", &["b", "c"]), IngestOptions::default()).unwrap();
    db.commit_prepared("t", Durability::Os).unwrap();
    db.ingest(&written("/outside/5", &["a", "z"]), IngestOptions::default()).unwrap();
    assert_eq!(db.get("a").unwrap().unwrap(), b"theirs");
}

/// A commit that the disk has no room for leaves the transaction prepared, and is made when there is.
#[test]
fn a_commit_without_room_can_be_made_again() {
    let place = Place::new();
    let db = place.builder("/db").wal_segment_bytes(64 << 10).open().unwrap();
    let mut transaction = db.begin(TransactionOptions::default()).unwrap();
    for n in 0..20u32 {
        transaction.put(&db, n.to_be_bytes(), [n as u8; 5_000]).unwrap();
    }
    transaction.prepare("t", Durability::Sync).unwrap();
    place.sim.set_capacity(Some(place.sim.used()));
    let full = loop {
        // What is left of the segment may yet take it: then it is used up first.
        match db.put("filler", [1u8; 5_000]) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::DiskFull(_)), "{full}");
    let failed = db.commit_prepared("t", Durability::Sync);
    assert!(matches!(failed, Err(Error::DiskFull(_))), "{failed:?}");
    assert_eq!(db.prepared().len(), 1);
    place.sim.set_capacity(None);
    db.commit_prepared("t", Durability::Sync).unwrap();
    assert_eq!(db.get(7u32.to_be_bytes()).unwrap().unwrap(), [7u8; 5_000]);
    db.close().unwrap();
    let db = place.open("/db");
    assert!(db.prepared().is_empty() && db.get(19u32.to_be_bytes()).unwrap().is_some());
}

/// Lets nothing stay.
#[derive(Debug)]
struct All;

impl CompactionFilterFactory for All {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        Box::new(|_: &[u8], _: &[u8], _: u64| Verdict::Remove)
    }
}

/// The family of prepared transactions is nobody's, whatever a family of the user's is called.
#[test]
fn what_a_builder_says_of_a_family_does_not_reach_what_is_prepared() {
    let (place, random) = (Place::new(), Random::seeded(1));
    let name = "esker:prepared";
    let oldest = CompactionStyle::Fifo(Fifo { bytes: Some(64 << 10), ..Fifo::default() });
    let builder = place.builder("/db").compaction_style(name, oldest).compaction_filter(name, All);
    let db = builder.clone().open().unwrap();
    for slot in 0..6u8 {
        // What compression makes nothing of, and together more than the bound.
        let value: Vec<u8> = (0..2_500).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        let mut transaction = db.begin(TransactionOptions::default()).unwrap();
        transaction.put(&db, [slot], value).unwrap();
        transaction.prepare(&slot.to_string(), Durability::Sync).unwrap();
        db.flush().unwrap();
    }
    db.close().unwrap();
    let db = builder.clone().open().unwrap();
    // In the seeded mode those who use a store do its work.
    (0..400).for_each(|_| assert!(!db.contains_key("nothing").unwrap()));
    db.compact().unwrap();
    db.close().unwrap();
    assert_eq!(builder.open().unwrap().prepared().len(), 6);
}

/// The store's own family could once be asked for by its name: what was prepared came without its families.
#[test]
fn what_is_prepared_does_not_come_with_single_families_of_a_backup() -> esker::Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let db = esker::Db::open(at("data"))?;
    db.column_family("other")?.put(b"k", b"v")?;
    let mut transaction = db.begin(esker::TransactionOptions::default())?;
    transaction.put(&db, b"p", b"v")?;
    let prepared = transaction.prepare("held", esker::Durability::Sync);
    drop(prepared.map_err(|refused| refused.error)?);
    let backups = esker::Backups::at(at("backups"));
    backups.create(&db)?;
    let asked = backups.restore_families(1, at("some"), &["other", "esker:prepared"]);
    let refused = matches!(&asked, Err(esker::Error::NoSuchFamily { name }) if name == "esker:prepared");
    assert!(refused, "{asked:?}");
    backups.restore_families(1, at("some"), &["other"])?;
    let some = esker::Db::open(at("some"))?;
    assert!(some.prepared().is_empty() && some.column_family("other")?.contains_key(b"k")?);
    some.close()?;
    db.close()
}
