//! The log as a whole: what is appended is replayed, and what is not whole is judged rightly.

use super::*;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::fs::{Fs, SimFs};
use crate::record::{HEADER_BYTES, RECORD_HEADER_BYTES};
use std::path::Path;

pub(super) const STORE: u64 = 0xe5;
pub(super) const DIR: &str = "/db";

pub(super) struct Log {
    pub(super) sim: SimFs,
    pub(super) wal: Wal,
    pub(super) synced: u64,
    seq: u64,
    pub(super) numbers: u64,
}

impl Log {
    pub(super) fn new(segment_bytes: u64) -> Log {
        Log::starting_with(segment_bytes, segment_bytes)
    }

    fn starting_with(least_bytes: u64, segment_bytes: u64) -> Log {
        let sim = SimFs::new();
        let fs = Fs::Sim(sim.clone());
        fs.create_dir_all(Path::new(DIR)).unwrap();
        let options = WalOptions {
            fs,
            dir: DIR.into(),
            store: STORE,
            random: Random::seeded(1),
            segment_bytes,
            least_bytes,
            mapped: true,
        };
        Log { sim, wal: Wal::create(options, 1).unwrap(), synced: 0, seq: 0, numbers: 1 }
    }

    /// Appends a group of one batch whose operations are `text`.
    pub(super) fn append(&mut self, text: &str) {
        self.append_with(text, Room::Reserved);
    }

    fn append_with(&mut self, text: &str, room: Room) {
        self.seq += 1;
        let group = GroupHeader { first_seq: self.seq, clock_ms: 7 };
        let buffer = self.wal.begin();
        begin_group(buffer, group);
        push_batch(buffer, group, LoggedBatch { first_seq: self.seq, count: 1, ops: text.as_bytes() });
        let numbers = &mut self.numbers;
        let next = || {
            *numbers += 1;
            *numbers
        };
        self.wal.append(RecordKind::Group, self.synced, self.seq, room, next).unwrap();
    }

    fn shrink(&mut self) {
        let numbers = &mut self.numbers;
        let next = || {
            *numbers += 1;
            *numbers
        };
        self.wal.shrink(next, self.synced).unwrap();
    }

    /// The size of the segment that is appended to.
    fn size(&self) -> usize {
        self.sim.read_raw(&path(self.wal.current())).unwrap().len()
    }

    pub(super) fn sync(&mut self) {
        let unsynced = self.wal.unsynced();
        unsynced.files.iter().for_each(|file| file.sync().unwrap());
        self.wal.synced(unsynced.lsn);
        self.synced = unsynced.lsn;
    }
}

/// Replays what is on `sim`; the texts of the batches, and what was found.
fn replayed(sim: &SimFs, to_damage: bool) -> (Vec<String>, Result<Replay>) {
    replayed_behind(sim, 0, to_damage)
}

