//! Scans of one prefix, for which filters are asked: they show what they show without, whatever the extractor
//! was when the tables were written, and they pass over tables.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::hooks::{Append, MergeOperator};
use esker::{
    Builder, Db, Durability, FamilyOptions, FilterPolicy, PrefixExtractor, Result, ScanOptions, Snapshot,
    TransactionOptions,
};
use proptest::prelude::*;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

const START_MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Op {
    Put(Vec<u8>),
    PutFor(Vec<u8>, u64),
    Delete(Vec<u8>),
    Merge(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Advance(u64),
    Flush,
    Compact,
    Reopen(Option<PrefixExtractor>),
    Hold,
    Scan(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    Walk(Vec<u8>, Vec<Vec<u8>>),
    Transaction(Vec<u8>, Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop_oneof![0u8..3, Just(0xffu8)], 0..5),
        (0u8..3, 0u8..3, 0u8..9).prop_map(|(a, b, c)| format!("{a}:{b}:{c}").into_bytes()),
    ]
}

fn prefix() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop_oneof![0u8..3, Just(0xffu8)], 0..3),
        (0u8..4, 0u8..4).prop_map(|(a, b)| format!("{a}:{b}:").into_bytes()),
    ]
}

fn extractor() -> impl Strategy<Value = Option<PrefixExtractor>> {
    prop_oneof![
        Just(None),
        (1u32..4).prop_map(|bytes| Some(PrefixExtractor::Fixed { bytes })),
        (1u32..4).prop_map(|bytes| Some(PrefixExtractor::Capped { bytes })),
        (1u32..3).prop_map(|nth| Some(PrefixExtractor::Delimited { delimiter: b':', nth })),
        (0u8..2, 1u32..3).prop_map(|(delimiter, nth)| Some(PrefixExtractor::Delimited { delimiter, nth })),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        3 => key().prop_map(Bound::Included),
        3 => key().prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => key().prop_map(Op::Put),
        3 => (key(), 1u64..3000).prop_map(|(key, ms)| Op::PutFor(key, ms)),
        3 => key().prop_map(Op::Delete),
        3 => key().prop_map(Op::Merge),
        1 => (key(), key()).prop_map(|(a, b)| Op::DeleteRange(a, b)),
        1 => (1u64..2000).prop_map(Op::Advance),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
        1 => extractor().prop_map(Op::Reopen),
        1 => Just(Op::Hold),
        4 => (bound(), bound()).prop_map(|(lower, upper)| Op::Scan(lower, upper)),
        6 => prefix().prop_map(Op::Prefix),
        2 => (prefix(), prop::collection::vec(key(), 1..6)).prop_map(|(prefix, to)| Op::Walk(prefix, to)),
        1 => (prefix(), key()).prop_map(|(prefix, key)| Op::Transaction(prefix, key)),
    ]
}

/// A store on a disk of its own, in which nothing moves of itself.
struct Rig {
    disk: SimFs,
    clock: Arc<ManualClock>,
    db: Option<Db>,
    held: Option<Snapshot>,
}

impl Rig {
    fn new(clock: &Arc<ManualClock>, extractor: Option<PrefixExtractor>, keyed: bool) -> Result<Rig> {
        let mut rig = Rig { disk: SimFs::new(), clock: clock.clone(), db: None, held: None };
        rig.open(extractor)?;
        let filter = if keyed { FilterPolicy::Keyed } else { FilterPolicy::Blocked };
        // So small that filters are in partitions, and prefixes go over their cuts.
        let small =
            FamilyOptions { filter, block_bytes: 64, index_partition_bytes: 64, ..Default::default() };
        let options = FamilyOptions { merge_operator: Some(Append::new().name().into()), ..small };
        rig.db().create_column_family("f", options)?;
        rig.open(extractor)?;
        Ok(rig)
    }

