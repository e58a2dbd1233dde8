//! Changes of what exists, as records of the manifest. The grammar stands in
//! `docs/format/manifest.md`.

use super::blobs::BlobMeta;
use super::feed::{EndedHistory, IngestMark, KeptSegment};
use super::meta::TableMeta;
use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint};
use crate::base::filename::FileNumber;
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::limits::{LEVELS, MAX_FAMILY_NAME_BYTES, MAX_FILE_NUMBER, MAX_KEY_BYTES};
use crate::base::position::Position;
use crate::base::sync::Arc;
use crate::ranges::{Range, RangeKind};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditOp {
    /// The store's random number, and the layer that wrote it.
    Store {
        /// The random number.
        id: u64,
        /// `plain`, or the name of the layer above whose encoding the keys have.
        layer: String,
    },
    /// Every file number below this one may be in use.
    NextFile(FileNumber),
    /// Every sequence number below this one may have been handed out.
    SeqCeiling(SeqNum),
    /// A history starts: writes from `first_seq` on belong to it.
    History {
        /// Its random number.
        id: u64,
        /// The first sequence number in it.
        first_seq: SeqNum,
    },
    /// The greatest time that the expiry clock has shown, in milliseconds since the epoch.
    Clock(u64),
    /// The oldest segment of the log that is needed.
    OldestWal(FileNumber),
    /// The log is synced at least up to this position of its stream: what ends before it is damaged.
    SyncedLog(u64),
    /// A column family is created.
    CreateFamily {
        /// Its number, never used before.
        id: u32,
        /// Its name.
        name: String,
        /// Its options, as the layer above encodes them.
        options: Vec<u8>,
    },
    /// A column family has other options from now on.
    FamilyOptions {
        /// The family.
        family: u32,
        /// All of its options, as the layer above encodes them.
        options: Vec<u8>,
    },
    /// A column family is dropped with all that is in it.
    DropFamily(u32),
    /// A column family holds the prepared transactions, and nothing of the user's.
    PreparedFamily(u32),
    /// Every family number below this one was used.
    NextFamily(u32),
    /// Every write of the family up to `seq` stands in tables.
    Flushed {
        /// The family.
        family: u32,
        /// The last sequence number that is covered.
        seq: SeqNum,
    },
    /// A table joins a level.
    AddTable {
        /// The family.
        family: u32,
        /// The level.
        level: usize,
        /// The table.
        meta: Arc<TableMeta>,
    },
    /// A table leaves a level.
    RemoveTable {
        /// The family.
        family: u32,
        /// The level.
        level: usize,
        /// The table's number.
        number: FileNumber,
    },
    /// A blob file joins a family: tables refer to it.
    AddBlob {
        /// The family.
        family: u32,
        /// The blob file.
        meta: BlobMeta,
    },
    /// No table of the family refers to a blob file any more.
    RemoveBlob {
        /// The family.
        family: u32,
        /// The blob file's number.
        number: FileNumber,
    },
    /// Some of a blob file is dead since a time, and is to be gone within another.
    DeadBlob {
        /// The family.
        family: u32,
        /// The blob file's number.
        number: FileNumber,
        /// Since when, in milliseconds since the epoch.
        since_ms: u64,
    },
    /// A range was deleted or dropped, and tables may hold what is older.
    AddRange {
        /// The family.
        family: u32,
        /// The range.
        range: Arc<Range>,
    },
    /// Changes behind this sequence number can be read, and none before.
    FeedFrom(SeqNum),
    /// A history is over of which changes can be read.
    HistoryEnded(EndedHistory),
    /// A segment of the log is kept for readers of changes.
    KeepLog(KeptSegment),
    /// A table was ingested, which readers of changes are told.
    NoteIngest(IngestMark),
    /// A consumer of changes has come so far.
    Consumer {
        /// Its name.
        name: String,
        /// All before this is done with.
        position: Position,
    },
    /// A consumer of changes is no more.
    RemoveConsumer(String),
    /// The greatest sequence number that an ingested table was ever given.
    Ingested(SeqNum),
    /// No table holds anything any more that a range concerns, or another range stands for it.
    RemoveRange {
        /// The family.
        family: u32,
        /// The range's sequence number.
        seq: SeqNum,
    },
}

