//! What a unit of work has written and not committed: its own reads see it on top of the store.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Put(Vec<u8>),
    Delete,
    /// Added to the integer that is there, 0 if there is none.
    Add(i64),
}

impl Write {
    fn value_bytes(&self) -> usize {
        match self {
            Write::Put(value) => value.len(),
            Write::Delete => 0,
            Write::Add(_) => size_of::<i64>(),
        }
    }
}

/// A removed range: from, up to and without (the end of all keys if `None`), never to be read again.
#[derive(Clone, Debug)]
pub(super) struct Removed {
    pub(super) from: Vec<u8>,
    pub(super) to: Option<Vec<u8>>,
    pub(super) dropped: bool,
}

impl Removed {
    fn covers(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// What a read of a record meets here.
#[derive(Debug)]
pub(super) enum Own<'o> {
    /// This value.
    Put(&'o [u8]),
    /// Nothing, whatever the store has.
    Gone,
    /// The store's, plus this.
    Add(i64),
    /// The store's.
    Below,
}

/// The writes of one family. Ranges come before all records in the batch: records that a range removes
/// are forgotten when it is added.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    pub(super) writes: BTreeMap<Vec<u8>, Write>,
    pub(super) removed: Vec<Removed>,
    /// Of the keys, values and ranges that are there.
    pub(super) bytes: usize,
}

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.removed.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.removed.clear();
        self.bytes = 0;
    }

    pub(super) fn look(&self, key: &[u8]) -> Own<'_> {
        match self.writes.get(key) {
            Some(Write::Put(value)) => Own::Put(value),
            Some(Write::Delete) => Own::Gone,
            Some(Write::Add(delta)) => Own::Add(*delta),
            None if self.hides(key) => Own::Gone,
            None => Own::Below,
        }
    }

    /// Whether a range hides what the store has of a key.
    pub(super) fn hides(&self, key: &[u8]) -> bool {
        self.removed.iter().any(|range| range.covers(key))
    }

    /// Whether anything here concerns keys between two bounds.
    pub(super) fn touches(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        if to.is_some_and(|to| to <= from) {
            return false;
        }
        self.writes.range::<[u8], _>((Bound::Included(from), upper)).next().is_some()
            || self.removed.iter().any(|range| {
                to.is_none_or(|to| range.from.as_slice() < to)
                    && range.to.as_deref().is_none_or(|end| from < end)
            })
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let key_bytes = key.len();
        self.bytes += key_bytes + value.len();
        let before = self.writes.insert(key, Write::Put(value));
        self.is_replaced(key_bytes, before);
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        let key_bytes = key.len();
        self.bytes += key_bytes;
        let before = self.writes.insert(key, Write::Delete);
        self.is_replaced(key_bytes, before);
    }

    /// A record that was written before is not counted any more.
    fn is_replaced(&mut self, key_bytes: usize, before: Option<Write>) {
        if let Some(before) = before {
            self.bytes -= key_bytes + before.value_bytes();
        }
    }

    pub(super) fn add(&mut self, key: Vec<u8>, delta: i64) {
        const BYTES: usize = size_of::<i64>();
        let hidden = self.hides(&key);
        match self.writes.get_mut(&key) {
            Some(Write::Put(value)) => {
                let sum = integer(value).wrapping_add(delta);
                self.bytes = self.bytes - value.len() + BYTES;
                *value = sum.to_le_bytes().to_vec();
            }
            Some(Write::Add(sum)) => *sum = sum.wrapping_add(delta),
            Some(write @ Write::Delete) => {
                self.bytes += BYTES;
                *write = Write::Put(delta.to_le_bytes().to_vec());
            }
            None => {
                self.bytes += key.len() + BYTES;
                let put = || Write::Put(delta.to_le_bytes().to_vec());
                self.writes.insert(key, if hidden { put() } else { Write::Add(delta) });
            }
        }
    }

    pub(super) fn remove(&mut self, removed: Removed) {
        if removed.to.as_deref().is_some_and(|to| to <= removed.from.as_slice()) {
            return;
        }
        self.bytes += removed.from.len() + removed.to.as_ref().map_or(0, Vec::len);
        self.forget(&removed.from, removed.to.as_ref());
        self.removed.push(removed);
    }

    /// Forgets the records of a range.
    pub(super) fn forget(&mut self, from: &Vec<u8>, to: Option<&Vec<u8>>) {
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        let inside = self.writes.range::<Vec<u8>, _>((Bound::Included(from), upper));
        for key in inside.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let before = self.writes.remove(&key);
            self.is_replaced(key.len(), before);
        }
    }
}

/// A counter's value; what is no counter counts as none.
pub(super) fn integer(value: &[u8]) -> i64 {
    value.try_into().map_or(0, i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_what_is_there() {
        let mut overlay = Overlay::default();
        let counted = |overlay: &Overlay| {
            let writes = overlay.writes.iter().map(|(key, write)| key.len() + write.value_bytes());
            writes.sum::<usize>() + overlay.removed.len() * 2
        };
        for round in 0..3 {
            overlay.put(b"a".to_vec(), vec![0; 100 - round]);
            overlay.add(b"ab".to_vec(), 1);
            overlay.put(b"b".to_vec(), vec![0; 8]);
            overlay.add(b"b".to_vec(), 1);
            overlay.delete(b"b".to_vec());
            overlay.add(b"b".to_vec(), 1);
            overlay.delete(b"c".to_vec());
            assert_eq!(overlay.bytes, counted(&overlay), "{round}");
        }
        overlay.remove(Removed { from: b"b".to_vec(), to: Some(b"c".to_vec()), dropped: false });
        overlay.add(b"bb".to_vec(), 1);
        assert_eq!(overlay.bytes, counted(&overlay));
    }

    #[test]
    fn ranges_hide_what_was_and_not_what_comes() {
        let mut overlay = Overlay::default();
        for key in ["a", "b", "c"] {
            overlay.put(key.into(), b"old".to_vec());
        }
        overlay.remove(Removed { from: b"b".to_vec(), to: Some(b"c".to_vec()), dropped: false });
        assert!(matches!(overlay.look(b"b"), Own::Gone) && matches!(overlay.look(b"bb"), Own::Gone));
        assert!(matches!(overlay.look(b"c"), Own::Put(b"old")) && matches!(overlay.look(b"d"), Own::Below));
        overlay.put(b"b".to_vec(), b"new".to_vec());
        assert!(matches!(overlay.look(b"b"), Own::Put(b"new")));
        overlay.add(b"bc".to_vec(), 3);
        overlay.add(b"bc".to_vec(), -1);
        assert!(matches!(overlay.look(b"bc"), Own::Put(value) if integer(value) == 2));
        overlay.add(b"z".to_vec(), 3);
        overlay.add(b"z".to_vec(), 4);
        assert!(matches!(overlay.look(b"z"), Own::Add(7)));
        assert!(overlay.touches(b"bb", Some(b"bbb")) && !overlay.touches(b"d", Some(b"y")));
        assert!(overlay.touches(b"d", None) && !overlay.touches(b"y", Some(b"d")));
    }
}
