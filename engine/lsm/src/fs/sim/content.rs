//! The bytes of a file, in shared pages.

use crate::base::sync::Arc;
use std::io;
use xxhash_rust::xxh3::Xxh3;

/// What the disk writes in one piece.
pub const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
const PAGE_SECTORS: usize = PAGE_BYTES / SECTOR_BYTES;
// One bit per sector of a page stands in a `u8`.
const _: () = assert!(PAGE_SECTORS == 8);

/// The longest file: its table of pages must fit into memory easily.
pub const MAX_FILE_BYTES: u64 = 1 << 32;

/// A sector's bytes.
pub type Sector = [u8; SECTOR_BYTES];

static ZEROS: Sector = [0; SECTOR_BYTES];

#[derive(Clone, Debug, Default)]
struct Page {
    /// `None`: nothing but zeros.
    bytes: Option<Arc<[u8; PAGE_BYTES]>>,
    /// Which sectors have space on the disk.
    backed: u8,
}

/// The bytes of a file and which of its sectors have space on the disk.
///
/// Invariants: there are exactly as many pages as the length needs; bytes at and behind the length
/// are zero and have no space, except in the sector where the length ends.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pages: Vec<Page>,
    len: u64,
}

impl Content {
    pub fn from_bytes(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(bytes, 0);
        content
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Fills `buf` from `offset` as far as the length goes; returns how many bytes.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = (buf.len() as u64).min(self.len.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < count {
            let at = offset as usize + done;
            let (page, within) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let step = (PAGE_BYTES - within).min(count - done);
            let target = &mut buf[done..done + step];
            match &self.pages[page].bytes {
                Some(bytes) => target.copy_from_slice(&bytes[within..within + step]),
                None => target.fill(0),
            }
            done += step;
        }
        count
    }

    /// Writes all of `buf`, growing if needed. The caller has checked [`MAX_FILE_BYTES`].
    pub fn write(&mut self, buf: &[u8], offset: u64) {
        let end = offset + buf.len() as u64;
        if end > self.len {
            self.set_len(end);
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset as usize + done;
            let (page, within) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let step = (PAGE_BYTES - within).min(buf.len() - done);
            let page = &mut self.pages[page];
            page.bytes_mut()[within..within + step].copy_from_slice(&buf[done..done + step]);
            for sector in within / SECTOR_BYTES..=(within + step - 1) / SECTOR_BYTES {
                page.backed |= 1 << sector;
            }
            done += step;
        }
    }

    /// Cuts, or extends with zeros that have no space on the disk.
    pub fn set_len(&mut self, len: u64) {
        let shrinks = len < self.len;
        self.len = len;
        self.pages.resize_with((len as usize).div_ceil(PAGE_BYTES), Page::default);
        let within = len as usize % PAGE_BYTES;
        if shrinks && within > 0 {
            let last = self.pages.len() - 1;
            let page = &mut self.pages[last];
            if page.bytes.is_some() {
                page.bytes_mut()[within..].fill(0);
            }
            self.unback_tail();
        }
    }

    /// Gives every sector below `size` its space, without changing the length.
    pub fn back(&mut self, size: u64) {
        let sectors = (size.min(self.len) as usize).div_ceil(SECTOR_BYTES);
        for (index, page) in self.pages.iter_mut().enumerate() {
            match sectors.saturating_sub(index * PAGE_SECTORS) {
                0 => break,
                n => page.backed |= u8::MAX >> PAGE_SECTORS.saturating_sub(n),
            }
        }
    }

    /// How many sectors have space.
    pub fn backed_sectors(&self) -> u64 {
        self.pages.iter().map(|page| u64::from(page.backed.count_ones())).sum()
    }

    /// Whether a sector has space.
    pub fn is_backed(&self, sector: u64) -> bool {
        let page = self.pages.get(sector as usize / PAGE_SECTORS);
        page.is_some_and(|page| page.backed & (1 << (sector as usize % PAGE_SECTORS)) != 0)
    }

    /// The bytes of a sector; zeros behind the length.
    pub fn sector(&self, sector: u64) -> &Sector {
        let within = sector as usize % PAGE_SECTORS * SECTOR_BYTES;
        self.pages
            .get(sector as usize / PAGE_SECTORS)
            .and_then(|page| page.bytes.as_ref())
            .and_then(|bytes| bytes[within..within + SECTOR_BYTES].try_into().ok())
            .unwrap_or(&ZEROS)
    }

    /// Replaces a sector's bytes; does nothing behind the last page. The caller sets the length
    /// afterwards, which clears what stands behind it.
    pub fn set_sector(&mut self, sector: u64, bytes: &Sector) {
        let within = sector as usize % PAGE_SECTORS * SECTOR_BYTES;
        if let Some(page) = self.pages.get_mut(sector as usize / PAGE_SECTORS) {
            if page.bytes.is_some() || *bytes != ZEROS {
                page.bytes_mut()[within..within + SECTOR_BYTES].copy_from_slice(bytes);
            }
            page.backed |= 1 << (sector as usize % PAGE_SECTORS);
        }
    }

    /// The sectors from `first` on that may hold something else than zeros.
    pub fn filled_sectors(&self, first: u64) -> impl Iterator<Item = u64> + '_ {
        let pages = self.pages.iter().enumerate().skip(first as usize / PAGE_SECTORS);
        pages
            .filter(|(_, page)| page.bytes.is_some())
            .flat_map(|(index, _)| (index * PAGE_SECTORS) as u64..((index + 1) * PAGE_SECTORS) as u64)
            .filter(move |&sector| sector >= first)
    }

