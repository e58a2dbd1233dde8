//! What the picker chooses, shown on small trees.
//!
//! A tree is written as lines `L<level>: <number>[<first>-<last>]<size in KiB> ...`; after the size
//! may stand `d` (half of the entries are deletions) or `x` (all entries have expired).

use super::*;
use crate::base::key::{EntryRef, Kind, NEVER, Trailer};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::fs::{Fs, SimFs};
use crate::table::{TableOptions, TablePolicy, TableWriter, Tables};
use crate::version::{Purgatory, TableFile, TableMeta, Version, check_levels};
use std::path::Path;

const SHAPE: ShapeOptions =
    ShapeOptions { level0_tables: 4, base_bytes: 100 << 10, fanout: 10, table_bytes: 50 << 10 };
const MOMENT: Moment = Moment { oldest_seq: 1000, oldest_ms: 1000, erase_ms: 0 };

fn table(tables: &Tables, level: usize, text: &str) -> Arc<TableFile> {
    let (number, rest) = text.split_once('[').unwrap();
    let (range, size) = rest.split_once(']').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    let kib: u64 = size.trim_end_matches(['d', 'x']).parse().unwrap();
    let (file, identity) = tables.create(number).unwrap();
    let mut writer = TableWriter::new(file, identity, TableOptions::default()).unwrap();
    for (key, seq) in [(first, 2 * number), (last, 2 * number + 1)] {
        let entry = EntryRef { key: key.as_bytes(), seq, kind: Kind::Put, expires_at: NEVER, value: b"v" };
        writer.add(&entry).unwrap();
    }
    let size = writer.finish().unwrap().size_bytes;
    let reader = tables.open(number, identity, size).unwrap();
    let key = |key: &str| (key.as_bytes().to_vec(), Trailer::FIRST);
    let meta = TableMeta {
        number,
        identity,
        size: kib << 10,
        smallest: key(first),
        largest: key(last),
        min_seq: if level == 0 { 2 * number } else { 0 },
        max_seq: if level == 0 { 2 * number + 1 } else { 1 },
        entries: 2,
        deletions: u64::from(text.ends_with('d')),
        earliest_expiry: if text.ends_with('x') { 500 } else { NEVER },
        latest_expiry: if text.ends_with('x') { 600 } else { NEVER },
        oldest_deletion_ms: NEVER,
    };
    TableFile::new(Arc::new(meta), reader, Arc::new(Purgatory::default()))
}

fn tree(text: &str) -> Version {
    let fs = Fs::Sim(SimFs::new());
    let dir = Path::new("/db");
    fs.create_dir_all(dir).unwrap();
    let tables = Tables::new(fs, dir, Random::seeded(1), 1 << 20, 64);
    let mut added = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (level, rest) = line.split_once(": ").unwrap();
        let level = level[1..].parse().unwrap();
        added.extend(rest.split(' ').map(|text| (level, table(&tables, level, text))));
    }
    let version = Version::default().changed(&[], added);
    assert_eq!(check_levels(&version), [] as [String; 0]);
    version
}

fn picked(text: &str) -> String {
    pick(&tree(text), &Claims::default(), &SHAPE, &TablePolicy::default(), MOMENT)
        .map_or("nothing".into(), |plan| plan.describe())
}

#[test]
fn a_small_tree_is_left_alone() {
    assert_eq!(picked("L0: 7[a-z]40 8[a-z]40 9[a-z]40\n L6: 1[a-m]50 2[n-z]40"), "nothing");
}

#[test]
fn level_0_goes_to_the_last_level_while_the_tree_is_small_and_takes_only_what_it_overlaps() {
    let text = "L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9\n L6: 1[a-c]50 2[d-g]30 3[h-z]9";
    assert_eq!(picked(text), "level 0: L0[8 7 6 5] + L6[1 2] -> L6");
}

#[test]
fn level_0_goes_to_the_level_whose_share_is_worth_having_when_the_tree_is_large() {
    // 2 MB in the last level leave 200 KB to the one above and 20 KB to the next, which is not worth it.
    let text = "L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9\n L6: 1[a-c]1000 2[d-z]1000";
    assert_eq!(targets(&tree(text), &SHAPE).base_level, 4);
    assert_eq!(picked(text), "level 0: L0[8 7 6 5] -> L4");
}

#[test]
fn a_full_level_sends_down_what_drags_along_the_least() {
    let text = "L5: 5[a-c]90 6[d-f]90 7[g-i]90\n L6: 1[a-b]500 2[c-e]500 3[h-i]20 4[x-z]600";
    assert_eq!(picked(text), "level size: L5[7] + L6[3] -> L6");
}

