//! One range.

use crate::base::key::{Kind, SeqNum};

/// What a range says of the keys in it. The numbers stand on disk and are never reused; they are those of
/// the operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RangeKind {
    /// What is older than the range reads as absent.
    Deleted = 4,
    /// What is older than the range will never be read again.
    Dropped = 5,
}

impl RangeKind {
    /// The kind of range that an operation makes; `None` if it makes none.
    #[must_use]
    pub fn of(kind: Kind) -> Option<RangeKind> {
        match kind {
            Kind::RangeDelete => Some(RangeKind::Deleted),
            Kind::DroppedRange => Some(RangeKind::Dropped),
            _ => None,
        }
    }

    /// Decodes a kind; `None` for a byte that is none.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<RangeKind> {
        Kind::of_operation(byte).and_then(RangeKind::of)
    }
}

/// A range of keys that was deleted or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Deleted or dropped.
    pub kind: RangeKind,
    /// Its position in the commit order: it concerns what is older.
    pub seq: SeqNum,
    /// The first key in it.
    pub from: Box<[u8]>,
    /// The first key behind it; `None` if it has no end.
    pub to: Option<Box<[u8]>>,
    /// When it was written, or the oldest of what it stands for, in milliseconds since the epoch.
    pub written_ms: u64,
}

impl Range {
    /// The range that an operation with the bounds `from` and `to` makes: an empty `to` stands for no end
    /// (no range that holds anything ends at the empty key).
    #[must_use]
    pub fn new(kind: RangeKind, seq: SeqNum, from: &[u8], to: &[u8], written_ms: u64) -> Range {
        let to = (!to.is_empty()).then(|| to.into());
        Range { kind, seq, from: from.into(), to, written_ms }
    }

    /// Its end as operations and the manifest hold it: empty for none.
    #[must_use]
    pub fn end(&self) -> &[u8] {
        self.to.as_deref().unwrap_or_default()
    }

    /// Whether a key lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.from <= *key && self.to.as_deref().is_none_or(|to| key < to)
    }

    /// Whether all keys from `first` to `last`, both included, lie in it.
    #[must_use]
    pub fn contains_all(&self, first: &[u8], last: &[u8]) -> bool {
        *self.from <= *first && self.to.as_deref().is_none_or(|to| last < to)
    }

    /// Whether any key from `first` to `last`, both included, may lie in it.
    #[must_use]
    pub fn overlaps(&self, first: &[u8], last: &[u8]) -> bool {
        *self.from <= *last && self.to.as_deref().is_none_or(|to| first < to)
    }

    /// Whether it makes `older` superfluous for whoever does not stand between the two: all that `older`
    /// concerns, it concerns too.
    #[must_use]
    pub fn replaces(&self, older: &Range) -> bool {
        let wide = *self.from <= *older.from
            && match (&self.to, &older.to) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(to), Some(older)) => older <= to,
            };
        // What is deleted must go on reading as absent; of what is dropped, nobody asks.
        self.seq > older.seq && wide && (self.kind == older.kind || self.kind == RangeKind::Deleted)
    }

    /// Whether together with `older`, which is of the same kind, it holds all keys between the ends of both.
    #[must_use]
    pub fn adjoins(&self, older: &Range) -> bool {
        let reaches = |to: &Option<Box<[u8]>>, from: &[u8]| to.as_deref().is_none_or(|to| from <= to);
        self.kind == older.kind && reaches(&self.to, &older.from) && reaches(&older.to, &self.from)
    }

    /// What of `older`, which it adjoins, lies outside of it: before and behind, each from its first key up
    /// to the first behind it.
    pub fn outside<'a>(&'a self, older: &'a Range) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let before = (older.from < self.from).then_some((&*older.from, Some(&*self.from)));
        let behind = self.to.as_deref().and_then(|to| {
            older.to.as_deref().is_none_or(|end| to < end).then_some((to, older.to.as_deref()))
        });
        before.into_iter().chain(behind)
    }

    /// Stands for `older`, too, which it covers or adjoins.
    pub fn take_in(&mut self, older: &Range) {
        if older.from < self.from {
            self.from.clone_from(&older.from);
        }
        let shorter = |to: &[u8]| older.to.as_deref().is_none_or(|end| to < end);
        if self.to.as_deref().is_some_and(shorter) {
            self.to.clone_from(&older.to);
        }
        self.written_ms = self.written_ms.min(older.written_ms);
    }

    /// The memory that it takes, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Range>() + self.from.len() + self.end().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(kind: RangeKind, seq: SeqNum, from: &str, to: &str) -> Range {
        Range::new(kind, seq, from.as_bytes(), to.as_bytes(), 0)
    }

    #[test]
    fn a_range_is_half_open_and_may_have_no_end() {
        let some = range(RangeKind::Deleted, 1, "b", "d");
        assert!(some.contains(b"b") && some.contains(b"c~") && !some.contains(b"d") && !some.contains(b"a"));
        assert!(some.contains_all(b"b", b"c") && !some.contains_all(b"b", b"d"));
        assert!(some.overlaps(b"a", b"b") && !some.overlaps(b"a", b"azz") && !some.overlaps(b"d", b"e"));
        let open = range(RangeKind::Deleted, 1, "b", "");
        assert!(open.contains(b"\xff\xff") && open.contains_all(b"b", b"\xff") && open.end().is_empty());
    }

    #[test]
    fn a_newer_range_replaces_what_it_covers_unless_it_says_less() {
        use RangeKind::{Deleted, Dropped};
        let older = range(Deleted, 5, "b", "d");
        assert!(range(Deleted, 6, "a", "d").replaces(&older));
        assert!(range(Deleted, 6, "a", "").replaces(&older));
        assert!(!range(Deleted, 4, "a", "").replaces(&older));
        assert!(!range(Deleted, 6, "c", "").replaces(&older));
        assert!(!range(Dropped, 6, "a", "").replaces(&older), "reads do not ask for dropped ranges");
        assert!(range(Deleted, 6, "a", "").replaces(&range(Dropped, 5, "b", "")));
        assert!(!range(Deleted, 6, "a", "z").replaces(&range(Deleted, 5, "b", "")));
    }
}
