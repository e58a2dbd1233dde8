use super::*;
use crate::base::hash::key_hash;
use crate::base::key::Kind;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::commit::tests::{Named, Rig, Setup};
use crate::tree::FamilyRules;

/// Writes keys with ascending numbers in one batch.
fn fill(rig: &Rig, family: u32, numbers: std::ops::Range<u32>) {
    let mut batch = WriteBatch::new();
    for number in numbers {
        batch.put(&Named(family), format!("key{number:05}"), "value");
    }
    rig.store.commit(batch, Durability::Os).unwrap();
}

fn delete_range(rig: &Rig, from: u32, to: u32) {
    let mut batch = WriteBatch::new();
    batch.delete_range(&Named(0), format!("key{from:05}")..format!("key{to:05}"));
    rig.store.commit(batch, Durability::Os).unwrap();
}

#[test]
fn the_largest_memtable_goes_when_all_together_are_larger_than_they_may_be() {
    let rig = Rig::new();
    fill(&rig, 0, 0..10);
    fill(&rig, 1, 0..100);
    let total = rig.active(0).allocated_bytes() + rig.active(1).allocated_bytes();
    for (most, sealed) in [(total, (0, 0)), (total - 1, (0, 1))] {
        rig.change(|options| options.memtables_bytes = most);
        rig.store.with_writer(|writer| rig.store.rotate_if_due(writer));
        assert_eq!((rig.sealed(0), rig.sealed(1)), sealed);
    }
    rig.change(|options| options.memtables_bytes = 128 << 20);
    for (most, sealed) in [(rig.active(0).allocated_bytes() + 1, 0), (rig.active(0).allocated_bytes(), 1)] {
        rig.change(|options| options.memtable_bytes = most);
        rig.store.with_writer(|writer| rig.store.rotate_if_due(writer));
        assert_eq!(rig.sealed(0), sealed, "one by itself goes when it has reached its size");
    }
}

/// A range that covers a quarter of a memtable, or a good many entries, gets one of its own, so that what it
/// covers is passed over in one step.
#[test]
fn a_range_that_covers_much_of_a_memtable_seals_it_first() {
    for (entries, covered, seals) in [
        (900, 900, false),
        (1_100, 1_023, false),
        (1_100, 1_024, true),
        (8_000, 1_999, false),
        (8_000, 2_000, true),
        (40_000, 8_191, false),
        (40_000, 8_192, true),
    ] {
        let rig = Rig::new();
        fill(&rig, 0, 0..entries);
        delete_range(&rig, 0, covered);
        assert_eq!(rig.sealed(0), usize::from(seals), "{covered} of {entries}");
        assert_eq!(rig.active(0).ranges().len(), 1);
        assert_eq!(rig.sealed(1), 0);
    }
}

/// The first memtable of a family is built anew once something is known of its keys.
#[test]
fn heads_are_chosen_when_there_are_enough_keys_to_judge_by() {
    let rig = Rig::new();
    for number in 0..255 {
        fill(&rig, 0, number..number + 1);
    }
    assert!(!rig.active(0).has_heads());
    fill(&rig, 0, 255..256);
    let chosen = rig.active(0);
    assert!(chosen.has_heads() && chosen.entries() == 256);
    let found = chosen.get(b"key00017", key_hash(b"key00017"), 1000).unwrap();
    assert_eq!((found.kind, found.seq, found.value), (Kind::Put, 18, &b"value"[..]));
    for (at_once, rebuilt) in [(4_096, true), (4_097, false)] {
        let rig = Rig::new();
        fill(&rig, 0, 0..at_once);
        assert_eq!(rig.active(0).has_heads(), rebuilt, "{at_once} keys at once");
        fill(&rig, 0, 0..1);
        assert_eq!(rig.active(0).has_heads(), rebuilt, "it is settled");
    }
}

#[test]
fn logs_and_memtables_take_an_eighth_of_the_time_for_erasing() {
    assert_eq!(Rig::new().store.oldest_log(), None);
    let rules = FamilyRules { erase_within_ms: Some(80_000), ..FamilyRules::default() };
    let rig = Rig::with(Setup { rules, ..Setup::default() });
    assert_eq!(rig.store.oldest_log(), Some(Duration::from_secs(10)));
    rig.put("k", "v").unwrap();
    for (seconds, sealed) in [(9, 0), (1, 1)] {
        rig.clock.advance(Duration::from_secs(seconds));
        rig.store.rotate_aged();
        assert_eq!((rig.sealed(0), rig.sealed(1)), (sealed, 0));
    }
}

#[test]
fn what_no_log_holds_is_known_until_it_is_flushed() {
    let rig = Rig::new();
    rig.put("logged", "v").unwrap();
    assert!(!rig.store.holds_unlogged());
    rig.store.rotate_all();
    assert!(!rig.store.holds_unlogged());
    rig.put_in(1, "unlogged", "v", Durability::None).unwrap();
    assert!(rig.store.holds_unlogged());
    let order = rig.store.rotate_all();
    assert!(rig.store.holds_unlogged(), "sealed it is no safer");
    for family in rig.store.families() {
        let (view, last_seq) = (family.view(), rig.store.visible_seq());
        family.install(
            Some(Seal { order, last_seq, reason: SealReason::Asked }),
            (*view.version).clone(),
            view.ranges.clone(),
        );
    }
    assert!(!rig.store.holds_unlogged());
}

