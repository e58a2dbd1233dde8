//! What writer and reader agree on: the footer, handles, block trailers, limits.

use crate::base::checksum::{self, Identity};
use crate::base::coding::{Decoder, Malformed};
use crate::base::error::{Corruption, Error, Result};
use crate::base::limits;
use crate::compress::{self, Codec, Dictionary};
use crate::fs::OpenFile;
use std::path::Path;

/// The format version that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The last eight bytes of every table: `ESKERSST`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ESKERSST");

/// The size of the footer, at the end of the file.
pub const FOOTER_BYTES: usize = 64;

/// What follows the payload of every block: codec `u8`, checksum `u32`.
pub const TRAILER_BYTES: usize = 5;

/// Footer flag: the index handle is that of a top index over index partitions, and the filter
/// handle that of an array of handles of filters, one for each partition.
pub(super) const FLAG_PARTITIONED: u32 = 1;

/// The largest `block_bytes` option.
pub(super) const MAX_BLOCK_OPTION_BYTES: usize = 16 << 20;

/// The largest raw data block: one entry of the largest size, or what the option allows.
pub(super) const MAX_DATA_BYTES: usize =
    limits::MAX_VALUE_BYTES + limits::MAX_KEY_BYTES + MAX_BLOCK_OPTION_BYTES;

/// The largest index partition, top index, filter or array of filter handles.
pub(super) const MAX_META_BYTES: usize = 1 << 30;

/// The largest properties block: two keys of the largest size and a few dozen numbers.
pub(super) const MAX_PROPERTIES_BYTES: usize = 1 << 20;

// Sizes and offsets within a block have 32 bits on disk.
const _: () = assert!(MAX_DATA_BYTES < u32::MAX as usize);
const _: () = assert!(MAX_META_BYTES < u32::MAX as usize);
const _: () = assert!(2 * limits::MAX_KEY_BYTES + (64 << 10) < MAX_PROPERTIES_BYTES);

/// Where a block stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The offset of its payload.
    pub offset: u64,
    /// The stored size of its payload in bytes, without the trailer.
    pub size: u32,
}

impl Handle {
    /// Bytes of an encoded handle: offset `u64`, size `u32`.
    pub(super) const BYTES: usize = 12;

    /// The handle that points nowhere: of a filter that does not exist. No block is empty.
    pub const NONE: Handle = Handle { offset: 0, size: 0 };

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
    }

    #[inline]
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Handle {
        let [a, b, c, d, e, f, g, h, size @ ..] = *bytes;
        Handle { offset: u64::from_le_bytes([a, b, c, d, e, f, g, h]), size: u32::from_le_bytes(size) }
    }

    /// Payload and trailer.
    #[must_use]
    pub fn stored_bytes(self) -> u64 {
        u64::from(self.size) + TRAILER_BYTES as u64
    }

    /// Whether the block is not empty and lies within the first `end` bytes.
    pub(super) fn within(self, end: u64) -> bool {
        self.size > 0 && self.offset.checked_add(self.stored_bytes()).is_some_and(|behind| behind <= end)
    }
}

/// The end of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The properties block.
    pub properties: Handle,
    /// The index, or the top index if the table is partitioned.
    pub index: Handle,
    /// The filter, or the array of filter handles if the table is partitioned; [`Handle::NONE`] if
    /// there are no filters.
    pub filter: Handle,
    /// Whether index and filter are partitioned.
    pub partitioned: bool,
    /// The random number that the table's checksums are bound to.
    pub identity: Identity,
}

