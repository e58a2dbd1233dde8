//! What must hold of every cursor over entries that are known.

use esker::base::cursor::Cursor;
use esker::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, Trailer, compare};
use std::cmp::Ordering;

/// An entry, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) trailer: Trailer,
    pub(super) expires_at: u64,
    pub(super) value: Vec<u8>,
}

impl Entry {
    /// The entry under a cursor.
    pub(super) fn at(cursor: &impl Cursor) -> Entry {
        let entry = cursor.entry();
        Entry {
            key: entry.key.to_vec(),
            trailer: cursor.trailer(),
            expires_at: entry.expires_at,
            value: entry.value.to_vec(),
        }
    }

    /// The trailer that goes with kind and expiry: an expiry at the end of time is none.
    pub(super) fn written_trailer(&self) -> Trailer {
        self.trailer
            .kind()
            .map_or(self.trailer, |kind| Trailer::new(self.trailer.seq(), kind, self.expires_at))
    }

    /// As writers take it; `None` if no writer of this version makes it.
    pub(super) fn borrowed(&self) -> Option<EntryRef<'_>> {
        let kind = self.trailer.kind()?;
        let (seq, expires_at) = (self.trailer.seq(), self.expires_at);
        let entry = EntryRef { key: &self.key, seq, kind, expires_at, value: &self.value };
        let made = entry.trailer() == self.trailer && (kind != Kind::Delete || self.value.is_empty());
        (made && seq <= MAX_SEQ).then_some(entry)
    }
}

/// Whether each is behind the one before, in internal-key order.
pub(super) fn ascends(entries: &[Entry]) -> bool {
    entries.windows(2).all(|pair| {
        compare((&pair[0].key, pair[0].trailer), (&pair[1].key, pair[1].trailer)) == Ordering::Less
    })
}

/// Entries for a table or a block, made from bytes: sorted, each internal key once.
pub(super) fn entries(source: &mut super::source::Source<'_>, most: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut key = Vec::new();
    while !source.is_empty() && entries.len() < most {
        // Many keys share what stands in front.
        key.truncate(source.below(key.len() + 1));
        key.extend_from_slice(source.string(12));
        let kind = if source.below(4) == 0 { Kind::Delete } else { Kind::Put };
        let seq = if source.below(8) == 0 { MAX_SEQ } else { u64::from(source.short()) };
        let expires_at = if source.below(4) == 0 { source.long() } else { NEVER };
        let value = if kind == Kind::Put { source.string(60) } else { &[] };
        let trailer = Trailer::new(seq, kind, expires_at);
        entries.push(Entry { key: key.clone(), trailer, expires_at, value: value.to_vec() });
    }
    entries.sort_by(|a, b| compare((&a.key, a.trailer), (&b.key, b.trailer)));
    entries.dedup_by(|a, b| a.key == b.key && a.trailer.seq() == b.trailer.seq());
    entries
}

/// How many places a cursor is sent to.
const MOST_TARGETS: usize = 24;

/// Walks a cursor both ways and sends it to many places: it must stand where a sorted vector says.
pub(super) fn check(cursor: &mut impl Cursor, entries: &[Entry]) {
    let no_damage = "sound entries give no error";
    cursor.seek_to_first().expect(no_damage);
    for entry in entries {
        assert!(cursor.valid(), "the scan ends before {entry:?}");
        assert_eq!(&Entry::at(cursor), entry);
        assert_eq!(cursor.value_slice(), entry.value.as_slice());
        cursor.next().expect(no_damage);
    }
    assert!(!cursor.valid(), "behind the last entry");
    cursor.seek_to_last().expect(no_damage);
    for entry in entries.iter().rev() {
        assert!(cursor.valid(), "the way back ends behind {entry:?}");
        assert_eq!(&Entry::at(cursor), entry);
        cursor.prev().expect(no_damage);
    }
    assert!(!cursor.valid(), "before the first entry");
    let stride = entries.len().div_ceil(MOST_TARGETS).max(1);
    for entry in entries.iter().step_by(stride) {
        let longer = [&entry.key[..], b"\0"].concat();
        let shorter = &entry.key[..entry.key.len().saturating_sub(1)];
        for key in [&entry.key[..], &longer, shorter] {
            for seq in [entry.trailer.seq(), 0, MAX_SEQ, entry.trailer.seq().saturating_sub(1)] {
                target(cursor, entries, key, seq);
            }
        }
    }
    target(cursor, entries, b"", MAX_SEQ);
    target(cursor, entries, &[0xff; 40], 0);
}

/// Sends a cursor to one place, and one step to either side.
fn target(cursor: &mut impl Cursor, entries: &[Entry], key: &[u8], seq: u64) {
    let no_damage = "sound entries give no error";
    let wanted = (key, Trailer::seek(seq.min(MAX_SEQ)));
    let at = entries.partition_point(|entry| compare((&entry.key, entry.trailer), wanted).is_lt());
    let stands = |cursor: &dyn Fn() -> Option<Entry>, index: Option<usize>| {
        let expected = index.and_then(|index| entries.get(index)).cloned();
        assert_eq!(cursor(), expected, "after {:?} at {seq}", key.escape_ascii().to_string());
    };
    cursor.seek(key, seq).expect(no_damage);
    stands(&|| cursor.valid().then(|| Entry::at(cursor)), Some(at));
    if cursor.valid() {
        cursor.next().expect(no_damage);
        stands(&|| cursor.valid().then(|| Entry::at(cursor)), Some(at + 1));
        if cursor.valid() {
            cursor.prev().expect(no_damage);
            stands(&|| cursor.valid().then(|| Entry::at(cursor)), Some(at));
        }
    }
    cursor.seek_before(key, seq).expect(no_damage);
    stands(&|| cursor.valid().then(|| Entry::at(cursor)), at.checked_sub(1));
    if cursor.valid() {
        cursor.next().expect(no_damage);
        stands(&|| cursor.valid().then(|| Entry::at(cursor)), Some(at));
    }
}
