use super::*;
use crate::base::hash::key_hash;
use crate::base::limits::MAX_ROOM_MAKING_BYTES;
use crate::batch::FamilyRef;
use crate::commit::Stall;
use crate::commit::tests::{Named, Rig, START_MS, Setup};
use crate::fs::sim::{Fault, OperationKind};

fn refused() -> Error {
    Error::invalid("a planted failure", "of the test")
}

/// Adds so many tables that writers are stopped until a compaction takes some away.
fn stop_by_tables(rig: &Rig) {
    (0..rig.store.options().stall.level0.1).for_each(|_| rig.add_table(0, 1 << 10));
}

/// A stopped writer hears of what keeps the gate from opening, and of nothing else.
#[test]
fn a_stopped_writer_gives_up_when_what_it_waits_for_has_failed() {
    let rig = Rig::new();
    let store = &rig.store;
    assert!(store.check_progress().is_ok());
    store.work.report(Task::Compact, Err(refused()));
    assert!(store.check_progress().is_ok(), "the gate is about to open: nothing is waited for");
    for _ in 0..store.options().stall.sealed.1 {
        store.gate.set(Stall::None);
        rig.put("k", "v").unwrap();
        store.rotate_all();
    }
    assert!(store.check_progress().is_ok(), "a flush is waited for, and flushes do not fail");
    stop_by_tables(&rig);
    assert!(store.check_progress().is_err(), "compactions are waited for, too, and fail");
    store.work.report(Task::Compact, Ok(()));
    store.work.report(Task::Flush, Err(refused()));
    assert!(store.check_progress().is_err());
    assert!(rig.put("k", "v").is_err(), "the gate is shut, and asks");
    store.work.report(Task::Flush, Ok(()));
    assert!(store.check_progress().is_ok());
    store.set_closed();
    assert!(matches!(store.check_progress(), Err(Error::Closed)));
}

/// Writers of a family got the error of another one's hook, which nobody waited for; and of one that was
/// dropped, for as long as the store was open.
#[test]
fn a_resting_family_is_a_reason_only_while_its_own_compactions_are_waited_for() {
    let rig = Rig::new();
    let store = &rig.store;
    store.work.set_resting(0, Some(refused()));
    store.work.set_resting(1, Some(refused()));
    assert!(store.check_progress().is_ok());
    stop_by_tables(&rig);
    assert!(store.check_progress().is_err());
    store.work.set_resting(0, None);
    assert!(store.check_progress().is_ok(), "it goes on, whatever the other one does");
    store.work.set_resting(0, Some(refused()));
    let stopping = store.family_by_id(0).unwrap();
    store.drop_family(stopping.name()).unwrap();
    assert_eq!(store.work.resting().into_keys().collect::<Vec<_>>(), [1]);
    assert!(store.check_progress().is_ok());
}

/// A segment can be released once what it says is its last number is flushed: it must not say more.
#[test]
fn a_segment_knows_the_last_number_in_it() {
    let rig = Rig::new();
    let mut seq = 0;
    while rig.store.with_writer(|writer| writer.wal.sealed().count()) == 0 {
        seq = rig.put("k", [7; 1000]).unwrap().seq();
    }
    // The write that did not fit any more opened the next segment.
    let sealed = rig.store.with_writer(|writer| writer.wal.sealed().next().unwrap().clone());
    assert_eq!(sealed.last_seq, seq - 1);
    assert_eq!(rig.store.with_writer(|writer| writer.wal.oldest_needed(seq - 1)), sealed.number + 7);
}

/// A deletion may use what is left of a full disk, but a sync that found the disk full has failed for good:
/// what it should have made durable may be lost whatever is done next.
#[test]
fn a_failed_sync_is_not_mistaken_for_a_full_disk() {
    for (kind, survives) in [(OperationKind::Allocate, true), (OperationKind::Sync, false)] {
        let rig = Rig::with(Setup::default());
        let room = rig.store.options().segment_bytes;
        let mut once = true;
        rig.sim.set_fault(Box::new(move |op| {
            let due = op.kind == kind && std::mem::take(&mut once);
            due.then_some(Fault::ENOSPC)
        }));
        // So that the next segment is begun.
        rig.put("k", vec![7; room as usize - 500]).unwrap();
        let mut batch = WriteBatch::new();
        for i in 0..40 {
            batch.delete(&Named(0), format!("a key of some length {i}"));
        }
        let deleted = rig.store.commit(batch, Durability::Os);
        assert_eq!(deleted.is_ok(), survives, "{kind}: {deleted:?}");
        assert_eq!(rig.store.poison.is_set(), !survives, "{kind}");
        assert_eq!(rig.put("k", "v").is_ok(), survives, "{kind}");
    }
}

