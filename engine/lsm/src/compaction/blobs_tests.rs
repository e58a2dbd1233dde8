//! Which blob files are collected, and by which table first.

use super::blobs::{dead_blobs, dead_pressure, holds_dead_since, small_blobs};
use super::picker_tests::{SHAPE, moment, table, tables};
use super::*;
use crate::base::blob_ref::BlobShare;
use crate::base::error::Error;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::blob::{BlobHead, BlobWriter, Blobs};
use crate::cache::{BlockCache, FilePool};
use crate::compress::Codec;
use crate::fs::{Fs, SimFs};
use crate::table::TablePolicy;
use crate::version::{BlobFile, BlobMeta, Purgatory, TableFile, TableMeta, Version};
use std::path::Path;
use std::time::Duration;

/// A tree of tables `number[first-last]KiB` with what they refer to: `blob:bytes ..`. Each blob file says to
/// hold so many bytes.
struct Shelf {
    blobs: Blobs,
    files: Vec<Arc<BlobFile>>,
}

impl Shelf {
    /// Files of 1000 bytes.
    fn new(numbers: impl IntoIterator<Item = u64>) -> Shelf {
        Shelf::of(numbers, 1000)
    }

    fn of(numbers: impl IntoIterator<Item = u64>, bytes: u64) -> Shelf {
        let (fs, dir) = (Fs::Sim(SimFs::new()), Path::new("/db"));
        fs.create_dir_all(dir).unwrap();
        let pool = Arc::new(FilePool::new(fs.clone(), dir, 8));
        let blobs = Blobs::new(fs, dir, Random::seeded(2), pool, Arc::new(BlockCache::new(0)));
        let mut shelf = Shelf { blobs, files: Vec::new() };
        shelf.files = numbers.into_iter().map(|number| shelf.blob(number, bytes)).collect();
        shelf
    }

    fn blob(&self, number: u64, bytes: u64) -> Arc<BlobFile> {
        let (file, identity) = self.blobs.create(number).unwrap();
        let head = BlobHead { identity, family: 0, store: 1, created_ms: 1 };
        let mut writer = BlobWriter::new(file, head, Codec::None, 0).unwrap();
        writer.add(b"k", b"v").unwrap();
        let summary = writer.finish().unwrap();
        let reader = self.blobs.open(number, identity, summary.size_bytes).unwrap();
        let meta = BlobMeta { bytes, entries: 100, ..BlobMeta::of(number, &summary) };
        BlobFile::new(meta, reader, Arc::new(Purgatory::default()))
    }

    fn table(&self, level: usize, text: &str, refers: &[(u64, u64)]) -> (usize, Arc<TableFile>) {
        // On a disk of its own: numbers come again.
        let plain = table(&tables(), level, text);
        let share = |&(file, bytes): &(u64, u64)| BlobShare { file, entries: 1, bytes };
        let find = |(number, _): &(u64, u64)| self.files.iter().find(|f| f.meta.number == *number).unwrap();
        let meta = TableMeta { blobs: refers.iter().map(share).collect(), ..(*plain.meta).clone() };
        let blobs = refers.iter().map(|of| find(of).clone()).collect();
        (level, TableFile::referring(meta.into(), plain.reader.clone(), Arc::default(), blobs))
    }
}

fn version(tables: impl IntoIterator<Item = (usize, Arc<TableFile>)>) -> Version {
    Version::default().changed(&[], tables.into_iter().collect())
}

fn describe(plan: Option<Plan>) -> String {
    plan.map_or("nothing".into(), |plan| plan.describe())
}

fn picked_with(version: &Version, claims: &Claims, moment: Moment<'_>) -> String {
    describe(pick(version, claims, &SHAPE, &TablePolicy::default(), moment))
}

fn picked(version: &Version) -> String {
    picked_with(version, &Claims::default(), moment(1000, 1000))
}