    /// Takes over the whole page that holds `sector`, sharing its bytes.
    pub fn share_page_of(&mut self, sector: u64, from: &Content) {
        let index = sector as usize / PAGE_SECTORS;
        if let (Some(to), Some(page)) = (self.pages.get_mut(index), from.pages.get(index)) {
            *to = page.clone();
        }
    }

    /// Takes over which sectors have space, from the page of byte `start` on.
    pub fn back_like(&mut self, start: u64, from: &Content) {
        let skip = start as usize / PAGE_BYTES;
        for (to, page) in self.pages.iter_mut().zip(&from.pages).skip(skip) {
            to.backed |= page.backed;
        }
        self.unback_tail();
    }

    /// Takes the space away that stands behind the length.
    fn unback_tail(&mut self) {
        let within = self.len as usize % PAGE_BYTES;
        if within > 0
            && let Some(page) = self.pages.last_mut()
        {
            page.backed &= u8::MAX >> (PAGE_SECTORS - within.div_ceil(SECTOR_BYTES));
        }
    }

    /// Feeds length and bytes into a hash; holes and written zeros are the same.
    pub fn hash_into(&self, hash: &mut Xxh3) {
        hash.update(&self.len.to_le_bytes());
        for (index, page) in self.pages.iter().enumerate() {
            if let Some(bytes) = page.bytes.as_deref().filter(|b| b.iter().any(|&byte| byte != 0)) {
                hash.update(&(index as u64).to_le_bytes());
                hash.update(bytes);
            }
        }
    }
}

impl Page {
    /// The bytes for writing: a copy of their own if an image shares them.
    fn bytes_mut(&mut self) -> &mut [u8; PAGE_BYTES] {
        Arc::make_mut(self.bytes.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])))
    }
}

/// The sectors that the bytes from `offset` to `end` touch.
pub fn sectors(offset: u64, end: u64) -> std::ops::Range<u64> {
    offset / SECTOR_BYTES as u64..end.div_ceil(SECTOR_BYTES as u64)
}

/// The first sector of the page that holds `sector`, and the first of the page after it.
pub fn page_of(sector: u64) -> std::ops::Range<u64> {
    let first = sector - sector % PAGE_SECTORS as u64;
    first..first + PAGE_SECTORS as u64
}

/// Refuses files that are longer than the simulation can hold.
pub fn check_len(offset: u64, bytes: u64) -> io::Result<()> {
    match offset.checked_add(bytes) {
        Some(end) if end <= MAX_FILE_BYTES => Ok(()),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}
