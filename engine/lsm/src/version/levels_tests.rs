//! Small versions of real tables: what is in them, what a range touches, and what is wrong with them.

use super::*;
use crate::base::cursor::Cursor;
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::fs::{Fs, SimFs};
use crate::iter::{Concat, RunSource};
use crate::memtable::{Memtable, MemtableCursor};
use crate::ranges::{Range, RangeKind};
use crate::table::{TableCursor, TableOptions, TableWriter, Tables};
use std::path::Path;

/// Tables in a directory of their own.
struct Shelf {
    tables: Tables,
    purgatory: Arc<Purgatory>,
}

impl Shelf {
    fn new() -> Shelf {
        let (fs, dir) = (Fs::Sim(SimFs::new()), Path::new("/db"));
        fs.create_dir_all(dir).unwrap();
        let tables = Tables::new(fs, dir, Random::seeded(1), 1 << 20, 64);
        Shelf { tables, purgatory: Arc::new(Purgatory::default()) }
    }

    /// A table of these keys, clean of no range.
    fn table(&self, number: u64, entries: &[(&str, SeqNum)]) -> Arc<TableFile> {
        self.cleaned(number, entries, 0)
    }

    fn cleaned(&self, number: u64, entries: &[(&str, SeqNum)], cleaned_seq: SeqNum) -> Arc<TableFile> {
        let (file, identity) = self.tables.create(number).unwrap();
        let mut writer = TableWriter::new(file, identity, TableOptions::default()).unwrap();
        for (key, seq) in entries {
            writer.add(&entry(key, *seq)).unwrap();
        }
        let written = writer.finish().unwrap();
        let reader = self.tables.open(number, identity, written.size_bytes, 0).unwrap();
        let meta = TableMeta::of(number, written, cleaned_seq);
        TableFile::new(Arc::new(meta), reader, self.purgatory.clone())
    }
}

fn entry(key: &str, seq: SeqNum) -> EntryRef<'_> {
    EntryRef { key: key.as_bytes(), seq, kind: Kind::Put, expires_at: NEVER, value: b"v" }
}

fn version(tables: impl IntoIterator<Item = (usize, Arc<TableFile>)>) -> Version {
    Version::default().changed(&[], tables.into_iter().collect())
}

/// Three tables in a row in level 1, each newer than the one before.
fn three(shelf: &Shelf) -> Version {
    version([
        (1, shelf.table(1, &[("a", 1), ("b", 2), ("c", 3)])),
        (1, shelf.table(2, &[("d", 4), ("e", 5), ("f", 6)])),
        (1, shelf.table(3, &[("g", 7), ("h", 8), ("i", 9)])),
    ])
}

#[test]
fn a_range_touches_the_tables_that_hold_older_keys_of_it() {
    let shelf = Shelf::new();
    let above = shelf.table(4, &[("b", 20), ("h", 21)]);
    let version = three(&shelf).changed(&[], vec![(0, above)]);
    let touched = |seq, from: &str, to: &str| {
        let range = Range::new(RangeKind::Deleted, seq, from.as_bytes(), to.as_bytes(), 0);
        version.touched_by(&range).map(|(level, table)| (level, table.meta.number)).collect::<Vec<_>>()
    };
    assert_eq!(touched(30, "d", "g"), [(0, 4), (1, 2)], "its end is not in it");
    assert_eq!(touched(30, "c", "d"), [(0, 4), (1, 1)]);
    assert_eq!(touched(30, "cc", "e"), [(0, 4), (1, 2)]);
    assert_eq!(touched(30, "f", ""), [(0, 4), (1, 2), (1, 3)]);
    assert_eq!(touched(30, "j", ""), []);
    assert_eq!(touched(30, "", "a"), []);
    assert_eq!(touched(5, "", ""), [(1, 1), (1, 2)], "what is newer is none of its business");
    assert_eq!(touched(4, "", ""), [(1, 1)], "it does not concern its own number");
}

#[test]
fn a_range_does_not_touch_what_is_clean_of_it() {
    let shelf = Shelf::new();
    let table = shelf.cleaned(1, &[("a", 1), ("c", 2)], 10);
    let touched = |seq| table.meta.is_touched_by(&Range::new(RangeKind::Dropped, seq, b"b", b"", 0));
    assert_eq!([9, 10, 11].map(touched), [false, false, true]);
}

#[test]
fn the_common_prefix_is_that_of_all_keys_of_all_tables() {
    let shelf = Shelf::new();
    assert_eq!(Version::default().common_prefix(), b"");
    let one = version([(0, shelf.table(1, &[("user:17", 1), ("user:19", 2)]))]);
    assert_eq!(one.common_prefix(), b"user:1");
    let two = one.changed(&[], vec![(3, shelf.table(2, &[("user:15", 1), ("user:22", 2)]))]);
    assert_eq!(two.common_prefix(), b"user:");
}

/// A file is removed once the manifest no longer names it and the last reader is gone, and not before.
#[test]
fn an_obsolete_table_goes_with_its_last_reader() {
    let shelf = Shelf::new();
    let (kept, obsolete) = (shelf.table(1, &[("a", 1)]), shelf.table(2, &[("b", 2)]));
    let reader = obsolete.clone();
    obsolete.mark_obsolete();
    drop((kept, obsolete));
    assert!(shelf.purgatory.is_empty());
    drop(reader);
    assert_eq!(shelf.purgatory.take(), [crate::base::filename::FileKind::Table(2)]);
}

