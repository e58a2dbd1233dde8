//! What a prepared transaction will write and holds until then, and how that is stored. The grammar stands
//! in `docs/format/prepared.md`.

use super::checks::{Why, may_write};
use crate::base::bounds::half_open;
use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint};
use crate::base::error::Error;
use crate::base::limits::MAX_KEY_BYTES;
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::locks::{Guard, KeyLocks, LockedKey, OwnerId, Span, Spans};
use std::collections::BTreeSet;
use std::ops::Bound;

/// What stands in front of something that is held beside what is written.
mod tag {
    pub const KEY: u8 = 1;
    pub const READ_FROM: u8 = 2;
    pub const READ_BETWEEN: u8 = 3;
}

/// What a prepared transaction holds, and the batch that commits it.
#[derive(Debug)]
pub struct Hold {
    /// When it was prepared, by the expiry clock, in milliseconds since the epoch.
    pub(super) prepared_ms: u64,
    /// Its name taken from the list, and all that it writes.
    pub(super) commit: WriteBatch,
    /// The keys that it locks, in order.
    pub(super) keys: Vec<LockedKey>,
    pub(super) guard: Arc<Guard>,
    /// How many operations it writes.
    pub(super) writes: usize,
    /// The bytes of its stored form.
    pub(super) bytes: u64,
}