/// Each range costs its writer, every one of a large batch; others pay nothing for it.
#[test]
fn only_those_who_write_ranges_wait_at_their_gate() {
    let rig = Rig::new();
    // A millisecond for each.
    rig.store.range_gate.set(Stall::Slow(1_000 * RANGE_COST_BYTES));
    let waited_ms = |ranges| {
        let mut batch = WriteBatch::new();
        batch.put(&Named(0), "k", "v");
        (0..ranges).for_each(|i| _ = batch.delete_prefix(&Named(0), [i]));
        rig.store.commit(batch, Durability::Os).unwrap();
        rig.store.range_gate.waits().0.as_millis()
    };
    assert_eq!([0, 3, 0].map(waited_ms), [0, 3, 3]);
    assert_eq!([150, 0, 1].map(waited_ms), [153, 153, 154]);
    assert_eq!(rig.store.gate.waits().0.as_millis(), 0);
}

/// A family with a merge operator.
struct Merging;

impl FamilyRef for Merging {
    fn family_id(&self) -> u32 {
        0
    }
    fn store_id(&self) -> u64 {
        Named(0).store_id()
    }
    fn now_ms(&self) -> u64 {
        START_MS
    }
    fn merges(&self) -> bool {
        true
    }
}

/// The times of ranges and operands count from when they are ordered, also where the wall clock was set ahead
/// and nobody has looked at it since. A plain put does without.
#[test]
fn the_time_of_a_group_is_exact_where_something_hangs_on_it() {
    for ahead_ms in [START_MS, 2 * START_MS] {
        let rig = Rig::new();
        rig.clock.set_wall_ms(ahead_ms);
        rig.put("k", "v").unwrap();
        assert_eq!(rig.store.clock.shown_ms(), START_MS, "one clock tells nothing of the other");
        let mut batch = WriteBatch::new();
        batch.delete_prefix(&Named(0), "p");
        rig.store.commit(batch, Durability::Os).unwrap();
        assert_eq!(rig.active(0).ranges().ranges()[0].written_ms, ahead_ms);
        rig.clock.set_wall_ms(ahead_ms + 7);
        let mut batch = WriteBatch::new();
        batch.merge(&Merging, b"n", b"+1");
        rig.store.commit(batch, Durability::Os).unwrap();
        let operand = rig.active(0).get(b"n", key_hash(b"n"), 9).map(|entry| entry.expires_at);
        assert_eq!(operand, Some(ahead_ms + 7));
    }
}

#[test]
fn a_batch_is_as_large_as_it_may_be_and_no_larger() {
    assert!(check_size(0).is_ok() && check_size(MAX_BATCH_BYTES).is_ok());
    let bytes = MAX_BATCH_BYTES + 1;
    assert!(matches!(check_size(bytes), Err(Error::BatchTooLarge { bytes: refused }) if refused == bytes));
}

#[test]
fn what_makes_room_only_removes_or_says_so_and_adds_little() {
    let family = Named(0);
    let mut batch = WriteBatch::new();
    batch.delete(&family, "a").delete_prefix(&family, "b").drop_prefix(&family, "c");
    assert!(batch.is_let_through());
    batch.put(&family, "d", "");
    assert!(!batch.is_let_through());
    batch.makes_room();
    assert!(batch.is_let_through());
    batch.put(&family, "e", vec![0; MAX_ROOM_MAKING_BYTES]);
    assert!(!batch.is_let_through(), "it says so, and adds much");
    batch.clear();
    batch.put(&family, "d", "");
    assert!(!batch.is_let_through());
}

/// A request that is refused for a reason of its own was told of the log's failure instead, which met the
/// others of its group.
#[test]
fn who_is_refused_hears_why_also_where_the_log_fails() {
    let rig = Rig::new();
    let put = |family| {
        let mut batch = WriteBatch::new();
        batch.put(&Named(family), "k", "v");
        Request { batch, ..Request::default() }
    };
    rig.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Write).then_some(Fault::EIO)));
    let mut answers = [None, None];
    rig.store.write_group(&mut [put(9), put(0)], &mut answers);
    let [Some(Err(Refused::Failed(own))), Some(Err(Refused::Failed(log)))] = answers else {
        panic!("{answers:?}")
    };
    assert!(matches!(own, Error::FamilyDropped { .. }) && matches!(log, Error::Io { .. }), "{own}, {log}");
}
