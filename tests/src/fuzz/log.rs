//! Segments of the write-ahead log, as recovery and as the tools read them.

use super::{allocation, disk, mend};
use esker::Error;
use esker::base::filename::{FileKind, FileNumber};
use esker::fs::Fs;
use esker::inspect::{SegmentItem, walk_segment};
use esker::record::{FileHeader, HEADER_BYTES};
use esker::wal::{LogKnown, Replay, replay};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a segment begins.
const MAGIC: &[u8] = b"ESKERWAL";

/// A segment that says that it was made longer than it is, and not by too much, gets zeros up to that.
const MOST_PADDING: usize = 64 << 10;

/// The segments of a log, one behind the other in the input, each from its magic number on.
pub(super) fn log(data: &[u8]) {
    let mut segments = split(data);
    each(&segments);
    for segment in &mut segments {
        if let Some(raw) = segment.first_chunk::<{ HEADER_BYTES as usize }>() {
            let least = FileHeader::fields(raw).least_bytes as usize;
            segment.resize(segment.len().max(least.min(MOST_PADDING)), 0);
        }
    }
    mend::segments(&mut segments);
    each(&segments);
}

fn split(data: &[u8]) -> Vec<Vec<u8>> {
    let mut starts: Vec<usize> =
        (1..data.len()).filter(|at| data.get(*at..).is_some_and(|rest| rest.starts_with(MAGIC))).collect();
    starts.insert(0, 0);
    starts.push(data.len());
    starts.windows(2).map(|pair| data[pair[0]..pair[1]].to_vec()).collect()
}

/// A batch: its segment, its first sequence number, and its operations in the bytes of the log.
type Batch = (PathBuf, u64, u32, Vec<u8>);

fn each(segments: &[Vec<u8>]) {
    let headers: Vec<FileHeader> =
        segments.iter().filter_map(|s| Some(FileHeader::fields(s.first_chunk()?))).collect();
    let Some(first) = headers.first().copied() else { return };
    let named =
        |(header, bytes): (&FileHeader, &Vec<u8>)| (FileKind::Wal(header.number).name(), bytes.clone());
    let files: BTreeMap<String, Vec<u8>> = headers.iter().zip(segments).map(named).collect();
    let fs = Fs::Sim(disk::disk(files.iter().map(|(name, bytes)| (name.clone(), &bytes[..]))));
    let mut numbers: Vec<FileNumber> = headers.iter().map(|header| header.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let limit = allocation::plain(segments.iter().map(Vec::len).sum());
    let read = |to_damage| allocation::within(limit, || recover(&fs, first, &numbers, to_damage));
    let ((strict, batches), (lenient, to_damage)) = (read(false), read(true));
    if let Ok(found) = strict {
        assert_eq!(lenient.expect("what is sound is sound for both"), found);
        assert_eq!(to_damage, batches);
    }
    for name in files.keys() {
        let path = disk::path(name);
        let shown = allocation::within(limit, || walk(&fs, &path));
        let recovered: Vec<&Batch> = to_damage.iter().filter(|batch| batch.0 == path).collect();
        assert!(recovered.len() <= shown.len(), "the tools show no less than is recovered");
        assert!(recovered.iter().zip(&shown).all(|(a, b)| *a == b), "{recovered:?} {shown:?}");
    }
}

fn recover(
    fs: &Fs,
    first: FileHeader,
    numbers: &[FileNumber],
    to_damage: bool,
) -> (Result<Replay, Error>, Vec<Batch>) {
    let mut batches = Vec::new();
    let dir = Path::new(disk::DIR);
    let known = LogKnown { store: first.store, oldest: first.number, synced: 0 };
    let result = replay(fs, dir, known, numbers, to_damage, |_, batch, file, _| {
        allocation::aside(|| {
            batches.push((file.to_owned(), batch.first_seq, batch.count, batch.ops.to_vec()));
        });
        Ok(())
    });
    if let Err(error) = &result {
        let known = matches!(error, Error::Corruption(_) | Error::UnsupportedVersion { .. });
        assert!(known, "{error}");
    }
    (result, batches)
}

/// The batches that the tools show, up to the first place where no record stands.
fn walk(fs: &Fs, path: &Path) -> Vec<Batch> {
    let file = fs.open(path).expect("the file was just written");
    let (mut batches, mut beyond) = (Vec::new(), false);
    let result = walk_segment(&file, |item| {
        match item {
            SegmentItem::Break(_) => beyond = true,
            SegmentItem::Batch(batch) if !beyond => allocation::aside(|| {
                batches.push((path.to_owned(), batch.first_seq, batch.count, batch.ops.to_vec()));
            }),
            _ => {}
        }
        Ok::<_, Error>(())
    });
    assert!(matches!(result, Ok(()) | Err(Error::UnsupportedVersion { .. })), "{result:?}");
    batches
}
