//! Following: from state to state, whatever the writer does, and however it ends.

use super::leading::{DIR, Interrupted, Leader, builder, held, shown};
use super::*;
use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Error;
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::base::sync::{Arc, Mutex};
use crate::db::{Builder, Db};
use crate::fs::sim::{Fault, OperationKind};
use crate::fs::{Fs, SimFs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn follow(sim: &SimFs) -> Follower {
    builder(Fs::Sim(sim.clone())).follow().unwrap()
}

/// A store whose manifest is not written anew, with one family.
fn calm(sim: &SimFs) -> Builder {
    builder(Fs::Sim(sim.clone())).manifest_bytes(1 << 20)
}

/// Whatever was written since, each state is the one that the writer has reached; and what was shown before
/// stays as it was.
#[test]
fn each_catching_up_shows_what_the_writer_has_reached() {
    let (mut restarts, mut catch_ups) = (0, 0);
    for seed in 0..12 {
        let sim = SimFs::new();
        let mut leader = Leader::new(&sim, seed);
        let follower = follow(&sim);
        let (random, mut earlier) = (Random::seeded(seed), Vec::new());
        for _ in 0..120 {
            (0..random.below(4)).for_each(|_| leader.act());
            let ahead = follower.lag();
            let reached = follower.catch_up().unwrap();
            let (view, expected) = (follower.view(), leader.models.lock().last().unwrap().clone());
            assert_eq!(shown(&view).unwrap(), expected, "seed {seed}");
            assert_eq!((view.seq(), view.history()), (reached.seq, reached.history));
            assert!(!reached.new_history && reached.seq >= leader.db().visible_seq());
            if let (Ok(ahead), None) = (ahead, &reached.restarted) {
                assert!(ahead.seqs <= reached.behind, "{} of {}", ahead.seqs, reached.behind);
            }
            assert_eq!(follower.lag().unwrap().seqs, 0);
            if random.below(10) == 0 {
                earlier.push((view, expected));
            }
        }
        for (view, expected) in earlier {
            assert_eq!(shown(&view).unwrap(), expected);
        }
        let stats = follower.stats();
        assert_eq!((stats.failures, stats.taken_back, stats.new_histories), (0, 0, 0));
        restarts += stats.restarts;
        catch_ups += stats.catch_ups;
        drop(leader);
        drop(follower);
        assert_eq!(sim.open_files(), 0);
    }
    assert!(restarts > 50 && catch_ups > restarts * 3, "{restarts} restarts, {catch_ups} in all");
}

/// Between any two calls of the follower the writer may do anything. What is shown never goes back.
#[test]
fn a_follower_is_not_confused_by_who_writes_meanwhile() {
    let mut ahead = 0;
    for seed in 0..24 {
        let sim = SimFs::new();
        let leader = Arc::new(Mutex::new(Leader::new(&sim, seed)));
        let (random, writer, left) = (Random::seeded(seed), leader.clone(), Arc::new(Mutex::new(0)));
        let (often, allowed) = (1 + seed % 9, left.clone());
        let fs = Interrupted::disk_of(&sim, move || {
            let mut allowed = allowed.lock();
            if *allowed > 0 && random.below(often) == 0 {
                *allowed -= 1;
                writer.lock().act();
            }
        });
        let follower = builder(fs).follow().unwrap();
        let mut before = 0;
        for round in 0..40 {
            let at_least = *leader.lock().acknowledged.lock();
            *left.lock() = round % 9;
            follower.catch_up().unwrap();
            *left.lock() = 0;
            let found = shown(&follower.view()).unwrap();
            let step = leader.lock().step_of(&found).expect("a state that the store was in");
            assert!(step >= at_least && step >= before, "seed {seed}: {before}, {at_least}, {step}");
            ahead += u32::from(step > at_least);
            before = step;
        }
        assert_eq!(follower.stats().failures, 0);
    }
    assert!(ahead > 100, "{ahead} saw what came meanwhile");
}

/// The writer is killed anywhere and opened again. Nothing that was shown is lost, and the new history is
/// told.
#[test]
fn a_kill_of_the_writer_takes_nothing_back() {
    let mut sim = SimFs::new();
    let mut model = BTreeMap::new();
    let random = Random::seeded(4);
    for round in 0..30u32 {
        let db = calm(&sim).open().unwrap();
        let follower = calm(&sim).follow().unwrap();
        let history = follower.view().history();
        for n in 0..random.below(30) {
            let (key, value) = (format!("{:02}", random.below(50)), format!("{round}-{n}"));
            db.put(&key, &value).unwrap();
            model.insert(key.into_bytes(), value.into_bytes());
            if random.below(9) == 0 {
                db.flush().unwrap();
            }
        }
        follower.catch_up().unwrap();
        let seen = shown(&follower.view()).unwrap();
        assert_eq!(seen["default"], model);
        let left = sim.kill_image();
        let again = calm(&left).follow().unwrap();
        assert_eq!((shown(&again.view()).unwrap(), again.view().history()), (seen.clone(), history));
        let db = calm(&left).open().unwrap();
        let reached = again.catch_up().unwrap();
        assert!(reached.new_history && reached.seq >= follower.view().seq());
        assert!(matches!(reached.restarted, Some(Restart::NewManifest)), "{:?}", reached.restarted);
        assert_eq!((shown(&again.view()).unwrap(), held(&db)), (seen.clone(), seen));
        assert_eq!(again.stats().new_histories, 1);
        db.close().unwrap();
        sim = left;
    }
}

/// An append that failed was whole all the same, and was read. The next one stands in its place.
#[test]
fn a_write_that_was_refused_after_all_is_taken_back() {
    let sim = SimFs::new();
    let db = calm(&sim).map_log(false).open().unwrap();
    db.put("a", "1").unwrap();
    let follower = calm(&sim).follow().unwrap();
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Write).then_some(Fault::ErrnoAfter(libc::EIO))));
    db.put("refused", "longer than what comes next").unwrap_err();
    sim.clear_fault();
    assert!(follower.catch_up().unwrap().restarted.is_none());
    assert!(follower.view().contains_key("refused").unwrap());
    db.put("b", "2").unwrap();
    let reached = follower.catch_up().unwrap();
    assert!(matches!(reached.restarted, Some(Restart::TakenBack)), "{:?}", reached.restarted);
    let keys: Vec<_> = follower.view().iter().map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!((follower.stats().taken_back, follower.stats().restarts), (1, 1));
}

