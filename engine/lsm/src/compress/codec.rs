//! The codecs, and the framing that lets a reader bound what it allocates.
//!
//! A block under [`Codec::Zstd`] is a varint, the length of the raw bytes, followed by one zstd
//! frame (RFC 8878) with exactly those bytes; under [`Codec::ZstdDictionary`] the frame needs a dictionary.

use super::dictionary::Dictionary;
use crate::base::coding::{Decoder, Malformed, put_varint};
use crate::base::error::{Error, Result};
use std::cell::RefCell;
use zstd::zstd_safe::DCtx;

/// How the bytes of a block are stored. The numbers stand on disk and are never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// As they are.
    None = 0,
    /// As a zstd frame behind the raw length.
    #[default]
    Zstd = 1,
    /// The same, with the dictionary of the table that the block stands in.
    ZstdDictionary = 2,
}

/// The zstd level used where none is given: the fastest, which is what bounds compaction.
pub const DEFAULT_ZSTD_LEVEL: i32 = 1;

/// What one block of a zstd frame can grow to: 128 KiB (RFC 8878, 3.1.1.2.4) from a header of at
/// least three bytes. It bounds the raw length that a frame of a given length can stand for.
const ZSTD_BLOCK_BYTES: usize = 128 << 10;
const ZSTD_BLOCK_HEADER_BYTES: usize = 3;

impl Codec {
    /// Decodes a codec that this version knows; `None` for any other byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Codec> {
        match byte {
            0 => Some(Codec::None),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::ZstdDictionary),
            _ => None,
        }
    }
}

/// Compresses one block after the other with the same context.
pub struct Compressor {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    codec: Codec,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor for `codec`; `level` is zstd's and means nothing to [`Codec::None`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if zstd refuses the level, or the codec needs a dictionary.
    pub fn new(codec: Codec, level: i32) -> Result<Compressor> {
        let zstd = match codec {
            Codec::None => None,
            Codec::Zstd => Some(zstd::bulk::Compressor::new(level).map_err(refused)?),
            Codec::ZstdDictionary => return Err(Error::invalid("codec", "it needs a dictionary")),
        };
        Ok(Compressor { zstd, codec })
    }

    /// A compressor for [`Codec::ZstdDictionary`], with a dictionary that [`train`](super::train) has made.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if zstd refuses the level or the dictionary.
    pub fn with_dictionary(dictionary: &[u8], level: i32) -> Result<Compressor> {
        let zstd = zstd::bulk::Compressor::with_dictionary(level, dictionary).map_err(refused)?;
        Ok(Compressor { zstd: Some(zstd), codec: Codec::ZstdDictionary })
    }

    /// Appends `raw` to `out`, compressed if that saves at least an eighth, and says which codec
    /// was used.
    pub fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        if let Some(zstd) = &mut self.zstd {
            put_varint(out, raw.len() as u64);
            let head = out.len() - start;
            // A frame that does not fit into what would be worth keeping is an error of zstd's,
            // and found out early.
            let room = (raw.len() - raw.len() / 8).saturating_sub(head);
            out.resize(start + head + room, 0);
            if let Ok(len) = zstd.compress_to_buffer(raw, &mut out[start + head..]) {
                out.truncate(start + head + len);
                return self.codec;
            }
            out.truncate(start);
        }
        out.extend_from_slice(raw);
        Codec::None
    }
}