#[test]
fn a_blob_file_is_collected_once_so_much_of_it_is_dead() {
    let shelf = Shelf::new([10]);
    for (live, expected) in [(1000, "nothing"), (651, "nothing"), (650, "dead values: L6[1 2] -> L6")] {
        // What two tables refer to counts once for each.
        let tables =
            [shelf.table(6, "1[a-c]9", &[(10, live - 100)]), shelf.table(6, "2[d-f]9", &[(10, 100)])];
        assert_eq!(picked(&version(tables)), expected, "{live} of 1000 bytes live");
    }
    // Tables that say more than there is make nothing of it dead.
    assert_eq!(picked(&version([shelf.table(6, "1[a-c]9", &[(10, 5000)])])), "nothing");
}

#[test]
fn the_oldest_goes_first_and_what_is_claimed_or_damaged_is_left_alone() {
    let shelf = Shelf::new([10, 11, 12]);
    let tree = version([
        shelf.table(5, "1[a-c]9", &[(11, 100), (12, 900)]),
        shelf.table(6, "2[a-f]9", &[(10, 100)]),
        shelf.table(6, "3[g-i]9", &[(10, 100), (11, 10)]),
    ]);
    let mut claims = Claims::default();
    let all = |claims: &Claims| dead_blobs(&tree, claims, 0).into_iter().collect::<Vec<_>>();
    assert_eq!(all(&claims), [10, 11]);
    let picked = |claims: &Claims| picked_with(&tree, claims, moment(1000, 1000));
    assert_eq!(picked(&claims), "dead values: L6[2 3] -> L6", "neighbours go together");
    let plan = pick(&tree, &claims, &SHAPE, &TablePolicy::default(), moment(1000, 1000)).unwrap();
    assert_eq!(plan.moved, [10, 11]);
    let claim = claims.claim(&plan);
    assert_eq!(picked(&claims), "dead values: L5[1] -> L5");
    claims.release(&claim);
    claims.set_damaged(10, Error::Closed, Duration::ZERO);
    assert_eq!(all(&claims), [11]);
    assert_eq!(picked(&claims), "dead values: L5[1] -> L5");
}

#[test]
fn what_is_copied_must_have_room() {
    let shelf = Shelf::new([10, 11]);
    let tree = version([shelf.table(6, "1[a-c]9", &[(10, 400), (11, 1000)])]);
    let at = |room| picked_with(&tree, &Claims::default(), Moment { room, ..moment(1000, 1000) });
    assert_eq!(at((9 << 10) + 400), "dead values: L6[1] -> L6", "what lives of another file stays there");
    assert_eq!(at((9 << 10) + 399), "nothing");
}

#[test]
fn what_was_deleted_is_collected_in_time_whatever_its_share() {
    let shelf = Shelf::new([10]);
    let tree = version([shelf.table(6, "1[a-c]9", &[(10, 999)])]);
    let at = |erase_ms| Moment { erase_ms, ..moment(1000, 1000) };
    let due = |erase_ms| picked_with(&tree, &Claims::default(), at(erase_ms));
    let urgent = |erase_ms| {
        let policy = TablePolicy::default();
        describe(pick_erasure(&tree, &Claims::default(), &SHAPE, &policy, at(erase_ms)))
    };
    assert_eq!((due(900), urgent(900)), ("nothing".into(), "nothing".into()), "nobody has noted a time");
    shelf.files[0].set_dead_since_ms(500);
    assert_eq!((due(499), urgent(499)), ("nothing".into(), "nothing".into()));
    let goes = "dead values: L6[1] -> L6".to_owned();
    assert_eq!((due(500), urgent(500)), (goes.clone(), goes));
    assert!(holds_dead_since(&tree, 500) && !holds_dead_since(&tree, 499));
    // Nothing of it is dead any more in a version that refers to all of it.
    let whole = version([shelf.table(6, "1[a-c]9", &[(10, 1000)])]);
    assert!(!holds_dead_since(&whole, 500));
    // What is only too much dead is no matter of time.
    let half = version([shelf.table(6, "1[a-c]9", &[(10, 500)])]);
    let policy = TablePolicy::default();
    assert_eq!(describe(pick_erasure(&half, &Claims::default(), &SHAPE, &policy, at(499))), "nothing");
}