/// The same where the manifest knows how far the log was synced.
fn replayed_behind(sim: &SimFs, synced: u64, to_damage: bool) -> (Vec<String>, Result<Replay>) {
    let fs = Fs::Sim(sim.clone());
    let mut numbers: Vec<u64> = fs
        .list(Path::new(DIR))
        .unwrap()
        .iter()
        .filter_map(|name| match FileKind::parse(name) {
            Some(FileKind::Wal(number)) => Some(number),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    let mut texts = Vec::new();
    let known = LogKnown { store: STORE, oldest: 1, synced };
    let found = replay(&fs, Path::new(DIR), known, &numbers, to_damage, |_, batch, _, _| {
        texts.push(String::from_utf8_lossy(batch.ops).into_owned());
        Ok(())
    });
    (texts, found)
}

pub(super) fn path(number: u64) -> std::path::PathBuf {
    FileKind::Wal(number).path(Path::new(DIR))
}

/// Twelve groups over several segments of 512 bytes; the first `synced` of them are known to be.
fn twelve(synced: usize) -> (Log, Vec<String>) {
    let mut log = Log::new(512);
    let texts: Vec<String> = (0..12).map(|i| format!("{i}-{}", "x".repeat(60))).collect();
    for (i, text) in texts.iter().enumerate() {
        log.append(text);
        if i + 1 == synced {
            log.sync();
        }
    }
    (log, texts)
}

#[test]
fn a_log_of_many_segments_is_replayed_in_order() {
    let (log, texts) = twelve(12);
    assert!(log.wal.sealed().count() >= 2);
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!(found, texts);
    let replay = replay.unwrap();
    assert_eq!((replay.groups, replay.clock_ms, replay.closed, replay.cut), (12, 7, None, None));
}

/// Whoever finds a batch malformed names where its record's payload stands.
#[test]
fn each_batch_comes_with_the_place_of_its_record() {
    let mut log = Log::new(1 << 20);
    let mut starts = Vec::new();
    for text in ["a", "some more text", "b"] {
        starts.push((path(1), HEADER_BYTES + log.wal.lsn() + RECORD_HEADER_BYTES));
        log.append(text);
    }
    let mut places = Vec::new();
    let known = LogKnown { store: STORE, oldest: 1, synced: 0 };
    let fs = Fs::Sim(log.sim.clone());
    let each = |_: GroupHeader, _: LoggedBatch<'_>, file: &Path, base: u64| {
        places.push((file.to_owned(), base));
        Ok(())
    };
    replay(&fs, Path::new(DIR), known, &[1], false, each).unwrap();
    assert_eq!(places, starts);
}

/// What is written behind a seal goes to a segment of its own, so that the one before can be released.
#[test]
fn a_sealed_segment_takes_nothing_more() {
    let mut log = Log::new(1 << 20);
    log.append("before");
    log.wal.seal(|| 2, 0).unwrap();
    log.numbers = 2;
    assert_eq!((log.wal.current(), log.wal.holds_records()), (2, false));
    log.append("behind");
    assert_eq!(log.wal.sealed().map(|s| (s.number, s.last_seq)).collect::<Vec<_>>(), [(1, 1)]);
    assert_eq!(replayed(&log.sim, false).0, ["before", "behind"]);
    assert_eq!(log.wal.oldest_needed(1), 2);
    assert_eq!(log.wal.release(2), [1]);
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let mut log = Log::new(512);
    let texts = ["small".to_owned(), "y".repeat(3000), "after".to_owned()];
    texts.iter().for_each(|text| log.append(text));
    assert_eq!(replayed(&log.sim, false).0, texts);
}

/// Every byte of every segment is flipped. Below the known-synced position that is damage, and is
/// refused; above it, it is a torn tail, and a prefix remains that holds all that was synced.
#[test]
fn flipped_bytes_are_damage_below_the_synced_position_and_a_torn_tail_above() {
    let (log, texts) = twelve(6);
    let (mut refused, mut cut) = (0, 0);
    for number in 1..=log.numbers {
        let bytes = log.sim.read_raw(&path(number)).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in 0..end {
            log.sim.flip(&path(number), at as u64, 0x40).unwrap();
            let (found, replay) = replayed(&log.sim, false);
            match replay {
                Err(Error::Corruption(damage)) => {
                    assert_eq!(damage.file, path(number), "{damage:?}");
                    refused += 1;
                }
                Ok(replay) => {
                    assert!(texts.starts_with(&found));
                    // The record that says that six were synced is the seventh.
                    let lost_evidence = found.len() == 6 && replay.cut.is_some();
                    assert!(
                        found.len() >= 6 || lost_evidence,
                        "segment {number}, byte {at}: {}",
                        found.len()
                    );
                    assert!(replay.cut.is_some() || found.len() == 12);
                    cut += 1;
                }
                Err(other) => panic!("{other}"),
            }
            log.sim.flip(&path(number), at as u64, 0x40).unwrap();
        }
    }
    assert!(refused > 500 && cut > 300, "{refused} refused, {cut} cut");
}

#[test]
fn a_log_that_ends_before_what_the_manifest_knows_is_damaged() {
    let mut log = Log::new(1 << 20);
    let texts: Vec<String> = (0..6).map(|i| i.to_string()).collect();
    let mut ends = vec![log.wal.lsn()];
    for text in &texts {
        log.append(text);
        ends.push(log.wal.lsn());
    }
    log.sync();
    for (groups, end) in ends.iter().enumerate().take(6) {
        // No record that is left was written behind a sync.
        let sim = log.sim.kill_image();
        sim.corrupt(&path(1), HEADER_BYTES + end, |bytes| bytes.fill(0)).unwrap();
        assert_eq!(replayed(&sim, false).0, texts[..groups], "it looks like an end");
        assert!(replayed_behind(&sim, *end, false).1.is_ok());
        let (_, refused) = replayed_behind(&sim, end + 1, false);
        let Err(Error::Corruption(damage)) = refused else { panic!("{refused:?}") };
        assert_eq!((damage.file, damage.offset), (path(1), HEADER_BYTES + end));
        let (found, replay) = replayed_behind(&sim, ends[6], true);
        assert_eq!(found, texts[..groups]);
        assert!(replay.unwrap().cut.is_some_and(|cut| cut.damaged && cut.offset == HEADER_BYTES + end));
    }
}

#[test]
fn a_missing_segment_is_damage_and_recovery_up_to_it_is_a_choice() {
    let (log, texts) = twelve(12);
    Fs::Sim(log.sim.clone()).remove(&path(2)).unwrap();
    let (_, replay) = replayed(&log.sim, false);
    assert!(matches!(replay, Err(Error::Corruption(damage)) if damage.file == path(2)));
    let (found, replay) = replayed(&log.sim, true);
    let cut = replay.unwrap().cut.unwrap();
    assert!(cut.damaged && !found.is_empty() && texts.starts_with(&found));
}

/// A segment that was started but never named: a crash in the middle of a rotation.
#[test]
fn a_segment_that_nothing_names_is_not_part_of_the_log() {
    let (log, texts) = twelve(12);
    log.sim.write_raw(&path(log.numbers + 1), &[0xab; 300]).unwrap();
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!(found, texts);
    assert!(replay.unwrap().cut.is_some_and(|cut| !cut.damaged), "its bytes are reported");
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let (log, _) = twelve(12);
    let other = Log::new(512);
    let foreign = other.sim.read_raw(&path(1)).unwrap();
    log.sim.write_raw(&path(2), &foreign).unwrap();
    assert!(matches!(replayed(&log.sim, false).1, Err(Error::Corruption(_))));
}

/// Stale bytes of a failed append behind the new end must not be taken for records.
#[test]
fn a_failed_append_leaves_nothing_behind_that_replay_would_take() {
    use crate::fs::sim::{Fault, OperationKind};
    let mut log = Log::new(4096);
    log.append("first");
    log.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Write).then_some(Fault::ErrnoAfter(5))));
    let buffer = log.wal.begin();
    buffer.extend_from_slice(&[0x5a; 500]);
    assert!(log.wal.append(RecordKind::Group, 0, 2, Room::Reserved, || 9).is_err());
    log.sim.clear_fault();
    log.append("second");
    log.sync();
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!(found, ["first", "second"]);
    assert!(replay.unwrap().cut.is_some(), "the stale bytes are reported");
}