impl EditOp {
    /// Whether something leaves of which an earlier edit holds keys: the bounds of tables and of ranges.
    #[must_use]
    pub fn removes_keys(&self) -> bool {
        matches!(self, EditOp::RemoveTable { .. } | EditOp::RemoveRange { .. } | EditOp::DropFamily(_))
    }
}

/// Changes that take effect together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit(
    /// The changes, in order.
    pub Vec<EditOp>,
);

impl Edit {
    /// Adds a change.
    pub fn push(&mut self, op: EditOp) -> &mut Self {
        self.0.push(op);
        self
    }
}

/// Tags on disk; never reused. 16 to 31 are handed out as docs/format/manifest.md says.
pub(super) mod tag {
    pub const STORE: u64 = 1;
    pub const NEXT_FILE: u64 = 2;
    pub const SEQ_CEILING: u64 = 3;
    pub const HISTORY: u64 = 4;
    pub const CLOCK: u64 = 5;
    pub const OLDEST_WAL: u64 = 6;
    pub const CREATE_FAMILY: u64 = 7;
    pub const DROP_FAMILY: u64 = 8;
    pub const NEXT_FAMILY: u64 = 9;
    pub const FLUSHED: u64 = 10;
    pub const ADD_TABLE: u64 = 11;
    pub const REMOVE_TABLE: u64 = 12;
    pub const ADD_RANGE: u64 = 13;
    pub const REMOVE_RANGE: u64 = 14;
    pub const INGEST_TABLE: u64 = 15;
    pub const REFERRING_TABLE: u64 = 16;
    pub const ADD_BLOB: u64 = 17;
    pub const REMOVE_BLOB: u64 = 18;
    pub const DEAD_BLOB: u64 = 19;
    pub const FAMILY_OPTIONS: u64 = 20;
    pub const FEED_FROM: u64 = 21;
    pub const HISTORY_ENDED: u64 = 22;
    pub const KEEP_LOG: u64 = 23;
    pub const NOTE_INGEST: u64 = 24;
    pub const CONSUMER: u64 = 25;
    pub const REMOVE_CONSUMER: u64 = 26;
    pub const INGESTED: u64 = 27;
    pub const PREPARED_FAMILY: u64 = 28;
    pub const SYNCED_LOG: u64 = 32;
}

