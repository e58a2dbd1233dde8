//! What writer and reader agree on: header, records, footer. The grammar stands in `docs/format/blob.md`.

use crate::base::blob_ref::MAX_RECORD_OVERHEAD;
use crate::base::checksum::{self, Identity};
use crate::base::coding::{Decoder, Malformed};
use crate::base::error::{Corruption, Error, Result};
use crate::base::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::compress::{Codec, decompress};
use crate::fs::OpenFile;
use std::path::Path;

/// The format version that this build writes, and the newest that it reads.
pub const BLOB_FORMAT_VERSION: u32 = 1;

/// The first and the last eight bytes of every blob file: `ESKERBLB`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ESKERBLB");

/// The size of the header.
pub const HEADER_BYTES: usize = 48;

/// The size of the footer.
pub const FOOTER_BYTES: usize = 48;

/// The most bytes in front of the key of a record: three varints.
pub(super) const MAX_LENGTHS_BYTES: usize = 30;

/// What a blob file says of itself at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// The random number that its checksums are bound to.
    pub identity: Identity,
    /// The id of the column family.
    pub family: u32,
    /// The random number of the store that wrote it.
    pub store: u64,
    /// When it was begun, in milliseconds since the epoch.
    pub created_ms: u64,
}

impl BlobHead {
    /// Appends the header.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&BLOB_FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.family.to_le_bytes());
        out.extend_from_slice(&self.identity.to_le_bytes());
        out.extend_from_slice(&self.store.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        let checksum = checksum::bound(&out[start..], self.identity, 0);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        debug_assert_eq!(out.len() - start, HEADER_BYTES);
    }

    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`Error::Corruption`] if this is no blob file or its header is damaged;
    /// [`Error::UnsupportedVersion`] if a newer version wrote it; what reading the file gives.
    pub fn read(file: &OpenFile) -> Result<BlobHead> {
        let path = file.path();
        let wrong = |found: String| -> Error { Corruption::new(path, 0, "a blob file", found).into() };
        let mut bytes = [0; HEADER_BYTES];
        let read = file.read_at(&mut bytes, 0)?;
        if read < HEADER_BYTES {
            return Err(wrong(format!("a file of {read} bytes")));
        }
        let in_file = |malformed: Malformed| malformed.in_file(path, 0);
        let mut decoder = Decoder::new(&bytes);
        if decoder.fixed64("the magic number").map_err(in_file)? != MAGIC {
            return Err(wrong("other bytes at its beginning".into()));
        }
        check_version(path, decoder.fixed32("a format version").map_err(in_file)?)?;
        let family = decoder.fixed32("the id of a column family").map_err(in_file)?;
        let identity = decoder.fixed64("an identity").map_err(in_file)?;
        let store = decoder.fixed64("a store's number").map_err(in_file)?;
        let created_ms = decoder.fixed64("a time").map_err(in_file)?;
        let checked = decoder.position();
        let stored = decoder.fixed32("a checksum").map_err(in_file)?;
        check_sum(path, 0, &bytes[..checked], stored, (identity, 0))?;
        if bytes[HEADER_BYTES - 4..] != [0; 4] {
            return Err(wrong("bytes other than zero at the end of its header".into()));
        }
        Ok(BlobHead { identity, family, store, created_ms })
    }
}

fn check_version(path: &Path, found: u32) -> Result<()> {
    if found == BLOB_FORMAT_VERSION {
        return Ok(());
    }
    let (found, supported) = (u64::from(found), u64::from(BLOB_FORMAT_VERSION));
    Err(Error::UnsupportedVersion { file: path.into(), found, supported })
}

fn check_sum(path: &Path, offset: u64, bytes: &[u8], stored: u32, at: (Identity, u64)) -> Result<()> {
    let counted = checksum::bound(bytes, at.0, at.1);
    if counted == stored {
        return Ok(());
    }
    let expected = format!("checksum {counted:#010x}");
    Err(Corruption::new(path, offset, expected, format!("{stored:#010x}")).into())
}

/// What a blob file says of itself at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobTotals {
    /// Records.
    pub entries: u64,
    /// The bytes of all records.
    pub record_bytes: u64,
    /// The bytes of all values, uncompressed.
    pub raw_bytes: u64,
}