/// What was flushed is not kept in memory as well, and what a segment of the log held that is gone is in
/// tables.
#[test]
fn a_follower_that_was_too_slow_begins_anew_and_says_why() {
    let sim = SimFs::new();
    let db = calm(&sim).open().unwrap();
    db.put("a", "1").unwrap();
    let follower = calm(&sim).follow().unwrap();
    for n in 0..400u32 {
        db.put(n.to_be_bytes(), [7; 40]).unwrap();
    }
    db.flush().unwrap();
    assert!(matches!(follower.lag(), Err(Error::FileGone { file }) if file.extension().unwrap() == "log"));
    let before = follower.view();
    let reached = follower.catch_up().unwrap();
    let why = reached.restarted.unwrap();
    assert!(matches!(&why, Restart::FileGone(file) if file.extension().unwrap() == "log"), "{why:?}");
    assert_eq!((reached.behind, before.iter().count()), (400, 1));
    let view = follower.view();
    assert_eq!((view.iter().count(), view.stats().families[0].memtable_entries), (401, 0));
    // A flush that it has kept up with takes what it kept.
    db.put("b", "2").unwrap();
    assert!(follower.catch_up().unwrap().restarted.is_none());
    assert_eq!(follower.view().stats().families[0].memtable_entries, 1);
    db.put("c", "3").unwrap();
    db.flush().unwrap();
    db.put("d", "4").unwrap();
    let asked = follower.restart().unwrap();
    assert!(matches!(asked.restarted, Some(Restart::Asked)) && asked.behind == 2);
    assert_eq!(
        (follower.view().stats().families[0].memtable_entries, follower.view().iter().count()),
        (1, 404)
    );
}