#[test]
fn tables_full_of_deletions_go_down_first() {
    let text = "L5: 5[a-c]90 6[d-f]90d 7[g-i]90\n L6: 1[a-c]100 2[d-f]100 3[g-i]100 4[x-z]1200";
    assert_eq!(picked(text), "level size: L5[6] + L6[2] -> L6");
}

#[test]
fn a_table_that_overlaps_nothing_below_only_changes_its_level() {
    let text = "L5: 5[a-c]90 6[d-f]90 7[g-i]90\n L6: 1[a-b]500 2[d-e]500 4[x-z]600";
    assert_eq!(picked(text), "level size: L5[7] moves to L6");
}

#[test]
fn tables_in_a_row_move_together_unless_the_codec_of_their_new_level_is_another() {
    let text = "L0: 5[a-b]9 6[c-d]9 7[e-f]9 8[g-h]9\n L6: 1[x-z]50";
    assert_eq!(picked(text), "level 0: L0[8 7 6 5] -> L6");
    let raw = TablePolicy { uncompressed_levels: 7, ..TablePolicy::default() };
    let plan = pick(&tree(text), &Claims::default(), &SHAPE, &raw, MOMENT).unwrap();
    assert_eq!(plan.describe(), "level 0: L0[8 7 6 5] moves to L6");
}

#[test]
fn what_has_expired_as_a_whole_is_dropped_unless_it_hides_something_older() {
    assert_eq!(picked("L6: 1[a-c]50 2[d-f]50x"), "expired: L6[2] is dropped from L6");
    assert_eq!(picked("L5: 2[d-f]50x\n L6: 1[a-e]50"), "nothing");
    let version = tree("L6: 1[a-c]50x");
    let held = Moment { oldest_seq: 1000, oldest_ms: 550, erase_ms: 0 };
    assert!(
        pick(&version, &Claims::default(), &SHAPE, &TablePolicy::default(), held).is_none(),
        "a snapshot may still read it"
    );
}

#[test]
fn deletions_that_a_snapshot_kept_in_the_last_level_go_when_it_is_gone() {
    assert_eq!(picked("L6: 1[a-c]50 2[d-f]50d"), "bottom deletions: L6[2] -> L6");
    let version = tree("L6: 2[d-f]50d");
    let held = Moment { oldest_seq: 0, oldest_ms: 1000, erase_ms: 0 };
    assert!(pick(&version, &Claims::default(), &SHAPE, &TablePolicy::default(), held).is_none());
}

#[test]
fn what_is_being_compacted_is_not_chosen_again() {
    let version = tree("L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9\n L6: 1[a-c]50 2[d-g]30");
    let mut claims = Claims::default();
    let plan = pick(&version, &claims, &SHAPE, &TablePolicy::default(), MOMENT).unwrap();
    let claim = claims.claim(&plan);
    assert!(pick(&version, &claims, &SHAPE, &TablePolicy::default(), MOMENT).is_none());
    assert_eq!(pick_manual(&version, &claims, &SHAPE, MOMENT, 0, None, None).unwrap_err(), Busy);
    claims.release(&claim);
    assert!(claims.is_empty());
    assert!(pick(&version, &claims, &SHAPE, &TablePolicy::default(), MOMENT).is_some());
}

#[test]
fn a_manual_compaction_goes_down_level_by_level_and_cleans_the_last() {
    let version = tree("L0: 7[a-c]9 8[x-z]9\n L5: 3[a-f]20 4[g-k]20\n L6: 1[a-c]50d 2[d-g]30");
    let manual = |level, from: Option<&[u8]>, to: Option<&[u8]>| {
        let plan = pick_manual(&version, &Claims::default(), &SHAPE, MOMENT, level, from, to).unwrap();
        plan.map_or("nothing".into(), |plan| plan.describe())
    };
    assert_eq!(manual(0, Some(b"a"), Some(b"b")), "manual: L0[8 7] + L5[3 4] -> L5");
    assert_eq!(manual(0, Some(b"m"), Some(b"n")), "nothing");
    assert_eq!(manual(5, Some(b"a"), Some(b"b")), "manual: L5[3] + L6[1 2] -> L6");
    assert_eq!(manual(6, None, None), "manual: L6[1] -> L6");
    assert_eq!(manual(6, Some(b"d"), None), "nothing");
}