/// Encodes an edit.
pub fn encode_edit(out: &mut Vec<u8>, edit: &Edit) {
    for op in &edit.0 {
        match op {
            EditOp::Store { id, layer } => {
                put_varint(out, tag::STORE);
                out.extend_from_slice(&id.to_le_bytes());
                put_bytes(out, layer.as_bytes());
            }
            EditOp::NextFile(number) => numbers(out, tag::NEXT_FILE, &[*number]),
            EditOp::SeqCeiling(seq) => numbers(out, tag::SEQ_CEILING, &[*seq]),
            EditOp::History { id, first_seq } => {
                put_varint(out, tag::HISTORY);
                out.extend_from_slice(&id.to_le_bytes());
                put_varint(out, *first_seq);
            }
            EditOp::Clock(ms) => numbers(out, tag::CLOCK, &[*ms]),
            EditOp::OldestWal(number) => numbers(out, tag::OLDEST_WAL, &[*number]),
            EditOp::SyncedLog(lsn) => numbers(out, tag::SYNCED_LOG, &[*lsn]),
            EditOp::CreateFamily { id, name, options } => {
                numbers(out, tag::CREATE_FAMILY, &[u64::from(*id)]);
                put_bytes(out, name.as_bytes());
                put_bytes(out, options);
            }
            EditOp::FamilyOptions { family, options } => {
                numbers(out, tag::FAMILY_OPTIONS, &[u64::from(*family)]);
                put_bytes(out, options);
            }
            EditOp::DropFamily(id) => numbers(out, tag::DROP_FAMILY, &[u64::from(*id)]),
            EditOp::PreparedFamily(id) => numbers(out, tag::PREPARED_FAMILY, &[u64::from(*id)]),
            EditOp::NextFamily(id) => numbers(out, tag::NEXT_FAMILY, &[u64::from(*id)]),
            EditOp::Ingested(seq) => numbers(out, tag::INGESTED, &[*seq]),
            EditOp::Flushed { family, seq } => numbers(out, tag::FLUSHED, &[u64::from(*family), *seq]),
            EditOp::AddTable { family, level, meta } => {
                match meta.ingested_seq {
                    0 if !meta.blobs.is_empty() => {
                        numbers(out, tag::REFERRING_TABLE, &[u64::from(*family), *level as u64]);
                        meta.encode(out);
                        meta.encode_blobs(out);
                        continue;
                    }
                    0 => numbers(out, tag::ADD_TABLE, &[u64::from(*family), *level as u64]),
                    seq => numbers(out, tag::INGEST_TABLE, &[u64::from(*family), *level as u64, seq]),
                }
                meta.encode(out);
            }
            EditOp::RemoveTable { family, level, number } => {
                numbers(out, tag::REMOVE_TABLE, &[u64::from(*family), *level as u64, *number]);
            }
            EditOp::AddBlob { family, meta } => {
                numbers(out, tag::ADD_BLOB, &[u64::from(*family)]);
                meta.encode(out);
            }
            EditOp::RemoveBlob { family, number } => {
                numbers(out, tag::REMOVE_BLOB, &[u64::from(*family), *number]);
            }
            EditOp::DeadBlob { family, number, since_ms } => {
                numbers(out, tag::DEAD_BLOB, &[u64::from(*family), *number, *since_ms]);
            }
            EditOp::AddRange { family, range } => {
                let (kind, seq) = (range.kind as u64, range.seq);
                numbers(out, tag::ADD_RANGE, &[u64::from(*family), kind, seq, range.written_ms]);
                put_bytes(out, &range.from);
                put_bytes(out, range.end());
            }
            EditOp::RemoveRange { family, seq } => {
                numbers(out, tag::REMOVE_RANGE, &[u64::from(*family), *seq]);
            }
            EditOp::FeedFrom(_)
            | EditOp::HistoryEnded(_)
            | EditOp::KeepLog(_)
            | EditOp::NoteIngest(_)
            | EditOp::Consumer { .. }
            | EditOp::RemoveConsumer(_) => encode_feed(out, op),
        }
    }
}

/// Encodes what is about readers of changes.
fn encode_feed(out: &mut Vec<u8>, op: &EditOp) {
    match op {
        EditOp::FeedFrom(seq) => numbers(out, tag::FEED_FROM, &[*seq]),
        EditOp::HistoryEnded(ended) => {
            put_varint(out, tag::HISTORY_ENDED);
            ended.encode(out);
        }
        EditOp::KeepLog(segment) => {
            put_varint(out, tag::KEEP_LOG);
            segment.encode(out);
        }
        EditOp::NoteIngest(mark) => {
            put_varint(out, tag::NOTE_INGEST);
            mark.encode(out);
        }
        EditOp::Consumer { name, position } => {
            put_varint(out, tag::CONSUMER);
            put_bytes(out, name.as_bytes());
            out.extend_from_slice(&position.history.to_le_bytes());
            put_varint(out, position.seq);
        }
        EditOp::RemoveConsumer(name) => {
            put_varint(out, tag::REMOVE_CONSUMER);
            put_bytes(out, name.as_bytes());
        }
        _ => unreachable!("the others are encoded by the caller"),
    }
}

pub(super) fn numbers(out: &mut Vec<u8>, tag: u64, values: &[u64]) {
    put_varint(out, tag);
    values.iter().for_each(|value| put_varint(out, *value));
}

