//! Changes of the manifest round trip, and nothing else passes for one.

use super::blobs::BlobMeta;
use super::edit::*;
use super::feed::{EndedHistory, IngestMark, KeptSegment};
use super::meta::TableMeta;
use crate::base::blob_ref::BlobShare;
use crate::base::key::Trailer;
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::limits::*;
use crate::base::position::Position;
use crate::base::sync::Arc;
use crate::ranges::{Range, RangeKind};
use proptest::prelude::*;

fn meta() -> TableMeta {
    TableMeta {
        number: 9,
        identity: 77,
        size: 4096,
        smallest: (b"a".to_vec(), Trailer(5)),
        largest: (b"z".to_vec(), Trailer(6)),
        min_seq: 1,
        max_seq: 8,
        entries: 3,
        deletions: 1,
        earliest_expiry: 10,
        latest_expiry: 11,
        oldest_deletion_ms: 12,
        cleaned_seq: 7,
        ingested_seq: 0,
        blobs: Vec::new(),
    }
}

fn blob() -> BlobMeta {
    BlobMeta { number: 21, identity: 5, size: 6, entries: 7, bytes: 8, raw_bytes: 9 }
}

fn referring() -> Arc<TableMeta> {
    let share = |file| BlobShare { file, entries: 2, bytes: 300 };
    Arc::new(TableMeta { blobs: vec![share(21), share(400)], ..meta() })
}

fn ingested_meta(seq: SeqNum) -> Arc<TableMeta> {
    let key = |key: &[u8]| (key.to_vec(), Trailer(2).raised(seq));
    let (smallest, largest) = (key(b"a"), key(b"z"));
    let (min_seq, max_seq, ingested_seq) = (seq, seq, seq);
    Arc::new(TableMeta { smallest, largest, min_seq, max_seq, ingested_seq, ..meta() })
}

fn range(kind: RangeKind, seq: SeqNum, to: &[u8]) -> EditOp {
    EditOp::AddRange { family: 1, range: Arc::new(Range::new(kind, seq, b"from", to, 77)) }
}

#[test]
fn every_change_round_trips_and_no_truncation_passes_for_another() {
    let edit = Edit(vec![
        EditOp::Store { id: 1, layer: "plain".into() },
        EditOp::NextFile(2),
        EditOp::SeqCeiling(3),
        EditOp::History { id: 4, first_seq: 5 },
        EditOp::Clock(6),
        EditOp::OldestWal(7),
        EditOp::SyncedLog(u64::MAX),
        EditOp::CreateFamily { id: 8, name: "tokens".into(), options: vec![1, 2] },
        EditOp::FamilyOptions { family: 3, options: vec![1, 2] },
        EditOp::DropFamily(9),
        EditOp::PreparedFamily(4),
        EditOp::NextFamily(10),
        EditOp::Ingested(11),
        EditOp::Flushed { family: 11, seq: 12 },
        EditOp::AddTable { family: 13, level: 6, meta: Arc::new(meta()) },
        EditOp::AddTable { family: 13, level: 5, meta: ingested_meta(9) },
        EditOp::AddBlob { family: 13, meta: blob() },
        EditOp::AddTable { family: 13, level: 4, meta: referring() },
        EditOp::DeadBlob { family: 13, number: 21, since_ms: 1_763_000_000_000 },
        EditOp::RemoveTable { family: 14, level: 0, number: 15 },
        EditOp::RemoveBlob { family: 14, number: 21 },
        range(RangeKind::Deleted, 16, b"to"),
        range(RangeKind::Dropped, 17, b""),
        EditOp::RemoveRange { family: 1, seq: 16 },
        EditOp::FeedFrom(18),
        EditOp::HistoryEnded(EndedHistory { id: 19, last_seq: 20 }),
        EditOp::KeepLog(KeptSegment {
            number: 21,
            identity: 22,
            end: 23,
            last_seq: 24,
            file_bytes: 31,
            kept_ms: 25,
        }),
        EditOp::NoteIngest(IngestMark {
            seq: 26,
            family: 1,
            at_ms: 27,
            entries: 28,
            smallest: b"a".to_vec(),
            largest: b"b".to_vec(),
        }),
        EditOp::Consumer { name: "search".into(), position: Position { history: 29, seq: 30 } },
        EditOp::RemoveConsumer("search".into()),
    ]);
    let mut bytes = Vec::new();
    encode_edit(&mut bytes, &edit);
    assert_eq!(decode_edit(&bytes).unwrap(), edit);
    for len in 0..bytes.len() {
        if let Ok(shorter) = decode_edit(&bytes[..len]) {
            assert!(edit.0.starts_with(&shorter.0) && shorter.0.len() < edit.0.len());
        }
    }
}