#[test]
fn segments_are_released_once_nothing_in_them_is_needed() {
    let (mut log, _) = twelve(12);
    let second = log.wal.sealed().nth(1).unwrap().clone();
    assert_eq!(log.wal.oldest_needed(0), 1);
    assert_eq!(log.wal.oldest_needed(second.last_seq), second.number + 1);
    assert_eq!(log.wal.oldest_needed(12), log.wal.current());
    assert_eq!(log.wal.release(second.number), [1]);
    assert_eq!(log.wal.release(second.number), [] as [u64; 0]);
}

#[test]
fn a_sync_leaves_only_the_current_segment_to_be_synced() {
    let (mut log, _) = twelve(0);
    assert!(log.wal.unsynced().files.len() >= 3);
    log.sync();
    assert_eq!(log.wal.unsynced().files.len(), 1);
}

#[test]
fn the_bytes_of_a_log_are_those_of_its_records() {
    let mut log = Log::new(512);
    assert_eq!(log.wal.bytes(), 0);
    for _ in 0..12 {
        log.append("text");
        assert_eq!(log.wal.bytes(), log.wal.lsn());
    }
    assert_eq!(log.wal.sealed().count(), 1);
}

#[test]
fn a_log_that_is_closed_gives_back_what_it_reserved() {
    let mut log = Log::new(4096);
    log.append("text");
    assert_eq!(log.sim.read_raw(&path(1)).unwrap().len(), 4096);
    log.wal.trim().unwrap();
    let bytes = log.sim.read_raw(&path(1)).unwrap();
    assert_eq!(bytes.len() as u64, HEADER_BYTES + log.wal.lsn());
}

