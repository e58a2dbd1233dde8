//! What a table says about itself.
//!
//! Stored form: fields, each a varint tag and a length-prefixed byte string; a number is a varint
//! in those bytes. Unknown tags are skipped, so that later versions can add fields.

use super::format::Handle;
use crate::base::blob_ref::{BlobRef, BlobShare, count_share};
use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint, varint_len};
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, SeqNum, Trailer, compare};
use crate::compress::Codec;
use crate::filter::{FilterPolicy, PrefixExtractor};
use std::cmp::Ordering;

/// A user key with sequence number and kind, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalKey {
    /// The user key.
    pub user_key: Vec<u8>,
    /// Sequence number and tag.
    pub trailer: Trailer,
}

impl InternalKey {
    /// The order of internal keys.
    #[must_use]
    pub fn compare(&self, other: &InternalKey) -> Ordering {
        compare((&self.user_key, self.trailer), (&other.user_key, other.trailer))
    }
}

impl Default for InternalKey {
    fn default() -> Self {
        InternalKey { user_key: Vec::new(), trailer: Trailer::LAST }
    }
}

/// What a table says about itself. Sums are over all entries, versions of a key counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Entries.
    pub entries: u64,
    /// Entries that are deletions.
    pub deletions: u64,
    /// Entries that may expire; see [`EntryRef::may_expire_at`].
    pub entries_with_expiry: u64,
    /// Bytes of all user keys.
    pub raw_key_bytes: u64,
    /// Bytes of all values.
    pub raw_value_bytes: u64,
    /// Bytes of the data blocks as they are stored, trailers included.
    pub data_bytes: u64,
    /// Data blocks.
    pub data_blocks: u64,
    /// Bytes of index partitions and top index as they are stored, trailers included.
    pub index_bytes: u64,
    /// Bytes of filters and of the array of their handles, trailers included.
    pub filter_bytes: u64,
    /// The first entry's key; the empty key in an empty table.
    pub smallest: InternalKey,
    /// The last entry's key; the empty key in an empty table.
    pub largest: InternalKey,
    /// The least sequence number; [`MAX_SEQ`] in an empty table.
    pub min_seq: SeqNum,
    /// The greatest sequence number; 0 in an empty table.
    pub max_seq: SeqNum,
    /// The earliest expiry time; [`NEVER`] if no entry expires.
    pub earliest_expiry: u64,
    /// The latest expiry time; [`NEVER`] if any entry never expires or is an operand.
    pub latest_expiry: u64,
    /// When the oldest operand was written; [`NEVER`] if there is none, and only stored if there is.
    pub oldest_operand_ms: u64,
    /// The most deletions that follow one another; 0, and not stored, if they are few. Tables of the first
    /// versions do not say.
    pub longest_deletions: u64,
    /// The time of the oldest deletion; [`NEVER`] if there is none.
    pub oldest_deletion_ms: u64,
    /// When the table was written, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When the newest entry was flushed, if that is known and was before `created_ms`; otherwise 0, and not
    /// stored.
    pub newest_ms: u64,
    /// The id of the column family.
    pub family: u32,
    /// The codec that the table was written with; single blocks may be stored raw.
    pub codec: u8,
    /// The filter policy.
    pub filter_policy: u8,
    /// The history that the sequence numbers belong to.
    pub history: u64,
    /// The random number of the store that wrote it; 0 if it does not say.
    pub store: u64,
    /// Whether it was made outside of a store: its entries have no sequence numbers of their own (they are
    /// stored with 0), and it belongs to no family. Whoever takes it in remembers both.
    pub outside: bool,
    /// Whose prefixes its filter holds beside the keys, if any.
    pub prefix: Option<PrefixExtractor>,
    /// The blob files that its entries refer to, ascending, and only stored if there are any.
    pub blobs: Vec<BlobShare>,
    /// Where the dictionary of its data blocks stands, if it has one, and only stored if it has.
    pub dictionary: Option<Handle>,
}

impl Default for Properties {
    fn default() -> Self {
        Properties {
            entries: 0,
            deletions: 0,
            entries_with_expiry: 0,
            raw_key_bytes: 0,
            raw_value_bytes: 0,
            data_bytes: 0,
            data_blocks: 0,
            index_bytes: 0,
            filter_bytes: 0,
            smallest: InternalKey::default(),
            largest: InternalKey::default(),
            min_seq: MAX_SEQ,
            max_seq: 0,
            earliest_expiry: NEVER,
            latest_expiry: 0,
            oldest_operand_ms: NEVER,
            longest_deletions: 0,
            oldest_deletion_ms: NEVER,
            created_ms: 0,
            newest_ms: 0,
            family: 0,
            codec: Codec::None as u8,
            filter_policy: FilterPolicy::None as u8,
            history: 0,
            store: 0,
            outside: false,
            prefix: None,
            blobs: Vec::new(),
            dictionary: None,
        }
    }
}

