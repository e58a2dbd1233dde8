//! Making the checksums of a table fit whatever stands in it.

use esker::base::checksum::{Identity, bound};
use esker::base::coding::Decoder;
use esker::compress::{Codec, Dictionary, decompress_with};
use esker::table::{FOOTER_BYTES, Handle, Index, TRAILER_BYTES};

/// A table whose blocks would come to more than this, uncompressed, is left as it is: it would only cost
/// time.
const MOST_BYTES: usize = 1 << 20;

/// The property that says where the dictionary stands.
const DICTIONARY: u64 = 31;

/// Where in the footer its parts stand.
const PROPERTIES: usize = 0;
const INDEX: usize = 12;
const FILTER: usize = 24;
const FLAGS: usize = 36;
const IDENTITY: usize = 40;
const CHECKSUM: usize = 52;

/// Mends footer, properties, index, filters and every data block that the index names.
pub(super) fn table(bytes: &mut [u8]) {
    let Some(at) = bytes.len().checked_sub(FOOTER_BYTES) else { return };
    let footer = bytes[at..].to_vec();
    let identity = u64_at(&footer, IDENTITY);
    let checksum = bound(&footer[..CHECKSUM], identity, at as u64);
    bytes[at + CHECKSUM..at + CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    let mut mender = Mender { bytes: &mut bytes[..at], identity, left: MOST_BYTES, dictionary: None };
    let partitioned = footer[FLAGS] & 1 != 0;
    // Outwards in, so that where blocks overlap what leads to the others is sound.
    let (properties, filter) = (handle_at(&footer, PROPERTIES), handle_at(&footer, FILTER));
    mender.dictionary(properties);
    mender.index(handle_at(&footer, INDEX), partitioned);
    let filters = mender.payload(filter);
    if let (Some(filters), true) = (filters, partitioned) {
        for i in 0..filters.len() / 12 {
            mender.payload(handle_at(&filters, i * 12));
        }
    }
    mender.payload(properties);
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn handle_at(bytes: &[u8], at: usize) -> Handle {
    let size = u32::from_le_bytes(std::array::from_fn(|i| bytes[at + 8 + i]));
    Handle { offset: u64_at(bytes, at), size }
}

struct Mender<'a> {
    bytes: &'a mut [u8],
    identity: Identity,
    left: usize,
    dictionary: Option<Dictionary>,
}

/// The handle of the dictionary that properties name.
fn dictionary_of(properties: &[u8]) -> Option<Handle> {
    let mut fields = Decoder::new(properties);
    while !fields.is_empty() {
        let tag = fields.varint("a tag").ok()?;
        let field = fields.bytes("a property").ok()?;
        if tag == DICTIONARY && field.len() == 12 {
            return Some(handle_at(field, 0));
        }
    }
    None
}

impl Mender<'_> {
    /// Mends the dictionary, without which nothing can be had of the blocks that need it.
    fn dictionary(&mut self, properties: Handle) {
        let Some(handle) = self.payload(properties).and_then(|found| dictionary_of(&found)) else { return };
        self.dictionary = self.payload(handle).and_then(|bytes| Dictionary::new(&bytes, None).ok());
    }

    /// Mends an index and what it names: data blocks, or other indexes.
    fn index(&mut self, handle: Handle, top: bool) {
        let Some(payload) = self.payload(handle) else { return };
        let Ok(index) = Index::new(payload.into(), handle.offset, None) else { return };
        for block in (0..index.len()).filter_map(|i| index.handle(i)) {
            if top {
                self.index(block, false);
            } else {
                self.payload(block);
            }
        }
    }

    /// Mends a block; gives its payload, uncompressed, if it can be had.
    fn payload(&mut self, handle: Handle) -> Option<Vec<u8>> {
        let (offset, size) = (usize::try_from(handle.offset).ok()?, handle.size as usize);
        let block = self.bytes.get_mut(offset..)?.get_mut(..size.checked_add(TRAILER_BYTES)?)?;
        let (stored, codec) = (&block[..size], Codec::from_byte(block[size]));
        let raw_bytes = match codec {
            Some(Codec::Zstd | Codec::ZstdDictionary) => Decoder::new(stored).varint("a length").unwrap_or(0),
            _ => size as u64,
        };
        self.left = self.left.checked_sub(usize::try_from(raw_bytes).ok()?)?;
        let (codec, dictionary) = (codec.unwrap_or(Codec::None), self.dictionary.as_ref());
        let raw = decompress_with(codec, stored, MOST_BYTES, dictionary).ok();
        let checksum = bound(&block[..=size], self.identity, handle.offset);
        block[size + 1..].copy_from_slice(&checksum.to_le_bytes());
        raw
    }
}