/// A store whose disk is full must open: its log starts without room reserved, and grows.
#[test]
fn a_log_starts_on_a_full_disk_too() {
    use crate::fs::sim::{Fault, OperationKind};
    let mut log = Log::new(4096);
    log.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Allocate).then_some(Fault::ENOSPC)));
    let options = WalOptions {
        fs: Fs::Sim(log.sim.clone()),
        dir: DIR.into(),
        store: STORE,
        random: Random::seeded(2),
        segment_bytes: 4096,
        least_bytes: 4096,
        mapped: true,
    };
    log.wal = Wal::create(options, 9).unwrap();
    assert_eq!(log.sim.read_raw(&path(9)).unwrap().len() as u64, HEADER_BYTES);
    log.append("text");
    assert_eq!(log.sim.read_raw(&path(9)).unwrap().len() as u64, HEADER_BYTES + log.wal.lsn());
}

#[test]
fn what_is_cut_is_counted_to_the_byte() {
    let mut log = Log::new(900_000);
    log.append("text");
    let end = HEADER_BYTES + log.wal.lsn();
    for stray in [end + 1, end + 262_143, end + 262_144, end + 700_001] {
        let disk = log.sim.image(crate::fs::sim::Image::All, 0);
        disk.flip(&path(1), stray, 1).unwrap();
        let (found, replay) = replayed(&disk, false);
        let cut = replay.unwrap().cut.unwrap();
        assert_eq!((found.len(), cut.offset, cut.bytes), (1, end, stray + 1 - end));
    }
    // What stands in later segments is lost with it, and counted as well.
    let (mut log, _) = twelve(0);
    let (numbers, last) = (log.numbers, log.wal.current());
    let file = log.sim.read_raw(&path(last)).unwrap();
    let tail = file.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    log.sim.flip(&path(last), HEADER_BYTES + 2, 1).unwrap();
    let alone = replayed(&log.sim, false).1.unwrap().cut.unwrap();
    assert_eq!((alone.file, alone.bytes), (path(last), tail - HEADER_BYTES));
    for number in [numbers + 1, numbers + 2] {
        log.sim.write_raw(&path(number), &[0xab; 300]).unwrap();
    }
    let together = replayed(&log.sim, false).1.unwrap().cut.unwrap();
    assert_eq!(together.bytes, tail - HEADER_BYTES + 2 * (300 - HEADER_BYTES));
    log.sync();
}

#[test]
fn a_log_begins_small_and_is_small_again_at_rest() {
    let mut log = Log::starting_with(512, 4096);
    assert_eq!(log.size(), 512);
    let texts: Vec<String> = (0..80).map(|i| format!("text {i:03}")).collect();
    texts[..20].iter().for_each(|text| log.append(text));
    assert_eq!((log.wal.current(), log.size()), (2, 4096), "with use it grows");
    log.shrink();
    assert_eq!((log.wal.current(), log.size()), (3, 512));
    log.shrink();
    assert_eq!(log.wal.current(), 3, "it is as small as it may be");
    texts[20..].iter().for_each(|text| log.append(text));
    assert_eq!((log.wal.current(), log.size()), (4, 4096));
    log.sync();
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!(found, texts);
    assert!(replay.unwrap().cut.is_none());
}