#[test]
fn collecting_goes_before_the_sizes_of_levels_when_much_is_dead_and_never_before_writers() {
    let shelf = Shelf::new([10, 11]);
    let tree = |newest: u64, level0: u64| {
        let mut tables =
            vec![shelf.table(5, "1[a-c]900", &[(10, 550)]), shelf.table(6, "2[a-f]900", &[(11, newest)])];
        tables.extend((20..20 + level0).map(|number| shelf.table(0, &format!("{number}[x-z]9"), &[])));
        version(tables)
    };
    assert_eq!(picked(&tree(1000, 0)), "level size: L5[1] + L6[2] -> L6");
    assert_eq!(picked(&tree(800, 0)), "dead values: L5[1] -> L5", "650 of 2000 are dead");
    assert!(picked(&tree(800, 8)).starts_with("level"), "writers are about to wait for level 0");
}

fn planned(version: &Version, claims: &Claims) -> Option<Plan> {
    pick(version, claims, &SHAPE, &TablePolicy::default(), moment(1000, 1000))
}

/// All tables that refer to a file are written again for it: not for less than that frees.
#[test]
fn collecting_waits_until_it_frees_more_than_tables_are_written_again() {
    let shelf = Shelf::of([10, 11, 12, 13], 16 << 10);
    let k = |kib: u64| kib << 10;
    let tree = |first, second, all| {
        version([
            shelf.table(6, "1[a-c]9", &[(10, k(first)), (12, k(all))]),
            shelf.table(6, "2[d-f]5", &[(11, k(second)), (13, k(all))]),
        ])
    };
    assert_eq!(picked(&tree(8, 16, 16)), "nothing", "8 KiB are freed, and 9 written");
    assert_eq!(picked(&tree(8, 9, 16)), "dead values: L6[1 2] -> L6", "15 KiB are freed, and 14 written");
    assert_eq!(picked(&tree(9, 16, 6)), "dead values: L6[1 2] -> L6", "more than a quarter of all is dead");
    // Whatever is due goes.
    shelf.files[0].set_dead_since_ms(500);
    let moment = Moment { erase_ms: 500, ..moment(1000, 1000) };
    assert_eq!(picked_with(&tree(8, 16, 16), &Claims::default(), moment), "dead values: L6[1] -> L6");
}

/// However many files cross the threshold together, no more is copied before the first are freed than there
/// are bytes in a whole blob file, or in one part in 32 of all.
#[test]
fn not_all_that_is_dead_is_moved_at_once() {
    let half = 100 << 10;
    let shelf = Shelf::of(10..18, 2 * half);
    let all: Vec<(u64, u64)> = (10..18).map(|number| (number, half)).collect();
    let tree = version([shelf.table(6, "1[a-c]9", &all)]);
    assert_eq!(planned(&tree, &Claims::default()).unwrap().moved, [10, 11], "200 KiB are a blob file");
    let many = Shelf::of(10..90, 2 * half);
    let all: Vec<(u64, u64)> = (10..90).map(|number| (number, half)).collect();
    let tree = version([many.table(6, "1[a-c]9", &all)]);
    assert_eq!(
        planned(&tree, &Claims::default()).unwrap().moved.len(),
        5,
        "one part in 32 of 80 files of 200 KiB"
    );
    // One that is larger goes by itself.
    let large = Shelf::of([10, 11], 10 * half);
    let tree = version([large.table(6, "1[a-c]9", &[(10, 5 * half), (11, 5 * half)])]);
    assert_eq!(planned(&tree, &Claims::default()).unwrap().moved, [10]);
    // What has been due for longest goes before what is older.
    shelf.files[5].set_dead_since_ms(400);
    shelf.files[3].set_dead_since_ms(500);
    let tree = version([shelf.table(6, "1[a-c]9", &(10..18).map(|n| (n, half)).collect::<Vec<_>>())]);
    let due = Moment { erase_ms: 500, ..moment(1000, 1000) };
    let plan = pick(&tree, &Claims::default(), &SHAPE, &TablePolicy::default(), due).unwrap();
    assert_eq!(plan.moved, [13, 15]);
}