const SMALLEST: u64 = 10;
const LARGEST: u64 = 12;
const STORE: u64 = 24;
const OLDEST_OPERAND: u64 = 25;
const LONGEST_DELETIONS: u64 = 26;
const OUTSIDE: u64 = 27;
const PREFIX: u64 = 28;
const NEWEST: u64 = 29;
const BLOBS: u64 = 30;
const DICTIONARY: u64 = 31;

/// Fewer deletions in a row are nothing to a reader who steps over them.
const LEAST_RUN: u64 = 64;

/// Counts deletions that follow one another.
#[derive(Debug, Default)]
pub(super) struct Runs {
    now: u64,
    longest: u64,
}

impl Runs {
    /// Counts an entry.
    #[inline]
    pub(super) fn count(&mut self, entry: &EntryRef<'_>) {
        self.now = if entry.kind == Kind::Delete { self.now + 1 } else { 0 };
        self.longest = self.longest.max(self.now);
    }

    /// The most in a row, if they are worth mentioning; otherwise 0.
    pub(super) fn longest(&self) -> u64 {
        if self.longest < LEAST_RUN { 0 } else { self.longest }
    }
}

impl Properties {
    /// Counts an entry; smallest and largest key are left to the caller.
    #[inline]
    pub(super) fn count(&mut self, entry: &EntryRef<'_>) {
        self.entries += 1;
        self.deletions += u64::from(entry.kind == Kind::Delete);
        let expires_at = entry.may_expire_at();
        self.entries_with_expiry += u64::from(expires_at != NEVER);
        self.raw_key_bytes += entry.key.len() as u64;
        self.raw_value_bytes += entry.value.len() as u64;
        self.min_seq = self.min_seq.min(entry.seq);
        self.max_seq = self.max_seq.max(entry.seq);
        self.earliest_expiry = self.earliest_expiry.min(expires_at);
        if entry.kind == Kind::Merge {
            self.oldest_operand_ms = self.oldest_operand_ms.min(entry.expires_at);
        }
        if entry.kind == Kind::BlobRef
            && let Ok(reference) = BlobRef::decode(entry.value)
        {
            count_share(&mut self.blobs, &reference);
        }
        // What an operand comes to may live for ever.
        self.latest_expiry = self.latest_expiry.max(entry.expiry());
    }

    /// As they are once a table that was made outside has been given the number `base`.
    pub(super) fn raise(&mut self, base: SeqNum) {
        if base != 0 {
            (self.min_seq, self.max_seq) = (self.min_seq | base, self.max_seq | base);
            self.smallest.trailer = self.smallest.trailer.raised(base);
            self.largest.trailer = self.largest.trailer.raised(base);
        }
    }

    /// No entry was written later than this, in milliseconds since the epoch.
    #[must_use]
    pub fn written_ms(&self) -> u64 {
        if self.newest_ms > 0 { self.newest_ms } else { self.created_ms }
    }

    /// The numbers with their tags, in the order in which they are stored. Tags 10 and 12 are the
    /// smallest and the largest user key.
    fn numbers(&mut self) -> [(u64, &mut u64); 18] {
        [
            (1, &mut self.entries),
            (2, &mut self.deletions),
            (3, &mut self.entries_with_expiry),
            (4, &mut self.raw_key_bytes),
            (5, &mut self.raw_value_bytes),
            (6, &mut self.data_bytes),
            (7, &mut self.data_blocks),
            (8, &mut self.index_bytes),
            (9, &mut self.filter_bytes),
            (11, &mut self.smallest.trailer.0),
            (13, &mut self.largest.trailer.0),
            (14, &mut self.min_seq),
            (15, &mut self.max_seq),
            (16, &mut self.earliest_expiry),
            (17, &mut self.latest_expiry),
            (18, &mut self.oldest_deletion_ms),
            (19, &mut self.created_ms),
            (20, &mut self.history),
        ]
    }

