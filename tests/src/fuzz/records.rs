//! The framing of records.

use super::{allocation, disk, mend};
use esker::Error;
use esker::fs::OpenFile;
use esker::record::{HEADER_BYTES, LogKind, RecordReader, RecordWriter, Step, Stop};

/// A log file: what is read record by record, from the front and behind damage.
pub(super) fn records(data: &[u8]) {
    each(data);
    let mut mended = data.to_vec();
    mend::records(&mut mended);
    each(&mended);
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    offset: u64,
    kind: u8,
    synced: u64,
    payload: Vec<u8>,
}

fn each(bytes: &[u8]) {
    let kind = mend::kind(bytes).unwrap_or(LogKind::Wal);
    let file = disk::file("000001.log", bytes);
    let (read, resumed) = allocation::within(allocation::plain(bytes.len()), || {
        let resumed = resume(&file, kind, bytes.len());
        (read(&file, kind), resumed)
    });
    let Some((records, stop, reader_header)) = read else { return };
    let Some(resumed) = resumed else { panic!("sound for one reader and not for the other") };
    assert!(resumed.starts_with(&records), "what stands in front of damage is read either way");
    assert!(stop.offset <= (bytes.len() as u64).next_multiple_of(8), "a stop within the file");
    // What was read, written once more, is read again.
    let path = disk::path("000002.log");
    let fs = esker::fs::Fs::Sim(esker::fs::SimFs::new());
    fs.create_dir_all(path.parent().expect("it stands in a directory")).expect("a new disk");
    let file = fs.create_new(&path).expect("a new file");
    let mut writer = RecordWriter::create(file, kind, reader_header).expect("a header");
    for record in &records {
        writer.begin().extend_from_slice(&record.payload);
        writer.finish(record.kind, record.synced).expect("a record");
    }
    let again = fs.open(&path).expect("the file was just written");
    let (again, stop, _) = read_sound(&again, kind);
    assert_eq!(again, records);
    assert_eq!(stop.damage, None);
}

type Found = (Vec<Record>, Stop, esker::record::FileHeader);

/// Reads up to the first place where no record stands; `None` if the header is damaged.
fn read(file: &OpenFile, kind: LogKind) -> Option<Found> {
    let mut reader = match RecordReader::open(file, kind) {
        Ok(reader) => reader,
        Err(Error::Corruption(_) | Error::UnsupportedVersion { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let (header, mut records, mut end) = (*reader.header(), Vec::new(), HEADER_BYTES);
    let stop = loop {
        match reader.step().expect("a disk without faults") {
            Step::Stop(stop) => break stop,
            Step::Record { offset, header, payload } => {
                assert_eq!(offset, end, "records stand one behind the other");
                end = offset + 32 + header.len.next_multiple_of(8);
                let (kind, synced, payload) = (header.kind, header.synced, payload.to_vec());
                allocation::aside(|| records.push(Record { offset, kind, synced, payload }));
            }
        }
    };
    assert_eq!(stop.offset, end);
    assert_eq!(reader.lsn_of(stop.offset), stop.lsn);
    reader.synced_behind().expect("a disk without faults");
    Some((records, stop, header))
}

fn read_sound(file: &OpenFile, kind: LogKind) -> Found {
    read(file, kind).expect("a file that was just written")
}

/// Reads all that can be found, behind damage too; `None` if nothing can be.
fn resume(file: &OpenFile, kind: LogKind, len: usize) -> Option<Vec<Record>> {
    let (mut reader, _) = RecordReader::open_damaged(file, kind).ok()?;
    let (mut records, mut resumed) = (Vec::<Record>::new(), 0);
    loop {
        while let Step::Record { offset, header, payload } = reader.step().expect("a disk without faults") {
            let last = records.last().map(|last| last.offset);
            assert!(last.is_none_or(|last| last < offset), "reading goes on, and never back");
            let (kind, synced, payload) = (header.kind, header.synced, payload.to_vec());
            allocation::aside(|| records.push(Record { offset, kind, synced, payload }));
        }
        if !reader.resume().expect("a disk without faults") {
            return Some(records);
        }
        resumed += 1;
        assert!(resumed <= len, "reading comes to an end");
    }
}
