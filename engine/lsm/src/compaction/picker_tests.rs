//! What the picker chooses, shown on small trees.
//!
//! A tree is written as lines `L<level>: <number>[<first>-<last>]<size in KiB> ...`; after the size
//! may stand `d` (half of the entries are deletions) or `x` (all entries have expired).

use super::*;
use crate::base::key::{EntryRef, Kind, NEVER, Trailer};
use crate::base::limits::LEVELS;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::fs::{Fs, SimFs};
use crate::iter::Horizon;
use crate::ranges::{Range, RangeKind, RangeSet};
use crate::table::{Origin, TableOptions, TablePolicy, TableWriter, Tables};
use crate::version::{CompactionStyle, Leftover, Purgatory, TableFile, TableMeta, Version, check_levels};
use std::path::Path;
use std::sync::LazyLock;

pub(super) const SHAPE: ShapeOptions = ShapeOptions {
    level0_tables: 4,
    base_bytes: 100 << 10,
    fanout: 10,
    table_bytes: 50 << 10,
    ranges: 16,
    range_bytes: 1 << 20,
};
static NO_RANGES: LazyLock<RangeSet> = LazyLock::new(RangeSet::default);

/// A moment at which all readers see everything up to `oldest_seq`.
pub(super) fn moment(oldest_seq: u64, oldest_ms: u64) -> Moment<'static> {
    let (style, horizons, ranges) = (CompactionStyle::Leveled, &[], &*NO_RANGES);
    Moment { style, held_seq: None, oldest_seq, oldest_ms, horizons, ranges, erase_ms: 0, room: u64::MAX }
}

/// Levels 0 and 1 are raw, so that there are levels of both kinds.
pub(super) fn policy() -> TablePolicy {
    TablePolicy { uncompressed_levels: 2, ..TablePolicy::default() }
}

pub(super) fn table(tables: &Tables, level: usize, text: &str) -> Arc<TableFile> {
    let (number, rest) = text.split_once('[').unwrap();
    let (range, size) = rest.split_once(']').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    let kib: u64 = size.trim_end_matches(['d', 'x']).parse().unwrap();
    let (file, identity) = tables.create(number).unwrap();
    // The higher its number, the later it was written.
    let origin = Origin { created_ms: number, ..Origin::default() };
    let mut writer =
        TableWriter::new(file, identity, TableOptions { origin, ..TableOptions::default() }).unwrap();
    for (key, seq) in [(first, 2 * number), (last, 2 * number + 1)] {
        let entry = EntryRef { key: key.as_bytes(), seq, kind: Kind::Put, expires_at: NEVER, value: b"v" };
        writer.add(&entry).unwrap();
    }
    let size = writer.finish().unwrap().size_bytes;
    let reader = tables.open(number, identity, size, 0).unwrap();
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
        cleaned_seq: 0,
        ingested_seq: 0,
        blobs: Vec::new(),
    };
    TableFile::new(Arc::new(meta), reader, Arc::new(Purgatory::default()))
}

/// On a disk of their own.
pub(super) fn tables() -> Tables {
    let fs = Fs::Sim(SimFs::new());
    let dir = Path::new("/db");
    fs.create_dir_all(dir).unwrap();
    Tables::new(fs, dir, Random::seeded(1), 1 << 20, 64)
}