    /// Appends the stored form.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut copy = self.clone();
        let small =
            [(21, u64::from(self.family)), (22, u64::from(self.codec)), (23, u64::from(self.filter_policy))];
        let numbers = copy.numbers().map(|(tag, value)| (tag, *value));
        let operand = (self.oldest_operand_ms != NEVER).then_some((OLDEST_OPERAND, self.oldest_operand_ms));
        let run = (self.longest_deletions > 0).then_some((LONGEST_DELETIONS, self.longest_deletions));
        let outside = self.outside.then_some((OUTSIDE, 1));
        let newest = (self.newest_ms > 0).then_some((NEWEST, self.newest_ms));
        let rare = [operand, run, outside, newest].into_iter().flatten();
        for (tag, value) in numbers.into_iter().chain(small).chain(rare) {
            put_varint(out, tag);
            put_varint(out, varint_len(value) as u64);
            put_varint(out, value);
        }
        if self.store != 0 {
            put_varint(out, STORE);
            put_bytes(out, &self.store.to_le_bytes());
        }
        if let Some(prefix) = self.prefix {
            let mut stored = Vec::new();
            prefix.encode(&mut stored);
            put_varint(out, PREFIX);
            put_bytes(out, &stored);
        }
        if !self.blobs.is_empty() {
            let mut stored = Vec::new();
            for BlobShare { file, entries, bytes } in &self.blobs {
                [file, entries, bytes].into_iter().for_each(|number| put_varint(&mut stored, *number));
            }
            put_varint(out, BLOBS);
            put_bytes(out, &stored);
        }
        if let Some(dictionary) = self.dictionary {
            let mut stored = Vec::new();
            dictionary.encode(&mut stored);
            put_varint(out, DICTIONARY);
            put_bytes(out, &stored);
        }
        for (tag, key) in [(SMALLEST, &self.smallest.user_key), (LARGEST, &self.largest.user_key)] {
            put_varint(out, tag);
            put_bytes(out, key);
        }
    }

    /// Decodes the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Properties, Malformed> {
        let mut properties = Properties::default();
        let mut decoder = Decoder::new(bytes);
        while !decoder.is_empty() {
            let at = decoder.position();
            let tag = decoder.varint("the tag of a property")?;
            let field = decoder.bytes("a property")?;
            let number = |expected| match Decoder::new(field).varint(expected) {
                Ok(number) => Ok(number),
                Err(_) => Err(Malformed { at, expected }),
            };
            let too_large = |expected| move |_| Malformed { at, expected };
            match tag {
                SMALLEST => properties.smallest.user_key = field.to_vec(),
                LARGEST => properties.largest.user_key = field.to_vec(),
                OLDEST_OPERAND => properties.oldest_operand_ms = number("a time")?,
                LONGEST_DELETIONS => properties.longest_deletions = number("a number of deletions")?,
                // One that a later version knows is none that this one could ask for.
                PREFIX => properties.prefix = PrefixExtractor::decode(field).ok(),
                NEWEST => properties.newest_ms = number("a time")?,
                BLOBS => {
                    let expected = "blob files, ascending, with what is referred to of each";
                    properties.blobs = shares(field).ok_or(Malformed { at, expected })?;
                }
                DICTIONARY => {
                    let expected = "the handle of a dictionary";
                    let handle = field.try_into().map_err(|_| Malformed { at, expected })?;
                    properties.dictionary = Some(Handle::decode(handle));
                }
                OUTSIDE => properties.outside = number("whether it was made outside")? != 0,
                STORE => {
                    let expected = "a store's number";
                    let number = <[u8; 8]>::try_from(field).map_err(|_| Malformed { at, expected })?;
                    properties.store = u64::from_le_bytes(number);
                }
                21 => {
                    let expected = "the id of a column family";
                    properties.family = number(expected)?.try_into().map_err(too_large(expected))?;
                }
                22 => {
                    let expected = "a codec";
                    properties.codec = number(expected)?.try_into().map_err(too_large(expected))?;
                }
                23 => {
                    let expected = "a filter policy";
                    properties.filter_policy = number(expected)?.try_into().map_err(too_large(expected))?;
                }
                _ => {
                    if let Some((_, slot)) = properties.numbers().into_iter().find(|(t, _)| *t == tag) {
                        *slot = number("a number")?;
                    }
                }
            }
        }
        Ok(properties)
    }
}

/// What is referred to of each blob file; `None` if they do not ascend, or are none.
fn shares(field: &[u8]) -> Option<Vec<BlobShare>> {
    let mut decoder = Decoder::new(field);
    let mut shares: Vec<BlobShare> = Vec::new();
    while !decoder.is_empty() {
        let mut number = || decoder.varint("a number of a share").ok();
        let share = BlobShare { file: number()?, entries: number()?, bytes: number()? };
        if shares.last().is_some_and(|last| last.file >= share.file) {
            return None;
        }
        shares.push(share);
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_round_trip_and_unknown_fields_are_skipped() {
        let mut properties = Properties {
            smallest: InternalKey { user_key: b"a".to_vec(), trailer: Trailer(7) },
            largest: InternalKey { user_key: vec![b'z'; 300], trailer: Trailer(u64::MAX) },
            family: u32::MAX,
            store: 0xe5,
            codec: 1,
            filter_policy: 1,
            oldest_operand_ms: 77,
            longest_deletions: 640,
            outside: true,
            newest_ms: 70,
            prefix: Some(PrefixExtractor::Delimited { delimiter: b':', nth: 2 }),
            blobs: vec![
                BlobShare { file: 3, entries: 2, bytes: 9000 },
                BlobShare { file: 900, entries: 1, bytes: 1 },
            ],
            dictionary: Some(Handle { offset: 1 << 40, size: 4096 }),
            ..Properties::default()
        };
        for (i, (_, value)) in properties.numbers().into_iter().enumerate() {
            *value = u64::MAX >> i;
        }
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 9999);
        put_bytes(&mut bytes, b"from the future");
        properties.encode(&mut bytes);
        assert_eq!(Properties::decode(&bytes).unwrap(), properties);
        for cut in 1..bytes.len() {
            let _ = Properties::decode(&bytes[..cut]);
        }
        assert!(Properties::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