/// Deletions on a full disk were refused: the segment that they went on in set aside what the flush needed.
#[test]
fn what_makes_room_takes_no_more_of_it_than_it_needs() {
    let mut log = Log::starting_with(512, 4096);
    let mut text = 0;
    while log.wal.current() == 1 {
        log.append_with(&format!("text {text:03}"), Room::Any);
        text += 1;
    }
    assert_eq!((text > 5, log.size()), (true, 512));
    log.append_with(&"long".repeat(200), Room::Any);
    assert_eq!((log.wal.current(), log.size() > 800), (3, true));
    let (found, replay) = replayed(&log.sim, false);
    assert!(found.len() == text + 1 && replay.unwrap().cut.is_none());
}

/// A segment that was made for little, and could not be started, was taken for a record that it could not
/// hold.
#[test]
fn a_segment_that_was_made_and_not_started_is_passed_over_where_it_is_too_small() {
    use crate::fs::sim::{Fault, OperationKind};
    let mut log = Log::starting_with(512, 4096);
    (0..20).for_each(|_| log.append("text"));
    let current = path(log.wal.current());
    log.sim.set_fault(Box::new(move |op| {
        (op.kind == OperationKind::Write && op.path == current).then_some(Fault::EIO)
    }));
    log.numbers += 1;
    assert!(log.wal.shrink(|| 3, log.synced).is_err());
    log.sim.clear_fault();
    assert_eq!((log.wal.current(), log.sim.read_raw(&path(3)).unwrap().len()), (2, 512));
    let long = "x".repeat(5_000);
    log.append(&long);
    assert!(log.wal.current() == 4 && log.size() > 5_000, "{} of {}", log.wal.current(), log.size());
    log.sync();
    assert!(log.sim.read_raw(&path(3)).is_err(), "nobody will start it any more");
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!((found.len(), found.last(), replay.unwrap().cut.is_none()), (21, Some(&long), true));
}

/// A record that a small segment has no room for does not grow it: it might meet a full disk.
#[test]
fn a_record_larger_than_a_small_segment_gets_one_that_holds_it() {
    let mut log = Log::starting_with(512, 4096);
    log.append(&"x".repeat(1_000));
    assert_eq!((log.wal.current(), log.size()), (2, 4096));
    log.shrink();
    log.append(&"y".repeat(5_000));
    assert!(log.wal.current() == 4 && log.size() > 5_000);
    log.sync();
    let (found, replay) = replayed(&log.sim, false);
    assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [1_000, 5_000]);
    assert!(replay.unwrap().cut.is_none());
}

#[test]
fn where_there_is_no_room_for_a_large_segment_it_goes_on_in_smaller_ones() {
    use crate::fs::sim::{Fault, OperationKind};
    let mut log = Log::starting_with(512, 16 << 10);
    for (room, size) in [(16 << 10, 16 << 10), (10_000, 4096), (4095, 1024), (1023, 512)] {
        log.shrink();
        log.sim.set_capacity(Some(log.sim.used() + room));
        let before = log.wal.current();
        while log.wal.current() == before {
            log.append("text");
        }
        assert_eq!(log.size(), size, "with room for {room}");
        log.sim.set_capacity(None);
    }
    log.sim.set_fault(Box::new(|op| (op.kind == OperationKind::Allocate).then_some(Fault::ENOSPC)));
    let buffer = log.wal.begin();
    buffer.extend_from_slice(&[0x5a; 500]);
    let refused = log.wal.append(RecordKind::Group, 0, log.seq + 1, Room::Reserved, || 99);
    assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
    assert_eq!(log.sim.paths().iter().filter(|path| path.to_string_lossy().ends_with("99.log")).count(), 0);
}
