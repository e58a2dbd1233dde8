use super::*;
use crate::base::filename::FileKind;
use crate::commit::Durability;
use crate::commit::tests::{Rig, Setup};
use crate::fs::sim::{Fault, Image, OperationKind};
use crate::tree::lookup;
use std::time::Duration;

fn syncs(rig: &Rig) -> u64 {
    rig.sim.stats().of(OperationKind::Sync)
}

/// Whether a word stands in some file after a loss of power that keeps nothing unsynced.
fn survives(rig: &Rig, word: &str) -> bool {
    let disk = rig.sim.image(Image::Nothing, 0);
    let holds = |path: &PathBuf| {
        let bytes = disk.read_raw(path).unwrap_or_default();
        bytes.windows(word.len()).any(|bytes| bytes == word.as_bytes())
    };
    disk.paths().iter().any(holds)
}

#[test]
fn what_was_waited_for_survives_and_is_synced_once() {
    let rig = Rig::new();
    let ticket = rig.put("k", "a needle").unwrap();
    assert!(!survives(&rig, "a needle") && rig.store.durable.seq() == 0);
    rig.store.wait_durable(ticket.seq()).unwrap();
    assert!(survives(&rig, "a needle"));
    assert_eq!(rig.store.durable.seq(), ticket.seq());
    let before = syncs(&rig);
    rig.store.wait_durable(ticket.seq()).unwrap();
    let synced = rig.store.sync_log().unwrap();
    assert_eq!((synced.seq, synced.lsn), (ticket.seq(), rig.store.durable.lsn()));
    assert_eq!(syncs(&rig), before, "nothing new was there to be synced");
    rig.put("k", "another").unwrap();
    rig.store.sync_log().unwrap();
    assert_eq!(syncs(&rig), before + 1);
}

#[test]
fn a_sync_that_failed_is_final_and_reads_show_what_is_durable() {
    let rig = Rig::new();
    let durable = rig.put("k", "1").unwrap();
    rig.store.wait_durable(durable.seq()).unwrap();
    let lost = rig.put("k", "2").unwrap();
    assert_eq!(rig.store.read_seq(), lost.seq());
    rig.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::EIO)));
    assert!(rig.store.wait_durable(lost.seq()).is_err());
    rig.sim.clear_fault();
    assert!(rig.store.wait_durable(lost.seq()).is_err(), "it is not tried again");
    assert_eq!(rig.store.read_seq(), durable.seq());
    for refused in [
        rig.put("k", "3").map(drop),
        rig.store.check_writable(),
        rig.store.sync_log().map(drop),
        rig.store.with_manifest(|manifest| rig.store.commit_edit(manifest, Edit::default())),
    ] {
        assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    }
}

/// The log may not say itself how far it was synced last: the manifest does with its next edit.
#[test]
fn an_edit_says_how_far_the_log_is_synced() {
    let rig = Rig::new();
    let edit =
        || rig.store.with_manifest(|manifest| rig.store.commit_edit(manifest, Edit::default())).unwrap();
    edit();
    assert_eq!(rig.store.manifest_state().synced_log, 0);
    for value in ["1", "2"] {
        let ticket = rig.put("k", value).unwrap();
        rig.store.wait_durable(ticket.seq()).unwrap();
        edit();
        assert_eq!(rig.store.manifest_state().synced_log, rig.store.durable.lsn());
    }
    assert!(rig.store.durable.lsn() > 0);
}

#[test]
fn numbers_are_reserved_in_blocks_before_they_are_handed_out() {
    let rig = Rig::with(Setup { seq_ceiling: 10, ..Setup::default() });
    let manifest = || rig.store.with_manifest(|manifest| (manifest.lsn(), manifest.state().seq_ceiling));
    let (begun, _) = manifest();
    for seq in 1..=8 {
        assert_eq!(rig.put("k", "v").unwrap().seq(), seq);
        assert_eq!(manifest(), (begun, 10), "those below the ceiling cost nothing");
    }
    assert_eq!(rig.put("k", "v").unwrap().seq(), 9);
    let (raised, ceiling) = manifest();
    assert!(raised > begun && ceiling == 10 + RESERVED_SEQS);
    rig.put("k", "v").unwrap();
    assert_eq!(manifest(), (raised, ceiling));
}

