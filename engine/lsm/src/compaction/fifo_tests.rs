//! What goes of a family that keeps only the newest, shown on small trees; see `picker_tests` for how they
//! are written. A table was written at the millisecond that is its number.

use super::picker_tests::{SHAPE, moment, policy, tree};
use super::*;
use crate::version::{CompactionStyle, Fifo, Version};
use std::time::Duration;

const RULES: Fifo = Fifo { bytes: Some(100 << 10), age: None, runs: 4 };
/// Of three tables with all keys.
const THREE: &str = "L0: 7[a-z]40 8[a-z]40 9[a-z]40";

fn picked_of(version: &Version, claims: &Claims, rules: Fifo, held_seq: Option<u64>, now_ms: u64) -> String {
    let moment = Moment { style: CompactionStyle::Fifo(rules), held_seq, ..moment(10_000, now_ms) };
    let plan = pick(version, claims, &SHAPE, &policy(), moment);
    assert_eq!(
        has_outlived(version, moment) && claims.is_empty(),
        plan.as_ref().is_some_and(|p| p.drop_whole)
    );
    plan.map_or("nothing".into(), |plan| plan.describe())
}

fn picked(text: &str) -> String {
    picked_of(&tree(text), &Claims::default(), RULES, None, 1000)
}

fn claimed(version: &Version, at: usize) -> (Claims, Plan) {
    let inputs = vec![(0, version.level(0)[at].clone())];
    (Claims::default(), Plan::merging(Reason::Manual, inputs, 6))
}

#[test]
fn the_oldest_go_until_the_rest_is_small_enough() {
    assert_eq!(picked(""), "nothing");
    assert_eq!(picked("L0: 8[a-z]40 9[a-z]60"), "nothing");
    assert_eq!(picked("L0: 8[a-z]40 9[a-z]61"), "oldest: L0[8] is dropped from L0");
    assert_eq!(picked("L0: 6[a-z]40 7[a-z]40 8[a-z]40 9[a-z]40"), "oldest: L0[6 7] is dropped from L0");
    assert_eq!(picked("L0: 9[a-z]101"), "oldest: L0[9] is dropped from L0");
}

#[test]
fn no_table_goes_while_an_older_one_of_its_keys_stays() {
    // What was written lately has been compacted down, and stands below what is older.
    let version = tree("L0: 7[c-d]40 9[x-z]40\n L6: 8[a-d]40");
    let deep = version.level(6)[0].clone();
    let mut meta = (*deep.meta).clone();
    meta.max_seq = 15;
    let deep =
        crate::version::TableFile::new(meta.into(), deep.reader.clone(), crate::base::sync::Arc::default());
    let version = version.changed(&[(6, 8)], vec![(6, deep)]);
    let rules = Fifo { bytes: Some(90 << 10), ..RULES };
    let picked = |version: &Version| picked_of(version, &Claims::default(), rules, None, 1000);
    // By its newest entry, table 7 (numbers 14 and 15) is no older.
    assert_eq!(picked(&version), "oldest: L6[8] is dropped from L6");
    // One that overlaps nothing goes by age.
    assert_eq!(picked(&tree("L0: 7[c-d]40 9[a-z]40\n L6: 8[e-f]40")), "oldest: L6[8] is dropped from L6");
    let all = Fifo { bytes: Some(64 << 10), ..RULES };
    let of_all = picked_of(&version, &Claims::default(), all, None, 1000);
    assert_eq!(of_all, "oldest: L6[8] + L0[7] is dropped from L6", "9 is newer");
}

/// What was ingested stood deep, and seemed to be older than the tables above it: it went in their place.
#[test]
fn what_was_ingested_below_does_not_go_before_what_is_older() {
    let tree = tree("L0: 7[a-z]60\n L6: 9[m-n]60");
    let deep = tree.level(6)[0].clone();
    let mut meta = (*deep.meta).clone();
    (meta.min_seq, meta.max_seq) = (18, 18);
    let reader = deep.reader.clone();
    let deep = crate::version::TableFile::new(meta.into(), reader, crate::base::sync::Arc::default());
    let ingested = tree.changed(&[(6, 9)], vec![(6, deep)]);
    let rules = Fifo { bytes: Some(100 << 10), ..RULES };
    let picked = picked_of(&ingested, &Claims::default(), rules, None, 1000);
    assert_eq!(picked, "oldest: L0[7] is dropped from L0");
}

#[test]
fn what_a_snapshot_sees_stays_and_all_that_is_newer() {
    let version = tree(THREE);
    let with = |held_seq| picked_of(&version, &Claims::default(), RULES, held_seq, 1000);
    assert_eq!(with(Some(13)), "oldest: L0[7] is dropped from L0", "older than all of it");
    assert_eq!(with(Some(14)), "nothing");
    // It sees the oldest and nothing of the next, which stays with it.
    let tight = Fifo { bytes: Some(64 << 10), ..RULES };
    assert_eq!(picked_of(&version, &Claims::default(), tight, Some(15), 1000), "nothing");
    assert_eq!(
        picked_of(&version, &Claims::default(), tight, None, 1000),
        "oldest: L0[7 8] is dropped from L0"
    );
}

#[test]
fn what_is_too_old_goes_whatever_its_size() {
    let rules = Fifo { bytes: None, age: Some(Duration::from_millis(100)), runs: 4 };
    let at = |now_ms| picked_of(&tree(THREE), &Claims::default(), rules, None, now_ms);
    assert_eq!(at(107), "nothing");
    assert_eq!(at(108), "oldest: L0[7] is dropped from L0");
    assert_eq!(at(1000), "oldest: L0[7 8 9] is dropped from L0");
}

#[test]
fn what_is_being_compacted_holds_newer_ones_up_and_damage_does_not() {
    let version = tree(THREE);
    let tight = Fifo { bytes: Some(64 << 10), ..RULES };
    let (mut claims, plan) = claimed(&version, 2);
    let claim = claims.claim(&plan);
    assert_eq!(picked_of(&version, &claims, tight, None, 1000), "nothing");
    claims.release(&claim);
    claims.set_damaged(7, crate::base::error::Error::Closed, Duration::ZERO);
    assert_eq!(picked_of(&version, &claims, tight, None, 1000), "oldest: L0[7 8] is dropped from L0");
}

#[test]
fn of_too_many_tables_the_smallest_neighbours_become_one() {
    let text = "L0: 5[a-z]9 6[a-z]4 7[a-z]5 8[a-z]3 9[a-z]9\n L6: 1[a-z]9";
    assert_eq!(picked(text), "tier: L0[8 7] -> L0");
    let version = tree(text);
    let (mut claims, plan) = claimed(&version, 1);
    let _claim = claims.claim(&plan);
    assert_eq!(picked_of(&version, &claims, RULES, None, 1000), "tier: L0[7 6] -> L0");
}
