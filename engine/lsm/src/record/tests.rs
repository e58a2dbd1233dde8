//! Records of a file that is larger than what is read at once, and at its very end.

use super::*;
use crate::fs::{Fs, SimFs};
use std::path::Path;

const PATH: &str = "/000001.log";

/// A file of records with these payload lengths; the record with the number `i` says that it knew `i` bytes
/// to be synced.
fn written(lengths: &[usize]) -> (SimFs, Vec<u64>) {
    let sim = SimFs::new();
    let header =
        FileHeader { identity: 3, store: 4, number: 1, start_lsn: 0, previous: 0, chain: 0, least_bytes: 0 };
    let file = Fs::Sim(sim.clone()).create_new(Path::new(PATH)).unwrap();
    let mut writer = RecordWriter::create(file, LogKind::Wal, header).unwrap();
    let mut offsets = Vec::new();
    for (i, len) in lengths.iter().enumerate() {
        offsets.push(writer.offset());
        writer.begin().extend((0..*len).map(|at| (at * 7 + i) as u8));
        writer.finish(1, i as u64).unwrap();
        assert_eq!(writer.lsn(), writer.offset() - HEADER_BYTES);
    }
    (sim, offsets)
}

/// Where the records stand that are read, and where reading stopped.
fn read(reader: &mut RecordReader<&crate::fs::OpenFile>) -> (Vec<u64>, Stop) {
    let mut found = Vec::new();
    loop {
        match reader.step().unwrap() {
            Step::Stop(stop) => return (found, stop),
            Step::Record { offset, header, payload } => {
                let i = header.synced as usize;
                assert_eq!(payload.len() as u64, header.len);
                assert!(payload.iter().enumerate().all(|(at, byte)| *byte == (at * 7 + i) as u8));
                found.push(offset);
            }
        }
    }
}

#[test]
fn records_are_read_across_the_bounds_of_what_is_read_at_once() {
    let lengths: Vec<usize> = (0..90).map(|i| 5_000 + i * 113).chain([700_000, 1, 0, 90_001]).collect();
    let (sim, offsets) = written(&lengths);
    let file = Fs::Sim(sim).open(Path::new(PATH)).unwrap();
    let mut reader = RecordReader::open(&file, LogKind::Wal).unwrap();
    let (found, stop) = read(&mut reader);
    assert_eq!(found, offsets);
    assert_eq!((stop.offset, stop.damage), (reader.size(), None));
    assert_eq!(reader.synced_behind().unwrap(), 0);
}

#[test]
fn an_empty_record_may_be_the_last_thing_in_a_file() {
    let (sim, offsets) = written(&[10, 0]);
    let file = Fs::Sim(sim).open(Path::new(PATH)).unwrap();
    let mut reader = RecordReader::open(&file, LogKind::Wal).unwrap();
    let (found, stop) = read(&mut reader);
    assert_eq!((found, stop.damage), (offsets, None));
}

/// What one record needed serves the next, unless it was huge.
#[test]
fn the_memory_of_a_record_is_used_again_and_that_of_a_huge_one_given_back() {
    let (sim, _) = written(&[]);
    let header =
        FileHeader { identity: 3, store: 4, number: 1, start_lsn: 0, previous: 0, chain: 0, least_bytes: 0 };
    let file = Fs::Sim(sim).open_writable(Path::new(PATH)).unwrap();
    let mut writer = RecordWriter::resume(file, header);
    for (bytes, kept) in [(100_000, true), (3 << 20, true), (5 << 20, false)] {
        writer.begin().extend(std::iter::repeat_n(7, bytes));
        writer.finish(1, 0).unwrap();
        assert_eq!(writer.begin().capacity() >= bytes, kept, "{bytes}");
    }
}

#[test]
fn headers_are_found_far_behind_damage() {
    let (sim, offsets) = written(&[100; 9_000]);
    for (broken, first_intact) in [(0, 1), (4_000, 4_001)] {
        let disk = sim.image(crate::fs::sim::Image::All, 0);
        disk.flip(Path::new(PATH), offsets[broken] + 3, 0xff).unwrap();
        let file = Fs::Sim(disk).open(Path::new(PATH)).unwrap();
        let mut reader = RecordReader::open(&file, LogKind::Wal).unwrap();
        let (found, stop) = read(&mut reader);
        assert_eq!((found.len(), stop.offset), (broken, offsets[broken]));
        assert!(stop.damage.is_some());
        assert_eq!(reader.synced_behind().unwrap(), 8_999);
        assert!(reader.resume().unwrap());
        assert_eq!(read(&mut reader).0, offsets[first_intact..]);
        assert!(!reader.resume().unwrap(), "nothing is behind the end");
    }
}
