//! What the manifest knows of a table.

use super::edit::{file_number, seq_num};
use crate::base::blob_ref::BlobShare;
use crate::base::checksum::Identity;
use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint};
use crate::base::filename::FileNumber;
use crate::base::key::{SeqNum, Trailer};
use crate::base::limits::MAX_KEY_BYTES;
use crate::hooks::TableInfo;
use crate::ranges::Range;
use crate::table::TableSummary;

/// A table as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMeta {
    /// The number in its name.
    pub number: FileNumber,
    /// The random number in its footer.
    pub identity: Identity,
    /// Its size in bytes.
    pub size: u64,
    /// Its first internal key.
    pub smallest: (Vec<u8>, Trailer),
    /// Its last internal key.
    pub largest: (Vec<u8>, Trailer),
    /// The least sequence number in it.
    pub min_seq: SeqNum,
    /// The greatest sequence number in it.
    pub max_seq: SeqNum,
    /// How many entries it holds.
    pub entries: u64,
    /// How many of them are deletions.
    pub deletions: u64,
    /// When the first entry expires, in ms since the epoch; [`crate::base::key::NEVER`] if none does.
    pub earliest_expiry: u64,
    /// When the last entry expires; [`crate::base::key::NEVER`] if some entry never does.
    pub latest_expiry: u64,
    /// When the oldest deletion was written, in ms since the epoch; [`crate::base::key::NEVER`]
    /// without deletions.
    pub oldest_deletion_ms: u64,
    /// Every deleted or dropped range up to here has been applied: nothing that one of them concerns is in
    /// the table, whatever snapshots there were.
    pub cleaned_seq: SeqNum,
    /// The sequence number that all entries were given when the table was ingested, as they have none of
    /// their own; 0 of a table that a store has written.
    pub ingested_seq: SeqNum,
    /// The blob files that its entries refer to, ascending.
    pub blobs: Vec<BlobShare>,
}

impl TableMeta {
    /// As those who listen are told of it, in a level.
    #[must_use]
    pub fn shown(&self, level: usize) -> TableInfo {
        TableInfo::new(self.number, level, self.size, self.entries)
    }

    /// Of a table that was just written, clean of ranges up to `cleaned_seq`.
    #[must_use]
    pub fn of(number: FileNumber, written: TableSummary, cleaned_seq: SeqNum) -> TableMeta {
        let properties = written.properties;
        TableMeta {
            number,
            identity: written.identity,
            size: written.size_bytes,
            smallest: (properties.smallest.user_key, properties.smallest.trailer),
            largest: (properties.largest.user_key, properties.largest.trailer),
            min_seq: properties.min_seq,
            max_seq: properties.max_seq,
            entries: properties.entries,
            deletions: properties.deletions,
            earliest_expiry: properties.earliest_expiry,
            latest_expiry: properties.latest_expiry,
            oldest_deletion_ms: properties.oldest_deletion_ms,
            cleaned_seq,
            ingested_seq: 0,
            blobs: properties.blobs,
        }
    }

    /// Its size in bytes, with that of the values that it refers to.
    #[must_use]
    pub fn whole_bytes(&self) -> u64 {
        let add = |sum: u64, share: &BlobShare| sum.saturating_add(share.bytes);
        self.blobs.iter().fold(self.size, add)
    }

    /// Whether it may hold anything that a range concerns.
    #[must_use]
    pub fn is_touched_by(&self, range: &Range) -> bool {
        self.cleaned_seq < range.seq
            && self.min_seq < range.seq
            && range.overlaps(&self.smallest.0, &self.largest.0)
    }

    /// Whether the table may hold a key of `[from, to]`; `None` is unbounded.
    #[must_use]
    pub fn overlaps(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> bool {
        from.is_none_or(|from| self.largest.0.as_slice() >= from)
            && to.is_none_or(|to| self.smallest.0.as_slice() <= to)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.extend_from_slice(&self.identity.to_le_bytes());
        put_varint(out, self.size);
        for (key, trailer) in [&self.smallest, &self.largest] {
            put_bytes(out, key);
            out.extend_from_slice(&trailer.0.to_le_bytes());
        }
        for number in [
            self.min_seq,
            self.max_seq,
            self.entries,
            self.deletions,
            self.earliest_expiry,
            self.latest_expiry,
            self.oldest_deletion_ms,
            self.cleaned_seq,
        ] {
            put_varint(out, number);
        }
    }

    /// What stands behind the table of one that refers to blob files.
    pub(super) fn encode_blobs(&self, out: &mut Vec<u8>) {
        put_varint(out, self.blobs.len() as u64);
        for BlobShare { file, entries, bytes } in &self.blobs {
            [file, entries, bytes].into_iter().for_each(|number| put_varint(out, *number));
        }
    }

    /// Takes in what stands there.
    pub(super) fn decode_blobs(mut self, bytes: &mut Decoder<'_>) -> Result<TableMeta, Malformed> {
        let wrong = bytes.malformed("blob files, ascending");
        let count = bytes.varint("a number of blob files")?;
        for _ in 0..count {
            let file = file_number(bytes)?;
            let entries = bytes.varint("a number of references")?;
            let share = BlobShare { file, entries, bytes: bytes.varint("the bytes of references")? };
            if self.blobs.last().is_some_and(|last| last.file >= file) {
                return Err(wrong);
            }
            self.blobs.push(share);
        }
        if self.blobs.is_empty() { Err(wrong) } else { Ok(self) }
    }

    pub(super) fn decode(bytes: &mut Decoder<'_>) -> Result<TableMeta, Malformed> {
        let number = file_number(bytes)?;
        let identity = bytes.fixed64("a table's identity")?;
        let size = bytes.varint("a table's size")?;
        let mut key = |expected| {
            let wrong = bytes.malformed(expected);
            let key = bytes.bytes(expected)?;
            if key.len() > MAX_KEY_BYTES {
                return Err(wrong);
            }
            Ok((key.to_vec(), Trailer(bytes.fixed64(expected)?)))
        };
        Ok(TableMeta {
            number,
            identity,
            size,
            smallest: key("a table's smallest key")?,
            largest: key("a table's largest key")?,
            min_seq: seq_num(bytes)?,
            max_seq: seq_num(bytes)?,
            entries: bytes.varint("a table's number of entries")?,
            deletions: bytes.varint("a table's number of deletions")?,
            earliest_expiry: bytes.varint("a table's earliest expiry")?,
            latest_expiry: bytes.varint("a table's latest expiry")?,
            oldest_deletion_ms: bytes.varint("the time of a table's oldest deletion")?,
            cleaned_seq: seq_num(bytes)?,
            ingested_seq: 0,
            blobs: Vec::new(),
        })
    }
}