#[test]
fn numbers_beyond_any_that_a_store_comes_to_are_refused() {
    let refused = |op| {
        let mut bytes = Vec::new();
        encode_edit(&mut bytes, &Edit(vec![op]));
        decode_edit(&bytes).is_err()
    };
    for (number, wrong) in [(MAX_FILE_NUMBER, false), (MAX_FILE_NUMBER + 1, true), (u64::MAX, true)] {
        assert_eq!(refused(EditOp::NextFile(number)), wrong);
        assert_eq!(refused(EditOp::OldestWal(number)), wrong);
        let meta = Arc::new(TableMeta { number, ..meta() });
        assert_eq!(refused(EditOp::AddTable { family: 0, level: 0, meta }), wrong);
    }
    for (seq, wrong) in [(MAX_SEQ, false), (MAX_SEQ + 1, true)] {
        assert_eq!(refused(EditOp::SeqCeiling(seq)), wrong);
        assert_eq!(refused(EditOp::Flushed { family: 0, seq }), wrong);
        let meta = Arc::new(TableMeta { max_seq: seq, ..meta() });
        assert_eq!(refused(EditOp::AddTable { family: 0, level: 0, meta }), wrong);
    }
}

#[test]
fn blob_files_of_a_table_ascend_and_there_is_one_at_least() {
    let refused = |blobs: Vec<BlobShare>| {
        let mut bytes = Vec::new();
        numbers(&mut bytes, tag::REFERRING_TABLE, &[0, 0]);
        let meta = TableMeta { blobs, ..meta() };
        meta.encode(&mut bytes);
        meta.encode_blobs(&mut bytes);
        decode_edit(&bytes).is_err()
    };
    let share = |file| BlobShare { file, entries: 1, bytes: 9 };
    assert!(!refused(vec![share(1), share(2)]));
    assert!(refused(vec![share(2), share(2)]) && refused(vec![share(2), share(1)]) && refused(vec![]));
}

#[test]
fn a_name_is_as_long_as_it_may_be_and_no_longer() {
    let decoded = |bytes: usize| {
        let (mut out, name) = (Vec::new(), "n".repeat(bytes));
        encode_edit(&mut out, &Edit(vec![EditOp::CreateFamily { id: 1, name, options: vec![] }]));
        decode_edit(&out).map(|edit| edit.0.len())
    };
    assert_eq!(decoded(MAX_FAMILY_NAME_BYTES), Ok(1));
    assert!(decoded(MAX_FAMILY_NAME_BYTES + 1).is_err());
}

#[test]
fn a_range_that_makes_no_sense_is_refused() {
    let decoded = |op: &EditOp| {
        let mut bytes = Vec::new();
        encode_edit(&mut bytes, &Edit(vec![op.clone()]));
        decode_edit(&bytes)
    };
    assert!(decoded(&range(RangeKind::Deleted, 1, b"frp")).is_ok());
    for wrong in [range(RangeKind::Deleted, 1, b"from"), range(RangeKind::Dropped, 1, b"a")] {
        assert!(decoded(&wrong).is_err());
    }
    assert!(decoded(&range(RangeKind::Deleted, MAX_SEQ + 1, b"")).is_err());
    assert!(decoded(&range(RangeKind::Deleted, 1, &vec![b'z'; MAX_KEY_BYTES + 1])).is_err());
    assert!(decode_edit(&[13, 0, 2, 1, 0, 0, 0]).is_err(), "a kind that is none of a range");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode_edit(&bytes);
    }
}
