//! Which blob files are collected, and by which table first.

use super::blobs::{dead_blobs, holds_dead_since};
use super::picker_tests::{SHAPE, moment, table, tables};
use super::*;
use crate::base::blob_ref::BlobShare;
use crate::base::error::Error;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::blob::{BlobHead, BlobWriter, Blobs};
use crate::cache::FilePool;
use crate::compress::Codec;
use crate::fs::{Fs, SimFs};
use crate::table::TablePolicy;
use crate::version::{BlobFile, BlobMeta, Purgatory, TableFile, TableMeta, Version};
use std::path::Path;
use std::time::Duration;

/// A tree of tables `number[first-last]KiB` with what they refer to: `blob:bytes ..`. Each blob file says to
/// hold 1000 bytes.
struct Shelf {
    blobs: Blobs,
    files: Vec<Arc<BlobFile>>,
}

impl Shelf {
    fn new(numbers: impl IntoIterator<Item = u64>) -> Shelf {
        let (fs, dir) = (Fs::Sim(SimFs::new()), Path::new("/db"));
        fs.create_dir_all(dir).unwrap();
        let pool = Arc::new(FilePool::new(fs.clone(), dir, 8));
        let blobs = Blobs::new(fs, dir, Random::seeded(2), pool);
        let mut shelf = Shelf { blobs, files: Vec::new() };
        shelf.files = numbers.into_iter().map(|number| shelf.blob(number)).collect();
        shelf
    }

    fn blob(&self, number: u64) -> Arc<BlobFile> {
        let (file, identity) = self.blobs.create(number).unwrap();
        let head = BlobHead { identity, family: 0, store: 1, created_ms: 1 };
        let mut writer = BlobWriter::new(file, head, Codec::None, 0).unwrap();
        writer.add(b"k", b"v").unwrap();
        let summary = writer.finish().unwrap();
        let reader = self.blobs.open(number, identity, summary.size_bytes).unwrap();
        let meta = BlobMeta { bytes: 1000, entries: 100, ..BlobMeta::of(number, &summary) };
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
    for (live, expected) in [(1000, "nothing"), (601, "nothing"), (600, "dead values: L6[1] -> L6")] {
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
    assert_eq!(picked(&claims), "dead values: L6[2] -> L6");
    let plan = pick(&tree, &claims, &SHAPE, &TablePolicy::default(), moment(1000, 1000)).unwrap();
    let claim = claims.claim(&plan);
    assert_eq!(picked(&claims), "dead values: L6[3] -> L6");
    claims.release(&claim);
    claims.set_damaged(10, Error::Closed, Duration::ZERO);
    assert_eq!(all(&claims), [11]);
    assert_eq!(picked(&claims), "dead values: L5[1] -> L5");
}

#[test]
fn what_is_copied_must_have_room() {
    let shelf = Shelf::new([10, 11]);
    let tree = version([shelf.table(6, "1[a-c]9", &[(10, 500), (11, 1000)])]);
    let at = |room| picked_with(&tree, &Claims::default(), Moment { room, ..moment(1000, 1000) });
    assert_eq!(at((9 << 10) + 500), "dead values: L6[1] -> L6", "what lives of another file stays there");
    assert_eq!(at((9 << 10) + 499), "nothing");
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