/// What a flush has taken out of the log is forgotten without reading the log anew: an operand that a table
/// has folded into its base must not count twice.
#[test]
fn what_was_flushed_counts_once() {
    let sim = SimFs::new();
    let with = |builder: Builder| builder.merge_operator("default", crate::hooks::Counter);
    let db = with(calm(&sim).memtable_bytes(1 << 20).wal_segment_bytes(1 << 20)).open().unwrap();
    let follower = with(calm(&sim)).follow().unwrap();
    let mut restarts = 0;
    for n in 1..60i64 {
        db.merge("sum", 1i64.to_le_bytes()).unwrap();
        if n % 3 == 0 {
            restarts += u64::from(follower.catch_up().unwrap().restarted.is_some());
        }
        if n % 7 == 0 {
            db.flush().unwrap();
            db.merge("other", 1i64.to_le_bytes()).unwrap();
        }
        if n % 14 == 0 {
            db.compact().unwrap();
        }
        follower.catch_up().unwrap();
        assert_eq!(follower.view().get("sum").unwrap().unwrap(), n.to_le_bytes(), "{n}");
    }
    assert!(restarts < 10, "{restarts}");
}

/// What goes wrong is told, what was shown is shown on, and the next time all is read anew.
#[test]
fn a_failure_is_told_and_tried_again() {
    let sim = SimFs::new();
    let db = calm(&sim).open().unwrap();
    db.put("a", "1").unwrap();
    let follower = calm(&sim).follow().unwrap();
    db.put("b", "2").unwrap();
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Read).then_some(Fault::EIO)));
    assert!(matches!(follower.catch_up(), Err(Error::Io(_))));
    assert!(matches!(follower.lag(), Err(Error::Io(_))));
    assert_eq!(follower.view().get("a").unwrap().unwrap(), b"1");
    let stats = follower.stats();
    assert!(stats.failures == 1 && matches!(stats.last_error, Some(Error::Io(_))), "{stats:?}");
    sim.clear_fault();
    let reached = follower.catch_up().unwrap();
    assert!(matches!(reached.restarted, Some(Restart::Failed(Error::Io(_)))) && reached.behind == 1);
    assert!(follower.stats().last_error.is_none());
    let text = follower.stats().prometheus();
    assert!(text.contains("esker_follower_failures_total 1\n"), "{text}");
}

fn files(sim: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    sim.paths().into_iter().map(|path| (path.clone(), sim.read_raw(&path).unwrap())).collect()
}

fn replace(sim: &SimFs, with: &BTreeMap<PathBuf, Vec<u8>>) {
    sim.paths().iter().for_each(|path| Fs::Sim(sim.clone()).remove(path).unwrap());
    with.iter().for_each(|(path, bytes)| sim.write_raw(path, bytes).unwrap());
}

/// An older copy, or another store, is not taken for what the store has become.
#[test]
fn a_directory_that_was_replaced_is_refused() {
    let (sim, other) = (SimFs::new(), SimFs::new());
    let db = calm(&sim).open().unwrap();
    db.put("a", "1").unwrap();
    let older = files(&sim);
    db.put("b", "2").unwrap();
    let newer = files(&sim);
    let follower = calm(&sim).follow().unwrap();
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Read).then_some(Fault::EIO)));
    follower.catch_up().unwrap_err();
    sim.clear_fault();
    replace(&sim, &older);
    let refused = follower.catch_up();
    assert!(
        matches!(&refused, Err(Error::Corruption(what)) if what.found == "nothing behind 1"),
        "{refused:?}"
    );
    assert!(follower.view().contains_key("b").unwrap());
    replace(&sim, &newer);
    assert_eq!(follower.catch_up().unwrap().behind, 0);
    drop(db);
    drop(calm(&other).deterministic(9).open().unwrap());
    replace(&sim, &files(&other));
    assert!(matches!(follower.catch_up(), Err(Error::NotADatabase { .. })));
    assert!(follower.view().contains_key("b").unwrap());
    assert!(follower.restart().unwrap().new_history);
    assert_eq!(follower.view().iter().count(), 0);
    Fs::Sim(sim.clone()).remove(&FileKind::Current.path(Path::new(DIR))).unwrap();
    follower.catch_up().unwrap_err();
}