#[test]
fn a_store_without_numbers_left_refuses_to_hand_any_out() {
    let rig = Rig::new();
    let reserve = |next_seq, count| {
        rig.store.with_writer(|writer| {
            writer.next_seq = next_seq;
            rig.store.reserve(writer, count)
        })
    };
    reserve(MAX_SEQ - 5, 5).unwrap();
    assert_eq!(rig.store.manifest_state().seq_ceiling, MAX_SEQ);
    assert!(matches!(reserve(MAX_SEQ - 5, 6), Err(Error::InvalidArgument { .. })));
}

#[test]
fn the_clock_is_made_durable_when_it_has_advanced_so_far_and_something_can_expire() {
    let rig = Rig::new();
    let known = || rig.store.manifest_state().clock_ms;
    let begun = crate::commit::tests::START_MS;
    rig.store.persist_clock(60_000).unwrap();
    assert_eq!(known(), 0, "nothing can expire");
    let mut batch = crate::batch::WriteBatch::new();
    batch.put_until(&crate::commit::tests::Named(0), "k", "v", begun + 1);
    rig.store.commit(batch, Durability::Os).unwrap();
    rig.store.persist_clock(60_000).unwrap();
    assert_eq!(known(), begun);
    for (ms, clock) in [(59_999, begun), (1, begun + 60_000), (59_999, begun + 60_000)] {
        rig.clock.advance(Duration::from_millis(ms));
        rig.store.persist_clock(60_000).unwrap();
        assert_eq!(known(), clock);
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_tried_again_and_one_that_is_gone_is_not() {
    let rig = Rig::new();
    drop(rig.store.tables.create(50).unwrap());
    rig.store.purgatory.put_back(FileKind::Table(50));
    rig.store.purgatory.put_back(FileKind::Table(51));
    rig.sim.set_fault(Box::new(|op| (op.path.ends_with("000050.sst")).then_some(Fault::EIO)));
    assert!(matches!(rig.store.purge(), Err(Error::Io(_))));
    rig.sim.clear_fault();
    rig.store.purge().unwrap();
    assert!(rig.store.purgatory.is_empty());
    assert!(!rig.sim.paths().iter().any(|path| path.ends_with("000050.sst")));
}

/// While the disk is full, nothing may be added; what makes room may, and then all may again.
#[test]
fn a_full_disk_refuses_what_adds_and_lets_what_removes_pass() {
    let rig = Rig::with(Setup { reserve_bytes: 64 << 10, ..Setup::default() });
    assert!(rig.store.refill().unwrap());
    rig.put("k", "v").unwrap();
    rig.leave(0);
    let drawn = rig.store.draw(Drawer::Anybody, || {
        let path = rig.store.dir.join("000099.sst");
        rig.store.fs.create_new(&path).and_then(|file| file.write_all_at(&[1; 4096], 0))
    });
    assert!(drawn.is_ok(), "{drawn:?}");
    assert!(rig.store.reserve.is_short() && !rig.store.refill().unwrap());
    assert!(matches!(rig.put("k", "2"), Err(Error::DiskFull(_))));
    rig.delete("k").unwrap();
    rig.leave(256 << 10);
    rig.put("k", "3").unwrap();
    assert!(!rig.store.reserve.is_short(), "there was room to make it whole first");
}

#[test]
fn a_reserve_that_fails_to_sync_is_final() {
    let rig = Rig::with(Setup { reserve_bytes: 64 << 10, ..Setup::default() });
    rig.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::EIO)));
    assert!(rig.store.refill().is_err());
    assert!(matches!(rig.store.check_writable(), Err(Error::Poisoned { .. })));
}

/// A snapshot that came amid a compaction with a filter pinned the family first and took its number then: a
/// memtable that had come between the two held writes that it counts and its view lacks.
#[test]
fn a_snapshot_amid_a_compaction_with_a_filter_holds_all_that_it_counts() {
    let rig = Rig::new();
    rig.put("a", "v").unwrap();
    let (store, family) = (&rig.store, rig.store.family_by_id(0).unwrap());
    let (filtering, newest) = store.snapshots.begin_filtering(&family);
    let visible = || {
        store.rotate_all();
        rig.put("k", "v").unwrap().seq()
    };
    let registered = store.snapshots.register(visible, || 0);
    let [(_, view)] = &registered.views[..] else { panic!("{:?}", registered.views) };
    let found = lookup(view, b"k", registered.seq, || 0, |found| found.bytes().to_vec()).unwrap();
    assert_eq!((newest, found.as_deref()), (None, Some(&b"v"[..])));
    drop(filtering);
    assert!(store.snapshots.register(|| 9, || 0).views.is_empty(), "no filter is at work any more");
}
