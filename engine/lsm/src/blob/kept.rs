//! Values of a blob file that stay in the block cache.
//!
//! Nothing in memory names the values of a file one by one, so that a value's slot is computed from where it
//! stands: as far into the slots as it is into the file. Values of one length have slots of their own that
//! way; where lengths differ several may come to stand at the same, and each has a few slots to stand in.

use crate::base::blob_ref::BlobRef;
use crate::base::memory::{Account, Charge};
use crate::base::slice::Slice;
use crate::base::sync::{Arc, OnceLock};
use crate::cache::{BlockCache, Slots, Through, Weigh};

/// In how many slots a value may stand.
const WAYS: usize = 4;
/// No more slots than one for so many bytes of the file, whatever its footer says.
const BYTES_A_SLOT: u64 = 512;
/// The slots of all files take at most one part in so many of what the cache may hold; files that come later
/// than that have none.
const SLOTS_PART: u64 = 16;

/// A value in memory.
pub(super) struct KeptValue {
    offset: u64,
    key: Box<[u8]>,
    bytes: Vec<u8>,
    _charge: Charge,
}

impl Weigh for Arc<KeptValue> {
    fn size_bytes(&self) -> usize {
        size_of::<KeptValue>() + self.key.len() + self.bytes.capacity()
    }
}

/// Those of one file.
#[derive(Debug)]
pub(super) struct Kept {
    cache: Arc<BlockCache>,
    /// Made when the first value is kept.
    slots: OnceLock<Arc<Slots<Arc<KeptValue>>>>,
    count: usize,
    file_bytes: u64,
    /// What the slots of all files take.
    all_slots: Arc<Account>,
    charge: OnceLock<Charge>,
}

impl Kept {
    /// None yet, of a file of so many values and bytes.
    pub(super) fn new(
        cache: Arc<BlockCache>,
        all_slots: Arc<Account>,
        entries: u64,
        file_bytes: u64,
    ) -> Kept {
        let most = file_bytes / BYTES_A_SLOT + 1;
        // A quarter more than there are values, so that few have to share.
        let count = entries.saturating_add(entries / 4).clamp(1, most) as usize;
        let (slots, charge) = (OnceLock::new(), OnceLock::new());
        Kept { cache, slots, count, file_bytes, all_slots, charge }
    }

    /// Where the value at an offset may stand.
    fn among(&self, offset: u64) -> std::ops::Range<usize> {
        let at = u128::from(offset) * self.count as u128 / u128::from(self.file_bytes.max(1));
        let last = self.count.saturating_sub(WAYS);
        let at = (at as usize).min(last);
        at..(at + WAYS).min(self.count)
    }

    /// The value of `key` at a place.
    pub(super) fn get(&self, key: &[u8], at: &BlobRef, through: Through) -> Option<Slice> {
        if through == Through::File {
            return None;
        }
        let slots = self.slots.get()?;
        let wanted = |kept: &Arc<KeptValue>| kept.offset == at.offset;
        let found = self.cache.find(slots, self.among(at.offset), through == Through::Cache, wanted)?;
        // A reference that is damaged is to be read, and refused there.
        let same = *found.key == *key && found.bytes.len() as u64 == at.raw;
        // SAFETY: nobody changes the bytes of a kept value, which stand in memory of their own.
        same.then(|| unsafe { Slice::from_owner(&found, found.bytes.as_slice()) })
    }

    /// The slots, if they may be made.
    fn slots(&self) -> Option<&Arc<Slots<Arc<KeptValue>>>> {
        if let Some(slots) = self.slots.get() {
            return Some(slots);
        }
        let bytes = self.count * size_of::<usize>();
        let most = self.cache.capacity_bytes() / SLOTS_PART;
        if self.all_slots.bytes() + bytes as u64 > most {
            return None;
        }
        let _ = self.charge.set(self.all_slots.charge(bytes));
        Some(self.slots.get_or_init(|| Arc::new(Slots::new(self.count))))
    }

    /// Keeps a value, and shares it.
    pub(super) fn put(&self, key: &[u8], at: &BlobRef, bytes: Vec<u8>) -> Slice {
        let charge = self.cache.account().charge(bytes.capacity() + key.len());
        let kept = Arc::new(KeptValue { offset: at.offset, key: key.into(), bytes, _charge: charge });
        if let Some(slots) = self.slots() {
            let same = |other: &Arc<KeptValue>| other.offset == at.offset;
            self.cache.insert_among(slots, self.among(at.offset), kept.clone(), same);
        }
        // SAFETY: as above.
        unsafe { Slice::from_owner(&kept, kept.bytes.as_slice()) }
    }

    /// Bytes that the slots take in memory.
    pub(super) fn slot_bytes(&self) -> usize {
        self.slots.get().map_or(0, |slots| slots.size_bytes())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.get() {
            self.cache.forget(slots);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_many_as_the_file_can_have_values_whatever_it_says() {
        let kept =
            |entries, bytes| Kept::new(Arc::new(BlockCache::new(1000)), Account::new(), entries, bytes);
        assert_eq!([kept(u64::MAX, 5120).count, kept(8, 1 << 20).count, kept(0, 0).count], [11, 10, 1]);
        for kept in [kept(8, 1 << 20), kept(1, 600), kept(0, 0)] {
            for offset in [0, 1, 599, 1 << 19, (1 << 20) - 1, 1 << 20, u64::MAX] {
                let among = kept.among(offset);
                assert!(!among.is_empty() && among.end <= kept.count, "{offset}: {among:?}");
            }
        }
    }
}