/// A record that never becomes whole, with one behind it that says that it was: sooner or later that is told.
#[test]
fn damage_that_a_follower_stands_before_is_noticed() {
    let sim = SimFs::new();
    let db = calm(&sim).open().unwrap();
    db.put("a", "1").unwrap();
    let follower = calm(&sim).follow().unwrap();
    let logs = |name: &String| matches!(FileKind::parse(name), Some(FileKind::Wal(_)));
    let log = Fs::Sim(sim.clone()).list(Path::new(DIR)).unwrap().into_iter().find(logs).unwrap();
    let log = Path::new(DIR).join(log);
    let end = sim.read_raw(&log).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    for key in ["b", "c"] {
        db.put(key, "2").unwrap();
        db.sync().unwrap();
    }
    sim.flip(&log, (end + 1).next_multiple_of(8) + 40, 1).unwrap();
    let mut told = None;
    for _ in 0..4 {
        told = follower.catch_up().err().or(told);
        assert!(!follower.view().contains_key("b").unwrap());
    }
    assert!(matches!(&told, Some(Error::Corruption(damage)) if damage.file == log), "{told:?}");
}

/// What had ended for a reader has ended for good, whatever the clock on the wall says.
#[test]
fn time_never_goes_back_for_who_follows() {
    let (sim, clock) = (SimFs::new(), ManualClock::new(5_000));
    let with = |builder: Builder| builder.clock(Clock::Manual(clock.clone()));
    let db = with(calm(&sim)).open().unwrap();
    db.put_with_ttl("k", "v", Duration::from_millis(100)).unwrap();
    let follower = with(calm(&sim)).follow().unwrap();
    assert!(follower.view().contains_key("k").unwrap());
    clock.advance(Duration::from_millis(100));
    assert!(!follower.view().contains_key("k").unwrap());
    clock.set_wall_ms(1_000);
    follower.catch_up().unwrap();
    assert!(!follower.view().contains_key("k").unwrap());
    clock.advance(Duration::from_millis(7));
    assert_eq!(follower.lag().unwrap().age, Duration::from_millis(7));
}

/// A thread that catches up, on a real disk, and ends with what it works for.
#[test]
fn a_follower_catches_up_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = Db::open(&path).unwrap();
    let follower = Db::follow(&path).unwrap();
    assert!(matches!(follower.follow_every(Duration::ZERO), Err(Error::InvalidArgument { .. })));
    follower.follow_every(Duration::from_secs(3600)).unwrap();
    follower.follow_every(Duration::from_micros(100)).unwrap();
    for n in 0..20u32 {
        db.put("k", n.to_le_bytes()).unwrap();
        while follower.view().get("k").unwrap().is_none_or(|value| value != n.to_le_bytes()) {
            std::thread::yield_now();
        }
    }
    follower.stop_following();
    let catch_ups = follower.stats().catch_ups;
    db.put("k", "last").unwrap();
    assert_eq!(follower.stats().catch_ups, catch_ups);
    assert_eq!(follower.lag().unwrap().seqs, 1);
    follower.follow_every(Duration::from_micros(100)).unwrap();
    drop(follower);
    db.close().unwrap();
}

/// It stood at nothing: only the log that was followed before was asked.
#[test]
fn who_lags_behind_a_store_that_was_opened_again_is_told_by_how_much() {
    let sim = SimFs::new();
    let open = || calm(&sim).open().unwrap();
    let db = open();
    db.put("a", "1").unwrap();
    let follower = follow(&sim);
    db.close().unwrap();
    let db = open();
    assert_eq!(follower.lag().unwrap().seqs, 0);
    (0..5u8).for_each(|i| db.put([i], "2").unwrap());
    assert_eq!(follower.lag().unwrap().seqs, 5);
    db.close().unwrap();
    let db = open();
    let mut batch = crate::batch::WriteBatch::new();
    batch.put(&db, "b", "3").put(&db, "c", "4");
    db.write(batch, crate::commit::Durability::None).unwrap();
    db.flush().unwrap();
    assert_eq!(follower.lag().unwrap().seqs, 7, "what no log has had");
    follower.catch_up().unwrap();
    assert_eq!(follower.lag().unwrap().seqs, 0);
}