/// While something is unlogged all families are sealed together, so that a batch across them stays whole.
#[test]
fn unlogged_entries_seal_all_families_together() {
    let rig = Rig::new();
    rig.put("logged", "v").unwrap();
    rig.put_in(1, "unlogged", "v", Durability::None).unwrap();
    let bytes = rig.active(1).allocated_bytes().min(rig.active(0).allocated_bytes());
    rig.change(|options| options.memtable_bytes = bytes);
    rig.store.with_writer(|writer| rig.store.rotate_if_due(writer));
    assert_eq!((rig.sealed(0), rig.sealed(1)), (1, 1));
    let seal = |family| rig.store.family_by_id(family).unwrap().pin().sealed[0].seal;
    assert_eq!(seal(0), seal(1));
}

#[test]
fn the_memory_of_all_sealed_memtables_presses_however_many_families_share_it() {
    let rig = Rig::new();
    for family in [0, 1] {
        fill(&rig, family, 0..500);
    }
    let bytes = rig.active(0).allocated_bytes() + rig.active(1).allocated_bytes();
    rig.store.rotate_all();
    assert_eq!(rig.store.update_pressure().sealed, 1);
    rig.change(|options| options.memtable_bytes = bytes / 7);
    assert_eq!(rig.store.update_pressure().sealed, 7);
}

#[test]
fn writers_wait_for_a_flush_once_so_many_memtables_are_sealed() {
    let rig = Rig::new();
    let most = rig.store.options().stall.sealed.1;
    for sealed in 0..=most {
        assert_eq!(rig.sealed(0), sealed);
        assert_eq!(rig.store.gate.get() == crate::commit::Stall::Stop, sealed == most);
        // The write before has passed a gate that is now shut.
        rig.store.gate.set(crate::commit::Stall::None);
        rig.put("k", "v").unwrap();
        rig.store.rotate_all();
    }
}

/// Gives a family one table more in level 0, which says that it is so large.
#[test]
fn what_compactions_have_yet_to_move_in_all_families_presses_together() {
    let rig = Rig::new();
    assert_eq!(rig.store.update_pressure(), Pressure::default());
    for (family, tables) in [(0, 5), (1, 7)] {
        (0..tables).for_each(|_| rig.add_table(family, 10 << 20));
    }
    let debt = |family| {
        let family = rig.store.family_by_id(family).unwrap();
        debt_bytes(&family.pin().version, &rig.store.options().shape, family.rules().style)
    };
    let pressure = rig.store.update_pressure();
    assert!(debt(0) > 0 && debt(1) > debt(0));
    assert_eq!((pressure.debt_bytes, pressure.level0), (debt(0) + debt(1), 7));
}

/// Who would have to wait for a compaction that finds no room gets its error, but for those who make room.
#[test]
fn a_compaction_without_room_does_not_stop_deletions() {
    use crate::base::error::Error;
    use crate::commit::{Stall, Task};
    let rig = Rig::new();
    let full = Error::io("write to", &rig.store.dir, std::io::ErrorKind::StorageFull.into());
    rig.store.work.report(Task::Compact, Err(full));
    rig.put("k", "v").unwrap();
    (0..rig.store.options().stall.level0.1).for_each(|_| rig.add_table(0, 1 << 10));
    rig.store.update_pressure();
    assert_eq!(rig.store.gate.get(), Stall::Stop);
    assert!(matches!(rig.put("k", "2"), Err(Error::DiskFull(_))));
    rig.delete("k").unwrap();
    assert!(matches!(rig.put("k", "2"), Err(Error::DiskFull(_))));
}

/// Deletions were refused when as many memtables were sealed as stop writers and none could be flushed. They
/// go on, as far as memory goes.
#[test]
fn a_flush_without_room_does_not_stop_deletions_for_long() {
    use crate::base::error::Error;
    use crate::commit::Task;
    let rig = Rig::new();
    let full = Error::io("write to", &rig.store.dir, std::io::ErrorKind::StorageFull.into());
    rig.store.work.report(Task::Flush, Err(full));
    let most = rig.store.options().stall.sealed.1;
    for sealed in 0..2 * most {
        assert_eq!(rig.sealed(0), sealed);
        assert_eq!(rig.put("k", "v").is_ok(), sealed < most, "{sealed}");
        rig.delete("k").unwrap();
        rig.store.rotate_all();
    }
    assert!(matches!(rig.delete("k"), Err(Error::DiskFull(_))));
}

/// What was written while the reserve became a small one had not seen that, and nobody made it whole for it.
#[test]
fn what_is_written_while_the_reserve_is_made_small_wants_it_whole() {
    let rig = Rig::with(Setup { reserve_bytes: 64 << 10, ..Setup::default() });
    assert!(rig.store.reserve.make().unwrap());
    rig.store.shrink_reserve(|| {
        rig.put("k", [7; 20_000]).unwrap();
        0
    });
    assert_eq!(rig.store.reserve.small(), Some(32 << 10));
    assert!(!rig.store.reserve.want(), "it is wanted already");
}
