//! Segments that are read while they are written, and what of a log is written anew.

use super::*;
use crate::base::error::Error;
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::fs::sim::Image;
use crate::fs::{Fs, SimFs};
use crate::record::HEADER_BYTES;
use std::path::Path;

const STORE: u64 = 0xe5;
const DIR: &str = "/db";

fn options(sim: &SimFs) -> WalOptions {
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new(DIR)).unwrap();
    let (random, segment_bytes) = (Random::seeded(1), 512);
    WalOptions { fs, dir: DIR.into(), store: STORE, random, segment_bytes, least_bytes: 512, mapped: false }
}

fn append(wal: &mut Wal, seq: u64, synced: u64) {
    let group = GroupHeader { first_seq: seq, clock_ms: 7 };
    let buffer = wal.begin();
    begin_group(buffer, group);
    let text = format!("{seq}-{}", "x".repeat(60));
    push_batch(buffer, group, LoggedBatch { first_seq: seq, count: 1, ops: text.as_bytes() });
    let next = wal.current() + 1;
    wal.append(RecordKind::Group, synced, seq, Room::Reserved, || next).unwrap();
}

fn sync(wal: &mut Wal) -> u64 {
    let unsynced = wal.unsynced();
    unsynced.files.iter().for_each(|file| file.sync().unwrap());
    wal.synced(unsynced.lsn);
    unsynced.lsn
}

fn open(sim: &SimFs, number: u64) -> SegmentTail {
    let file = Fs::Sim(sim.clone()).open(&FileKind::Wal(number).path(Path::new(DIR))).unwrap();
    SegmentTail::open(file, STORE, number, None).unwrap()
}

/// The sequence numbers of the groups up to `end`, and what came instead of another one.
fn numbers(tail: &mut SegmentTail, end: u64) -> (Vec<u64>, Option<u64>) {
    let mut found = Vec::new();
    loop {
        match tail.next(end).unwrap() {
            Tailed::Group { payload, .. } => found.push(decode_group(payload).unwrap().0.first_seq),
            Tailed::Long { .. } => panic!("a long group"),
            Tailed::Next(number) => return (found, Some(number)),
            Tailed::End => return (found, None),
        }
    }
}

#[test]
fn a_tail_ends_where_it_is_told_and_goes_on_when_there_is_more() {
    let sim = SimFs::new();
    let mut wal = Wal::create(options(&sim), 1).unwrap();
    let mut tail = open(&sim, 1);
    assert_eq!(numbers(&mut tail, HEADER_BYTES), (vec![], None));
    append(&mut wal, 1, 0);
    append(&mut wal, 2, 0);
    let end = wal.end();
    append(&mut wal, 3, 0);
    assert_eq!(numbers(&mut tail, HEADER_BYTES), (vec![], None));
    assert_eq!(numbers(&mut tail, end), (vec![1, 2], None));
    assert_eq!(numbers(&mut tail, end), (vec![], None));
    assert_eq!(numbers(&mut tail, wal.end()), (vec![3], None));
    (4..7).for_each(|seq| append(&mut wal, seq, 0));
    // Whatever is durable behind this segment.
    assert_eq!(numbers(&mut tail, 1 << 40), (vec![], Some(2)));
}

#[test]
fn a_segment_of_another_number_store_or_identity_is_refused() {
    let sim = SimFs::new();
    let mut wal = Wal::create(options(&sim), 1).unwrap();
    append(&mut wal, 1, 0);
    let identity = wal.current_info().identity;
    let open = |store, number, identity| {
        let file = Fs::Sim(sim.clone()).open(&FileKind::Wal(1).path(Path::new(DIR))).unwrap();
        SegmentTail::open(file, store, number, identity).map(drop)
    };
    open(STORE, 1, Some(identity)).unwrap();
    for (refused, offset) in
        [(open(STORE + 1, 1, None), 24), (open(STORE, 2, None), 32), (open(STORE, 1, Some(identity + 1)), 16)]
    {
        assert!(matches!(refused, Err(Error::Corruption(damage)) if damage.offset == offset));
    }
}

#[test]
fn damage_below_the_end_is_named() {
    let sim = SimFs::new();
    let mut wal = Wal::create(options(&sim), 1).unwrap();
    (1..4).for_each(|seq| append(&mut wal, seq, 0));
    let path = FileKind::Wal(1).path(Path::new(DIR));
    for at in HEADER_BYTES..wal.end() {
        sim.flip(&path, at, 0x10).unwrap();
        let mut tail = open(&sim, 1);
        let ended = loop {
            match tail.next(wal.end()) {
                Ok(Tailed::End) => break None,
                Ok(_) => {}
                Err(error) => break Some(error),
            }
        };
        // Padding is under no checksum.
        let is_named = |error: Error| matches!(error, Error::Corruption(damage) if damage.file == path);
        assert!(ended.is_none_or(is_named), "byte {at}");
        sim.flip(&path, at, 0x10).unwrap();
    }
}

/// A log of twelve groups, of which `synced` are on record as synced, is salvaged after a kill, and power is
/// lost behind that: every group is there once.
#[test]
fn what_was_not_known_to_be_synced_is_copied_and_then_safe() {
    for known in 0..13 {
        let sim = SimFs::new();
        let mut wal = Wal::create(options(&sim), 1).unwrap();
        let mut synced = 0;
        for seq in 1..13 {
            append(&mut wal, seq, synced);
            if seq == known {
                synced = sync(&mut wal);
            }
        }
        let all: Vec<u64> = (1..=wal.current()).collect();
        drop(wal);
        let killed = sim.kill_image();
        let log = options(&killed);
        let place = LogKnown { store: STORE, oldest: 1, synced };
        let replay = replay(&log.fs, Path::new(DIR), place, &all, false, |_, _, _, _| Ok(())).unwrap();
        assert_eq!((replay.synced, replay.segments.len()), (synced, all.len()));
        let mut next = *all.last().unwrap();
        let salvaged = salvage(&log, &replay.segments, replay.synced, || {
            next += 1;
            next
        });
        let salvaged = salvaged.unwrap();
        assert_eq!(salvaged.copied.is_empty(), known == 12);
        let lost = killed.image(Image::Nothing, 1);
        let mut found = Vec::new();
        for segment in &salvaged.synced {
            let (numbers, _) = numbers(&mut open(&lost, segment.number), segment.end);
            assert_eq!(numbers.last(), Some(&segment.last_seq), "{segment:?}");
            found.extend(numbers);
        }
        assert_eq!(found.len() as u64, known);
        for segment in &salvaged.copied {
            let (numbers, _) = numbers(&mut open(&lost, segment.number), segment.end);
            assert_eq!(numbers.last(), Some(&segment.last_seq), "{segment:?}");
            found.extend(numbers);
        }
        assert_eq!(found, (1..13).collect::<Vec<u64>>());
    }
}