#[test]
fn what_must_hold_of_levels_is_checked() {
    let shelf = Shelf::new();
    assert_eq!(check_levels(&three(&shelf)), [] as [String; 0]);
    let problems = |number: u64, level, entries: &[(&str, SeqNum)]| {
        let pair = [shelf.table(number, &[("d", 4), ("f", 6)]), shelf.table(number + 1, entries)];
        check_levels(&version(pair.map(|table| (level, table)))).len()
    };
    assert_eq!(problems(10, 0, &[("e", 7)]), 0, "tables of level 0 may share keys");
    assert_eq!(problems(12, 0, &[("x", 6)]), 1, "and no numbers");
    assert_eq!(problems(14, 0, &[("x", 5)]), 1);
    assert_eq!(problems(16, 1, &[("g", 5)]), 0, "those of others may share numbers");
    assert_eq!(problems(18, 1, &[("f", 5)]), 1, "and no keys");
}

#[test]
fn what_must_hold_of_ranges_is_checked() {
    let shelf = Shelf::new();
    let clean_up_to = |seq| version([(2, shelf.cleaned(seq, &[("a", 1)], seq))]);
    let range = |seq| Arc::new(Range::new(RangeKind::Deleted, seq, b"a", b"", 0));
    let problems = |version: &Version, ranges: &[u64], flushed| {
        let ranges: Vec<_> = ranges.iter().map(|seq| range(*seq)).collect();
        check_ranges(version, &ranges, flushed).len()
    };
    let none = Version::default();
    assert_eq!(problems(&none, &[3, 5, 10], 10), 0);
    assert_eq!(problems(&none, &[3, 11, 12], 10), 2, "they come with their flush");
    assert_eq!(problems(&none, &[3, 3], 10), 1, "each has a number of its own");
    for (seq, wrong) in [(9, 0), (10, 0), (11, 1), (12, 1)] {
        assert_eq!(problems(&clean_up_to(seq), &[], 10), wrong, "clean up to {seq}");
    }
}

#[test]
fn the_numbers_of_all_tables_of_all_families_are_known() {
    let shelf = Shelf::new();
    let mut state = StoreState::default();
    let create = |id, name: &str| EditOp::CreateFamily { id, name: name.into(), options: vec![] };
    let add = |family, level, number| {
        let meta = shelf.table(number, &[("a", 1)]).meta.clone();
        EditOp::AddTable { family, level, meta }
    };
    let ops = vec![create(0, "a"), create(5, "b"), add(0, 0, 9), add(0, 6, 3), add(5, 1, 7)];
    state.apply(&Edit(ops)).unwrap();
    let mut numbers: Vec<u64> = state.table_numbers().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 7, 9]);
}

/// Runs of which nothing is as new as a range are passed over; others are not, whatever they cost.
#[test]
fn a_level_passes_over_what_is_older_in_both_directions() {
    let shelf = Shelf::new();
    let run = LevelRun::new(Arc::new(three(&shelf)), 1, true);
    assert_eq!((0..3).map(|at| run.last_seq(at)).collect::<Vec<_>>(), [3, 6, 9]);
    let at = |key: &str| {
        let mut source = Source::Level(Concat::new(run.clone()));
        source.seek(key.as_bytes(), 100).unwrap();
        source
    };
    let back = |from: &str, to: &str, seq| {
        let mut source = at(from);
        let moved = source.skip_before(to.as_bytes(), seq).unwrap();
        (moved, source.valid().then(|| source.user_key()[0] as char))
    };
    assert_eq!(back("h", "c", 9), (false, Some('h')), "one of the run may be as new as that");
    assert_eq!(back("h", "c", 10), (true, Some('b')));
    assert_eq!(back("h", "d", 10), (true, Some('c')));
    assert_eq!(back("e", "a", 7), (true, None));
    let forth = |from: &str, to: Option<&str>, seq| {
        let mut source = at(from);
        let moved = source.skip_to(to.map(str::as_bytes), seq).unwrap();
        (moved, source.valid().then(|| source.user_key()[0] as char))
    };
    assert_eq!(forth("b", Some("h"), 3), (false, Some('b')));
    assert_eq!(forth("b", Some("h"), 10), (true, Some('h')));
    assert_eq!(forth("b", Some("h"), 7), (true, Some('g')), "the last run is not passed over");
    assert_eq!(forth("b", None, 10), (true, None));
}

#[test]
fn a_run_by_itself_is_passed_over_if_all_of_it_is_older() {
    let shelf = Shelf::new();
    let entries = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
    let table = shelf.table(1, &entries);
    let memtable = Arc::new(Memtable::new(1, b"", 1 << 16));
    entries.iter().for_each(|(key, seq)| memtable.writer().insert(&entry(key, *seq)));
    for mut source in [
        Source::Table(TableCursor::new(table.reader.clone(), true)),
        Source::Memtable(MemtableCursor::new(memtable)),
    ] {
        source.seek(b"c", 100).unwrap();
        assert!(!source.skip_before(b"b", 4).unwrap() && !source.skip_to(Some(b"d"), 4).unwrap());
        assert_eq!(source.user_key(), b"c");
        assert!(source.skip_before(b"b", 5).unwrap());
        assert_eq!(source.user_key(), b"a");
        assert!(source.skip_to(Some(b"d"), 5).unwrap());
        assert_eq!(source.user_key(), b"d");
    }
}