pub(super) fn tree(text: &str) -> Version {
    let tables = tables();
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
    pick(&tree(text), &Claims::default(), &SHAPE, &policy(), moment(1000, 1000))
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

/// Writers stood still on a disk with room enough, because all of level 0 at once needed more.
#[test]
fn level_0_goes_down_in_parts_the_oldest_first_where_there_is_no_room_for_all_of_it() {
    let text = "L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9 9[x-z]9\n L6: 1[a-c]50 2[d-g]30";
    let tree = tree(text);
    for (room, expected) in [
        (125, "L0[9 8 7 6 5] + L6[1 2] -> L6"),
        (124, "L0[7 6 5] + L6[1 2] -> L6"),
        (106, "L0[6 5] + L6[1 2] -> L6"),
        (97, "L0[5] + L6[1] -> L6"),
        (0, "L0[5] + L6[1] -> L6"),
    ] {
        let moment = Moment { room: room << 10, ..moment(1000, 1000) };
        let plan = pick(&tree, &Claims::default(), &SHAPE, &policy(), moment);
        assert_eq!(plan.unwrap().describe(), format!("level 0: {expected}"), "{room} KiB");
    }
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
    let plan = pick(&tree(text), &Claims::default(), &SHAPE, &raw, moment(1000, 1000)).unwrap();
    assert_eq!(plan.describe(), "level 0: L0[8 7 6 5] moves to L6");
}

#[test]
fn nothing_moves_into_the_last_level_as_it_is_where_that_has_dictionaries() {
    let base = TableOptions { dictionary_bytes: 4096, ..TableOptions::default() };
    let with = TablePolicy { base, ..TablePolicy::default() };
    let described = |text: &str, policy: &TablePolicy| {
        pick(&tree(text), &Claims::default(), &SHAPE, policy, moment(1000, 1000)).unwrap().describe()
    };
    let text = "L5: 5[a-c]90 6[d-f]90 7[g-i]90\n L6: 1[a-b]500 2[d-e]500 4[x-z]600";
    assert_eq!(described(text, &TablePolicy::default()), "level size: L5[7] moves to L6");
    assert_eq!(described(text, &with), "level size: L5[7] -> L6");
    let raw = TablePolicy { uncompressed_levels: 7, ..with.clone() };
    assert_eq!(described(text, &raw), "level size: L5[7] moves to L6", "what is raw has none");
    for level in 0..7 {
        let options = with.for_level(level, Origin::default());
        assert_eq!(options.dictionary_bytes, if level == 6 { 4096 } else { 0 });
    }
}

#[test]
fn what_has_expired_as_a_whole_is_dropped_unless_it_hides_something_older() {
    assert_eq!(picked("L6: 1[a-c]50 2[d-f]50x"), "expired: L6[2] is dropped from L6");
    assert_eq!(picked("L5: 2[d-f]50x\n L6: 1[a-e]50"), "nothing");
    let version = tree("L6: 1[a-c]50x");
    let held = moment(1000, 550);
    assert!(
        pick(&version, &Claims::default(), &SHAPE, &policy(), held).is_none(),
        "a snapshot may still read it"
    );
}

#[test]
fn deletions_that_a_snapshot_kept_in_the_last_level_go_when_it_is_gone() {
    assert_eq!(picked("L6: 1[a-c]50 2[d-f]50d"), "bottom deletions: L6[2] -> L6");
    let version = tree("L6: 2[d-f]50d");
    let held = moment(0, 1000);
    assert!(pick(&version, &Claims::default(), &SHAPE, &policy(), held).is_none());
}

#[test]
fn what_is_being_compacted_is_not_chosen_again() {
    let version = tree("L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9\n L6: 1[a-c]50 2[d-g]30");
    let mut claims = Claims::default();
    let plan = pick(&version, &claims, &SHAPE, &policy(), moment(1000, 1000)).unwrap();
    let claim = claims.claim(&plan);
    assert!(pick(&version, &claims, &SHAPE, &policy(), moment(1000, 1000)).is_none());
    assert_eq!(pick_manual(&version, &claims, &SHAPE, moment(1000, 1000), 0, None, None).unwrap_err(), Busy);
    claims.release(&claim);
    assert!(claims.is_empty());
    assert!(pick(&version, &claims, &SHAPE, &policy(), moment(1000, 1000)).is_some());
}

#[test]
fn a_manual_compaction_goes_down_level_by_level_and_cleans_the_last() {
    let version = tree("L0: 7[a-c]9 8[x-z]9\n L5: 3[a-f]20 4[g-k]20\n L6: 1[a-c]50d 2[d-g]30");
    let manual = |level, from: Option<&[u8]>, to: Option<&[u8]>| {
        let plan =
            pick_manual(&version, &Claims::default(), &SHAPE, moment(1000, 1000), level, from, to).unwrap();
        plan.map_or("nothing".into(), |plan| plan.describe())
    };
    assert_eq!(manual(0, Some(b"a"), Some(b"b")), "manual: L0[8 7] + L5[3 4] -> L5");
    assert_eq!(manual(0, Some(b"m"), Some(b"n")), "nothing");
    assert_eq!(manual(5, Some(b"a"), Some(b"b")), "manual: L5[3] + L6[1 2] -> L6");
    assert_eq!(manual(6, None, None), "manual: L6[1] -> L6");
    assert_eq!(manual(6, Some(b"d"), None), "nothing");
}

/// Picks with ranges, written `<from>-<to>@<seq>`; those with the numbers of `horizons` still read.
fn picked_with(text: &str, ranges: &str, horizons: &[u64], shape: &ShapeOptions) -> String {
    picked_due(text, ranges, horizons, shape, 0)
}

/// As [`picked_with`], and what is older than `erase_ms` is to go.
fn picked_due(text: &str, ranges: &str, horizons: &[u64], shape: &ShapeOptions, erase_ms: u64) -> String {
    let range = |text: &str| {
        let (keys, seq) = text.split_once('@').unwrap();
        let (from, to) = keys.split_once('-').unwrap();
        let seq = seq.parse().unwrap();
        Arc::new(Range::new(RangeKind::Dropped, seq, from.as_bytes(), to.as_bytes(), seq))
    };
    let ranges = RangeSet::new(ranges.split(' ').map(range).collect());
    let horizons: Vec<_> = horizons.iter().chain([&1000]).map(|&seq| Horizon { seq, now_ms: 1000 }).collect();
    let moment = Moment { horizons: &horizons, ranges: &ranges, erase_ms, ..moment(horizons[0].seq, 1000) };
    pick(&tree(text), &Claims::default(), shape, &policy(), moment)
        .map_or("nothing".into(), |plan| plan.describe())
}

#[test]
fn a_table_inside_a_range_is_dropped_unless_somebody_reads_it_or_it_has_something_newer() {
    let text = "L0: 9[d-e]9\n L6: 1[a-c]50 2[d-f]50";
    assert_eq!(picked_with(text, "d-g@10", &[], &SHAPE), "covered: L6[2] is dropped from L6");
    assert_eq!(picked_with(text, "d-@10", &[], &SHAPE), "covered: L6[2] is dropped from L6");
    assert_eq!(picked_with(text, "d-f@10", &[], &SHAPE), "nothing");
    assert_eq!(picked_with(text, "d-g@10", &[9], &SHAPE), "nothing", "a snapshot stands in between");
    assert_eq!(picked_with(text, "d-g@10", &[10], &SHAPE), "covered: L6[2] is dropped from L6");
    // The table of level 0 has the numbers 18 and 19.
    assert_eq!(picked_with(text, "d-g@20", &[], &SHAPE), "covered: L0[9] is dropped from L0");
}

#[test]
fn tables_that_ranges_touch_wait_until_there_are_many_ranges() {
    let text = "L5: 5[b-h]9\n L6: 1[a-c]50 2[d-f]50";
    assert_eq!(picked_with(text, "e-g@10", &[], &SHAPE), "nothing");
    let strict = ShapeOptions { ranges: 1, ..SHAPE };
    assert_eq!(picked_with(text, "e-g@10", &[], &strict), "ranges: L5[5] + L6[1 2] -> L6");
    assert_eq!(picked_with(text, "e-g@10", &[9], &strict), "nothing", "all would have to be kept");
    assert_eq!(picked_with("L6: 2[d-f]50", "e-g@10", &[], &strict), "ranges: L6[2] -> L6");
    assert_eq!(picked_with("L0: 7[d-f]9", "e-@90", &[], &strict), "ranges: L0[7] -> L6");
    assert_eq!(picked_with("L0: 7[d-f]9", "e-@90", &[14], &strict), "nothing", "one would have to be");
    // More than there may be, and it comes before what else is due.
    let busy = "L0: 5[a-c]9 6[b-d]9 7[a-b]9 8[c-d]9\n L6: 2[d-f]50";
    assert_eq!(picked_with(busy, "e-g@4 e-g@5", &[], &strict), "ranges: L6[2] -> L6");
    assert_eq!(picked_with(busy, "e-g@5", &[], &SHAPE), "level 0: L0[8 7 6 5] + L6[2] -> L6");
}

/// The table holds the numbers 14 and 15.
#[test]
fn what_is_due_is_cleaned_of_what_no_snapshot_reads_whatever_else_one_reads() {
    let picked = |horizons: &[u64], erase_ms| picked_due("L0: 7[d-f]9", "e-@90", horizons, &SHAPE, erase_ms);
    assert_eq!(picked(&[14], 90), "ranges: L0[7] -> L6");
    assert_eq!(picked(&[14], 89), "nothing", "it has time");
    assert_eq!(picked(&[15], 90), "nothing", "all is read");
    assert_eq!(picked(&[90], 90), "ranges: L0[7] -> L6", "the snapshot is from behind the range");
}

#[test]
fn in_a_calm_what_stands_above_comes_down_if_it_does_not_drag_along_too_much() {
    let calm = |text: &str, calm| {
        pick_calm(&tree(text), &Claims::default(), &SHAPE, &policy(), calm)
            .map_or("nothing".into(), |plan| plan.describe())
    };
    let text = "L0: 7[a-z]40 8[a-z]40\n L6: 1[a-m]40 2[n-z]40";
    assert_eq!(calm(text, Calm::Short), "calm: L0[8 7] + L6[1 2] -> L6");
    let text = "L0: 8[a-z]10\n L6: 1[a-m]40 2[n-z]40";
    assert_eq!(calm(text, Calm::Short), "nothing");
    assert_eq!(calm(text, Calm::Long), "calm: L0[8] + L6[1 2] -> L6");
    // A table at a time, that which drags along the least.
    let text = "L5: 5[a-f]30 6[g-z]30\n L6: 1[a-f]300 2[g-z]200";
    assert_eq!(calm(text, Calm::Short), "nothing");
    assert_eq!(calm(text, Calm::Long), "calm: L5[6] + L6[2] -> L6");
    let text = "L5: 5[a-f]30 6[g-z]30\n L6: 1[a-f]400 2[g-z]400";
    assert_eq!(calm(text, Calm::Long), "nothing");
    // One run is what it is all about.
    for one in ["L0: 8[a-z]40", "L4: 1[a-m]90 2[n-z]90", "L6: 1[a-m]90 2[n-z]90"] {
        assert_eq!(calm(one, Calm::Long), "nothing", "{one}");
    }
    assert_eq!(calm("L0: 7[a-f]40 8[g-z]40", Calm::Short), "calm: L0[8 7] -> L6");
}

/// Tried once in its place, a table waits for the release of a snapshot that may have needed something.
#[test]
fn what_was_tried_in_vain_is_not_tried_again_until_a_snapshot_is_released() {
    let version = tree("L6: 1[a-c]50 2[d-f]50d");
    let held = |seqs: &[u64]| {
        let horizons: Vec<_> = seqs.iter().map(|&seq| Horizon { seq, now_ms: 1000 }).collect();
        let moment = Moment { horizons: &horizons, ..moment(horizons[0].seq, 1000) };
        let plan = pick_manual(&version, &Claims::default(), &SHAPE, moment, LEVELS - 1, None, None).unwrap();
        plan.map_or("nothing".into(), |plan| plan.describe())
    };
    assert_eq!(held(&[0, 1000]), "manual: L6[2] -> L6");
    let left = Leftover { max_seq: 1, before: 1, snapshots: 1, next_end_ms: NEVER, ranges_seq: 1000 };
    version.level(LEVELS - 1)[1].set_leftover(left);
    assert_eq!(held(&[0, 1000]), "nothing");
    assert_eq!(held(&[0, 900, 1000]), "nothing", "what comes later sees it all");
    assert_eq!(held(&[900, 1000]), "manual: L6[2] -> L6");
}