#[test]
fn neighbours_are_written_again_together_as_long_as_that_makes_a_blob_file() {
    let shelf = Shelf::of([10, 11], 600 << 10);
    let k = |kib: u64| kib << 10;
    let tree = |third: &[(u64, u64)]| {
        version([
            shelf.table(6, "1[a-c]20", &[(10, k(60))]),
            shelf.table(6, "2[d-f]20", &[(10, k(60))]),
            shelf.table(6, "3[g-i]20", third),
            shelf.table(6, "4[j-l]20", &[(10, k(10))]),
            shelf.table(6, "5[m-o]20", &[(10, k(10)), (11, k(590))]),
        ])
    };
    assert_eq!(picked(&tree(&[(10, k(25))])), "dead values: L6[1 2] -> L6", "160 of 200 KiB, and 45 more");
    assert_eq!(picked(&tree(&[(11, k(10))])), "dead values: L6[1 2] -> L6", "the third has nothing of it");
    let mut claims = Claims::default();
    let tree = tree(&[(10, k(25))]);
    let _first = claims.claim(&planned(&tree, &claims).unwrap());
    assert_eq!(picked_with(&tree, &claims, moment(1000, 1000)), "dead values: L6[3 4 5] -> L6");
    claims.set_damaged(4, Error::Closed, Duration::ZERO);
    assert_eq!(picked_with(&tree, &claims, moment(1000, 1000)), "dead values: L6[3] -> L6");
}

#[test]
fn a_compaction_takes_small_blob_files_along_whole_and_not_more_than_it_writes() {
    let few = 10..40;
    let many = 10..110;
    let k = |kib: u64| kib << 10;
    let chosen = |numbers: std::ops::Range<u64>, live: u64, elsewhere: &[(u64, u64)], claims: &Claims| {
        let shelf = Shelf::of(numbers.clone(), k(60));
        let (first, all): (Vec<_>, Vec<_>) = numbers.map(|n| ((n, k(live)), n)).unzip();
        let tree = version([shelf.table(5, "1[a-c]35", &first), shelf.table(6, "2[x-z]9", elsewhere)]);
        let inputs = tree.level(5).iter().map(|table| (5, table.clone())).collect();
        let plan = Plan::merging(Reason::LevelSize, inputs, 6);
        assert_eq!(all.len(), tree.blobs().files().len());
        small_blobs(&tree, claims, &SHAPE, &plan).into_iter().collect::<Vec<_>>()
    };
    let none = Claims::default();
    assert_eq!(chosen(few, 10, &[], &none), [], "they are not many");
    assert_eq!(chosen(many.clone(), 10, &[], &none), [10, 11, 12], "35 KiB are written");
    assert_eq!(chosen(many.clone(), 50, &[], &none), [], "a quarter of a file is not small");
    assert_eq!(chosen(many.clone(), 20, &[], &none), [], "one alone would not be merged with anything");
    assert_eq!(chosen(many.clone(), 10, &[(11, 1)], &none), [10, 12, 13], "it would stay all the same");
    let mut damaged = Claims::default();
    damaged.set_damaged(10, Error::Closed, Duration::ZERO);
    assert_eq!(chosen(many, 10, &[], &damaged), [11, 12, 13]);
}

#[test]
fn dead_values_press_when_they_are_much_of_many_files() {
    let m = |mib: u64| mib << 20;
    let pressure = |files: u64, bytes: u64, live: u64| {
        let shelf = Shelf::of(10..10 + files, m(bytes));
        let shares: Vec<_> = (10..10 + files).map(|number| (number, m(live))).collect();
        dead_pressure(&version([shelf.table(6, "1[a-c]9", &shares)]))
    };
    assert_eq!(pressure(9, 100, 25), 750);
    assert_eq!(pressure(9, 100, 100), 0);
    assert_eq!(pressure(8, 100, 25), 0, "so few files are nothing to wait for");
    assert_eq!(pressure(9, 8, 1), 0, "nor are so few bytes");
}
