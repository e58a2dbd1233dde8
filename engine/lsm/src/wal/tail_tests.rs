//! A log that is read while it is written.

use super::tail::{LogTail, Reached};
use super::tests::{DIR, Log, STORE, path};
use super::{RecordKind, Room};
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::fs::sim::Image;
use crate::fs::{Fs, SimFs};
use crate::record::HEADER_BYTES;
use std::path::Path;

/// A reader, and what it was handed.
struct Reader {
    tail: LogTail,
    texts: Vec<String>,
}

impl Reader {
    fn of(sim: &SimFs) -> Reader {
        let tail = LogTail::open(&Fs::Sim(sim.clone()), Path::new(DIR), STORE, 1).unwrap();
        Reader { tail, texts: Vec::new() }
    }

    fn advance(&mut self) -> Result<Reached> {
        self.advance_behind(0, false)
    }

    fn advance_behind(&mut self, known: u64, thorough: bool) -> Result<Reached> {
        let texts = &mut self.texts;
        self.tail.advance(known, thorough, &mut |_, batch, _, _| {
            texts.push(String::from_utf8_lossy(batch.ops).into_owned());
            Ok(())
        })
    }
}

#[test]
fn each_group_is_met_once_across_segments() {
    let mut log = Log::new(512);
    let mut reader = Reader::of(&log.sim);
    assert_eq!(reader.advance().unwrap(), Reached::End);
    let mut texts = Vec::new();
    for n in 0..40 {
        texts.push(format!("{n}-{}", "x".repeat(n * 7 % 90)));
        log.append(&texts[n]);
        if n % 3 == 0 {
            log.sync();
        }
        if n % 4 == 0 {
            assert_eq!(reader.advance_behind(log.synced, n % 8 == 0).unwrap(), Reached::End);
            assert_eq!(reader.texts, texts);
            assert_eq!((reader.tail.number(), reader.tail.lsn()), (log.wal.current(), log.wal.lsn()));
        }
    }
    assert!(log.numbers > 5, "{} segments", log.numbers);
    assert_eq!((reader.tail.groups(), reader.tail.clock_ms()), (37, 7));
}

/// Whatever part of a group is there, it is not there; and then it is.
#[test]
fn a_group_that_is_only_partly_there_is_waited_for() {
    let mut log = Log::new(4096);
    log.append("first");
    let (before, start) = (log.sim.read_raw(&path(1)).unwrap(), (HEADER_BYTES + log.wal.lsn()) as usize);
    log.append("second, which is longer than one line of a cache: so it may come in any order");
    let (whole, end) = (log.sim.read_raw(&path(1)).unwrap(), (HEADER_BYTES + log.wal.lsn()) as usize);
    let mut waited = 0;
    for cut in start..=end {
        for parts in [[start..cut, cut..cut], [cut..end, cut..cut], [start..start + 8, cut..end]] {
            let mut partly = before.clone();
            for part in parts {
                partly[part.clone()].copy_from_slice(&whole[part]);
            }
            let disk = log.sim.image(Image::All, 0);
            disk.write_raw(&path(1), &partly).unwrap();
            let mut reader = Reader::of(&disk);
            assert_eq!(reader.advance().unwrap(), Reached::End);
            waited += u32::from(reader.texts.len() == 1);
            disk.write_raw(&path(1), &whole).unwrap();
            assert_eq!(reader.advance().unwrap(), Reached::End);
            assert_eq!(reader.texts.len(), 2, "{cut}");
        }
    }
    assert!(waited > 200, "{waited}");
}

/// A refused append may have been whole for a moment. What comes to its place has another length, too, so
/// that what was read does not tell where it begins.
#[test]
fn a_group_that_was_taken_back_is_noticed() {
    for other in ["other", "of another length altogether"] {
        let mut log = Log::new(4096);
        log.append("first");
        let before = log.sim.read_raw(&path(1)).unwrap();
        let mut twin = Log::new(4096);
        twin.append("first");
        log.append("refused");
        let mut reader = Reader::of(&log.sim);
        assert_eq!(reader.advance().unwrap(), Reached::End);
        twin.append(other);
        for bytes in [before, twin.sim.read_raw(&path(1)).unwrap()] {
            log.sim.write_raw(&path(1), &bytes).unwrap();
            assert_eq!(reader.advance().unwrap(), Reached::TakenBack);
        }
        assert_eq!(reader.texts, ["first", "refused"]);
    }
}

