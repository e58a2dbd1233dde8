//! Finding the blocks of a table whose index or footer is lost.
//!
//! Blocks stand one behind the other from the first byte on, and each ends with its codec and a
//! checksum that is bound to the table and to the offset. So whoever knows the identity can find the
//! end of a block: the first place at which the checksum of all bytes since its beginning holds. What
//! stands behind a block that does not end anywhere cannot be found this way.
//!
//! The dictionary of a table is its first block, so that it is found before the blocks that need it.

use super::format::{Handle, MAX_DATA_BYTES, TRAILER_BYTES, read_block};
use crate::base::checksum::{Identity, context};
use crate::base::error::{Corruption, Result};
use crate::base::sync::Arc;
use crate::block::Block;
use crate::compress::{Codec, Dictionary, MAX_DICTIONARY_BYTES};
use crate::fs::OpenFile;

/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Walks the blocks of a table without an index.
#[derive(Debug)]
pub struct BlockScan {
    file: Arc<OpenFile>,
    identity: Identity,
    end: u64,
    at: u64,
    dictionary: Option<Dictionary>,
}

/// The dictionary that a table begins with; `None` if it does not, or if that is damaged. Reads a few bytes
/// of a table that has none.
pub(super) fn dictionary_in_front(
    file: &Arc<OpenFile>,
    identity: Identity,
    end: u64,
) -> Result<Option<Dictionary>> {
    let mut first = [0; 4];
    let read = file.read_at(&mut first, 0)?;
    if !Dictionary::begins(&first[..read]) {
        return Ok(None);
    }
    let scan = BlockScan::new(file.clone(), identity, end);
    let Some(handle) = scan.find_end(MAX_DICTIONARY_BYTES)? else { return Ok(None) };
    let bytes = read_block(file, identity, handle, MAX_DICTIONARY_BYTES, None);
    Ok(bytes.ok().and_then(|bytes| Dictionary::new(&bytes, None).ok()))
}

impl BlockScan {
    /// Starts at the first byte of a table of `end` bytes, footer included if there is one.
    #[must_use]
    pub fn new(file: Arc<OpenFile>, identity: Identity, end: u64) -> BlockScan {
        BlockScan { file, identity, end, at: 0, dictionary: None }
    }

    /// The next data block; an error where no block begins, after which there is nothing more. Blocks
    /// of other kinds are passed over. Memory is bounded by the block and a window.
    pub fn next_block(&mut self) -> Option<(Handle, Result<Arc<Block>>)> {
        while self.at < self.end {
            let handle = match self.find_end(MAX_DATA_BYTES) {
                Ok(Some(handle)) => handle,
                Ok(None) => {
                    let found = "no place where the checksum of a block holds";
                    let error = Corruption::new(self.file.path(), self.at, "a block", found).into();
                    return Some((self.give_up(), Err(error)));
                }
                Err(error) => return Some((self.give_up(), Err(error))),
            };
            self.at = handle.offset + handle.stored_bytes();
            let dictionary = self.dictionary.as_ref();
            match read_block(&self.file, self.identity, handle, MAX_DATA_BYTES, dictionary) {
                Ok(bytes) => {
                    if handle.offset == 0 && Dictionary::begins(&bytes) {
                        self.dictionary = Dictionary::new(&bytes, None).ok();
                    } else if let Ok(block) = Block::new(bytes.into_boxed_slice(), None) {
                        return Some((handle, Ok(Arc::new(block))));
                    }
                }
                Err(error) => return Some((self.give_up(), Err(error))),
            }
        }
        None
    }

    fn give_up(&mut self) -> Handle {
        let handle = Handle { offset: self.at, size: 0 };
        self.at = self.end;
        handle
    }

    /// The block that begins here, of at most `limit` bytes, by the end that its checksum gives it.
    fn find_end(&self, limit: usize) -> Result<Option<Handle>> {
        let binding = context(self.identity, self.at);
        let mut hasher = crc32fast::Hasher::new();
        let mut window: Vec<u8> = Vec::new();
        // What the window begins with has the offset `self.at + hashed`.
        let mut hashed = 0u64;
        loop {
            let start = self.at + hashed;
            let want = (self.end.saturating_sub(start)).min(WINDOW_BYTES as u64) as usize;
            window.resize(want, 0);
            let read = self.file.read_at(&mut window, start)?;
            window.truncate(read);
            // A checksum of four bytes has to follow.
            let Some(most) = window.len().checked_sub(4).filter(|most| *most > 0) else { return Ok(None) };
            let mut from = 0;
            for i in 0..most {
                if Codec::from_byte(window[i]).is_none() {
                    continue;
                }
                hasher.update(&window[from..=i]);
                from = i + 1;
                let size = hashed + i as u64;
                let Some(stored) = window[i + 1..].first_chunk::<4>() else { return Ok(None) };
                let checksum = hasher.clone().finalize().wrapping_add(binding);
                if size > 0 && checksum == u32::from_le_bytes(*stored) {
                    let size = u32::try_from(size).ok().filter(|size| *size as usize <= limit);
                    return Ok(size.map(|size| Handle { offset: self.at, size }));
                }
            }
            hasher.update(&window[from..most]);
            hashed += most as u64;
            if hashed > (limit + TRAILER_BYTES) as u64 {
                return Ok(None);
            }
        }
    }
}