fn refused(error: std::io::Error) -> Error {
    Error::invalid("zstd level", error.to_string())
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// The raw bytes of a block that was stored under `codec`, at most `limit` of them; none that needs a
/// dictionary.
///
/// # Errors
/// As [`decompress_with`].
pub fn decompress(codec: Codec, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Malformed> {
    decompress_with(codec, bytes, limit, None)
}

/// The raw bytes of a block that was stored under `codec`, at most `limit` of them. `dictionary` is that of
/// the table, if it has one.
///
/// # Errors
/// [`Malformed`] where the bytes are not what [`Compressor::compress`] writes, or need a dictionary that is
/// not there. Nothing is allocated before the raw length was found to be within the limit and possible for
/// a frame of this length.
pub fn decompress_with(
    codec: Codec,
    bytes: &[u8],
    limit: usize,
    dictionary: Option<&Dictionary>,
) -> Result<Vec<u8>, Malformed> {
    let dictionary = match (codec, dictionary) {
        (Codec::None, _) if bytes.len() > limit => {
            return Err(Malformed { at: 0, expected: "a block within the limit of its kind" });
        }
        (Codec::None, _) => return Ok(bytes.to_vec()),
        (Codec::Zstd, _) => None,
        (Codec::ZstdDictionary, Some(dictionary)) => Some(dictionary),
        (Codec::ZstdDictionary, None) => {
            return Err(Malformed { at: 0, expected: "a block that needs no dictionary: there is none" });
        }
    };
    let mut decoder = Decoder::new(bytes);
    let raw_len = decoder.varint("the raw length of a zstd block")?;
    let frame = decoder.take(decoder.remaining(), "a zstd frame")?;
    let possible = (frame.len() / ZSTD_BLOCK_HEADER_BYTES + 1).saturating_mul(ZSTD_BLOCK_BYTES);
    let raw_len = match usize::try_from(raw_len) {
        Ok(len) if len <= limit && len <= possible => len,
        _ => return Err(Malformed { at: 0, expected: "a plausible raw length of a zstd block" }),
    };
    let at = decoder.position() - frame.len();
    unpack(frame, raw_len, dictionary).ok_or(Malformed { at, expected: "a zstd frame of the stated length" })
}

fn unpack(frame: &[u8], raw_len: usize, dictionary: Option<&Dictionary>) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = DCtx::try_create();
        }
        let context = slot.as_mut()?;
        let mut raw = Vec::with_capacity(raw_len);
        // The context keeps nothing of the dictionary for the next block.
        let len = match dictionary {
            Some(dictionary) => context.decompress_using_ddict(&mut raw, frame, dictionary.prepared()),
            None => context.decompress(&mut raw, frame),
        };
        (len.ok()? == raw_len && raw.len() == raw_len).then_some(raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_round_trip(
            raw in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..2000),
                prop::collection::vec(0u8..3, 0..20_000),
            ],
            level in -3i32..6,
        ) {
            for codec in [Codec::None, Codec::Zstd] {
                let mut compressor = Compressor::new(codec, level).unwrap();
                for _ in 0..2 {
                    let mut out = b"before".to_vec();
                    let used = compressor.compress(&raw, &mut out);
                    prop_assert!(out.len() - 6 <= raw.len());
                    prop_assert_eq!(&decompress(used, &out[6..], raw.len()).unwrap(), &raw);
                    if !raw.is_empty() {
                        prop_assert!(decompress(used, &out[6..], raw.len() - 1).is_err());
                    }
                }
            }
        }

        #[test]
        fn damage_is_found_or_harmless(
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
            cut in any::<bool>(),
        ) {
            let raw = b"ridge after ridge after ridge after ridge, ".repeat(20);
            let mut out = Vec::new();
            let codec = Compressor::new(Codec::Zstd, 3).unwrap().compress(&raw, &mut out);
            prop_assert_eq!(codec, Codec::Zstd);
            let at = at.index(out.len());
            if cut {
                out.truncate(at);
                prop_assert!(decompress(codec, &out, 1 << 20).is_err());
            } else {
                out[at] ^= 1 << bit;
                // The checksum of the block is what finds every flip; here nothing may go wrong.
                let _ = decompress(codec, &out, 1 << 20);
            }
        }
    }

    #[test]
    fn an_implausible_length_allocates_nothing() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 1 << 40);
        bytes.extend_from_slice(&[0; 20]);
        assert!(decompress(Codec::Zstd, &bytes, usize::MAX).is_err());
        assert_eq!(Codec::from_byte(3), None);
        assert!(Compressor::new(Codec::ZstdDictionary, 1).is_err());
    }
}