    fn open(&mut self, extractor: Option<PrefixExtractor>) -> Result<()> {
        self.held = None;
        if let Some(db) = self.db.take() {
            db.close()?;
        }
        let builder =
            Db::builder("/db").fs(Fs::Sim(self.disk.clone())).clock(Clock::Manual(self.clock.clone()));
        let builder = builder.memory_budget(1 << 20).memtable_bytes(4 << 10).target_file_bytes(1 << 10);
        let builder = builder.level_base_bytes(4 << 10).default_durability(Durability::Os).deterministic(7);
        let builder = builder.register_merge_operator(Append::new());
        self.db = Some(builder.prefix_extractor("f", extractor).open()?);
        Ok(())
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    /// Does it, and says what it shows.
    fn run(&mut self, op: &Op, filtered: bool) -> Result<Vec<String>> {
        if let Op::Reopen(extractor) = op {
            self.open(extractor.filter(|_| filtered))?;
            return Ok(Vec::new());
        }
        let (db, family) = (self.db(), self.db().column_family("f")?);
        let mut shown = Vec::new();
        match op {
            Op::Put(key) => family.put(key, [key, &b"="[..], &[7; 20]].concat())?,
            Op::PutFor(key, ms) => family.put_with_ttl(key, key, Duration::from_millis(*ms))?,
            Op::Delete(key) => family.delete(key)?,
            Op::Merge(key) => family.merge(key, b"+")?,
            Op::DeleteRange(a, b) if a <= b => family.delete_range(&a[..]..&b[..])?,
            Op::DeleteRange(..) | Op::Reopen(_) => {}
            Op::Advance(ms) => self.clock.advance(Duration::from_millis(if filtered { *ms } else { 0 })),
            Op::Flush => db.flush()?,
            Op::Compact => db.compact()?,
            Op::Hold => self.held = Some(db.snapshot()),
            Op::Scan(lower, upper) => {
                let options = ScanOptions::range((lower.clone(), upper.clone()));
                self.show(options, &mut shown)?;
            }
            Op::Prefix(prefix) => self.show(ScanOptions::prefix(prefix), &mut shown)?,
            Op::Walk(prefix, to) => {
                let mut cursor = family.cursor(ScanOptions::prefix(prefix))?;
                for (at, key) in to.iter().enumerate() {
                    let stands = match at % 5 {
                        0 => cursor.seek(key)?,
                        1 => cursor.seek_for_prev(key)?,
                        2 => cursor.seek_to_first()?,
                        3 => cursor.seek_to_last()?,
                        _ => cursor.seek(key)? && cursor.prev()?,
                    };
                    shown.push(if stands { format!("{:?}", cursor.key()) } else { "nowhere".into() });
                }
            }
            Op::Transaction(prefix, key) => {
                let mut tx = db.begin(TransactionOptions::default())?;
                tx.put(&family, key, b"own")?;
                for entry in tx.scan(&family, ScanOptions::prefix(prefix))? {
                    shown.push(format!("{:?}", entry?));
                }
                tx.commit().map_err(|error| error.error)?;
            }
        }
        Ok(shown)
    }

    /// The scan from both ends, now and as of the held snapshot.
    fn show(&self, options: ScanOptions, shown: &mut Vec<String>) -> Result<()> {
        let family = self.db().column_family("f")?;
        for entry in family.scan(options.clone())? {
            shown.push(format!("{:?}", entry?));
        }
        for entry in family.scan(options.clone())?.rev() {
            shown.push(format!("{:?}", entry?));
        }
        if let Some(held) = &self.held {
            for entry in held.scan(&family, options)? {
                shown.push(format!("{:?}", entry?));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn scans_show_the_same_with_and_without_an_extractor(
        first in extractor(), keyed in any::<bool>(), ops in prop::collection::vec(op(), 1..150),
    ) {
        let clock = ManualClock::new(START_MS);
        let mut plain = Rig::new(&clock, None, keyed).unwrap();
        let mut filtered = Rig::new(&clock, first, keyed).unwrap();
        for op in &ops {
            let expected = plain.run(op, false).unwrap();
            prop_assert_eq!(filtered.run(op, true).unwrap(), expected, "{:?}", op);
        }
        filtered.db().compact().unwrap();
        let report = filtered.db().verify().unwrap();
        prop_assert!(report.problems.is_empty(), "{:?}", report);
    }
}

fn builder(disk: &SimFs, extractor: impl Into<Option<PrefixExtractor>>) -> Builder {
    let builder = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(3);
    builder.memory_budget(64 << 20).prefix_extractor("default", extractor)
}

const ROOMS: PrefixExtractor = PrefixExtractor::Delimited { delimiter: b':', nth: 2 };

/// Rooms of even numbers with ten entries each, in one table.
fn rooms(db: &Db) -> Result<()> {
    for room in (0..200).step_by(2) {
        (0..10).try_for_each(|i| db.put(format!("room:{room:03}:{i}"), "v"))?;
    }
    db.compact()
}

#[test]
fn tables_without_the_prefix_are_passed_over() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, ROOMS).open()?;
    rooms(&db)?;
    let walk = |room: u32| {
        let prefix = format!("room:{room:03}:");
        let mut entries = db.scan(ScanOptions::prefix(prefix).with_context()).unwrap();
        let count = entries.by_ref().count();
        (count, entries.context().unwrap())
    };
    let (mut blocks, mut in_vain) = (0, 0);
    for room in (1..199).step_by(2) {
        let (count, context) = walk(room);
        assert_eq!((count, context.prefix_checks), (0, 1), "{context:?}");
        assert_eq!(context.prefix_negatives + context.prefix_false_positives, 1, "{context:?}");
        blocks += context.blocks_read + context.blocks_cached;
        in_vain += context.prefix_false_positives;
    }
    assert!(in_vain < 10 && blocks == in_vain, "{blocks} blocks, {in_vain} times in vain");
    let (count, context) = walk(100);
    assert_eq!((count, context.prefix_checks, context.prefix_negatives), (10, 1, 0));
    assert_eq!(context.prefix_false_positives, 0);
    assert!(context.to_string().contains("filters denied the prefix 0 times of 1"));
    let stats = db.stats().families[0].prefix_filters;
    assert_eq!((stats.asked, stats.in_vain, stats.asked - stats.denied), (100, in_vain, 1 + in_vain));
    // No whole prefix, more than one, and keys out of the table's range: nobody is asked.
    for options in [ScanOptions::prefix("room:"), ScanOptions::range("room:001:".."room:002:1")] {
        assert!(db.scan(options.clone())?.count() > 0, "{options:?}");
    }
    assert_eq!(db.prefix("yard:001:")?.count() + db.prefix("a:1:")?.count(), 0);
    assert_eq!(db.stats().families[0].prefix_filters.asked, 100);
    Ok(())
}

#[test]
fn tables_of_another_extractor_are_read_as_if_they_had_none() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, ROOMS).open()?;
    rooms(&db)?;
    db.close()?;
    let asked = |db: &Db| -> Result<u64> {
        assert_eq!(db.prefix("room:001:")?.count(), 0);
        assert_eq!(db.prefix("room:002:")?.count(), 10);
        Ok(db.stats().families[0].prefix_filters.asked)
    };
    let db = builder(&disk, PrefixExtractor::Fixed { bytes: 9 }).open()?;
    assert_eq!(asked(&db)?, 0, "its filter holds other prefixes");
    db.put("room:002:1", "newer")?;
    db.compact()?;
    assert_eq!(asked(&db)?, 2, "written anew");
    db.close()?;
    // It stands beside the data.
    let db = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(3).open()?;
    assert_eq!(asked(&db)?, 2);
    db.close()?;
    let db = builder(&disk, None).open()?;
    assert_eq!(asked(&db)?, 0);
    Ok(())
}

#[test]
fn an_extractor_out_of_its_range_is_refused() -> Result<()> {
    let disk = SimFs::new();
    let wrong = PrefixExtractor::Fixed { bytes: 0 };
    let refused = |error: esker::Error| {
        assert!(matches!(error, esker::Error::InvalidArgument { what: "prefix", .. }), "{error}");
    };
    builder(&disk, None).open()?.close()?;
    refused(builder(&disk, wrong).open().unwrap_err());
    let db = builder(&disk, None).open()?;
    let options = FamilyOptions { prefix: Some(wrong), ..FamilyOptions::default() };
    refused(db.create_column_family("f", options).unwrap_err());
    Ok(())
}