/// The record that names the next segment may be taken back as well.
#[test]
fn a_segment_that_was_never_started_is_left_again() {
    let mut log = Log::new(4096);
    log.append("first");
    let before = log.sim.read_raw(&path(1)).unwrap();
    log.wal.seal(|| 2, 0).unwrap();
    let mut reader = Reader::of(&log.sim);
    assert_eq!(reader.advance().unwrap(), Reached::End);
    assert_eq!(reader.tail.number(), 2);
    log.sim.write_raw(&path(1), &before).unwrap();
    assert_eq!(reader.advance().unwrap(), Reached::TakenBack);
}

/// Segments that are removed stay readable for who has them open; the next is missed by its name.
#[test]
fn a_segment_that_is_gone_is_told_by_its_name() {
    let mut log = Log::new(512);
    log.append("first");
    let mut reader = Reader::of(&log.sim);
    assert_eq!(reader.advance().unwrap(), Reached::End);
    while log.wal.current() < 4 {
        log.append(&"x".repeat(60));
    }
    let fs = Fs::Sim(log.sim.clone());
    for number in [1, 2] {
        fs.remove(&FileKind::Wal(number).path(Path::new(DIR))).unwrap();
    }
    let missed = reader.advance().unwrap_err();
    assert!(missed.is_not_found() && missed.to_string().contains("000002.log"), "{missed}");
    assert!(reader.texts.len() > 2, "the rest of the open one was read");
}

#[test]
fn a_log_that_ends_before_what_is_known_to_be_synced_is_damaged() {
    let mut log = Log::new(4096);
    for text in ["a", "b", "c"] {
        log.append(text);
        log.sync();
    }
    let mut behind = Reader::of(&log.sim);
    assert_eq!(behind.advance_behind(log.synced, false).unwrap(), Reached::End);
    let damaged = Reader::of(&log.sim).advance_behind(log.synced + 1, false);
    assert!(matches!(&damaged, Err(Error::Corruption(damage)) if damage.file == path(1)), "{damaged:?}");
    // Found by what stands behind it, if that is searched.
    log.sim.flip(&path(1), HEADER_BYTES + 40, 1).unwrap();
    assert_eq!(Reader::of(&log.sim).advance_behind(0, false).unwrap(), Reached::End);
    let damaged = Reader::of(&log.sim).advance_behind(0, true);
    assert!(
        matches!(&damaged, Err(Error::Corruption(damage)) if damage.offset == HEADER_BYTES),
        "{damaged:?}"
    );
    let mut short = log.sim.read_raw(&path(1)).unwrap();
    log.sim.flip(&path(1), HEADER_BYTES + 40, 1).unwrap();
    short.truncate(2000);
    short[HEADER_BYTES as usize + 40] ^= 1;
    log.sim.write_raw(&path(1), &short).unwrap();
    assert!(matches!(Reader::of(&log.sim).advance(), Err(Error::Corruption(_))), "it has lost its end");
}

/// A close cuts the segment behind its mark.
#[test]
fn a_log_that_is_closed_meanwhile_is_read_to_its_end() {
    let mut log = Log::new(4096);
    log.append("text");
    let mut reader = Reader::of(&log.sim);
    assert_eq!(reader.advance().unwrap(), Reached::End);
    let mark = super::CloseMark { last_seq: 1, manifest: Some(super::ManifestEnd { number: 3, lsn: 9 }) };
    mark.encode(log.wal.begin());
    log.wal.append(RecordKind::Close, 0, 1, Room::Any, || 2).unwrap();
    log.wal.trim().unwrap();
    assert!(reader.tail.closed_with().is_none());
    assert_eq!(reader.advance_behind(0, true).unwrap(), Reached::End);
    assert_eq!(reader.tail.closed_with(), mark.manifest);
    assert_eq!(reader.texts, ["text"]);
}