impl BlobTotals {
    /// Appends the footer, which stands at `offset`.
    pub(super) fn encode(&self, identity: Identity, offset: u64, out: &mut Vec<u8>) {
        let start = out.len();
        for number in [self.entries, self.record_bytes, self.raw_bytes, identity] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&BLOB_FORMAT_VERSION.to_le_bytes());
        let checksum = checksum::bound(&out[start..], identity, offset);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        debug_assert_eq!(out.len() - start, FOOTER_BYTES);
    }

    /// Reads and checks the footer of a file of `size` bytes with this identity.
    ///
    /// # Errors
    /// As [`BlobHead::read`].
    pub fn read(file: &OpenFile, size: u64, identity: Identity) -> Result<BlobTotals> {
        let path = file.path();
        let wrong =
            |found: &str| -> Error { Corruption::new(path, size, "the end of a blob file", found).into() };
        let ends = size.checked_sub((HEADER_BYTES + FOOTER_BYTES) as u64);
        let Some(record_bytes) = ends else { return Err(wrong("a file without room for it")) };
        let offset = size - FOOTER_BYTES as u64;
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, offset)?;
        let in_file = |malformed: Malformed| malformed.in_file(path, offset);
        let mut decoder = Decoder::new(&bytes);
        let mut number = |expected| decoder.fixed64(expected).map_err(in_file);
        let totals = BlobTotals {
            entries: number("a number of records")?,
            record_bytes: number("the bytes of records")?,
            raw_bytes: number("the bytes of values")?,
        };
        let own = number("an identity")?;
        let version = decoder.fixed32("a format version").map_err(in_file)?;
        let checked = decoder.position();
        let stored = decoder.fixed32("a checksum").map_err(in_file)?;
        if decoder.fixed64("the magic number").map_err(in_file)? != MAGIC {
            return Err(wrong("other bytes"));
        }
        check_version(path, version)?;
        check_sum(path, offset, &bytes[..checked], stored, (identity, offset))?;
        if own != identity || totals.record_bytes != record_bytes {
            return Err(wrong("a footer that does not fit the header and the size"));
        }
        Ok(totals)
    }
}

/// The lengths at the beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) key: usize,
    pub(super) raw: usize,
    pub(super) payload: usize,
    /// The bytes of the lengths themselves.
    pub(super) own: usize,
}

impl Lengths {
    /// Decodes them from the beginning of a record.
    pub(super) fn decode(bytes: &[u8]) -> Result<Lengths, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let mut length = |most: usize, expected| {
            let number = decoder.varint(expected)?;
            let fits = usize::try_from(number).ok().filter(|number| *number <= most);
            fits.ok_or(Malformed { at: 0, expected })
        };
        let key = length(MAX_KEY_BYTES, "the length of a key")?;
        let raw = length(MAX_VALUE_BYTES, "the length of a value")?;
        // What compressing has made larger is stored as it is.
        let payload = length(MAX_VALUE_BYTES + MAX_RECORD_OVERHEAD / 4, "the stored length of a value")?;
        Ok(Lengths { key, raw, payload, own: decoder.position() })
    }

    /// The bytes of the whole record.
    pub(super) fn record(&self) -> usize {
        self.own + self.key + 1 + self.payload + 4
    }
}

/// A record that was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) codec: Codec,
    pub(super) payload: &'a [u8],
    pub(super) raw: usize,
}

impl<'a> Record<'a> {
    /// Checks the record that `bytes` are, which stands at `offset` of the file.
    ///
    /// # Errors
    /// [`Error::Corruption`].
    pub(super) fn check(path: &Path, identity: Identity, offset: u64, bytes: &'a [u8]) -> Result<Record<'a>> {
        let wrong =
            |found: &str| -> Error { Corruption::new(path, offset, "a record of a value", found).into() };
        let lengths = Lengths::decode(bytes).map_err(|malformed| malformed.in_file(path, offset))?;
        if lengths.record() != bytes.len() {
            return Err(wrong("lengths that are not those of the record"));
        }
        let (checked, stored) = bytes.split_at(bytes.len() - 4);
        let stored = u32::from_le_bytes(stored.try_into().unwrap_or_default());
        check_sum(path, offset, checked, stored, (identity, offset))?;
        let (key, rest) = checked[lengths.own..].split_at(lengths.key);
        let Some((codec, payload)) = rest.split_first() else { return Err(wrong("no value")) };
        let codec =
            Codec::from_byte(*codec).ok_or_else(|| wrong("a codec that this version does not know"))?;
        Ok(Record { key, codec, payload, raw: lengths.raw })
    }

    /// The value.
    pub(super) fn value(&self, path: &Path, offset: u64) -> Result<Vec<u8>> {
        let raw = decompress(self.codec, self.payload, self.raw).map_err(|m| m.in_file(path, offset))?;
        if raw.len() == self.raw {
            return Ok(raw);
        }
        let expected = format!("a value of {} bytes", self.raw);
        Err(Corruption::new(path, offset, expected, format!("{}", raw.len())).into())
    }
}