/// Decodes an edit, checking every step.
pub fn decode_edit(payload: &[u8]) -> Result<Edit, Malformed> {
    edit_ops(payload).collect::<Result<_, _>>().map(Edit)
}

/// The changes of an encoded edit, one by one; ends after the first error.
pub fn edit_ops(payload: &[u8]) -> impl Iterator<Item = Result<EditOp, Malformed>> {
    let mut bytes = Decoder::new(payload);
    let mut failed = false;
    std::iter::from_fn(move || {
        let op = (!failed && !bytes.is_empty()).then(|| decode_op(&mut bytes))?;
        failed = op.is_err();
        Some(op)
    })
}

fn decode_op(bytes: &mut Decoder<'_>) -> Result<EditOp, Malformed> {
    let unknown = bytes.malformed("a known kind of change");
    Ok(match bytes.varint("the tag of a change")? {
        tag::STORE => {
            EditOp::Store { id: bytes.fixed64("a store's number")?, layer: text(bytes, "a layer")? }
        }
        tag::NEXT_FILE => EditOp::NextFile(file_number(bytes)?),
        tag::SEQ_CEILING => EditOp::SeqCeiling(seq_num(bytes)?),
        tag::INGESTED => EditOp::Ingested(seq_num(bytes)?),
        tag::HISTORY => {
            EditOp::History { id: bytes.fixed64("a history's number")?, first_seq: seq_num(bytes)? }
        }
        tag::CLOCK => EditOp::Clock(bytes.varint("a time")?),
        tag::OLDEST_WAL => EditOp::OldestWal(file_number(bytes)?),
        tag::SYNCED_LOG => EditOp::SyncedLog(bytes.varint("a position of the log")?),
        tag::CREATE_FAMILY => EditOp::CreateFamily {
            id: bytes.varint32("a family's number")?,
            name: text(bytes, "a family's name")?,
            options: bytes.bytes("a family's options")?.to_vec(),
        },
        tag::FAMILY_OPTIONS => EditOp::FamilyOptions {
            family: bytes.varint32("a family's number")?,
            options: bytes.bytes("a family's options")?.to_vec(),
        },
        tag::DROP_FAMILY => EditOp::DropFamily(bytes.varint32("a family's number")?),
        tag::PREPARED_FAMILY => EditOp::PreparedFamily(bytes.varint32("a family's number")?),
        tag::NEXT_FAMILY => EditOp::NextFamily(bytes.varint32("a family's number")?),
        tag::FLUSHED => {
            EditOp::Flushed { family: bytes.varint32("a family's number")?, seq: seq_num(bytes)? }
        }
        tag::ADD_TABLE => EditOp::AddTable {
            family: bytes.varint32("a family's number")?,
            level: level(bytes)?,
            meta: Arc::new(TableMeta::decode(bytes)?),
        },
        tag::INGEST_TABLE => {
            let (family, level) = (bytes.varint32("a family's number")?, level(bytes)?);
            EditOp::AddTable { family, level, meta: ingested(bytes)? }
        }
        tag::REFERRING_TABLE => {
            let (family, level) = (bytes.varint32("a family's number")?, level(bytes)?);
            let meta = Arc::new(TableMeta::decode(bytes)?.decode_blobs(bytes)?);
            EditOp::AddTable { family, level, meta }
        }
        tag::ADD_BLOB => {
            EditOp::AddBlob { family: bytes.varint32("a family's number")?, meta: BlobMeta::decode(bytes)? }
        }
        tag::REMOVE_BLOB => {
            EditOp::RemoveBlob { family: bytes.varint32("a family's number")?, number: file_number(bytes)? }
        }
        tag::DEAD_BLOB => EditOp::DeadBlob {
            family: bytes.varint32("a family's number")?,
            number: file_number(bytes)?,
            since_ms: bytes.varint("a time")?,
        },
        tag::REMOVE_TABLE => EditOp::RemoveTable {
            family: bytes.varint32("a family's number")?,
            level: level(bytes)?,
            number: file_number(bytes)?,
        },
        tag::ADD_RANGE => {
            EditOp::AddRange { family: bytes.varint32("a family's number")?, range: range(bytes)? }
        }
        tag::REMOVE_RANGE => {
            EditOp::RemoveRange { family: bytes.varint32("a family's number")?, seq: seq_num(bytes)? }
        }
        tag::FEED_FROM => EditOp::FeedFrom(seq_num(bytes)?),
        tag::HISTORY_ENDED => EditOp::HistoryEnded(EndedHistory::decode(bytes)?),
        tag::KEEP_LOG => EditOp::KeepLog(KeptSegment::decode(bytes)?),
        tag::NOTE_INGEST => EditOp::NoteIngest(IngestMark::decode(bytes)?),
        tag::CONSUMER => EditOp::Consumer {
            name: text(bytes, "a consumer's name")?,
            position: Position { history: bytes.fixed64("a history's number")?, seq: seq_num(bytes)? },
        },
        tag::REMOVE_CONSUMER => EditOp::RemoveConsumer(text(bytes, "a consumer's name")?),
        _ => return Err(unknown),
    })
}