/// The span of keys between two bounds, if there is any. What is no key bounds nothing.
fn span_between(family: u32, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Option<Span> {
    match half_open(lower, upper) {
        Ok(range) => range.map(|(from, to)| Span { family, from, to }),
        Err(Error::KeyTooLarge { .. }) => Some(Span { family, from: Vec::new(), to: None }),
        Err(_) => None,
    }
}

impl Hold {
    /// The stored form of a transaction that writes `writes` and beside that holds `locked` and has read
    /// `reads`.
    #[must_use]
    pub fn encode<'k>(
        prepared_ms: u64,
        writes: &WriteBatch,
        locked: impl Iterator<Item = &'k LockedKey>,
        reads: impl Iterator<Item = (u32, Bound<&'k [u8]>, Bound<&'k [u8]>)>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(writes.size_bytes() + 32);
        put_varint(&mut out, prepared_ms);
        put_varint(&mut out, writes.len() as u64);
        put_bytes(&mut out, writes.encoded());
        for LockedKey { family, key } in locked {
            out.push(tag::KEY);
            put_varint(&mut out, u64::from(*family));
            put_bytes(&mut out, key);
        }
        let reads = Spans::new(reads.filter_map(|(f, lower, upper)| span_between(f, lower, upper)).collect());
        for Span { family, from, to } in reads.iter() {
            out.push(if to.is_some() { tag::READ_BETWEEN } else { tag::READ_FROM });
            put_varint(&mut out, u64::from(*family));
            put_bytes(&mut out, from);
            to.iter().for_each(|to| put_bytes(&mut out, to));
        }
        out
    }

    /// Decodes the stored form of the transaction `name`, for a store with this handle in which such stand
    /// in the family `among`.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn decode(store: u64, among: u32, name: &str, stored: &[u8]) -> Result<Hold, Malformed> {
        let mut bytes = Decoder::new(stored);
        let prepared_ms = bytes.varint("the time of a preparation")?;
        let miscounted = bytes.malformed("as many operations as it says");
        let count = bytes.varint32("a number of operations")?;
        let ops = bytes.bytes("the operations of a transaction")?;
        let mut commit = WriteBatch::with_capacity(ops.len() + name.len() + 32);
        commit.push_delete(store, among, name.as_bytes());
        let writes = commit.push_encoded(store, ops)?;
        if writes != count as usize || commit.refused().is_some() {
            return Err(miscounted);
        }
        let (mut keys, mut removes, mut reads) = (BTreeSet::new(), Vec::new(), Vec::new());
        for op in commit.iter().flatten().skip(1) {
            let (family, key) = (op.family, op.key.to_vec());
            if op.kind.is_range() {
                removes.push(Span { family, from: key, to: op.range_end().map(<[u8]>::to_vec) });
            } else {
                keys.insert(LockedKey { family, key });
            }
        }
        while !bytes.is_empty() {
            let wrong = bytes.malformed("a key, or keys in order, that a transaction holds");
            let tag = bytes.byte("the kind of what is held")?;
            let family = bytes.varint32("a column family's number")?;
            let from = bytes.bytes("a key that is held")?.to_vec();
            if from.len() > MAX_KEY_BYTES {
                return Err(wrong);
            }
            match tag {
                tag::KEY => _ = keys.insert(LockedKey { family, key: from }),
                tag::READ_FROM => reads.push(Span { family, from, to: None }),
                tag::READ_BETWEEN => {
                    let to = bytes.bytes("the end of keys that are held")?.to_vec();
                    if to <= from || to.len() > MAX_KEY_BYTES {
                        return Err(wrong);
                    }
                    reads.push(Span { family, from, to: Some(to) });
                }
                _ => return Err(wrong),
            }
        }
        let guard = Arc::new(Guard { reads: Spans::new(reads), removes: Spans::new(removes) });
        let (keys, bytes) = (keys.into_iter().collect(), (name.len() + stored.len()) as u64);
        Ok(Hold { prepared_ms, commit, keys, guard, writes, bytes })
    }

    /// The keys that it locks, in order.
    #[must_use]
    pub fn keys(&self) -> &[LockedKey] {
        &self.keys
    }

    /// When it was prepared, by the expiry clock, in milliseconds since the epoch.
    #[must_use]
    pub fn prepared_ms(&self) -> u64 {
        self.prepared_ms
    }

    /// How many operations it writes.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// How many bytes it is stored in.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The column families that it concerns; some more than once.
    pub(super) fn families(&self) -> impl Iterator<Item = u32> {
        let of_keys = self.keys.iter().map(|key| key.family);
        let spans = self.guard.reads.iter().chain(self.guard.removes.iter());
        self.commit.families().chain(of_keys).chain(spans.map(|span| span.family))
    }

    /// Locks and guards all of it, in the ordering section, if nobody is in the way.
    pub(super) fn take(&self, locks: &KeyLocks, owner: OwnerId) -> Result<(), Why> {
        may_write(&self.commit, locks, Some(owner))?;
        for span in self.guard.reads.iter() {
            let to = span.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = (Bound::Included(span.from.as_slice()), to);
            if let Some(held) = locks.held_between(Some(owner), span.family, bounds) {
                return Err(Why::Locked(held));
            }
            if let Some((holder, key)) = locks.guards().against_read(owner, span) {
                return Err(Why::Guarded { key, holder });
            }
        }
        locks.lock_all(owner, &self.keys).map_err(Why::Locked)?;
        self.guard_spans(locks, owner);
        Ok(())
    }

    /// Locks what nobody else has locked, and guards all of it.
    pub(super) fn hold_what_is_free(&self, locks: &KeyLocks, owner: OwnerId) {
        self.keys.iter().for_each(|key| drop(locks.lock_all(owner, std::slice::from_ref(key))));
        self.guard_spans(locks, owner);
    }

    fn guard_spans(&self, locks: &KeyLocks, owner: OwnerId) {
        if self.guard.reads.iter().next().is_some() || self.guard.removes.iter().next().is_some() {
            locks.guards().hold(owner, self.guard.clone());
        }
    }

    /// Lets go of all of it but the keys that are `kept`.
    pub fn let_go(&self, locks: &KeyLocks, owner: OwnerId, kept: impl Fn(&LockedKey) -> bool) {
        self.keys.iter().filter(|key| !kept(key)).for_each(|key| locks.unlock(owner, key));
        if !locks.guards().is_empty() {
            locks.guards().release(owner);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::base::key::Kind;
    use proptest::prelude::*;

    fn stored() -> Vec<u8> {
        let mut writes = WriteBatch::new();
        writes.push_put(1, 3, b"b", b"value");
        writes.push_delete(1, 4, b"a");
        writes.push_encoded(1, &[4, 3, 1, b'm', 1, b'p']).unwrap();
        let locked = [LockedKey { family: 3, key: b"z".to_vec() }];
        let reads = [
            (4, Bound::Excluded(&b"c"[..]), Bound::Included(&b"d"[..])),
            (5, Bound::Unbounded, Bound::Unbounded),
        ];
        Hold::encode(77, &writes, locked.iter(), reads.into_iter())
    }

    #[test]
    fn what_is_held_round_trips() {
        let hold = Hold::decode(1, 9, "name", &stored()).unwrap();
        assert_eq!((hold.prepared_ms, hold.writes), (77, 3));
        let first = hold.commit.iter().next().unwrap().unwrap();
        assert_eq!((first.kind, first.family, first.key), (Kind::Delete, 9, &b"name"[..]));
        let keys: Vec<_> = hold.keys.iter().map(|key| (key.family, &key.key[..])).collect();
        assert_eq!(keys, [(3, &b"b"[..]), (3, &b"z"[..]), (4, &b"a"[..])]);
        let spans: Vec<_> = hold.guard.reads.iter().cloned().collect();
        let span = |family, from: &[u8], to: Option<&[u8]>| Span {
            family,
            from: from.to_vec(),
            to: to.map(<[u8]>::to_vec),
        };
        assert_eq!(spans, [span(4, b"c\0", Some(b"d\0")), span(5, b"", None)]);
        assert_eq!(hold.guard.removes.iter().cloned().collect::<Vec<_>>(), [span(3, b"m", Some(b"p"))]);
    }

    #[test]
    fn what_is_cut_or_makes_no_sense_is_refused() {
        let stored = stored();
        let decoded = |bytes: &[u8]| Hold::decode(1, 9, "name", bytes);
        let whole = (0..stored.len()).filter(|len| decoded(&stored[..*len]).is_ok()).count();
        assert_eq!(whole, 3, "cuts before what is held beside the writes are sound");
        assert!(decoded(&[0, 1, 0]).is_err(), "an operation is missing");
        assert!(decoded(&[0, 0, 0, 9, 0, 0]).is_err(), "an unknown kind");
        assert!(decoded(&[0, 0, 0, 3, 0, 1, b'b', 1, b'b']).is_err(), "it ends where it starts");
        assert!(decoded(&[0, 0, 0, 3, 0, 1, b'b', 1, b'c']).is_ok());
    }

    /// The bytes that `docs/format/prepared.md` shows.
    #[test]
    fn the_example_of_the_page_is_what_is_stored() {
        let mut writes = WriteBatch::new();
        writes.push_put(1, 0, b"user:1", b"Ada");
        let locked = [LockedKey { family: 0, key: b"k".to_vec() }];
        let reads = [(1, Bound::Included(&b"a"[..]), Bound::Excluded(&b"b"[..]))];
        let stored = Hold::encode(1_700_000_000_000, &writes, locked.iter(), reads.into_iter());
        let (front, held) = (b"\x80\xd0\x95\xff\xbc\x31\x01", b"\x01\x00\x01k\x03\x01\x01a\x01b");
        let expected = [&front[..], &b"\x0d\x02\x00\x06user:1\x03Ada"[..], &held[..]].concat();
        assert_eq!(stored, expected);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Hold::decode(1, 9, "name", &bytes);
        }
    }
}
