//! Getting data blocks out of a table whose index or footer is damaged.
//!
//! Data blocks stand at the beginning of the file, one after the other, each followed by a checksum
//! that is bound to the table's identity and to the block's place. Where nothing says any more where a
//! block ends, its end is the first place whose checksum holds; what is found there must make sense
//! as a block as well. A damaged block hides its end, so a search ends with it.

use super::format::{Handle, MAX_DATA_BYTES, TRAILER_BYTES, damaged, read_block};
use crate::base::checksum::{Identity, context};
use crate::base::error::Result;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::compress::Codec;
use crate::fs::OpenFile;

/// How much of the file a search reads at once, in bytes.
const WINDOW_BYTES: usize = 256 << 10;

/// Reads the data block at `handle` of a table, checked and uncompressed.
///
/// # Errors
/// [`crate::Error::Corruption`] if it is damaged; what reading the file gives.
pub fn read_data_block(file: &OpenFile, identity: Identity, handle: Handle) -> Result<Arc<Block>> {
    let bytes = read_block(file, identity, handle, MAX_DATA_BYTES)?;
    let block = Block::new(bytes.into_boxed_slice(), None);
    Ok(Arc::new(block.map_err(|malformed| damaged(file.path(), handle, malformed))?))
}

/// Finds the block that starts at `offset` and ends at or before `end`, by its checksum alone; `None`
/// if there is none.
///
/// # Errors
/// What reading the file gives.
pub fn find_data_block(
    file: &OpenFile,
    identity: Identity,
    offset: u64,
    end: u64,
) -> Result<Option<(Handle, Arc<Block>)>> {
    let bound = context(identity, offset);
    let mut hasher = crc32fast::Hasher::new();
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = offset;
    while at < end {
        // The checksum behind the last byte of the window must stand in it as well.
        let wanted = window.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let read = file.read_at(&mut window[..wanted], at)?;
        if read <= 4 {
            return Ok(None);
        }
        let (codecs, behind) = (&window[..read - 4], &window[1..read]);
        for (i, (byte, stored)) in codecs.iter().zip(behind.windows(4)).enumerate() {
            hasher.update(&[*byte]);
            let payload = at + i as u64 - offset;
            if payload == 0 || Codec::from_byte(*byte).is_none() {
                continue;
            }
            let Ok(stored) = <[u8; 4]>::try_from(stored) else { continue };
            if hasher.clone().finalize().wrapping_add(bound) != u32::from_le_bytes(stored) {
                continue;
            }
            let Ok(size) = u32::try_from(payload) else { return Ok(None) };
            let handle = Handle { offset, size };
            // A checksum may hold by chance: the block must make sense, too.
            if let Ok(block) = read_data_block(file, identity, handle) {
                return Ok(Some((handle, block)));
            }
        }
        at += codecs.len() as u64;
        if at - offset > (MAX_DATA_BYTES + TRAILER_BYTES) as u64 {
            return Ok(None);
        }
    }
    Ok(None)
}