/// A table all of whose entries have one sequence number.
fn ingested(bytes: &mut Decoder<'_>) -> Result<Arc<TableMeta>, Malformed> {
    let wrong = bytes.malformed("an ingested table whose entries have its sequence number");
    let seq = seq_num(bytes)?;
    let meta = TableMeta::decode(bytes)?;
    let seqs = [meta.min_seq, meta.max_seq, meta.smallest.1.seq(), meta.largest.1.seq()];
    if seq == 0 || seqs.iter().any(|has| *has != seq) {
        return Err(wrong);
    }
    Ok(Arc::new(TableMeta { ingested_seq: seq, ..meta }))
}

/// A range that holds keys, with bounds that are keys.
fn range(bytes: &mut Decoder<'_>) -> Result<Arc<Range>, Malformed> {
    let wrong = bytes.malformed("a range of a known kind that ends behind its start");
    let kind = bytes.byte("the kind of a range")?;
    let (seq, written_ms) = (seq_num(bytes)?, bytes.varint("the time of a range")?);
    let (from, to) = (bytes.bytes("the start of a range")?, bytes.bytes("the end of a range")?);
    let sound = from.len().max(to.len()) <= MAX_KEY_BYTES && (to.is_empty() || from < to);
    let kind = RangeKind::from_byte(kind).filter(|_| sound).ok_or(wrong)?;
    Ok(Arc::new(Range::new(kind, seq, from, to, written_ms)))
}

/// A number of a file. What is beyond any that a store comes to would make the next one overflow.
pub(super) fn file_number(bytes: &mut Decoder<'_>) -> Result<FileNumber, Malformed> {
    at_most(bytes, MAX_FILE_NUMBER, "a file number")
}

/// A sequence number of 56 bits.
pub(super) fn seq_num(bytes: &mut Decoder<'_>) -> Result<SeqNum, Malformed> {
    at_most(bytes, MAX_SEQ, "a sequence number of 56 bits")
}

fn at_most(bytes: &mut Decoder<'_>, most: u64, expected: &'static str) -> Result<u64, Malformed> {
    let wrong = bytes.malformed(expected);
    let number = bytes.varint(expected)?;
    if number <= most { Ok(number) } else { Err(wrong) }
}

fn level(bytes: &mut Decoder<'_>) -> Result<usize, Malformed> {
    let wrong = bytes.malformed("a level");
    let level = bytes.varint32("a level")? as usize;
    if level < LEVELS { Ok(level) } else { Err(wrong) }
}

fn text(bytes: &mut Decoder<'_>, expected: &'static str) -> Result<String, Malformed> {
    let wrong = bytes.malformed(expected);
    let raw = bytes.bytes(expected)?;
    if raw.len() > MAX_FAMILY_NAME_BYTES {
        return Err(wrong);
    }
    String::from_utf8(raw.to_vec()).map_err(|_| wrong)
}