impl Footer {
    /// Appends the footer, which stands at `offset` of the file.
    pub(super) fn encode(&self, offset: u64, out: &mut Vec<u8>) {
        let start = out.len();
        self.properties.encode(out);
        self.index.encode(out);
        self.filter.encode(out);
        let flags = if self.partitioned { FLAG_PARTITIONED } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.identity.to_le_bytes());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let checksum = checksum::bound(&out[start..], self.identity, offset);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        debug_assert_eq!(out.len() - start, FOOTER_BYTES);
    }

    /// Reads and checks the footer of a file of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Corruption`] if this is not a table or its footer is damaged;
    /// [`Error::UnsupportedVersion`] if a newer version wrote it; what reading the file gives.
    pub fn read(file: &OpenFile, size: u64) -> Result<Footer> {
        let path = file.path();
        let not_a_table = |found: String| -> Error {
            Corruption::new(path, size, "a table", format!("{found}: this is not a table")).into()
        };
        let Some(offset) = size.checked_sub(FOOTER_BYTES as u64) else {
            return Err(not_a_table(format!("a file of {size} bytes")));
        };
        let mut bytes = [0; FOOTER_BYTES];
        if file.read_at(&mut bytes, offset)? != FOOTER_BYTES {
            return Err(not_a_table("a file that ends early".into()));
        }
        let mut decoder = Decoder::new(&bytes);
        let malformed = |m: Malformed| m.in_file(path, offset);
        let handle = |decoder: &mut Decoder<'_>| -> Result<Handle, Malformed> {
            Ok(Handle { offset: decoder.fixed64("an offset")?, size: decoder.fixed32("a size")? })
        };
        let properties = handle(&mut decoder).map_err(malformed)?;
        let index = handle(&mut decoder).map_err(malformed)?;
        let filter = handle(&mut decoder).map_err(malformed)?;
        let flags = decoder.fixed32("flags").map_err(malformed)?;
        let identity = decoder.fixed64("an identity").map_err(malformed)?;
        let version = decoder.fixed32("a format version").map_err(malformed)?;
        let checked = decoder.position();
        let stored = decoder.fixed32("a checksum").map_err(malformed)?;
        let magic = decoder.fixed64("the magic number").map_err(malformed)?;
        if magic != MAGIC {
            return Err(not_a_table(format!("{magic:#018x} in place of the magic number")));
        }
        // Before the checksum: a newer version may well compute it in another way.
        if version > FORMAT_VERSION {
            let (found, supported) = (u64::from(version), u64::from(FORMAT_VERSION));
            return Err(Error::UnsupportedVersion { file: path.to_owned(), found, supported });
        }
        let wrong = |expected: String, found: String| Corruption::new(path, offset, expected, found);
        let computed = checksum::bound(&bytes[..checked], identity, offset);
        if computed != stored {
            return Err(wrong(format!("footer checksum {computed:#010x}"), format!("{stored:#010x}")).into());
        }
        if version == 0 || flags & !FLAG_PARTITIONED != 0 {
            let found = format!("version {version}, flags {flags:#x}");
            return Err(wrong("a footer of version 1 with known flags".into(), found).into());
        }
        let there = |handle: Handle| handle.within(offset);
        if !there(properties) || !there(index) || !(filter == Handle::NONE || there(filter)) {
            return Err(wrong("handles within the file".into(), format!("{:?}", [index, filter])).into());
        }
        Ok(Footer { properties, index, filter, partitioned: flags & FLAG_PARTITIONED != 0, identity })
    }
}

/// Finishes the block whose payload is `out[start..]`: appends its trailer.
pub(super) fn seal(out: &mut Vec<u8>, start: usize, codec: Codec, identity: Identity, offset: u64) {
    out.push(codec as u8);
    let checksum = checksum::bound(&out[start..], identity, offset);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Reads a block, checks it and undoes its compression. The handle must lie within the file, which
/// bounds what is allocated before the checksum was seen; `limit` bounds the raw size. `dictionary` is that
/// of the table, if it has one that can be read.
pub(super) fn read_block(
    file: &OpenFile,
    identity: Identity,
    handle: Handle,
    limit: usize,
    dictionary: Option<&Dictionary>,
) -> Result<Vec<u8>> {
    let path = file.path();
    let wrong = |expected: String, found: String| -> Error {
        Corruption::new(path, handle.offset, expected, found).into()
    };
    let size = handle.size as usize;
    if size > limit {
        return Err(wrong(format!("a block of at most {limit} bytes"), format!("a handle of {size}")));
    }
    let mut bytes = vec![0; size + TRAILER_BYTES];
    let read = file.read_at(&mut bytes, handle.offset)?;
    if read != bytes.len() {
        return Err(wrong(format!("a block of {} bytes", bytes.len()), format!("{read} bytes")));
    }
    let Some((checked, stored)) = bytes.split_last_chunk::<4>() else {
        return Err(wrong("a block".into(), "nothing".into()));
    };
    let (computed, stored) = (checksum::bound(checked, identity, handle.offset), u32::from_le_bytes(*stored));
    if computed != stored {
        return Err(wrong(format!("block checksum {computed:#010x}"), format!("{stored:#010x}")));
    }
    let codec = checked.last().copied().unwrap_or_default();
    match Codec::from_byte(codec) {
        None => Err(wrong("a known codec".into(), format!("codec {codec}"))),
        Some(Codec::None) => {
            bytes.truncate(size);
            Ok(bytes)
        }
        Some(codec) => compress::decompress_with(codec, &bytes[..size], limit, dictionary)
            .map_err(|m| damaged(path, handle, m)),
    }
}

/// Damage inside the raw bytes of a block, which have no offset in the file of their own.
#[cold]
pub(super) fn damaged(path: &Path, handle: Handle, malformed: Malformed) -> Error {
    let found = format!("malformed bytes at {} of the raw block", malformed.at);
    Corruption::new(path, handle.offset, malformed.expected, found).into()
}
